//! The loop learns, and tells what it does.

use std::ops::ControlFlow;

use homeostat_control::{ControlConfig, EarlyStopConfig, Switch};
use homeostat_task::{Task, Weights};
use homeostat_train::{EmaConfig, End, Event, OptimizerConfig, SgdConfig, TrainConfig, Workers, evaluate};

use crate::toy::{Directions, Trial, Vectors, device, latest, lines, new_run, scratch, turn};

fn config(epochs: usize) -> TrainConfig {
    TrainConfig { epochs, batch_size: 8, ..TrainConfig::default() }
}

#[test]
fn every_optimizer_learns() {
    let _turn = turn();
    for optimizer in OptimizerConfig::examples() {
        let root = scratch();
        let run = new_run(root.path());
        // Rates are made for large networks: the small one takes larger steps.
        let scale = match optimizer {
            OptimizerConfig::Muon(_) => 1.0,
            OptimizerConfig::Lion(_) => 100.0,
            OptimizerConfig::Sgd(SgdConfig { momentum: 0.0, .. }) => 100.0,
            _ => 10.0,
        };
        let mut value = serde_json::to_value(&optimizer).unwrap();
        let name = value.as_object().unwrap().keys().next().unwrap().clone();
        value[&name]["learning-rate"] = (optimizer.learning_rate() * scale).into();
        let optimizer = serde_json::from_value(value).unwrap();
        let trial = Trial::new(TrainConfig { optimizer, ..config(20) });
        let best = trial.finish(&run).best.unwrap();
        assert!(best.value > 0.8, "{:?}: accuracy {}", trial.config.optimizer, best.value);
        let losses: Vec<f64> = lines(&run, "metrics.jsonl")
            .iter()
            .filter(|line| line["part"] == "train")
            .map(|line| line["figures"]["loss"].as_f64().unwrap())
            .collect();
        assert!(losses.len() == 20 && losses[19] < 0.8 * losses[0], "{:?}: {losses:?}", trial.config.optimizer);
    }
}

#[test]
fn events_come_in_order_and_say_what_happens() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = Trial::new(TrainConfig { accumulate: 5, ..config(2) });
    trial.train.broken = [3, 50].into();
    trial.valid.broken = [7].into();
    let mut told = Vec::new();
    let mut samples = 0;
    let end = trial.run(&run, None, None, |event| {
        told.push(match event {
            Event::Begin { total_steps, steps_per_epoch, step, parameters, .. } => {
                assert_eq!((*total_steps, *steps_per_epoch, *step, *parameters), (6, 3, 0, 4 * 8 + 8 + 8 * 3 + 3));
                "begin".to_owned()
            }
            Event::Step(report) => {
                assert!(report.loss.is_finite() && report.gradient_norm > 0.0 && report.rate > 0.0);
                samples += report.samples;
                format!("step {}.{}", report.epoch, report.step)
            }
            Event::Decided { .. } => "decided".to_owned(),
            Event::Skipped(skipped) => format!("skipped {}", skipped.name),
            Event::Features { done, total } => format!("features {done}/{total}"),
            Event::Evaluated { done, total } => format!("evaluated {done}/{total}"),
            Event::Epoch { epoch, step, .. } => format!("epoch {epoch} at {step}"),
            Event::Checkpoint { step } => format!("checkpoint {step}"),
        });
    });
    let End::Finished(finished) = end.unwrap() else { panic!("nothing stopped it") };
    // Which step meets the broken samples depends on the order; each is told of once, though both epochs meet it.
    let (skipped, rest): (Vec<String>, Vec<String>) = told.into_iter().partition(|what| what.starts_with("skipped"));
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert_eq!(finished.skipped.len(), 3);
    assert_eq!(samples, 2 * (93 - 2));
    assert_eq!(
        rest,
        [
            "begin",
            "step 0.1",
            "step 0.2",
            "step 0.3",
            "evaluated 30/30",
            "epoch 1 at 3",
            "checkpoint 3",
            "step 1.4",
            "step 1.5",
            "step 1.6",
            "evaluated 30/30",
            "epoch 2 at 6",
            "checkpoint 6"
        ]
    );
    assert_eq!((finished.epochs, finished.steps, finished.reason), (2, 6, None));
}

