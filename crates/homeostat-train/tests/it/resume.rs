//! A training that was stopped or died at any step goes on as if nothing had happened.

use std::{collections::BTreeMap, fs};

use homeostat_artifact::RunWriter;
use homeostat_control::{ControlConfig, GuardConfig, PlateauConfig, Switch};
use homeostat_train::{CheckpointConfig, ClipConfig, EmaConfig, End, TrainConfig, TrainError};

use crate::toy::{Directions, Trial, Vectors, latest, lines, new_run, scratch, turn};

const STEPS_PER_EPOCH: usize = 12;
const STEPS: usize = 3 * STEPS_PER_EPOCH;

/// All that has a state is on: average, dropout, running statistics, accumulation with a short last window, soft targets, momentum, a rate
/// that falls on a plateau, and a guard that has to skip, to rewind to the start, and to a snapshot.
fn eventful() -> Trial {
    let mut trial = Trial::new(TrainConfig {
        epochs: 3,
        batch_size: 4,
        accumulate: 2,
        ema: Some(EmaConfig { decay: 0.9, warmup: true }),
        clip: ClipConfig { global_norm: Some(0.5), value: None },
        schedule: serde_json::from_str(r#"{"cosine": {"warmup-steps": 4}}"#).unwrap(),
        checkpoint: CheckpointConfig { every_steps: None, keep_last: 2 },
        ..TrainConfig::default()
    });
    // 23 batches an epoch: 11 windows of two, and one of one.
    trial.train = Vectors { mixed: true, broken: [5].into(), ..Vectors::new(91, 1) };
    trial.task = Directions { dropout: 0.2, norm: true, weights: Some([0.5, 1.0, 2.0]) };
    let poison = |step: usize, factor| (((step / STEPS_PER_EPOCH) as u64, 2 * (step % STEPS_PER_EPOCH) as u64), factor);
    trial.train.poison = [
        poison(8, f32::NAN),
        poison(9, f32::NAN),
        poison(13, f32::NEG_INFINITY),
        poison(29, f32::INFINITY),
        poison(30, f32::NAN),
    ]
    .into();
    let guard = GuardConfig {
        warmup_steps: 5,
        window: 10,
        patience: 2,
        recovery_steps: 2,
        max_rewinds: 2,
        ..GuardConfig::default()
    };
    // Nothing improves by so much: the rate falls at each evaluation.
    let plateau = PlateauConfig { patience: 1, threshold: 0.9, cooldown: 0, ..PlateauConfig::default() };
    trial.control = ControlConfig { guard: Switch::On(guard), plateau: Switch::On(plateau), early_stop: Switch::Off };
    trial
}

/// What a training leaves, wall times aside: the files of the last checkpoint and the two logs.
#[derive(Debug, PartialEq)]
struct Left {
    files: BTreeMap<String, Vec<u8>>,
    state: serde_json::Value,
    metrics: Vec<serde_json::Value>,
    events: String,
}

fn left(run: &RunWriter) -> Left {
    let checkpoint = latest(run).unwrap();
    assert_eq!(checkpoint.step(), STEPS as u64);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(checkpoint.path()).unwrap() {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    }
    let mut state: serde_json::Value = serde_json::from_slice(&files.remove("state.json").unwrap()).unwrap();
    state["seconds"].take();
    // The number of bytes depends on how many digits the seconds have.
    state["logs"]["metrics"].take();
    files.remove("checkpoint.json").unwrap();
    let mut metrics = lines(run, "metrics.jsonl");
    metrics.iter_mut().for_each(|line| drop(line["seconds"].take()));
    Left { files, state, metrics, events: fs::read_to_string(run.path().join("events.jsonl")).unwrap() }
}

/// Says which part differs: whole files in a message help nobody.
fn assert_same(found: &Left, expected: &Left, what: &str) {
    assert_eq!(found.events, expected.events, "events, {what}");
    assert_eq!(found.metrics, expected.metrics, "metrics, {what}");
    assert_eq!(found.state, expected.state, "state, {what}");
    assert!(found.files.keys().eq(expected.files.keys()), "files, {what}");
    for (name, bytes) in &expected.files {
        assert!(&found.files[name] == bytes, "{name}, {what}");
    }
}

fn straight(trial: &Trial) -> Left {
    let root = scratch();
    let run = new_run(root.path());
    assert_eq!(trial.finish(&run).steps, STEPS);
    left(&run)
}

fn resume(trial: &Trial, run: &RunWriter, stop_at: Option<usize>) -> Result<End<crate::toy::Net>, TrainError> {
    trial.run(run, latest(run).as_ref(), stop_at, |_| {})
}

#[test]
fn stopped_at_any_step_and_resumed_it_ends_with_the_same_bytes() {
    let _turn = turn();
    let trial = eventful();
    let expected = straight(&trial);
    let actions = |action: &str| expected.events.matches(action).count();
    assert_eq!((actions("skip-step"), actions("\"rewind\"")), (3, 2), "the guard has something to do");
    assert!(actions("scale-rate") >= 1, "the plateau has something to do");
    assert!(
        expected.files.contains_key("average.safetensors") && expected.files.contains_key("good-model.safetensors")
    );

    for every_steps in [None, Some(5)] {
        let trial = Trial {
            config: TrainConfig { checkpoint: CheckpointConfig { every_steps, keep_last: 2 }, ..trial.config.clone() },
            ..trial.clone()
        };
        // How often the state is written does not change what is learnt.
        assert_same(&straight(&trial), &expected, &format!("checkpoints {every_steps:?}"));
        for stop_at in 1..=STEPS {
            let root = scratch();
            let run = new_run(root.path());
            let end = trial.run(&run, None, Some(stop_at), |_| {}).unwrap();
            assert!(matches!(end, End::Interrupted { step } if step == stop_at));
            assert_eq!(latest(&run).unwrap().step(), stop_at as u64);
            assert!(matches!(resume(&trial, &run, None).unwrap(), End::Finished(_)));
            assert_same(&left(&run), &expected, &format!("stopped at {stop_at}, checkpoints {every_steps:?}"));
        }
    }
}

#[test]
fn stopped_at_every_step_in_turn_it_ends_with_the_same_bytes() {
    let _turn = turn();
    let trial = eventful();
    let root = scratch();
    let run = new_run(root.path());
    for stop_at in 1..=STEPS {
        let end = resume(&trial, &run, Some(stop_at)).unwrap();
        assert!(matches!(end, End::Interrupted { step } if step == stop_at));
    }
    assert!(matches!(resume(&trial, &run, None).unwrap(), End::Finished(_)));
    assert_same(&left(&run), &straight(&trial), "stopped at every step");
}

#[test]
fn dead_at_any_batch_it_goes_on_from_the_last_checkpoint_with_the_same_bytes() {
    let _turn = turn();
    let mut trial = eventful();
    trial.config.checkpoint.every_steps = Some(5);
    let expected = straight(&trial);
    for step in 0..STEPS {
        let root = scratch();
        let run = new_run(root.path());
        let mut dying = trial.clone();
        dying.train.error = Some(((step / STEPS_PER_EPOCH) as u64, 2 * (step % STEPS_PER_EPOCH) as u64));
        // The logs are ahead of the last checkpoint then, as after a SIGKILL.
        let error = dying.run(&run, None, None, |_| {}).unwrap_err();
        assert!(matches!(&error, TrainError::Data(_)) && error.to_string() == "vector-7: it was cut short", "{error}");
        if latest(&run).is_none() {
            assert!(step < 5);
            run.truncate_logs(homeostat_artifact::LogLengths::default()).unwrap();
        }
        assert!(matches!(resume(&trial, &run, None).unwrap(), End::Finished(_)));
        assert_same(&left(&run), &expected, &format!("dead at step {step}"));
    }
}

#[test]
fn any_number_of_workers_gives_the_same_bytes() {
    let _turn = turn();
    let trial = eventful();
    let expected = straight(&trial);
    for threads in [1, 4] {
        assert_same(&straight(&Trial { threads, ..trial.clone() }), &expected, &format!("{threads} workers"));
    }
    assert!(straight(&Trial { seed: 2, ..trial }) != expected, "another seed is another training");
}

#[test]
fn broken_weights_are_refused_by_file_tensor_and_element() {
    let _turn = turn();
    let mut trial = eventful();
    // Without a guard, NaN gets into the weights and into a checkpoint.
    trial.control.guard = Switch::Off;
    let root = scratch();
    let run = new_run(root.path());
    trial.run(&run, None, Some(9), |_| {}).unwrap();
    let message = resume(&trial, &run, None).unwrap_err().to_string();
    assert!(message.contains("model.safetensors") && message.contains("holds NaN or infinity at element"), "{message}");
}

#[test]
fn a_checkpoint_of_another_experiment_or_network_is_refused() {
    let _turn = turn();
    let trial = eventful();
    let root = scratch();
    let run = new_run(root.path());
    trial.run(&run, None, Some(3), |_| {}).unwrap();

    let other = homeostat_artifact::Run::create(root.path(), "toy", "now", "seed = 2").unwrap();
    fs::create_dir(other.checkpoints_dir()).unwrap();
    let name = latest(&run).unwrap().path().file_name().unwrap().to_owned();
    fs::rename(latest(&run).unwrap().path(), other.checkpoints_dir().join(name)).unwrap();
    let message = other.checkpoints().unwrap().latest().unwrap_err().to_string();
    assert!(message.contains("experiment"), "{message}");

    // The same text with other code behind it: the optimiser has changed.
    trial.run(&run, None, Some(3), |_| {}).unwrap();
    let optimizer = serde_json::from_str(r#"{"sgd": {}}"#).unwrap();
    let changed = Trial { config: TrainConfig { optimizer, ..trial.config.clone() }, ..trial };
    let error = resume(&changed, &run, None).unwrap_err();
    assert!(matches!(error, TrainError::OptimizerState { .. }), "{error}");
}
