//! Killed at any moment, a run goes on as if nothing had happened: the same bytes, for any number of workers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::place::{Numbers, Place, SMALL, refusal, runs_in, says};

/// A training with checkpoints within the epochs, moving averages and dropout.
pub(crate) const LONGER: [&str; 4] =
    ["epochs=3", "model.mlp.dropout=0.2", "train.checkpoint.every-steps=4", "train.checkpoint.keep-last=2"];

/// All that has to be the same bytes: the weights, the optimiser's state, and the two logs without wall times.
pub(crate) fn remains(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut remains = BTreeMap::new();
    let mut checkpoints: Vec<PathBuf> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    checkpoints.sort();
    let last = checkpoints.pop().unwrap();
    for folder in [last, run.join("artifact")] {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "safetensors") {
                let name = path.strip_prefix(run).unwrap().display().to_string();
                remains.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let timeless = metrics.lines().map(|line| format!("{}\n", line.split_once(",\"seconds\":").unwrap().0));
    remains.insert("metrics.jsonl".into(), timeless.collect::<String>().into());
    remains.insert("events.jsonl".into(), fs::read(run.join("events.jsonl")).unwrap());
    remains
}

/// Checks that two runs left the same, naming the file that differs and not its bytes.
#[track_caller]
pub(crate) fn same_remains(one: &Path, other: &Path) {
    let (one, other) = (remains(one), remains(other));
    assert!(one.len() >= 6, "{:?}", one.keys());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(*bytes == other[name], "{name} differs");
    }
}

fn is_finished(run: &Path) -> bool {
    let result: Option<Value> =
        fs::read(run.join("result.json")).ok().map(|text| serde_json::from_slice(&text).unwrap());
    result.is_some_and(|result| result["state"] == "finished")
}

#[test]
fn killed_at_twenty_moments_it_leaves_the_same_bytes() {
    const KILLS: usize = 20;
    let place = Place::new();
    let began = Instant::now();
    let straight = place.train("straight", &LONGER);
    let whole = began.elapsed();
    let mut numbers = Numbers(20);
    let (mut kills, mut after_a_checkpoint) = (0, 0);
    for attempt in 0.. {
        let out = format!("killed-{attempt}");
        loop {
            // Before there is a run to resume, it is begun anew.
            let run = runs_in(&place.path(&out)).into_iter().rev().find(|run| run.join("experiment.toml").exists());
            let mut words = vec!["train", "--quiet"];
            match run.as_deref().and_then(Path::to_str) {
                Some(run) => words = vec!["resume", "--quiet", run],
                None => words.extend([&SMALL[..], &LONGER, &["--out", &out]].concat()),
            }
            let mut child = place.command(&words).stderr(Stdio::piped()).spawn().unwrap();
            if kills < KILLS {
                sleep(whole.mul_f64(0.05 + 0.75 * numbers.fraction()));
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    kills += 1;
                    let run = runs_in(&place.path(&out)).pop();
                    after_a_checkpoint += usize::from(run.is_some_and(|run| run.join("checkpoints").exists()));
                }
            }
            let output = child.wait_with_output().unwrap();
            let last = runs_in(&place.path(&out)).pop();
            if let Some(run) = last.filter(|run| is_finished(run)) {
                same_remains(&straight, &run);
                break;
            }
            // What was not killed has ended well, or by having been killed between its last two acts.
            assert!(output.status.code().is_none(), "{}", refusal(&output));
        }
        if kills == KILLS {
            break;
        }
    }
    assert!(after_a_checkpoint > KILLS / 4, "only {after_a_checkpoint} of the kills came after a checkpoint");
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    let place = Place::new();
    let [one, four] = ["1", "4"].map(|workers| place.train(workers, &["--workers", workers]));
    same_remains(&one, &four);
}

#[test]
fn a_run_that_was_killed_before_its_first_record_goes_on() {
    let place = Place::new();
    let (straight, killed) = (place.train("a", &[]), place.train("b", &[]));
    for entry in fs::read_dir(&killed).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else if entry.file_name() != "experiment.toml" {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    place.well(&["resume", "b/latest", "--quiet"]);
    same_remains(&straight, &killed);
    assert!(killed.join("provenance.json").exists() && killed.join("split.json").exists());
}

#[test]
fn a_finished_run_is_not_resumed() {
    let before = remains(&fs::canonicalize(Place::with_run().path("runs/latest")).unwrap());
    says(&Place::with_run().refused(&["resume", "runs/latest"]), &["runs/digits/", "is finished"]);
    assert!(before == remains(&Place::with_run().path("runs/latest")));
    says(&Place::with_run().refused(&["resume", "nothing"]), &["nothing is not a run"]);
}

#[test]
fn a_run_has_one_writer_at_a_time() {
    let place = Place::new();
    let (mut child, mut lines) = place.start(&["train", "digits", "epochs=1000", "model=mlp"]);
    let run = lines.find_map(|line| Some(line.strip_prefix("run ")?.to_owned())).unwrap();
    says(&place.refused(&["resume", &run]), &[&run, "in use by another process"]);
    says(&place.well(&["runs", "list"]), &["running"]);
    let shown = place.well(&["runs", "show", &run]);
    says(&shown, &["  running\n", "so far  epochs ", " of 1000  steps ", " of 23000"]);
    assert!(!shown.contains("resume"), "{shown}");
    sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none(), "the first is not disturbed");
    child.kill().unwrap();
    child.wait().unwrap();
    says(&place.well(&["runs", "list"]), &["interrupted"]);
}