#[test]
fn what_comes_out_are_the_weights_of_the_best_evaluation() {
    let _turn = turn();
    for ema in [None, Some(EmaConfig { decay: 0.9, warmup: true })] {
        let root = scratch();
        let run = new_run(root.path());
        // A rate so high that the last epoch is not the best.
        let optimizer = serde_json::from_str(r#"{"sgd": {"learning-rate": 20.0}}"#).unwrap();
        let schedule = serde_json::from_str(r#"{"constant": {}}"#).unwrap();
        let mut trial = Trial::new(TrainConfig { ema, optimizer, schedule, monitor: "loss".into(), ..config(12) });
        trial.config.checkpoint.keep_last = 1;
        trial.control.guard = Switch::Off;
        let finished = trial.finish(&run);
        let best = finished.best.unwrap();
        assert!(best.epoch < 12, "the test needs a training whose last epoch is not its best");
        let valid: Vec<f64> = lines(&run, "metrics.jsonl")
            .iter()
            .filter(|line| line["part"] == "valid")
            .map(|line| line["figures"]["loss"].as_f64().unwrap())
            .collect();
        assert_eq!(valid.iter().copied().fold(f64::INFINITY, f64::min), best.value);
        assert_eq!(valid[usize::try_from(best.epoch).unwrap() - 1], best.value);

        // Measured again, they have the figure that chose them.
        let examples: std::sync::Arc<dyn homeostat_train::Examples<Directions>> =
            std::sync::Arc::new(trial.valid.clone());
        let meter =
            homeostat_train::metrics::MetricSet::init(&[], homeostat_train::metrics::Classes::OneOf(3)).unwrap();
        let sizing = (64, Workers::default());
        let measured = |meter, flow: ControlFlow<()>| {
            let mut each = |_: &homeostat_train::Rows<Directions>, _: Option<&_>| flow;
            evaluate(&trial.task, &finished.model, &examples, meter, sizing, &device(), &mut each).unwrap()
        };
        assert_eq!(measured(meter.clone(), ControlFlow::Continue(())).unwrap().figures()[0].1, best.value);
        assert!(measured(meter, ControlFlow::Break(())).is_none(), "who listens may break it off");

        // The newest is kept, and the best.
        let steps = run.checkpoints().unwrap().steps().unwrap();
        assert_eq!(steps, [best.step, 12 * 12]);
        assert_eq!(latest(&run).unwrap().best(), Some(best.step));
    }
}

#[test]
fn the_average_starts_as_the_network_and_is_what_is_measured() {
    let _turn = turn();
    let measured = |decay: f64| {
        let root = scratch();
        let run = new_run(root.path());
        let trial = Trial::new(TrainConfig { ema: Some(EmaConfig { decay, warmup: false }), ..config(1) });
        trial.finish(&run);
        let checkpoint = latest(&run).unwrap();
        let read = |name: &str| std::fs::read(checkpoint.file(name).unwrap()).unwrap();
        (read("average.safetensors"), read("model.safetensors"))
    };
    let (average, model) = measured(0.0);
    assert_eq!(average, model, "an average that keeps nothing is the network itself");
    let (average, _) = measured(1.0 - 1e-7);
    let values = |bytes: &[u8]| -> Vec<f32> {
        let (weights, _) = Weights::from_safetensors(bytes).unwrap();
        weights.tensors().values().flat_map(|data| data.as_slice::<f32>().unwrap().to_vec()).collect()
    };
    let far = values(&average).iter().zip(values(&fresh(1))).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far < 1e-5, "an average that keeps nearly all is the network as it began, not {far} from it");
}

/// The weights that a seed gives.
fn fresh(seed: u64) -> Vec<u8> {
    let device = device().autodiff();
    device.seed(seed);
    Weights::of(&Directions::default().init(&device).unwrap()).to_safetensors(&[].into())
}

#[test]
fn the_first_weights_depend_on_the_seed_alone() {
    let _turn = turn();
    for ema in [None, Some(EmaConfig::default())] {
        let root = scratch();
        let run = new_run(root.path());
        let mut trial = Trial::new(TrainConfig { ema, max_steps: Some(1), ..config(1) });
        trial.task.dropout = 0.5;
        trial.finish(&run);
        // Until the guard is warm, where it would rewind to is the start.
        let start = latest(&run).unwrap().file("good-model.safetensors").unwrap();
        assert_eq!(std::fs::read(start).unwrap(), fresh(1), "{:?}", trial.config.ema);
    }
    assert!(fresh(1) != fresh(2));
}

#[test]
fn early_stopping_ends_as_a_success_with_its_reason() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = Trial::new(config(40));
    trial.valid = Vectors::new(6, 2);
    let early_stop = EarlyStopConfig { monitor: "accuracy".into(), patience: 2, min_delta: 0.0 };
    trial.control = ControlConfig { early_stop: Switch::On(early_stop), ..ControlConfig::default() };
    let finished = trial.finish(&run);
    assert!(finished.epochs < 40);
    let reason = finished.reason.unwrap();
    assert!(reason.contains("accuracy is ") && reason.contains("has not improved"), "{reason}");
    // Whoever resumes a training that has ended gets its end again.
    let End::Finished(again) = trial.run(&run, latest(&run).as_ref(), None, |_| {}).unwrap() else { panic!("an end") };
    assert_eq!((again.epochs, again.best), (finished.epochs, finished.best));
}
