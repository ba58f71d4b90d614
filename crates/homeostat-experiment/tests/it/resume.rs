//! Going on with a run: as if nothing had happened, or not at all.

use std::fs;

use homeostat_artifact::{Run, RunState};
use homeostat_experiment::ExperimentError;

use crate::place::{Place, digits, pets, png};

/// What two runs must have in common to the byte.
fn remains(run: &Run) -> (Vec<u8>, Vec<u8>, String, Vec<homeostat_artifact::MetricsLine>) {
    let read = |file: &str| fs::read(run.path().join(file)).unwrap();
    let mut metrics = run.metrics().unwrap();
    metrics.iter_mut().for_each(|line| line.seconds = 0.0);
    let last = run.checkpoints().unwrap().latest().unwrap().unwrap();
    let optimizer = fs::read(last.file("optimizer.safetensors").unwrap()).unwrap();
    (read("artifact/model.safetensors"), optimizer, String::from_utf8(read("events.jsonl")).unwrap(), metrics)
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let place = Place::new();
    let words = ["augment=[{ rotate = { degrees = 10.0 } }]", "mix={ mixup = 0.4 }", "model.mlp.dropout=0.2"];
    let (straight, result) = place.train(digits(&words));
    // In the first epoch, at its end, and in the second.
    for step in [5, 23, 40] {
        let stopped = place.train_until(digits(&words), step);
        assert_eq!(stopped.result().unwrap().unwrap().state, RunState::Interrupted);
        let resumed = place.resume(&stopped).unwrap();
        assert_eq!((&resumed.test, resumed.steps), (&result.test, result.steps));
        assert!(remains(&stopped) == remains(&straight), "the run stopped at step {step} ended otherwise");
    }
}

#[test]
fn a_finished_run_is_not_resumed() {
    let place = Place::new();
    let (run, _) = place.train(digits(&["epochs=1"]));
    let before = remains(&run);
    let error = place.resume(&run).unwrap_err();
    assert!(matches!(error, ExperimentError::Run { .. }) && error.to_string().contains("is finished"), "{error}");
    assert!(remains(&run) == before);
}

#[test]
fn data_that_have_changed_are_refused_until_they_are_back() {
    let place = Place::new();
    let folder = place.pictures();
    let run = place.train_until(pets(&[]), 2);
    let picture = folder.join("dog/02.png");
    let original = fs::read(&picture).unwrap();
    fs::write(&picture, png(7)).unwrap();
    let error = place.resume(&run).unwrap_err();
    assert!(matches!(error, ExperimentError::DataChanged { .. }), "{error}");
    assert!(matches!(place.evaluate(&run, None), Err(ExperimentError::DataChanged { .. })));
    fs::write(&picture, original).unwrap();
    assert_eq!(place.resume(&run).unwrap().state, RunState::Finished);
}

#[test]
fn a_run_that_is_not_finished_has_nothing_to_be_measured() {
    let place = Place::new();
    let run = place.train_until(digits(&["epochs=1"]), 3);
    let error = place.evaluate(&run, None).unwrap_err().to_string();
    assert!(error.contains("artifact") && error.lines().count() == 1, "{error}");
}
