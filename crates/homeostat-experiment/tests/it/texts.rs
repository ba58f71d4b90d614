//! Experiments with texts: from tables to an artifact that answers.

use std::{fs, sync::atomic::AtomicBool};

use homeostat_artifact::{Artifact, Run};
use homeostat_config::Resolved;
use homeostat_data::{
    AnySource, Skipped, SourceConfig, TestViews, TextFolderConfig, TextSourceConfig, TextTableConfig, Tokenizer,
};
use homeostat_experiment::{Experiment, evaluate_ensemble, evaluate_run};
use homeostat_tasks::TaskConfig;

use crate::place::{Place, recorded};

const TEXT: &str = "name = \"pets\"
[task.text-classification]
prepare = { max-length = 8 }
model.transformer = { width = 16, depth = 1, heads = 2, hidden = 32, positions = 8 }
[data]
split.stratified = { valid = 0.2, test = 0.2 }
[data.text]
source.table = { folder = \"pets\" }
tokenizer.train = { size = 60 }
augment = [{ random-swap = {} }, { token-dropout = {} }]
[train]
epochs = 4
batch-size = 8
optimizer.adamw = { learning-rate = 1e-2 }
schedule.constant = {}
";

/// 60 sentences about dogs and cats, one of them too long.
fn sentences(place: &Place) {
    let folder = place.data().join("pets");
    fs::create_dir_all(&folder).unwrap();
    let places = ["house", "garden", "street", "kitchen", "car", "office"];
    let mut table = "text,label\n".to_owned();
    for number in 0..30 {
        let place = places[number % places.len()];
        table += &format!("the dog number {number} barks in the {place},dog\n");
        table += &format!("a cat of {number} years purrs {}in a {place},cat\n", "and purrs ".repeat(number / 29));
    }
    fs::write(folder.join("pets.csv"), table).unwrap();
}

fn pets(words: &[&str]) -> Resolved<Experiment> {
    Experiment::text("pets.toml", TEXT).overrides(words).load().unwrap()
}

fn remains(run: &Run) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let read = |file: &str| fs::read(run.path().join(file)).unwrap();
    (read("artifact/model.safetensors"), read("artifact/assets/tokenizer.json"), read("events.jsonl"))
}

#[test]
fn texts_are_learnt_published_verified_and_measured_again() {
    let place = Place::new();
    sentences(&place);
    let (run, result) = place.train(pets(&[]));
    assert!(result.test.get("accuracy").unwrap() > 0.8, "{:?}", result.test);
    let artifact = Artifact::open(run.path()).unwrap();
    assert_eq!((artifact.kind(), artifact.golden().unwrap().len()), ("text-classification", 12));
    assert_eq!(artifact.assets().collect::<Vec<_>>(), ["tokenizer.json"]);
    let task = artifact.task().unwrap();
    assert!(!task.contains("augment") && !task.contains("folder"), "{task}");
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test);
    let TaskConfig::TextClassification(task) = recorded(&run).value.task else { panic!("texts") };
    let tokenizer = Tokenizer::from_json(&artifact.asset("tokenizer.json").unwrap()).unwrap();
    assert_eq!(pets(&["model.gru.layers=2"]).value.task.kind(), "text-classification");
    assert_eq!((task.labels, task.vocabulary), (vec!["cat".to_owned(), "dog".to_owned()], Some(tokenizer.size())));
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let place = Place::new();
    sentences(&place);
    let (straight, result) = place.train(pets(&[]));
    let stopped = place.train_until(pets(&[]), 7);
    assert_eq!(place.resume(&stopped).unwrap().test, result.test);
    assert!(remains(&stopped) == remains(&straight));
}

