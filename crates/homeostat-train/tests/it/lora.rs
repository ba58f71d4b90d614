//! Changes of low rank: the base stays, they learn and are merged, and a training with them is resumed exactly.

use std::fs;

use homeostat_artifact::RunWriter;
use homeostat_task::{Task, Weights};
use homeostat_train::{CheckpointConfig, EmaConfig, End, Event, LoraConfig, TrainConfig, UnfreezeConfig};

use crate::toy::{Trial, device, latest, new_run, scratch, turn};

fn trial(lora: LoraConfig) -> Trial {
    let checkpoint = CheckpointConfig { keep_last: 10, ..CheckpointConfig::default() };
    Trial::new(TrainConfig { epochs: 3, batch_size: 8, lora: Some(lora), checkpoint, ..TrainConfig::default() })
}

fn small() -> LoraConfig {
    LoraConfig { rank: 2, alpha: 6.0, targets: vec!["hidden.weight".to_owned()], ..LoraConfig::default() }
}

fn values<'a>(weights: &'a Weights, name: &str) -> &'a [f32] {
    weights.tensors()[name].as_slice().unwrap()
}

/// The weights after each epoch.
fn epochs(run: &RunWriter) -> Vec<Weights> {
    let checkpoints = run.checkpoints().unwrap();
    let read = |step| fs::read(checkpoints.open(step).unwrap().file("model.safetensors").unwrap()).unwrap();
    let steps = checkpoints.steps().unwrap();
    steps.into_iter().map(|step| Weights::from_safetensors(&read(step)).unwrap().0).collect()
}

/// Whether each tensor differs between the first and the last epoch.
fn moves(run: &RunWriter, name: &str) -> bool {
    let epochs = epochs(run);
    values(&epochs[0], name) != values(&epochs[epochs.len() - 1], name)
}

#[test]
fn the_base_stays_and_the_published_weight_is_its_sum_with_the_change() {
    let _turn = turn();
    for lora in [small(), LoraConfig { rank_stabilized: true, dropout: 0.3, ..small() }] {
        let root = scratch();
        let run = new_run(root.path());
        let mut counts = None;
        let End::Finished(finished) = trial(lora.clone())
            .run(&run, None, None, |event| {
                if let Event::Begin { parameters, learning, .. } = event {
                    counts = Some((*parameters, *learning));
                }
            })
            .unwrap()
        else {
            panic!("nothing stopped it")
        };
        // 4 x 8 + 8 + 8 x 3 + 3, and two matrices of rank 2; they and the head learn.
        assert_eq!(counts, Some((67 + 24, 24 + 27)));
        let moved = ["hidden.weight", "hidden.bias", "hidden.weight.lora.a", "hidden.weight.lora.b", "head.weight"]
            .map(|name| moves(&run, name));
        assert_eq!(moved, [false, false, true, true, true]);

        let scale = if lora.rank_stabilized { 6.0 / 2.0_f64.sqrt() } else { 3.0 };
        assert!((lora.scale() - scale).abs() < 1e-12);
        let unmerged = finished.unmerged.unwrap();
        let (apart, merged) = (Weights::of(&unmerged), Weights::of(&finished.model));
        assert!(merged.tensors().keys().all(|name| !name.contains("lora")));
        let [a, b] = ["a", "b"].map(|part| values(&apart, &format!("hidden.weight.lora.{part}")));
        for (at, weight) in values(&merged, "hidden.weight").iter().enumerate() {
            let (row, column) = (at / 8, at % 8);
            let change: f64 = (0..2).map(|k| f64::from(a[row * 2 + k]) * f64::from(b[k * 8 + column])).sum();
            let wanted = f64::from(values(&apart, "hidden.weight")[at]) + scale * change;
            assert!((f64::from(*weight) - wanted).abs() < 1e-6);
        }
        let factors = LoraConfig::factors(&unmerged);
        assert_eq!(factors.keys().collect::<Vec<_>>(), ["hidden.weight"]);
        let [beside, base] = lora.beside_and_base(&unmerged);
        assert_eq!(beside.tensors().keys().collect::<Vec<_>>(), ["head.bias", "head.weight"]);
        assert_eq!(base.tensors().keys().collect::<Vec<_>>(), ["hidden.bias", "hidden.weight"]);
    }
}

#[test]
fn inputs_are_dropped_in_training_alone() {
    let _turn = turn();
    let of = |dropout| {
        let root = scratch();
        trial(LoraConfig { dropout, ..small() }).finish(&new_run(root.path())).model
    };
    let [without, with, again] = [0.0, 0.5, 0.5].map(|dropout| Weights::of(&of(dropout)));
    assert_ne!(without, with);
    assert_eq!(with, again, "what is dropped has its key");
}

