//! An index finds what is near, and is refused where it is broken or of another artifact.

use std::fs;

use homeostat_deploy::{DeployError, Endpoint, IndexRow, Query, Served, TextIndex};
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
        let found = index.ask(&Letters, &["aa", "cc"], 2).unwrap();
        found.iter().map(|found| found.iter().map(|found| found.row.name.clone()).collect()).collect()
    };
    assert_eq!(names(&index), [["row 0", "row 2"], ["row 3", "row 2"]]);
    assert_eq!(names(&index.with_graph(GraphConfig::default())), [["row 0", "row 2"], ["row 3", "row 2"]]);
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
