//! What a run leaves behind, and that its figures can be had again.

use std::{collections::BTreeSet, fs};

use homeostat_artifact::{Artifact, Run, RunState};
use homeostat_control::{ControlEvent, replay};
use homeostat_data::{AnySource, OnCorrupt, SourceConfig, SplitRecord, TestViews};
use homeostat_experiment::{ExperimentError, Outcome, Stage};
use homeostat_metrics::{Classes, MetricSet};
use homeostat_train::Meter;

use crate::place::{Place, digits, pets, recorded};

#[test]
fn a_run_leaves_every_file_that_is_promised() {
    let place = Place::new();
    let (run, result) = place.train(digits(&[]));
    let path = run.path();
    assert!(path.ends_with("digits/2026-11-23T17-13-05Z"), "{}", path.display());
    for file in [
        "experiment.toml",
        "provenance.json",
        "split.json",
        "metrics.jsonl",
        "events.jsonl",
        "result.json",
        "report.html",
        "artifact/artifact.json",
        "artifact/task.toml",
        "artifact/model.safetensors",
    ] {
        assert!(path.join(file).metadata().is_ok_and(|data| data.len() > 0), "{file} is missing");
    }
    let last = run.checkpoints().unwrap().latest().unwrap().unwrap();
    for file in ["model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json"] {
        assert!(last.file(file).is_ok(), "{file} is missing in {}", last.path().display());
    }
    assert_eq!(last.step(), result.steps);
    assert_eq!(fs::read_dir(run.tensorboard_dir()).unwrap().count(), 1);
    assert_eq!(
        Run::open(&place.out().join("latest")).unwrap().path().canonicalize().unwrap(),
        path.canonicalize().unwrap()
    );

    let artifact = Artifact::open(path).unwrap();
    assert_eq!((artifact.kind(), artifact.golden().unwrap().len()), ("image-classification", 16));
    // Serving reads the task and nothing else.
    assert!(!artifact.task().unwrap().contains("batch-size") && !artifact.task().unwrap().contains("augment"));

    assert_eq!(run.metrics().unwrap().len(), 2 * 2, "training and validation of two epochs");
    let provenance = run.provenance().unwrap().unwrap();
    assert_eq!((provenance.seed, provenance.device.as_str(), provenance.burn.as_str()), (1, "cpu", "0.22.1"));
    assert!([&provenance.hashes.data, &provenance.hashes.split].iter().all(|hash| hash.len() == 64));
}

#[test]
fn the_result_says_how_the_run_ended() {
    let place = Place::new();
    let (run, result) = place.train(digits(&[]));
    assert_eq!(run.result().unwrap().as_ref(), Some(&result));
    assert_eq!((result.state, result.reason, result.epochs, result.steps), (RunState::Finished, None, 2, 46));
    assert_eq!(result.parameters, 64 * 16 + 16 + 16 * 10 + 10);
    let best = result.best.unwrap();
    assert_eq!((best.monitor.as_str(), Some(best.value)), ("loss", result.valid.get("loss")));
    // Far above chance: what is tested is what has learnt.
    assert!(result.test.get("accuracy").unwrap() > 0.5, "{:?}", result.test);
    let text: serde_json::Value = serde_json::from_slice(&fs::read(run.path().join("result.json")).unwrap()).unwrap();
    assert_eq!(text["test"]["accuracy"].as_f64(), result.test.get("accuracy"));
}