#[test]
fn a_training_with_them_is_resumed_exactly() {
    let _turn = turn();
    let mut trial = trial(LoraConfig { dropout: 0.3, ..small() });
    trial.config.ema = Some(EmaConfig { decay: 0.9, warmup: true });
    let (whole, cut) = (scratch(), scratch());
    let (whole, cut) = (new_run(whole.path()), new_run(cut.path()));
    let expected = trial.finish(&whole);
    for stop in [5, 12, 17, 30] {
        trial.run(&cut, latest(&cut).as_ref(), Some(stop), |_| {}).unwrap();
    }
    let End::Finished(found) = trial.run(&cut, latest(&cut).as_ref(), None, |_| {}).unwrap() else { panic!("stopped") };
    assert_eq!(Weights::of(&found.model), Weights::of(&expected.model));
    for file in ["model.safetensors", "optimizer.safetensors", "average.safetensors"] {
        let [a, b] = [&cut, &whole].map(|run| fs::read(latest(run).unwrap().file(file).unwrap()).unwrap());
        assert!(a == b, "{file}");
    }
}

#[test]
fn some_parameters_learn_alone() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = trial(small());
    (trial.config.lora, trial.config.learn) = (None, vec!["*.bias".to_owned()]);
    assert!(trial.finish(&run).unmerged.is_none());
    let moved = ["hidden.weight", "hidden.bias", "head.weight", "head.bias"].map(|name| moves(&run, name));
    assert_eq!(moved, [false, true, false, true]);
}

#[test]
fn what_makes_no_change_is_refused() {
    let _turn = turn();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let refused = |change: &dyn Fn(&mut TrainConfig, &mut LoraConfig)| {
        let root = scratch();
        let mut trial = trial(small());
        let mut lora = small();
        change(&mut trial.config, &mut lora);
        trial.config.lora = Some(lora);
        trial.run(&new_run(root.path()), None, None, |_| {}).unwrap_err().to_string()
    };
    let thaw = UnfreezeConfig { after_epochs: 1, parameters: "*".to_owned() };
    for (line, words) in [
        (refused(&|_, lora| lora.rank = 0), "`train.lora.rank`: is 0"),
        (refused(&|_, lora| lora.rank = 5), "`train.lora.rank`: is 5, but `hidden.weight` is only 4 x 8"),
        (
            refused(&|_, lora| lora.targets = names(&["*.bias"])),
            "`*.bias` fits no dense layer; there are hidden.weight,",
        ),
        (refused(&|_, lora| lora.targets = names(&[])), "`train.lora.targets`: is empty"),
        (refused(&|_, lora| lora.beside = Some(names(&["no.*"]))), "`train.lora.beside`: `no.*` matches no parameter"),
        (
            refused(&|_, lora| lora.beside = Some(names(&["head.*", "*.weight"]))),
            "`train.lora.targets`: names `hidden.weight`, which train.lora.beside lets learn whole",
        ),
        (refused(&|_, lora| lora.dropout = 1.0), "`train.lora.dropout`: is 1"),
        (refused(&|_, lora| lora.alpha = 0.0), "`train.lora.alpha`: is 0"),
        (refused(&|config, _| config.learn = names(&["*"])), "`train.lora`: cannot stand beside train.learn"),
        (refused(&|config, _| config.freeze = names(&["head.*"])), "cannot stand beside train.freeze"),
        (refused(&|config, _| config.unfreeze = vec![thaw.clone()]), "cannot stand beside train.unfreeze"),
    ] {
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn all_layers_are_all_but_the_head_where_nothing_is_said_of_it() {
    let _turn = turn();
    let trial = trial(small());
    let network = trial.task.init(&device()).unwrap();
    let names = |targets: &[&str], beside| {
        let targets = targets.iter().map(|name| (*name).to_owned()).collect();
        LoraConfig { targets, beside, ..small() }.target_names(&network).map_err(|error| error.to_string())
    };
    assert_eq!(names(&["*"], None).unwrap(), ["hidden.weight"]);
    assert_eq!(names(&["*"], Some(vec![])).unwrap(), ["hidden.weight", "head.weight"]);
    let error = names(&["hidden.*", "head.*"], None).unwrap_err();
    assert!(
        error.contains("names `head.weight`, which train.lora.beside lets learn whole (unset: the head)"),
        "{error}"
    );
}
