//! How a training ends before its last epoch: by a limit, by the guard, by a disk.

use std::fs;

use homeostat_artifact::Part;
use homeostat_control::{ControlConfig, GuardConfig, Switch};
use homeostat_task::Weights;
use homeostat_train::{CheckpointConfig, EmaConfig, End, Event, TrainConfig, TrainError};

use crate::toy::{Trial, latest, lines, new_run, scratch, turn};

fn config() -> TrainConfig {
    TrainConfig { epochs: 4, batch_size: 8, ..TrainConfig::default() }
}

#[test]
fn a_limit_of_steps_or_of_time_ends_with_an_evaluation_and_a_reason() {
    let _turn = turn();
    for (max_steps, max_seconds, steps, reason) in
        [(Some(17), None, 17, "train.max-steps = 17"), (None, Some(1e-9), 1, "train.max-seconds = 0.000000001")]
    {
        let root = scratch();
        let run = new_run(root.path());
        let finished = Trial::new(TrainConfig { max_steps, max_seconds, ..config() }).finish(&run);
        assert_eq!((finished.steps, finished.reason.as_deref()), (steps, Some(reason)));
        let last = lines(&run, "metrics.jsonl").pop().unwrap();
        assert_eq!((last["part"].as_str(), last["step"].as_u64()), (Some("valid"), Some(steps as u64)));
        assert_eq!(latest(&run).unwrap().step(), steps as u64);
    }
}

#[test]
fn time_counts_over_all_sessions() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let trial = Trial::new(config());
    trial.run(&run, None, Some(3), |_| std::thread::sleep(std::time::Duration::from_millis(20))).unwrap();
    let limited = Trial::new(TrainConfig { max_seconds: Some(0.06), ..config() });
    let End::Finished(finished) = limited.run(&run, latest(&run).as_ref(), None, |_| {}).unwrap() else {
        panic!("an end")
    };
    assert_eq!(finished.steps, 3, "the first session has used the time up");
    assert!(finished.seconds >= 0.06);
}

#[test]
fn a_stop_with_the_last_step_of_an_epoch_leaves_the_evaluation_to_the_resumption() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let trial = Trial::new(config());
    let mut evaluations = 0;
    let mut count = |event: &Event<'_>| evaluations += usize::from(matches!(event, Event::Epoch { .. }));
    assert!(matches!(trial.run(&run, None, Some(12), &mut count).unwrap(), End::Interrupted { step: 12 }));
    let end = trial.run(&run, latest(&run).as_ref(), Some(13), &mut count).unwrap();
    assert!(matches!(end, End::Interrupted { step: 13 }));
    assert_eq!(evaluations, 1);
}

#[test]
fn a_stop_during_an_evaluation_leaves_it_to_the_resumption() {
    let _turn = turn();
    let root = scratch();
    let (run, whole) = (new_run(root.path()), new_run(root.path()));
    let trial = Trial::new(TrainConfig { max_steps: Some(17), ..config() });
    trial.finish(&whole);
    let evaluating = |event: &Event<'_>| matches!(event, Event::Evaluated { .. });
    for (step, lines) in [(12, 0), (17, 2)] {
        let end = trial.run_until(&run, latest(&run).as_ref(), evaluating).unwrap();
        assert!(matches!(end, End::Interrupted { step: at } if at == step));
        assert_eq!(latest(&run).unwrap().step(), step as u64);
        assert_eq!(run.metrics().unwrap().len(), lines);
        // The first is made up for; so is the last, and no step is added to it.
        let next = |event: &Event<'_>| matches!(event, Event::Step(_));
        let end = trial.run_until(&run, latest(&run).as_ref(), next).unwrap();
        assert_eq!(matches!(end, End::Finished(_)), step == 17);
    }
    let figures = |run: &homeostat_artifact::RunWriter| -> Vec<_> {
        run.metrics().unwrap().into_iter().map(|line| (line.step, line.figures)).collect()
    };
    assert_eq!(figures(&run), figures(&whole));
}

#[test]
fn a_training_that_does_not_recover_fails_and_leaves_its_last_checkpoint() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = Trial::new(config());
    trial.train.poison = (5..12).map(|batch| ((1, batch), f32::NAN)).collect();
    let guard = GuardConfig { patience: 2, max_rewinds: 1, ..GuardConfig::default() };
    trial.control = ControlConfig { guard: Switch::On(guard), ..ControlConfig::default() };
    let mut decided = Vec::new();
    let error = trial
        .run(&run, None, None, |event| {
            if let Event::Decided { decision, .. } = event {
                decided.push(decision.action.to_string());
            }
        })
        .unwrap_err();
    assert_eq!(decided, ["skip step", "rewind, rate x 0.5", "skip step", "fail"]);
    let TrainError::Diverged { step, reason } = &error else { panic!("{error}") };
    assert_eq!(*step, 12 + 5 + 3);
    assert!(reason.contains("loss is NaN") && reason.contains("lower the learning rate"), "{reason}");
    assert_eq!(lines(&run, "events.jsonl").last().unwrap()["decisions"][0]["action"], "fail", "the log says why");
    assert_eq!(latest(&run).unwrap().step(), 12);
    // Mended data: it goes on from there.
    let mended = Trial { train: crate::toy::Vectors::new(93, 1), ..trial };
    assert!(matches!(mended.run(&run, latest(&run).as_ref(), None, |_| {}).unwrap(), End::Finished(_)));
}

