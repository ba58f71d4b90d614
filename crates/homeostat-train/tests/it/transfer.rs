//! What learns when: frozen, thawed, by layers; and what is published in the end.

use homeostat_artifact::{Checkpoint, RunWriter};
use homeostat_control::{ControlEvent, Observation};
use homeostat_task::{Task, Weights};
use homeostat_train::{
    AverageConfig, CheckpointConfig, EmaConfig, End, Event, GroupConfig, OptimizerConfig, PretrainedConfig,
    StatisticsConfig, TrainConfig, UnfreezeConfig,
};

use crate::toy::{Directions, Trial, device, latest, new_run, scratch, turn};

fn config(epochs: usize) -> TrainConfig {
    let checkpoint = CheckpointConfig { keep_last: 10, ..CheckpointConfig::default() };
    TrainConfig { epochs, batch_size: 8, checkpoint, ..TrainConfig::default() }
}

fn weights(checkpoint: &Checkpoint) -> Weights {
    Weights::from_safetensors(&std::fs::read(checkpoint.file("model.safetensors").unwrap()).unwrap()).unwrap().0
}

/// The weights after each epoch, from first to last.
fn epochs(run: &RunWriter) -> Vec<Weights> {
    let checkpoints = run.checkpoints().unwrap();
    checkpoints.steps().unwrap().into_iter().map(|step| weights(&checkpoints.open(step).unwrap())).collect()
}

/// The epochs at whose beginning the controllers were told that more learns, and how much.
fn unfrozen(run: &RunWriter) -> Vec<(u64, u64)> {
    let told = |event: ControlEvent| match event.observation {
        Observation::Unfrozen { learning } => Some((event.epoch, learning)),
        _ => None,
    };
    run.events().unwrap().into_iter().filter_map(told).collect()
}

fn values<'a>(weights: &'a Weights, name: &str) -> &'a [f32] {
    weights.tensors()[name].as_slice().unwrap()
}

fn thawing() -> Trial {
    Trial::new(TrainConfig {
        freeze: vec!["!head.*".to_owned()],
        unfreeze: vec![UnfreezeConfig { after_epochs: 2, parameters: "hidden.bias".to_owned() }],
        ema: Some(EmaConfig { decay: 0.9, warmup: true }),
        ..config(4)
    })
}

#[test]
fn what_is_frozen_learns_after_its_epochs() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    thawing().finish(&run);
    let epochs = epochs(&run);
    let moves = |name: &str| -> Vec<bool> {
        epochs.windows(2).map(|pair| values(&pair[0], name) != values(&pair[1], name)).collect()
    };
    assert_eq!(moves("hidden.weight"), [false; 3]);
    assert_eq!(moves("hidden.bias"), [false, true, true]);
    assert_eq!(moves("head.weight"), [true; 3]);
    assert_eq!(unfrozen(&run), [(2, 8 + 8 * 3 + 3)], "two layers' biases, and the weights between them");
    let average = latest(&run).unwrap().file("average.safetensors").unwrap();
    let (average, _) = Weights::from_safetensors(&std::fs::read(average).unwrap()).unwrap();
    assert_eq!(values(&average, "hidden.weight"), values(&epochs[0], "hidden.weight"), "an average of one value");
}

#[test]
fn a_training_that_is_stopped_goes_on_with_what_learns_then() {
    let _turn = turn();
    let (whole, cut) = (scratch(), scratch());
    let (whole, cut) = (new_run(whole.path()), new_run(cut.path()));
    let trial = thawing();
    trial.finish(&whole);
    // 12 steps an epoch: in the third one, and at the end of the second.
    for stop in [30, 24] {
        trial.run(&cut, latest(&cut).filter(|_| stop == 24).as_ref(), Some(stop), |_| {}).unwrap();
    }
    let end = trial.run(&cut, latest(&cut).as_ref(), None, |_| {}).unwrap();
    assert!(matches!(end, End::Finished(_)));
    assert_eq!(weights(&latest(&cut).unwrap()), weights(&latest(&whole).unwrap()));
    assert_eq!(unfrozen(&cut), unfrozen(&whole));
}