#[test]
fn texts_of_several_classes_are_learnt_as_questions_of_their_own() {
    let place = Place::new();
    let folder = place.data().join("pets");
    fs::create_dir_all(&folder).unwrap();
    let mut table = "text,label\n".to_owned();
    for number in 0..24 {
        table += &format!("the dog number {number} barks,dog\na cat of {number} years purrs,cat\n");
        table += &format!("dog {number} and a cat bark and purr,dog;cat\nnobody is in room {number},\n");
    }
    fs::write(folder.join("pets.csv"), table).unwrap();
    let separated = "data.text.source.table.label-separator=';'";
    let words = [separated, "task.text-classification.loss={ binary-cross-entropy = {} }", "epochs=8"];
    let (run, result) = place.train(pets(&words));
    // Of three texts in four, at least one class is none.
    assert!(result.test.get("accuracy").unwrap() > 0.85, "{:?}", result.test);
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test);
    let golden = Artifact::open(run.path()).unwrap().golden().unwrap();
    let labels: Vec<usize> =
        golden.iter().map(|golden| golden.answer["labels"].as_array().map_or(0, Vec::len)).collect();
    assert!(labels.contains(&2) && labels.contains(&1), "{labels:?}");
    let twice = [&run, &run].map(|run| Run::open(run.path()).unwrap());
    let together = evaluate_ensemble(&twice, None, None, &place.setting(&AtomicBool::new(false))).unwrap().together;
    assert_eq!(together.samples as u64, result.samples.test);
    assert_eq!(together.figures.get("accuracy"), result.test.get("accuracy"), "one run twice is that run");
    let [loss, alone] = [(&together.figures, "cross-entropy"), (&result.test, "loss")]
        .map(|(figures, name)| figures.get(name).unwrap());
    assert!((loss - alone).abs() < 1e-5, "{loss} {alone}");
    let page = fs::read_to_string(run.report_file()).unwrap();
    assert!(!page.contains("Confusions") && page.contains("<h2>Classes</h2>"));
    assert_eq!(page.contains("<h2>Worst mistakes</h2>"), result.test.get("accuracy").unwrap() < 1.0);
    // What has learnt nothing answers all texts alike, and all mistakes are on the page.
    let words = [separated, words[1], "epochs=1", "train.optimizer.adamw.learning-rate=1e-9"];
    let page = fs::read_to_string(place.train(pets(&words)).0.report_file()).unwrap();
    for shown in ["<h2>Worst mistakes</h2>", "<b>cat, dog</b>", "<b>none</b>", "class=\"n\">all labels right</th>"] {
        assert!(page.contains(shown), "{shown}");
    }
    let error = place.try_train(pets(&[separated])).unwrap_err().to_string();
    assert!(error.contains("the data name several: choose binary-cross-entropy"), "{error}");
}

