//! What an experiment leaves open is chosen from the data, and recorded with the reason.

use std::collections::BTreeMap;

use homeostat_artifact::Run;
use homeostat_config::Origin;
use homeostat_data::{DataRoot, Digest, ImagePrepare, Normalize, PrepareStep, Source, SourceConfig, SplitRecord};
use homeostat_experiment::ExperimentError;
use homeostat_tasks::{ClassWeights, ImageClassificationConfig, InputShape, TaskConfig};

use crate::place::{Place, digits, pets, recorded};

/// The shortest run there is.
const ONE_STEP: &str = "train.max-steps=1";

fn task(run: &Run) -> ImageClassificationConfig {
    let TaskConfig::ImageClassification(task) = recorded(run).value.task else { panic!("pictures") };
    task
}

/// The training samples of a run, known by their content alone.
fn training_samples(run: &Run, source: &Source) -> Vec<usize> {
    let digests: Vec<Digest> = source.digests().unwrap().to_vec();
    let record: SplitRecord = run.split().unwrap().unwrap();
    (0..source.len()).filter(|&at| record.train.contains(&digests[at])).collect()
}

#[test]
fn labels_and_the_shape_come_from_the_data() {
    let place = Place::new();
    place.pictures();
    let (run, _) = place.train(pets(&[ONE_STEP]));
    let task = task(&run);
    assert_eq!(task.labels, ["cat", "dog"]);
    assert_eq!(task.input, Some(InputShape { channels: 3, height: 5, width: 6 }));
    let text = run.experiment().unwrap();
    assert!(text.contains("chosen: the classes of the data"), "{text}");
    assert!(text.contains("chosen: the shape of "), "{text}");
}

#[test]
fn normalisation_is_that_of_the_training_pictures_as_the_network_sees_them() {
    let place = Place::new();
    let resize = "{ resize = { size = 12 } }";
    let (run, _) = place.train(digits(&[ONE_STEP, &format!("prepare=[{resize}, \"normalize-from-train\"]")]));
    let task = task(&run);
    let [PrepareStep::Resize(_), PrepareStep::Normalize(Normalize { mean, std })] = task.prepare.0.as_slice() else {
        panic!("{:?}", task.prepare)
    };
    let source = SourceConfig::Digits.open(&DataRoot::default()).unwrap();
    let prepare = ImagePrepare(vec![task.prepare.0[0].clone()]);
    let train = training_samples(&run, &source);
    let levels: Vec<f64> = train
        .iter()
        .flat_map(|&at| prepare.host(source.get(at).unwrap()).unwrap().into_pixels())
        .map(|level| f64::from(level) / 255.0)
        .collect();
    assert_eq!(levels.len(), train.len() * 12 * 12);
    let wanted = levels.iter().sum::<f64>() / levels.len() as f64;
    let spread = (levels.iter().map(|level| (level - wanted).powi(2)).sum::<f64>() / levels.len() as f64).sqrt();
    assert!((mean[0] - wanted).abs() < 1e-12 && (std[0] - spread).abs() < 1e-12, "{mean:?} {std:?} {wanted} {spread}");
    let reason = format!("chosen: from {} training samples", train.len());
    assert!(run.experiment().unwrap().contains(&reason), "{reason}");
}

#[test]
fn balanced_class_weights_are_inverse_to_the_counts_in_training() {
    let place = Place::new();
    place.pictures();
    let (run, _) = place.train(pets(&[ONE_STEP, "loss.cross-entropy.class-weights=balanced"]));
    let source = SourceConfig::ImageFolder(homeostat_data::ImageFolderConfig { folder: "pets".to_owned() });
    let source = source.open(&DataRoot::new([place.data()])).unwrap();
    let mut counts = BTreeMap::from([(0, 0_usize), (1, 0)]);
    for at in training_samples(&run, &source) {
        *counts.get_mut(&source.label(at)).unwrap() += 1;
    }
    assert!(counts[&0] > counts[&1], "the classes are not equally many: {counts:?}");
    let total = (counts[&0] + counts[&1]) as f64;
    let Some(ClassWeights::Given(weights)) = task(&run).loss.class_weights().cloned() else { panic!("not resolved") };
    for (class, weight) in weights.iter().enumerate() {
        let wanted = total / (2.0 * counts[&class] as f64);
        assert!((f64::from(*weight) - wanted).abs() < 1e-6, "class {class}: {weight}, not {wanted}");
    }
    assert!(run.experiment().unwrap().contains("chosen: balanced, from the training part"));
}

#[test]
fn what_was_chosen_is_not_chosen_again() {
    let place = Place::new();
    let (run, _) = place.train(digits(&[ONE_STEP]));
    let again = recorded(&run);
    assert!(!task(&run).prepare.wants_stats());
    assert!(matches!(again.provenance.get("task.image-classification.labels"), Origin::File { .. }));
    let (twin, _) = place.train(again.clone());
    assert_eq!(recorded(&twin).value, again.value);
}

#[test]
fn labels_that_do_not_fit_the_data_are_refused_and_no_run_is_begun() {
    let place = Place::new();
    let labels = "task.image-classification.labels=[\"cat\", \"dog\"]";
    let error = place.try_train(digits(&[labels])).unwrap_err();
    assert!(matches!(&error, ExperimentError::Setting { key, .. } if key.ends_with("labels")), "{error}");
    assert!(error.to_string().contains("names 2 classes (cat, dog), but the data have 10"), "{error}");
    assert!(!place.out().exists(), "nothing is written");
}

#[test]
fn what_makes_no_network_or_no_metric_begins_no_run() {
    let place = Place::new();
    for (words, part) in [
        (["loss.cross-entropy.class-weights.given=[1.0]", "epochs=1"], "class-weights has 1 weights for 10 classes"),
        (["train.metrics=[{ top-k = { k = 10 } }]", "train.monitor=loss"], "top-10"),
        (["model.cnn={}", "epochs=1"], "cnn"),
        (["data.progressive={ from = 4, until-epoch = 2 }", "epochs=1"], "this mlp are bound to 8 x 8 pixels"),
        (
            [
                "data.progressive={ from = 20, until-epoch = 2 }",
                "model={ cnn = { padding = \"same\", head = \"mean\" } }",
            ],
            "begins with from = 20",
        ),
        (["source.image-folder.folder=nowhere", "epochs=1"], "nowhere"),
        (["train.groups=[{ parameters = \"nose.*\" }]", "epochs=1"], "`nose.*` matches no parameter"),
        (["model.mlp.hidden=[1000000]", "prepare=[{ resize = { size = 2000 } }]"], "4000011000010 parameters"),
        (
            ["prepare=[{ normalize = { mean = [0.5, 0.5, 0.5], std = [1, 1, 1] } }]", "epochs=1"],
            "prepare.0.normalize`: 3",
        ),
    ] {
        let error = place.try_train(digits(&words)).unwrap_err().to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "`{part}` is not in: {error}");
        assert!(!place.out().exists(), "{words:?} left something behind");
    }
}