#[test]
fn the_report_shows_the_run_and_fetches_nothing() {
    let place = Place::new();
    let (run, result) = place.train(digits(&[]));
    let page = fs::read_to_string(run.report_file()).unwrap();
    for outside in ["src=\"http", "href=\"http", "src=\"//", "url(http", "@import", "<link", "<script src"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for shown in ["<h2>Confusions</h2>", "calibration", "macro-f1", "data:image/png;base64,", "learning-rate", "46"] {
        assert!(page.contains(shown), "{shown} is missing");
    }
    let accuracy = format!("{:.2}", 100.0 * result.test.get("accuracy").unwrap());
    assert!(page.contains(&accuracy), "{accuracy} is missing");
}

#[test]
fn the_figures_of_the_test_are_had_again_from_the_artifact() {
    let place = Place::new();
    let (run, result) = place.train(digits(&[]));
    let again = place.evaluate(&run, None).unwrap();
    assert_eq!(again.figures, result.test);
    let record: SplitRecord = run.split().unwrap().unwrap();
    assert_eq!((again.samples, again.known), (record.test.len(), 0));
}

#[test]
fn answers_over_several_views_are_measured_once_a_sample() {
    let place = Place::new();
    let (run, result) = place.train(digits(&[]));
    for views in [TestViews::Mirror, TestViews::FiveCrop] {
        let found = place.evaluate_in(&run, views);
        assert_eq!(found.samples as u64, result.samples.test);
        assert_ne!(found.figures, result.test, "{views:?} are of no effect");
        assert_eq!(found.figures, place.evaluate_in(&run, views).figures);
    }
}

#[test]
fn a_run_is_never_measured_with_what_it_has_learnt_from_or_was_chosen_by() {
    let place = Place::new();
    let (run, result) = place.train(digits(&[]));
    let record: SplitRecord = run.split().unwrap().unwrap();
    let all = place.evaluate(&run, Some(AnySource::Pictures(SourceConfig::Digits))).unwrap();
    assert_eq!(all.known, record.train.len() + record.valid.len());
    assert_eq!((all.samples, all.figures), (record.test.len(), result.test), "what is left is the test part");
    // What the run does not know the classes of cannot be measured at all.
    place.pictures();
    let pets = SourceConfig::ImageFolder(homeostat_data::ImageFolderConfig { folder: "pets".to_owned() });
    let error = place.evaluate(&run, Some(AnySource::Pictures(pets))).unwrap_err();
    assert!(matches!(&error, ExperimentError::Setting { key, .. } if key == "--data"), "{error}");
}

#[test]
fn the_recorded_decisions_follow_from_the_recorded_observations() {
    let place = Place::new();
    let words = ["train.metrics=[\"accuracy\"]", "epochs=4", "control.plateau.on={ patience = 1, threshold = 0.9 }"];
    let (run, _) = place.train(digits(&words));
    let events: Vec<ControlEvent> = run.events().unwrap();
    assert_eq!(events.len(), 4 * 23 + 4, "one a step and one an evaluation");
    assert!(events.iter().any(|event| !event.decisions.is_empty()), "so strict a plateau decides something");
    let experiment = recorded(&run).value;
    let metrics = MetricSet::init(&experiment.train.metrics, Classes::OneOf(10)).unwrap();
    let again =
        replay(experiment.control.init(&metrics.goals()).unwrap(), events.iter().map(|event| &event.observation));
    assert_eq!(again, events.into_iter().map(|event| event.decisions).collect::<Vec<_>>());
}

#[test]
fn folds_differ_in_what_they_learn_from_and_share_the_test() {
    let place = Place::new();
    let parts = |fold: usize| {
        let split = format!("split.k-fold={{ folds = 3, fold = {fold}, test = 0.2 }}");
        let (run, _) = place.train(digits(&[split.as_str(), "epochs=1"]));
        let SplitRecord { train, valid, test } = run.split().unwrap().unwrap();
        [train, valid, test].map(|part| part.into_iter().collect::<BTreeSet<_>>())
    };
    let ([_, first, test], [train, second, same]) = (parts(0), parts(1));
    assert_eq!(test, same);
    assert!(first.is_disjoint(&second) && first.is_subset(&train));
}

#[test]
fn mixing_changes_what_is_learnt_and_not_what_is_measured() {
    let place = Place::new();
    let plain = place.train(digits(&["epochs=1"]));
    for mix in ["mix={ mixup = 0.4 }", "mix={ cutmix = 1.0 }", "mix={ mixup = 0.4, cutmix = 1.0 }"] {
        let mixed = place.train(digits(&["epochs=1", mix]));
        let loss = |run: &Run, at: usize| run.metrics().unwrap()[at].figures.get("loss").unwrap();
        assert!(loss(&mixed.0, 0) > loss(&plain.0, 0), "{mix}: soft targets cost more than hard ones");
        assert!(mixed.1.test.get("accuracy").unwrap() > 0.2, "{mix}");
    }
}

#[test]
fn a_broken_picture_of_any_part_begins_no_run_or_is_listed_as_the_experiment_says() {
    let place = Place::new();
    let folder = place.pictures();
    for named in ["cat/00.png", "cat/01.png", "cat/02.png", "cat/07.png", "dog/00.png", "dog/01.png", "dog/05.png"] {
        let whole = fs::read(folder.join(named)).unwrap();
        // Enough of the picture for it to be listed, not enough to be decoded.
        fs::write(folder.join(named), &whole[..60]).unwrap();
        for prepare in ["prepare=[]", "prepare=[\"normalize-from-train\"]"] {
            let split = ["split.stratified={ valid = 0.4, test = 0.4 }", prepare];
            match place.try_train(pets(&split)) {
                Err(error) if prepare.contains("train") => {
                    assert!(error.to_string().contains(named), "{error}");
                    assert!(!place.out().exists(), "{named}");
                }
                Err(error) => {
                    assert!(error.to_string().contains(named), "{error}");
                    // Without statistics over it, a training picture is met in the first epoch.
                    let _ = fs::remove_dir_all(place.out());
                }
                Ok(_) => panic!("{named} cannot be read"),
            }
        }
        let skip = pets(&["data.on-corrupt=skip"]);
        assert_eq!(skip.value.data.on_corrupt, OnCorrupt::Skip);
        let (run, _) = place.train(skip);
        assert!(fs::read_to_string(run.report_file()).unwrap().contains(named), "the report lists {named}");
        fs::remove_dir_all(place.out()).unwrap();
        fs::write(folder.join(named), whole).unwrap();
    }
}

#[test]
fn a_broken_row_of_a_table_begins_no_run_or_is_listed_as_the_experiment_says() {
    let place = Place::new();
    let folder = place.pictures();
    let rows = |class: &str, count| (0..count).map(|at| format!("{class}/{at:02}.png,{class}\n")).collect::<String>();
    let table = format!("file,kind\n{}{}cat/99.png,cat\n", rows("cat", 12), rows("dog", 6));
    fs::write(folder.join("pets.csv"), &table).unwrap();
    let source = "data.source={ image-table = { folder = 'pets', image = 'file', label = 'kind' } }";
    let error = place.try_train(pets(&[source])).unwrap_err().to_string();
    assert!(error.contains("pets.csv, line 20: there is no file `cat/99.png` below the folder"), "{error}");
    assert!(!place.out().exists());
    let (run, _) = place.train(pets(&[source, "data.on-corrupt=skip"]));
    assert!(fs::read_to_string(run.report_file()).unwrap().contains("pets.csv, line 20"), "the report lists it");

    fs::write(folder.join("pets.csv"), table.replace("\ncat/99.png,cat", "").replace(",cat", ",cat|small")).unwrap();
    let source = source.replace("label =", "label-separator = '|', label =");
    let error = place.try_train(pets(&[&source])).unwrap_err().to_string();
    assert!(error.contains("several labels for a picture"), "{error}");
}

#[test]
fn a_run_that_fails_says_how_far_it_came() {
    let place = Place::new();
    let words = ["optimizer.sgd.learning-rate=1e30", "control.guard.on={ patience = 1, max-rewinds = 0 }", "epochs=9"];
    let error = place.try_train(digits(&words)).unwrap_err().to_string();
    let run = Run::open(&place.out().join("latest")).unwrap();
    let result = run.result().unwrap().unwrap();
    assert_eq!((result.state, result.reason.as_deref()), (RunState::Failed, Some(error.as_str())));
    assert_eq!(result.parameters, 64 * 16 + 16 + 16 * 10 + 10);
    assert_eq!(result.steps, run.progress().unwrap().steps, "{error}");
    assert!(result.steps > 0 && result.seconds > 0.0, "{result:?}");
}

#[test]
fn without_a_place_for_tensorboard_the_run_goes_on() {
    let place = Place::new();
    let block = |stage: &Stage<'_>| {
        if let Stage::Prepared { run, .. } = stage {
            fs::write(run.join("tensorboard"), "in the way").unwrap();
        }
        false
    };
    let (run, outcome) = place.train_while(digits(&["epochs=1"]), block).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    assert!(run.tensorboard_dir().is_file());
}
