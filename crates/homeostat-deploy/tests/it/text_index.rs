//! An index finds what is near, and is refused where it is broken or of another artifact.

use std::fs;

use homeostat_deploy::{DeployError, Endpoint, IndexRow, Nearest, Query, Served, TextIndex};
use homeostat_search::GraphConfig;
use homeostat_task::{InputError, Signature};
use serde_json::{Value, json};

/// The vector of a text has the number of each of three letters.
struct Letters;

impl Endpoint for Letters {
    fn answer(&self, requests: &[&[u8]]) -> Vec<Result<Value, InputError>> {
        let vector = |request: &&[u8]| {
            let count = |letter: u8| request.iter().filter(|byte| **byte == letter).count();
            match *request {
                b"?" => Err(InputError::new("has no letters")),
                b"!" => Ok(json!({ "label": "no vector" })),
                long if long.len() > 8 => Ok(json!({ "embedding": [count(b'a'), count(b'b'), 0], "cut": true })),
                _ => Ok(json!({ "embedding": [count(b'a'), count(b'b'), count(b'c')] })),
            }
        };
        requests.iter().map(vector).collect()
    }

    fn agree(&self, expected: &Value, found: &Value, _: f64) -> bool {
        expected == found
    }

    fn signature(&self) -> Option<Signature> {
        None
    }

    fn serve(&self, _: &[Query], _: usize) -> Served {
        panic!("an index asks for answers")
    }

    fn replicate(&self) -> Box<dyn Endpoint> {
        Box::new(Self)
    }
}

fn rows(texts: &[&str]) -> Vec<IndexRow> {
    let row = |(at, text): (usize, &&str)| IndexRow { name: format!("row {at}"), text: (*text).to_owned() };
    texts.iter().enumerate().map(row).collect()
}

fn built(texts: &[&str]) -> Result<TextIndex, DeployError> {
    TextIndex::build(&Letters, "digest", rows(texts), &mut |_| ())
}

#[test]
fn the_nearest_texts_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    built(&["aaab", "bbb", "abc", "ccb"]).unwrap().write(&path).unwrap();
    let index = TextIndex::open(&path, "digest").unwrap();
    assert_eq!(index.len(), 4);
    let names = |index: &TextIndex| -> Vec<Vec<String>> {
        let answers = index.ask(&Letters, &["aa", "cc"], 2).unwrap();
        let names = |nearest: &Nearest<'_>| nearest.found.iter().map(|found| found.row.name.clone()).collect();
        answers.iter().map(names).collect()
    };
    assert_eq!(names(&index), [["row 0", "row 2"], ["row 3", "row 2"]]);
    assert_eq!(names(&index.with_graph(GraphConfig::default())), [["row 0", "row 2"], ["row 3", "row 2"]]);
}

#[test]
fn texts_and_questions_that_were_cut_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let index = built(&["aaab", "aaaaaaaaa", "bbbbbbbbbc"]).unwrap();
    assert_eq!(index.cut_texts(), 2);
    index.write(&path).unwrap();
    let index = TextIndex::open(&path, "digest").unwrap();
    assert_eq!(index.cut_texts(), 2);
    let answers = index.ask(&Letters, &["aa", "aaaaabbbbb"], 1).unwrap();
    assert_eq!(answers.iter().map(|nearest| nearest.cut).collect::<Vec<_>>(), [false, true]);
    // An index from before they were counted.
    let mut head: Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    assert_eq!(head.as_object_mut().unwrap().remove("cut"), Some(json!(2)));
    fs::write(path.join("index.json"), head.to_string()).unwrap();
    assert_eq!(TextIndex::open(&path, "digest").unwrap().cut_texts(), 0);
}

#[test]
fn an_index_takes_the_place_of_nothing_but_an_index() {
    let root = tempfile::tempdir().unwrap();
    let index = built(&["aaab", "bbb"]).unwrap();
    let refused = |name: &str, words: &str| {
        let line = index.write(&root.path().join(name)).unwrap_err().to_string();
        assert!(line.contains(words) && !line.contains('\n'), "{line}");
    };
    let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
    for (folder, file) in [("photos", "cat.png"), ("web", "index.json")] {
        fs::create_dir(root.path().join(folder)).unwrap();
        fs::write(root.path().join(folder).join(file), "{}").unwrap();
        refused(folder, "holds other files: name a new folder");
        assert_eq!(read(&format!("{folder}/{file}")), "{}");
    }
    fs::write(root.path().join("mails.toml"), "mine").unwrap();
    refused("mails.toml", "is a file: name a new folder");
    assert_eq!(read("mails.toml"), "mine");
    refused("..", "a folder of its own");
    fs::create_dir(root.path().join("index")).unwrap();
    for _ in 0..2 {
        index.write(&root.path().join("index")).unwrap();
    }
    fs::write(root.path().join("index/notes.txt"), "mine").unwrap();
    refused("index", "holds other files: name a new folder");
    assert_eq!(read("index/notes.txt"), "mine");
}

#[test]
fn what_is_broken_or_of_another_artifact_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    built(&["aaab", "bbb"]).unwrap().write(&path).unwrap();
    let says = |error: DeployError, words: &str| {
        let line = error.to_string();
        assert!(line.contains(words) && !line.contains('\n'), "{line}");
    };
    says(TextIndex::open(&path, "other").unwrap_err(), "vectors of another artifact");
    says(built(&["a", "?"]).unwrap_err(), "`row 1`: has no letters");
    says(built(&["a", "!"]).unwrap_err(), "gives no vector");
    says(built(&["a", "xyz"]).unwrap_err(), "vector 1 has no direction");
    says(built(&[]).unwrap_err(), "no text");
    let index = TextIndex::open(&path, "digest").unwrap();
    says(index.ask(&Letters, &["?"], 1).unwrap_err(), "`?`: has no letters");
    let whole = fs::read(path.join("rows.jsonl")).unwrap();
    fs::write(path.join("rows.jsonl"), &whole[1..]).unwrap();
    says(TextIndex::open(&path, "digest").unwrap_err(), "rows.jsonl is not as it was written");
    fs::write(path.join("index.json"), "{}").unwrap();
    says(TextIndex::open(&path, "digest").unwrap_err(), "index.json");
    fs::remove_dir_all(&path).unwrap();
    says(TextIndex::open(&path, "digest").unwrap_err(), "index.json");
}