#[test]
fn a_run_is_measured_on_other_texts_without_those_that_it_knows() {
    let place = Place::new();
    sentences(&place);
    let (run, result) = place.train(pets(&["split.stratified={ valid = 0.2, test = 0.0 }"]));
    let error = place.evaluate(&run, None).unwrap_err().to_string();
    assert!(error.contains("name other data with --data"), "{error}");
    assert!(fs::read_to_string(run.report_file()).unwrap().contains("homeostat eval"), "the page says so, too");
    let own = recorded(&run).value.data.text.unwrap().source;
    let elsewhere = |file: &str| AnySource::Texts(own.elsewhere(".", vec![file.into()]));
    let written = |name: &str, rows: &str| fs::write(place.data().join(name), format!("text,label\n{rows}")).unwrap();

    // The classes are those of the run, whatever the table has of them.
    written(
        "new.csv",
        "a dog barks at noon,dog\nthe dog number 3 barks in the kitchen,dog\nthe dog of old barks,dog\n",
    );
    // What the run has been made with is of no account.
    fs::rename(place.data().join("pets"), place.data().join("gone")).unwrap();
    let found = place.evaluate(&run, Some(elsewhere("new.csv"))).unwrap();
    assert_eq!((found.samples, found.known, found.skipped.len()), (2, 1, 0));
    assert_eq!(found.figures.get("accuracy"), Some(1.0), "{:?}", result.valid);
    // A number is no place among classes that were learnt by name.
    written("strange.csv", "a bird sings,1\nthe dog of old barks,dog\n");
    let found = place.evaluate(&run, Some(elsewhere("strange.csv"))).unwrap();
    assert_eq!((found.samples, found.figures.get("accuracy")), (1, Some(1.0)));
    let [Skipped { name, reason }] = found.skipped.as_slice() else { panic!("{:?}", found.skipped) };
    assert_eq!(name, "strange.csv, line 2");
    assert!(reason.starts_with("the label `1` is none of the 2"), "{reason}");
    let twice = [&run, &run].map(|run| Run::open(run.path()).unwrap());
    let (stop, source) = (AtomicBool::new(false), elsewhere("strange.csv"));
    let together = evaluate_ensemble(&twice, Some(&source), None, &place.setting(&stop)).unwrap().together;
    assert_eq!((together.samples, together.skipped), (1, found.skipped));

    written("none.csv", "a bird sings,bird\n");
    let pairs = TextTableConfig { folder: ".".into(), pair: "label".into(), ..TextTableConfig::default() };
    let several = TextTableConfig {
        folder: ".".into(),
        files: vec!["new.csv".into()],
        label_separator: ";".into(),
        ..TextTableConfig::default()
    };
    fs::create_dir_all(place.data().join("more/dog")).unwrap();
    fs::write(place.data().join("more/dog/1.txt"), "a dog barks").unwrap();
    let folder = TextFolderConfig { folder: "more".into(), ..TextFolderConfig::default() };
    for (source, words) in [
        (AnySource::Pictures(SourceConfig::Digits), "`--data`: is about pictures, but the run is about texts"),
        (
            AnySource::Texts(TextSourceConfig::TextFolder(folder)),
            "`--data`: has the classes dog, but the run knows cat, dog",
        ),
        (AnySource::Texts(TextSourceConfig::Table(several)), "`--data`: has several classes a sample"),
        (AnySource::Texts(TextSourceConfig::Table(pairs)), "has pairs of texts, but the run knows single ones"),
        (elsewhere("none.csv"), "none.csv"),
    ] {
        let error = place.evaluate(&run, Some(source)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn texts_are_drawn_and_repeated_as_pictures_are() {
    let place = Place::new();
    sentences(&place);
    let words = ["train.repeats=2", "data.sampling=class-balanced", "data.fraction=0.5", "epochs=2"];
    let (run, _) = place.train(pets(&words));
    let tta = Some(TestViews::Mirror);
    let error = evaluate_run(&run, None, tta, &place.setting(&AtomicBool::new(false))).unwrap_err().to_string();
    assert!(error.contains("--tta") && error.contains("the run is about texts"), "{error}");
}

#[test]
fn what_does_not_fit_a_task_about_texts_is_refused_in_one_line() {
    let place = Place::new();
    sentences(&place);
    let text = |changed: &str, by: &str| Experiment::text("pets.toml", &TEXT.replacen(changed, by, 1)).load();
    let of_pairs = |word: &str| {
        Experiment::text("pets.toml", TEXT).overrides(&["data.text.source.table.pair=second", word]).load()
    };
    for (error, words) in [
        (
            text("[data.text]", "[data.text.source]").map(drop),
            "pets.toml:7: `data.text.source` must be one of `table`, `text-folder`, not a table of source",
        ),
        (Experiment::text("p.toml", "task.text-classification = {}").load().map(drop), "`data.text`: is missing"),
        (Experiment::text("p.toml", "data.text = {}").load().map(drop), "the task is about pictures"),
        (text("[data]", "[data]\nsource.idx = {}").map(drop), "they stand in data.text"),
        (
            text("tokenizer.train = { size = 60 }", "tokenizer.file = \"/t.json\"").map(drop),
            "`data.text.tokenizer.file`: is an abs",
        ),
        (text("size = 60", "size = 2").map(drop), "data.text.tokenizer.train.size"),
        (of_pairs("model.transformer.types=1").map(drop), "types`: is 1, but data.text.source.table.pair names second"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
    for tells_apart in ["model.transformer.types=0", "model.transformer.types=2", "model=lstm"] {
        of_pairs(tells_apart).unwrap();
    }
    let fails = |words: &[&str]| place.try_train(pets(words)).map(drop).unwrap_err().to_string();
    assert!(fails(&["data.text.tokenizer={ file = \"none.json\" }"]).contains("none.json"));
    assert!(fails(&["train.pretrained={ from = \"none.safetensors\" }"]).contains("none.safetensors"));
    assert!(fails(&["task.text-classification.vocabulary=9"]).contains("is 9, but the tokenizer knows"));
    fs::write(place.data().join("weights.safetensors"), b"none").unwrap();
    assert!(fails(&["train.pretrained={ from = \"weights.safetensors\" }"]).contains("not a file of weights"));
}