#[test]
fn a_step_that_was_refused_leaves_no_trace_in_the_figures_of_its_epoch() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = Trial::new(TrainConfig { epochs: 1, ..config() });
    trial.train.poison = [((0, 3), f32::NAN)].into();
    trial.finish(&run);
    let metrics = run.metrics().unwrap();
    let train = metrics.iter().find(|line| line.part == Part::Train).unwrap();
    assert!(train.figures.iter().all(|(_, value)| value.is_finite()), "{:?}", train.figures);
}

/// A network with running statistics whose fourth step meets NaN, and the files of its checkpoints by step.
fn refused(patience: u32) -> impl Fn(u64, &str) -> Vec<u8> {
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = Trial::new(TrainConfig {
        max_steps: Some(4),
        ema: Some(Default::default()),
        checkpoint: CheckpointConfig { every_steps: Some(1), keep_last: 9 },
        ..config()
    });
    trial.task.norm = true;
    trial.train.poison = [((0, 3), f32::NAN)].into();
    let guard = GuardConfig { patience, ..GuardConfig::default() };
    trial.control = ControlConfig { guard: Switch::On(guard), ..ControlConfig::default() };
    trial.finish(&run);
    move |step, name| {
        let _kept = &root;
        fs::read(run.checkpoints().unwrap().open(step).unwrap().file(name).unwrap()).unwrap()
    }
}

const STATE: [&str; 3] = ["model.safetensors", "optimizer.safetensors", "average.safetensors"];

#[test]
fn a_rewind_brings_weights_statistics_optimizer_and_average_back() {
    let _turn = turn();
    let read = refused(1);
    for name in STATE {
        let good = read(3, &format!("good-{name}"));
        assert!(read(3, name) != good, "{name} has moved away from the snapshot");
        assert!(read(4, name) == good, "{name} is back");
    }
}

#[test]
fn a_skipped_step_moves_nothing_not_even_running_statistics() {
    let _turn = turn();
    let read = refused(9);
    for name in STATE {
        assert!(read(2, name) != read(3, name), "{name} moves in other steps");
        assert!(read(4, name) == read(3, name), "{name} has not moved");
    }
}

#[test]
fn an_average_follows_the_newest_running_statistics() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let ema = Some(EmaConfig { decay: 0.0, warmup: false });
    let mut trial = Trial::new(TrainConfig { max_steps: Some(3), ema, ..config() });
    trial.task.norm = true;
    trial.finish(&run);
    let checkpoint = latest(&run).unwrap();
    let read = |name: &str| Weights::from_safetensors(&fs::read(checkpoint.file(name).unwrap()).unwrap()).unwrap().0;
    let (model, average) = (read("model.safetensors"), read("average.safetensors"));
    let moved = model.tensors().iter().filter(|(name, _)| name.contains("running")).count();
    assert_eq!(moved, 2);
    for (name, values) in model.tensors() {
        let averaged = average.tensors()[name].iter::<f32>();
        for (value, averaged) in values.iter::<f32>().zip(averaged) {
            assert!((value - averaged).abs() < 1e-6, "{name}: an average without a memory is what it averages");
        }
    }
}

#[test]
fn a_disk_that_refuses_is_an_error_and_the_last_checkpoint_can_be_used() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let trial = Trial::new(config());
    let (folder, aside) = (run.checkpoints_dir(), run.path().join("aside"));
    // From the second epoch on, a file stands where the folder of checkpoints was.
    let error = trial
        .run(&run, None, None, |event| {
            if let Event::Step(report) = event
                && report.step == 20
            {
                fs::rename(&folder, &aside).unwrap();
                fs::write(&folder, "in the way").unwrap();
            }
        })
        .unwrap_err();
    assert!(matches!(error, TrainError::Artifact(_)) && error.to_string().contains("checkpoints"), "{error}");
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    let checkpoint = latest(&run).unwrap();
    assert_eq!(checkpoint.step(), 12);
    assert!(matches!(trial.run(&run, Some(&checkpoint), None, |_| {}).unwrap(), End::Finished(_)));
    assert_eq!(lines(&run, "metrics.jsonl").len(), 8, "two lines an epoch, none of them twice");

    // A log that cannot be written stops it at once.
    let run = new_run(root.path());
    fs::create_dir(run.path().join("events.jsonl")).unwrap();
    let error = trial.run(&run, None, None, |_| {}).unwrap_err();
    assert!(error.to_string().contains("events.jsonl"), "{error}");
}

#[test]
fn old_checkpoints_go_and_every_one_is_kept_that_was_asked_for() {
    let _turn = turn();
    let root = scratch();
    let run = new_run(root.path());
    let mut trial = Trial::new(TrainConfig {
        checkpoint: CheckpointConfig { every_steps: Some(5), keep_last: 3 },
        monitor: "loss".into(),
        ..config()
    });
    let mut kept = Vec::new();
    trial.control.guard = Switch::Off;
    trial
        .run(&run, None, None, |event| {
            if matches!(event, Event::Checkpoint { .. }) {
                kept.push(run.checkpoints().unwrap().steps().unwrap());
            }
        })
        .unwrap();
    assert_eq!(kept[..5], [vec![5], vec![5, 10], vec![5, 10, 12], vec![10, 12, 15], vec![12, 15, 20]]);
    // Four epochs, and none worse than the one before would keep a best of its own.
    assert!(kept.last().unwrap().ends_with(&[40, 45, 48]) && kept.last().unwrap().len() <= 4, "{kept:?}");
    // Without a guard there is nothing to rewind to, and nothing of it on the disk.
    assert!(latest(&run).unwrap().file("good-model.safetensors").is_err());
}
