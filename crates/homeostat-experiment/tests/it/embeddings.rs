//! Experiments with pairs of texts: from a table to vectors that find each other.

use std::{collections::BTreeMap, fs};

use homeostat_artifact::Artifact;
use homeostat_config::Resolved;
use homeostat_experiment::Experiment;
use homeostat_task::read_foreign;

use crate::place::{Place, published, recorded};

const TEXT: &str = "name = \"questions\"
[task.sentence-embedding]
prepare = { max-length = 12 }
model.transformer = { width = 24, depth = 1, heads = 2, hidden = 48, positions = 12, dropout = 0.0 }
[data]
split.stratified = { valid = 0.2, test = 0.2 }
[data.text]
source.table = { folder = \"questions\", text = \"question\", pair = \"answer\", label = \"\" }
tokenizer.train = { size = 90 }
[train]
epochs = 8
batch-size = 16
optimizer.adamw = { learning-rate = 1e-2 }
schedule.constant = {}
";

/// 80 questions with their answers, which share the name of a thing and of a place.
fn prepare(place: &Place) {
    let folder = place.data().join("questions");
    fs::create_dir_all(&folder).unwrap();
    let things = ["card", "phone", "letter", "key", "bag", "coat", "ticket", "ring", "map"];
    let places = ["house", "garden", "street", "kitchen", "car", "office", "train", "hall", "park"];
    let mut table = "question,answer\n".to_owned();
    for thing in things {
        for place in places {
            table += &format!("where in the {place} is my {thing},the {thing} is behind the {place}\n");
        }
    }
    fs::write(folder.join("questions.csv"), table).unwrap();
}

fn questions(words: &[&str]) -> Resolved<Experiment> {
    Experiment::text("questions.toml", TEXT).overrides(words).load().unwrap()
}

#[test]
fn questions_find_their_answers_and_the_run_is_published_and_measured_again() {
    let place = Place::new();
    prepare(&place);
    let (run, result) = place.train(questions(&[]));
    let figure = |name: &str| result.test.get(name).unwrap();
    // 16 pairs: by chance the mean rank is 8.
    assert!(figure("mrr") > 0.5 && figure("recall-10") > 0.9 && figure("ndcg-10") > 0.6, "{:?}", result.test);
    assert_eq!(result.best.as_ref().unwrap().monitor, "mrr");
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test);
    let artifact = Artifact::open(run.path()).unwrap();
    assert_eq!(
        (artifact.kind(), artifact.assets().collect::<Vec<_>>()),
        ("sentence-embedding", vec!["tokenizer.json"])
    );
    let golden = artifact.golden().unwrap();
    assert!(golden.len() > 10 && golden[0].answer["embedding"].as_array().unwrap().len() == 24);
    assert!(recorded(&run).value.train.metrics.is_empty());
    let page = fs::read_to_string(run.report_file()).unwrap();
    assert_eq!(page.contains("Taken for its own:"), figure("recall-1") < 1.0);
    // All questions have seven words.
    assert!(page.contains("<h2>Length</h2>") && page.contains("class=\"n\">recall-1</th>"));
    assert!(page.contains("<tr><td>7</td>") && page.contains(&format!("\">{}</td></tr>", result.samples.test)));
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let place = Place::new();
    prepare(&place);
    let words = ["epochs=3", "model.transformer.dropout=0.1", "data.text.augment=[{ token-dropout = {} }]"];
    let (straight, result) = place.train(questions(&words));
    let stopped = place.train_until(questions(&words), 5);
    assert_eq!(place.resume(&stopped).unwrap().test, result.test);
    assert_eq!(published(&stopped), published(&straight));
}

#[test]
fn weights_are_published_as_they_are() {
    let place = Place::new();
    prepare(&place);
    let (first, learnt) = place.train(questions(&["epochs=1"]));
    assert!(learnt.test.get("recall-1").unwrap() < 1.0, "{:?}", learnt.test);
    let page = fs::read_to_string(first.report_file()).unwrap();
    for words in ["<h2>What it answers</h2>", "<b>where in the ", "Taken for its own:\nthe ", "Its own:\nthe "] {
        assert!(page.contains(words), "{words}");
    }
    let weights = published(&first);
    fs::write(place.data().join("w.safetensors"), weights.to_safetensors(&BTreeMap::new())).unwrap();
    let begun = "train.pretrained={ from = \"w.safetensors\" }";
    let (second, result) = place.train(questions(&["epochs=0", begun]));
    assert_eq!(published(&second), weights);
    assert_eq!((result.steps, result.best), (0, None));
    assert!(result.test.get("mrr").is_some());
}

#[test]
fn changes_of_low_rank_need_no_head_beside_them() {
    let place = Place::new();
    prepare(&place);
    let (run, _) = place.train(questions(&["epochs=1", "train.lora={ rank = 4 }"]));
    let beside = read_foreign(&run.path().join("adapter/beside.safetensors")).unwrap();
    assert!(beside.tensors().is_empty());
    let asked = questions(&["train.lora={ rank = 4, beside = ['head.*'] }"]);
    let error = place.try_train(asked).map(drop).unwrap_err().to_string();
    assert!(error.contains("`train.lora.beside`: `head.*` matches no parameter"), "{error}");
}

#[test]
fn what_makes_no_pairs_is_refused_in_one_line() {
    let place = Place::new();
    prepare(&place);
    let fails = |words: &[&str]| place.try_train(questions(words)).map(drop).unwrap_err().to_string();
    let error = fails(&["data.text.source.table.pair=''"]);
    assert!(error.contains("learns from pairs: name the column"), "{error}");
    for (word, words) in [
        ("train.batch-size=1", "`train.batch-size`: is 1, but a text is told from"),
        ("data.sampling=class-balanced", "`data.sampling`: draws by classes"),
    ] {
        let error = fails(&[word]);
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
    let refused = |words: &[&str]| Experiment::text("q.toml", TEXT).overrides(words).load().unwrap_err().to_string();
    for (error, words) in [
        (refused(&["train.metrics=['accuracy']"]), "`train.metrics`: is of classes"),
        (refused(&["train.monitor=accuracy"]), "accuracy"),
        (refused(&["train.calibrate=true"]), "`train.calibrate`: is of classes"),
        (refused(&["task.sentence-embedding.scale=0"]), "scale"),
        (refused(&["epochs=0"]), "`train.epochs`: is 0"),
    ] {
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}
