//! What words on a command line set, and how wrong ones are refused: in one line that says what, where and how to mend.

use homeostat_config::Origin;
use homeostat_experiment::{Experiment, ExperimentError, ExperimentText};
use homeostat_tasks::{ImageClassificationConfig, TaskConfig};

fn words(words: &[&str]) -> ExperimentText {
    Experiment::builtin("digits").unwrap().overrides(words)
}

fn refused(text: &ExperimentText, parts: &[&str]) {
    let error = text.load().unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_short_form_sets_what_its_long_form_sets() {
    let plain = words(&[]).load().unwrap();
    for (short, long) in [
        ("epochs=3", "train.epochs=3"),
        ("batch-size=7", "train.batch-size=7"),
        ("model.cnn.dropout=0.1", "task.image-classification.model.cnn.dropout=0.1"),
        ("model.mlp.hidden=[8]", "task.image-classification.model.mlp.hidden=[8]"),
        ("prepare=[]", "task.image-classification.prepare=[]"),
        ("loss.focal.gamma=1.5", "task.image-classification.loss.focal.gamma=1.5"),
        ("source.idx.folder=mnist", "data.source.idx.folder=mnist"),
        ("split.k-fold.fold=2", "data.split.k-fold.fold=2"),
        ("augment=[]", "data.augment=[]"),
        ("mix.mixup=0.2", "data.mix.mixup=0.2"),
        ("optimizer.sgd.momentum=0.5", "train.optimizer.sgd.momentum=0.5"),
        ("schedule.step={}", "train.schedule.step={}"),
    ] {
        let load = |word| words(&[word]).load().unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!(load(short), load(long), "{short}");
        assert_ne!(load(short).value, plain.value, "{short} sets something");
    }
}

#[test]
fn a_word_sets_its_value_and_is_known_as_its_origin() {
    let resolved = words(&["epochs=3", "model.cnn.dropout=0.1"]).load().unwrap();
    assert_eq!(resolved.value.train.epochs, 3);
    let TaskConfig::ImageClassification(ImageClassificationConfig { model, .. }) = &resolved.value.task else {
        panic!("pictures")
    };
    let homeostat_models::ImageModelConfig::Cnn(cnn) = model else { panic!("{model:?}") };
    assert_eq!((cnn.dropout, cnn.hidden.as_slice()), (0.1, [128].as_slice()), "what is not named stays");
    assert_eq!(resolved.provenance.get("train.epochs"), &Origin::CommandLine);
    assert_ne!(resolved.provenance.get("train.batch-size"), &Origin::CommandLine);
}

#[test]
fn an_unknown_experiment_names_the_known_ones_and_the_nearest() {
    let Err(error @ ExperimentError::Unknown { .. }) = Experiment::find("digit") else { panic!("there is none") };
    let text = error.to_string();
    assert!(text.contains("mnist") && text.contains("did you mean `digits`?"), "{text}");
    for (written, meant) in [("digts", "digits"), ("mnst", "mnist"), ("fashoin-mnist", "fashion-mnist")] {
        let text = Experiment::find(written).unwrap_err().to_string();
        assert!(text.ends_with(&format!("did you mean `{meant}`?")), "{text}");
    }
    assert!(!Experiment::find("zebra").unwrap_err().to_string().contains("did you mean"));
    let Err(error @ ExperimentError::Read { .. }) = Experiment::find("no/such.toml") else { panic!("there is none") };
    assert!(error.to_string().contains("no/such.toml"));
}

#[test]
fn what_cannot_work_is_refused_before_any_data_is_read() {
    refused(&words(&["train.epoch=3"]), &["train.epoch", "did you mean `train.epochs`?"]);
    refused(&words(&["epochs=many"]), &["train.epochs"]);
    refused(&words(&["epochs=0"]), &["train.epochs"]);
    refused(&words(&["model.resnext.depth=18"]), &["resnext", "cnn"]);
    refused(&words(&["split.stratified.valid=0"]), &["data.split.stratified"]);
    refused(&words(&["mix.mixup=-1"]), &["data.mix"]);
    refused(&words(&["augment=[{ rotate = { degrees = 400.0 } }]"]), &["data.augment"]);
    refused(&words(&["prepare=[{ resize = { size = 0 } }]"]), &["prepare"]);
    for (word, part) in [
        ("name=../up", "../up"),
        ("task.image-classification.input={ channels = 2, height = 8, width = 8 }", "input.channels`: is 2"),
        ("task.image-classification.input={ channels = 1, height = 0, width = 8 }", "0 x 8 pixels"),
        ("model.mlp.hidden=[9000000000000]", "a width of 9000000000000"),
        ("model.cnn.dropout=1", "dropout is 1"),
        ("loss.focal.gamma=-1", "focal.gamma is -1"),
        ("optimizer.adamw.learning-rate=1e300", "`train.optimizer`: learning-rate"),
        ("optimizer.sgd.momentum=2", "`train.optimizer`: momentum is 2"),
        ("train.groups=[{ rate-factor = -1 }]", "`train.groups`: rate-factor is -1"),
        ("train.clip.value=1e-60", "`train.clip.value`"),
        ("train.metrics=[{ top-k = { k = 0 } }]", "`top-0`"),
        ("train.metrics=[\"accuracy\", \"accuracy\"]", "stands twice"),
        ("train.monitor=top-5", "train.monitor"),
        ("control.plateau.on.monitor=top-7", "control.plateau.on.monitor"),
        ("control.guard.on.patience=0", "control.guard.on.patience"),
    ] {
        refused(&words(&[word]), &[part]);
    }
    let text = Experiment::text("mine.toml", "[train]\nepochs = 3\nbatch-sise = 8\n");
    refused(&text, &["mine.toml:3", "batch-sise", "batch-size"]);
}

#[test]
fn an_experiment_says_what_and_never_where() {
    for source in ["source.idx.folder=/data/mnist", "source.image-folder.folder=/data/cats"] {
        let text = words(&[source]);
        assert!(matches!(text.load(), Err(ExperimentError::AbsolutePath { .. })), "{source}");
        refused(&text, &["/data/", "--data-root"]);
    }
}

#[test]
fn the_name_of_a_network_leads_to_its_settings() {
    let key = "`task.image-classification.model` is a family of networks";
    refused(&words(&["model=resnet18"]), &["command line: ", key, "homeostat models show resnet18"]);
    refused(&words(&["model=resnet17"]), &["`resnet17` is no choice for", "did you mean `resnet`?"]);
}
