//! Texts, tokenizers and weights that do not go together: one line each that says what, where and how to mend it, or a warning that
//! counts, and nothing silent.

use std::fs;

use serde_json::Value;

use crate::place::{Place, says, text};

const PETS: &str = r#"name = "pets"
[task.text-classification]
prepare = { max-length = 12 }
model.transformer = { width = 16, depth = 1, heads = 2, hidden = 32, positions = 12 }
[data]
split.given = { valid = 0.2 }
[data.text]
source.table = { folder = "pets" }
tokenizer.train = { size = 120 }
[train]
epochs = 1
batch-size = 8
"#;

/// A place with `pets.toml`, and tables of a training and a test part.
fn pets() -> Place {
    let place = Place::new();
    let rows = |numbers: std::ops::Range<usize>| -> String {
        numbers.map(|number| format!("the dog {number} barks,dog\na cat of {number} years purrs,cat\n")).collect()
    };
    place.write("pets/train.csv", format!("text,label\n{}", rows(0..20)));
    place.write("pets/test.csv", format!("text,label\n{}", rows(20..26)));
    place.write("pets.toml", PETS);
    place
}

/// One more row at the end of a table.
fn add(place: &Place, table: &str, row: &str) {
    let path = place.path(table);
    let content = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{content}{row}\n")).unwrap();
}

#[track_caller]
fn refused(place: &Place, words: &[&str], wanted: &[&str]) {
    says(&place.refused(&[&["train", "pets.toml", "--quiet"], words].concat()), wanted);
    assert!(!place.path("runs").exists(), "no run has begun");
}

const LONG: &str = "a dog that barks and barks and barks and barks and barks and barks";

#[test]
fn texts_that_are_longer_than_the_places_are_cut_and_counted_or_refused() {
    let place = pets();
    refused(
        &place,
        &["task.text-classification.prepare.max-length=13"],
        &["`task.text-classification.prepare.max-length` is 13", "places for 12 tokens", "lower it, or raise"],
    );
    // What is measured is read before a run begins.
    add(&place, "pets/test.csv", &format!("{LONG},dog"));
    let refuse = "task.text-classification.prepare.too-long=refuse";
    refused(&place, &[refuse], &["test.csv, line 14", "tokens, but at most 12 are taken"]);
    for number in 0..5 {
        add(&place, "pets/train.csv", &format!("{LONG} {number},dog"));
    }
    let output = place.run(&["train", "pets.toml", "--out", "cut"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Those of all parts are counted, once.
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("have more than 12 tokens")).collect();
    assert!(lines.len() == 1, "{said}");
    says(lines[0], &[" training texts", "1 of 13 test texts have more than 12 tokens: their ends are cut off"]);
    let counted = |part: &str| -> usize {
        let before = lines[0].split(&format!(" {part} texts")).next().filter(|before| before.len() < lines[0].len());
        let words: Vec<&str> = before.map_or_else(Vec::new, |before| before.split(' ').collect());
        words.iter().rev().nth(2).map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!(counted("training") + counted("validation"), 5, "{said}");
    // And those that are asked about.
    let words = ["predict", "cut/latest", "--text", LONG, "--text", "a dog", "--format"];
    let output = place.run(&[&words[..], &["jsonl"]].concat());
    says(&text(&output.stderr), &["1 of 2 texts have more than 12 tokens: their ends are cut off"]);
    let answers: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&answers[0]["cut"], answers[1].get("cut")), (&Value::Bool(true), None));
    for format in ["table", "csv"] {
        let output = place.run(&[&words[..], &[format]].concat());
        says(&text(&output.stderr), &["1 of 2 texts have more than 12 tokens"]);
    }
}

