//! Going on with a run: as if nothing had happened, or not at all.

use std::{fs, sync::atomic::AtomicBool};

use homeostat_artifact::{Run, RunState};
use homeostat_experiment::{ExperimentError, Outcome, Stage};
use homeostat_train::Event;

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
        let so_far = stopped.result().unwrap().unwrap();
        assert_eq!(
            (so_far.state, so_far.steps, so_far.epochs),
            (RunState::Interrupted, step as u64, (step as u64 - 1) / 23)
        );
        assert_eq!((so_far.parameters, so_far.best.is_some()), (result.parameters, step > 23));
        assert!(so_far.seconds > 0.0);
        let resumed = place.resume(&stopped).unwrap();
        assert_eq!((&resumed.test, resumed.steps), (&result.test, result.steps));
        assert!(remains(&stopped) == remains(&straight), "the run stopped at step {step} ended otherwise");
    }
}

#[test]
fn repeated_samples_and_growing_pictures_are_resumed_alike() {
    let place = Place::new();
    let words = [
        "prepare=[{ resize = { size = 12 } }, \"normalize-from-train\"]",
        "model={ cnn = { padding = \"same\", widths = [4, 6], head = \"mean\", hidden = [] } }",
        "augment=[{ rotate = { degrees = 10.0 } }]",
        "train.repeats=4",
        "data.progressive={ from = 8, until-epoch = 2 }",
        "epochs=3",
    ];
    let (straight, result) = place.train(digits(&words));
    for step in [5, 40, 60] {
        let stopped = place.train_until(digits(&words), step);
        assert_eq!(place.resume(&stopped).unwrap().test, result.test);
        assert!(remains(&stopped) == remains(&straight), "the run stopped at step {step} ended otherwise");
    }
    let (other, _) = place.train(digits(&[&words[..], &["data.progressive.from=11"]].concat()));
    assert!(remains(&other) != remains(&straight), "the size is of no effect");
}

#[test]
fn every_sampling_is_resumed_in_the_middle_of_an_epoch() {
    let place = Place::new();
    let balanced = "data.sampling=\"class-balanced\"";
    let samplings = [balanced, "data.sampling.window.samples=20", "data.sampling.weighted.classes={ 3 = 4.0 }"];
    let mut ends = vec![];
    for sampling in samplings {
        let words = [sampling, "augment=[{ rotate = { degrees = 10.0 } }]"];
        let (straight, result) = place.train(digits(&words));
        let stopped = place.train_until(digits(&words), 30);
        assert_eq!(place.resume(&stopped).unwrap().test, result.test, "{sampling}");
        assert!(remains(&stopped) == remains(&straight), "{sampling}: the resumed run ended otherwise");
        ends.push(remains(&straight).0);
    }
    ends.dedup();
    assert_eq!(ends.len(), samplings.len(), "a sampling is of no effect");
}

#[test]
fn a_run_that_is_stopped_after_its_last_step_is_concluded_by_a_resumption() {
    let place = Place::new();
    let (straight, result) = place.train(digits(&[]));
    let after_the_last_epoch = |stage: &Stage<'_>| matches!(stage, Stage::Training(Event::Epoch { epoch: 2, .. }));
    let before_the_test = |stage: &Stage<'_>| matches!(stage, Stage::Testing);
    for stops in [&after_the_last_epoch as &dyn Fn(&Stage<'_>) -> bool, &before_the_test] {
        let (stopped, outcome) = place.train_while(digits(&[]), stops).unwrap();
        assert!(matches!(outcome, Outcome::Interrupted), "{outcome:?}");
        let so_far = stopped.result().unwrap().unwrap();
        assert_eq!((so_far.state, so_far.steps, so_far.epochs), (RunState::Interrupted, 46, 2));
        assert!(!stopped.artifact_dir().exists());
        assert_eq!(place.resume(&stopped).unwrap().test, result.test);
        assert!(remains(&stopped) == remains(&straight));
    }
}

#[test]
fn a_run_that_goes_on_says_nothing_of_how_it_ended_before() {
    let place = Place::new();
    let run = place.train_until(digits(&[]), 5);
    assert!(run.result().unwrap().is_some());
    let stop = AtomicBool::new(false);
    let mut seen = Vec::new();
    let mut watch = |stage: Stage<'_>| {
        if let Stage::Training(Event::Step(report)) = stage {
            seen.push((report.step, run.result().unwrap(), run.progress().unwrap().steps));
        }
    };
    let outcome = homeostat_experiment::resume(&run, &place.setting(&stop), &mut watch).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    // A process that is killed leaves the logs alone to tell how far it came: all but the last step.
    assert!(seen.iter().all(|(step, result, told)| result.is_none() && *told == *step as u64 - 1), "{seen:?}");
    assert_eq!(seen.len(), 46 - 5);
}

#[test]
fn a_run_that_fails_after_its_last_step_says_so_and_is_concluded_by_a_resumption() {
    let place = Place::new();
    let (straight, result) = place.train(digits(&[]));
    let block = |stage: &Stage<'_>| {
        if let Stage::Published { artifact, .. } = stage {
            fs::create_dir(artifact.with_file_name("report.html")).unwrap();
        }
        false
    };
    let error = place.train_while(digits(&[]), block).unwrap_err().to_string();
    assert!(error.contains("report.html"), "{error}");
    let failed = Run::open(&place.out().join("latest")).unwrap();
    let so_far = failed.result().unwrap().unwrap();
    assert_eq!((so_far.state, so_far.reason.as_deref()), (RunState::Failed, Some(error.as_str())));
    assert_eq!((so_far.steps, so_far.epochs, so_far.best), (result.steps, result.epochs, result.best.clone()));
    fs::remove_dir(failed.report_file()).unwrap();
    assert_eq!(place.resume(&failed).unwrap().test, result.test);
    assert!(remains(&failed) == remains(&straight));
}

#[test]
fn a_run_without_a_checkpoint_begins_again_with_its_weights_or_not_at_all() {
    let place = Place::new();
    let [weights, others] = ["seed=1", "seed=2"].map(|seed| {
        let (run, _) = place.train(digits(&["epochs=1", seed]));
        fs::read(run.path().join("artifact/model.safetensors")).unwrap()
    });
    let file = place.data().join("weights.safetensors");
    fs::write(&file, &weights).unwrap();
    let words = ["epochs=1", "train.pretrained.from='weights.safetensors'"];
    let (straight, result) = place.train(digits(&words));
    let stopped = place.train_until(digits(&words), 5);
    fs::remove_dir_all(stopped.checkpoints_dir()).unwrap();
    fs::write(&file, others).unwrap();
    let error = place.resume(&stopped).unwrap_err().to_string();
    assert!(error.contains("the weights of train.pretrained have changed since the run began"), "{error}");
    assert_eq!(error.lines().count(), 1);
    fs::write(&file, weights).unwrap();
    assert_eq!(place.resume(&stopped).unwrap().test, result.test);
    assert!(remains(&stopped) == remains(&straight));
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