#[test]
fn patterns_that_fit_nothing_are_refused() {
    let _turn = turn();
    let refused = |change: &dyn Fn(&mut TrainConfig)| {
        let root = scratch();
        let mut trial = thawing();
        // Running statistics are no parameters.
        trial.task.norm = true;
        change(&mut trial.config);
        trial.run(&new_run(root.path()), None, None, |_| {}).unwrap_err().to_string()
    };
    let line = refused(&|config| config.freeze = vec!["none".to_owned()]);
    let names = "hidden.weight, hidden.bias, norm.gamma, norm.beta, head.weight, head.bias";
    assert!(line.ends_with(&format!("`none` matches no parameter: there are {names}")), "{line}");
    for (pattern, meant) in [("head", "head.*"), ("hiden.*", "hidden.*"), ("bias", "*.bias"), ("hed.bias", "head.bias")]
    {
        let said = format!("`{pattern}` matches no parameter: did you mean `{meant}`? There are {names}");
        for key in ["freeze", "learn", "unfreeze"] {
            let line = refused(&|config| match key {
                "freeze" => config.freeze = vec![pattern.to_owned()],
                "learn" => config.learn = vec![pattern.to_owned()],
                _ => config.unfreeze[0].parameters = pattern.to_owned(),
            });
            assert!(line.contains(&format!("`train.{key}`: {said}")), "{line}");
        }
    }
    // All fit what is spelt wrongly behind a `!`.
    for key in ["freeze", "learn", "unfreeze", "groups"] {
        let wrong = "!hed.*".to_owned();
        let line = refused(&|config| match key {
            "freeze" => config.freeze = vec![wrong.clone()],
            "learn" => config.learn = vec![wrong.clone()],
            "unfreeze" => config.unfreeze[0].parameters = wrong.clone(),
            _ => config.groups = vec![GroupConfig { parameters: wrong.clone(), ..GroupConfig::default() }],
        });
        assert!(
            line.contains(&format!("`train.{key}`: `hed.*` matches no parameter: did you mean `head.*`?")),
            "{line}"
        );
    }
    let line = refused(&|config| config.freeze = vec!["hidden.*".to_owned(), "!hidden.*".to_owned()]);
    assert!(line.contains("leaves nothing to learn"), "{line}");
    let line = refused(&|config| config.unfreeze[0].parameters = "head.*".to_owned());
    assert!(line.contains("matches no parameter that train.freeze has frozen"), "{line}");
    let [head, all] = ["head.*", "*"].map(|name| GroupConfig { parameters: name.to_owned(), ..GroupConfig::default() });
    let line = refused(&|config| config.groups = vec![head.clone(), all.clone()]);
    assert!(line.contains("`train.groups`: later groups take all that `head.*` matches"), "{line}");
    let root = scratch();
    let mut trial = thawing();
    trial.config.groups = vec![all, head];
    trial.run(&new_run(root.path()), None, Some(1), |_| {}).unwrap();
    let excepted = PretrainedConfig {
        from: "a.safetensors".to_owned(),
        allow: vec!["!head.*".to_owned()],
        ..PretrainedConfig::default()
    };
    let line = refused(&|config| config.pretrained = Some(excepted.clone()));
    assert!(line.contains("allow takes no `!`"), "{line}");
    let line = refused(&|config| config.layer_decay = Some(1.5));
    assert!(line.contains("`train.layer-decay`: is 1.5"), "{line}");
    let line = refused(&|config| config.average = Some(AverageConfig::Best(0)));
    assert!(line.contains("`train.average`: is 0"), "{line}");
    // Without batch normalisation there is nothing for its setting to do.
    trial.config.batch_norm = StatisticsConfig::Frozen;
    let line = trial.run(&new_run(scratch().path()), None, None, |_| {}).unwrap_err().to_string();
    assert!(line.contains("`train.batch-norm`: is set, but the network has no batch normalisation"), "{line}");
}