#[test]
fn pairs_are_refused_where_the_network_knows_no_second_texts() {
    let place = pets();
    let words = ["data.text.source.table.pair=label", "model.transformer.types=1"];
    let line = place.refused(&[&["config", "check", "pets.toml"], &words[..]].concat());
    says(&line, &["`task.text-classification.model.transformer.types`: is 1", "names second texts", "set it to 2"]);
    // A stranger's pair is refused, and others are answered.
    place.well(&["train", "pets.toml", "--quiet", "--out", "alone", words[1]]);
    let pair = r#"{"text": "a dog", "pair": "a cat"}"#;
    let output = place.run(&["predict", "alone/latest", "--text", pair, "--text", "a dog"]);
    says(&text(&output.stdout), &["error: has tokens of the kind 1", "but model.transformer.types is 1"]);
    says(&text(&output.stderr), &["1 of 2 texts could not be answered"]);
}

#[test]
fn texts_that_are_empty_are_refused_by_their_line_or_left_out_and_listed() {
    let place = pets();
    add(&place, "pets/train.csv", "  ,dog");
    refused(&place, &[], &["train.csv, line 42", "no text in `text`", "data.on-corrupt=skip"]);
    let run = place.run(&["train", "pets.toml", "--out", "skipped", "data.on-corrupt=skip"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let page = fs::read_to_string(place.path("skipped/latest/report.html")).unwrap();
    says(&page, &["train.csv, line 42", "no text in `text`"]);
    let refused = place.run(&["predict", "skipped/latest", "--text", " "]);
    assert_eq!(refused.status.code(), Some(1));
    says(&text(&refused.stdout), &["(empty)", "error: the text is empty"]);
    place.picture("a.png", 1);
    for (word, wanted) in [("a.png", "this is no text"), ("pets", "this is a folder")] {
        let refused = place.run(&["predict", "skipped/latest", word]);
        says(&text(&refused.stdout), &[word, wanted, "this network takes"]);
    }
}

#[test]
fn labels_that_nobody_has_learnt_are_refused_where_they_are_measured() {
    let place = pets();
    place.well(&["train", "pets.toml", "--quiet", "--out", "good"]);
    add(&place, "pets/test.csv", "a cow moos,cow");
    let words = ["test.csv", "line 14", "has the label `cow`, which the training part has not"];
    refused(&place, &[], &words);
    says(&place.refused(&["eval", "good/latest"]), &words);
}

#[test]
fn tokenizers_and_weights_of_different_vocabularies_are_refused() {
    let place = pets();
    place.well(&["train", "pets.toml", "--quiet", "--out", "small"]);
    let weights = "small/latest/artifact/model.safetensors";
    let pretrained = format!("train.pretrained={{ from = \"{weights}\" }}");
    refused(
        &place,
        &[&pretrained, "data.text.tokenizer.train.size=70", "--data-root", "."],
        &["train.pretrained", weights, "network.tokens.weight", "has shape [", "needed ["],
    );
    // The tokenizer of an artifact, by another one's.
    place.well(&["train", "pets.toml", "--quiet", "--out", "other", "data.text.tokenizer.train.size=70"]);
    let tokenizer = "latest/artifact/assets/tokenizer.json";
    fs::copy(place.path("other").join(tokenizer), place.path("small").join(tokenizer)).unwrap();
    says(&place.refused(&["predict", "small/latest", "--text", "a dog"]), &["tokenizer.json"]);
    refused(
        &place,
        &[
            "data.text.tokenizer={ file = \"other/latest/artifact/assets/tokenizer.json\" }",
            "task.text-classification.vocabulary=7",
        ],
        &["`task.text-classification.vocabulary` is 7, but the tokenizer knows", "do not belong together"],
    );
}

#[test]
fn a_corpus_that_is_smaller_than_a_window_is_refused() {
    let place = Place::new();
    place.write("plays/a.txt", "To be, or not to be, that is the question.");
    place.write(
        "plays.toml",
        "name = \"plays\"\n[task.language-model]\nlength = 64\n[data.corpus]\nsource.text-folder = { folder = \"plays\" }\n",
    );
    let line = place.refused(&["train", "plays.toml", "--quiet"]);
    says(&line, &["data.corpus.source", "42 characters", "a window to learn from", "add text"]);
    assert!(!place.path("runs").exists(), "{line}");
}