#[test]
fn what_so_few_epochs_leave_idle_is_said() {
    let idle = |epochs: usize| {
        let thaw = UnfreezeConfig { after_epochs: 4, parameters: "hidden.bias".to_owned() };
        let average = Some(AverageConfig::Last(3));
        TrainConfig { epochs, unfreeze: vec![thaw], average, ..TrainConfig::default() }.idle()
    };
    assert!(idle(0).is_empty() && idle(5).is_empty());
    assert_eq!(idle(4), ["train.unfreeze: `hidden.bias` never learns: after-epochs is 4 of 4 epochs"]);
    assert_eq!(idle(2)[1], "train.average: 3 epochs are to be averaged, but there are only 2: all are");
}

#[test]
fn running_statistics_are_no_parameters() {
    let _turn = turn();
    let root = scratch();
    let mut trial = thawing();
    trial.task.norm = true;
    (trial.config.freeze, trial.config.unfreeze) = (vec![], vec![]);
    let mut counts = vec![];
    let note = |event: &Event<'_>| {
        if let Event::Begin { parameters, learning, .. } = event {
            counts.push((*parameters, *learning));
        }
    };
    trial.run(&new_run(root.path()), None, None, note).unwrap();
    // 4 x 8 + 8, 8 + 8 of the norm, and 8 x 3 + 3.
    assert_eq!(counts, [(83, 83)]);
}

#[test]
fn the_published_weights_are_the_mean_of_checkpoints() {
    let _turn = turn();
    for (average, keep_last) in [(AverageConfig::Last(3), 10), (AverageConfig::Best(2), 1)] {
        let root = scratch();
        let run = new_run(root.path());
        let checkpoint = CheckpointConfig { keep_last, ..CheckpointConfig::default() };
        let mut order: Vec<(u64, f64)> = Vec::new();
        let trial = Trial::new(TrainConfig { average: Some(average), checkpoint, ..config(6) });
        let End::Finished(finished) = trial
            .run(&run, None, None, |event| {
                if let Event::Epoch { step, valid, .. } = event {
                    order.push((*step as u64, valid.get("accuracy").unwrap()));
                }
            })
            .unwrap()
        else {
            panic!("nothing stopped it")
        };
        let steps: Vec<u64> = match average {
            AverageConfig::Last(_) => order.iter().rev().take(3).map(|(step, _)| *step).collect(),
            AverageConfig::Best(_) => {
                order.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
                order.iter().take(2).map(|(step, _)| *step).collect()
            }
        };
        let checkpoints = run.checkpoints().unwrap();
        let members: Vec<Weights> = steps.iter().map(|&step| weights(&checkpoints.open(step).unwrap())).collect();
        let found = Weights::of(&finished.model);
        for name in found.tensors().keys() {
            for (at, found) in values(&found, name).iter().enumerate() {
                let mean = members.iter().map(|member| f64::from(values(member, name)[at])).sum::<f64>()
                    / members.len() as f64;
                assert!((f64::from(*found) - mean).abs() < 1e-6, "{average:?} {name}");
            }
        }
    }
}

#[test]
fn without_numbers_there_are_two_layers() {
    let model = Directions::default().init(&device()).unwrap();
    let optimizer = OptimizerConfig::default().init(&model, &[]).unwrap().with_layer_decay(&model, 0.5);
    let factors = optimizer.rate_factors();
    let wanted = [("hidden.weight", 0.5), ("hidden.bias", 0.5), ("head.weight", 1.0), ("head.bias", 1.0)];
    assert!(wanted.iter().all(|(name, factor)| (factors[name] - factor).abs() < 1e-12), "{factors:?}");
}
