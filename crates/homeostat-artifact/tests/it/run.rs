//! The run directory: created once, written by one, listed, and its logs cut back on resume.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use homeostat_artifact::{
    ArtifactError, Figures, LogLengths, MetricsLine, Part, Provenance, Run, RunResult, RunState, RunWriter,
};
use serde_json::{Value, json};

use crate::line;

const WHEN: &str = "2026-11-23T17-13-05Z";

fn metrics(step: u64) -> MetricsLine {
    MetricsLine { step, epoch: 0, part: Part::Train, rate: 0.1, figures: Figures::default(), seconds: 0.0 }
}

fn result(state: RunState) -> RunResult {
    serde_json::from_value(json!({"state": state, "epochs": 1, "steps": 2, "parameters": 3, "seconds": 4.0})).unwrap()
}

fn create(root: &Path, name: &str) -> RunWriter {
    Run::create(root, name, WHEN, "seed = 1\n").unwrap()
}

#[test]
fn every_run_gets_a_folder_of_its_own_and_latest_points_to_the_last() {
    let root = tempfile::tempdir().unwrap();
    let runs: Vec<_> = (0..3).map(|_| create(root.path(), "digits")).collect();
    let names: Vec<_> = runs.iter().map(|run| run.summary().when).collect();
    assert_eq!(names, [WHEN.to_owned(), format!("{WHEN}-2"), format!("{WHEN}-3")]);

    let latest = root.path().join("latest");
    assert_eq!(fs::read_link(&latest).unwrap(), Path::new("digits").join(format!("{WHEN}-3")), "relative");
    let opened = Run::open(&latest).unwrap();
    create(root.path(), "other");
    assert_eq!(opened.path(), runs[2].path(), "what was opened stays what it is");
    assert_eq!(Run::open(&root.path().join("latest/")).unwrap().summary().name, "other");
    assert_eq!(opened.experiment().unwrap(), "seed = 1\n");
}

#[test]
fn a_copy_keeps_the_name_of_its_experiment() {
    let root = tempfile::tempdir().unwrap();
    let copied = root.path().join("x/prod");
    fs::create_dir_all(&copied).unwrap();
    for (text, name) in [("name = \"digits\"\nseed = 1\n", "digits"), ("seed = 1\n", "x"), ("name = ", "x")] {
        fs::write(copied.join("experiment.toml"), text).unwrap();
        let summary = Run::open(&copied).unwrap().summary();
        assert_eq!((summary.name.as_str(), summary.when.as_str()), (name, "prod"), "{text}");
    }
}

#[test]
fn a_link_that_cannot_be_set_does_not_stop_a_run() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("latest/in-the-way")).unwrap();
    assert!(create(root.path(), "digits").path().is_dir());
}

#[test]
fn what_cannot_be_a_run_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for name in ["", ".", "..", "a/b", "/a", ".hidden", "latest", "a b", "a\n"] {
        let error = Run::create(root.path(), name, WHEN, "").unwrap_err();
        assert!(matches!(error, ArtifactError::Name { .. }), "{name}: {error:?}");
        line(&error);
    }
    fs::create_dir(root.path().join("empty")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    symlink("circle", root.path().join("circle")).unwrap();
    let cases = [
        ("empty", "experiment.toml"),
        ("dangling", "the folder"),
        ("circle", "the folder"),
        ("not-there", "the folder"),
    ];
    for (name, missing) in cases {
        let error = Run::open(&root.path().join(name)).unwrap_err();
        assert!(matches!(error, ArtifactError::NotARun { .. }), "{name}: {error:?}");
        assert!(line(&error).contains(&format!("{missing} is missing")), "{error}");
    }
    fs::write(root.path().join("file"), "").unwrap();
    let error = Run::create(&root.path().join("file"), "digits", WHEN, "").unwrap_err();
    assert!(matches!(error, ArtifactError::Write { .. }), "{error:?}");
}

#[test]
fn one_process_writes_and_takes_away_only_what_a_dead_one_left() {
    let root = tempfile::tempdir().unwrap();
    let writer = create(root.path(), "digits");
    let run = Run::open(writer.path()).unwrap();
    let half = writer.checkpoints_dir().join(".tmp-half");
    fs::create_dir_all(&half).unwrap();

    let error = run.lock().unwrap_err();
    assert!(matches!(&error, ArtifactError::Locked { path } if path == run.path()), "{error:?}");
    assert!(line(&error).contains("in use by another process"));
    assert_eq!(run.summary().state, RunState::Running);
    assert!(half.exists(), "it may be what the other process is writing now");

    drop(writer);
    assert_eq!(run.summary().state, RunState::Interrupted);
    let _writer = run.lock().unwrap();
    assert!(!half.exists());
}

#[test]
fn the_list_tells_where_every_run_stands() {
    use RunState::{Failed, Finished, Interrupted, Running};
    let root = tempfile::tempdir().unwrap();
    assert!(Run::list(&root.path().join("not-there")).unwrap().is_empty());
    for (name, state) in [("a", Finished), ("b", Failed), ("c", Interrupted)] {
        create(root.path(), name).write_result(&result(state)).unwrap();
    }
    let killed = create(root.path(), "d");
    drop(killed);
    let _running = create(root.path(), "e");
    let damaged = create(root.path(), "f");
    fs::write(damaged.path().join("result.json"), "{").unwrap();
    drop(damaged);
    let early = Run::create(root.path(), "z", "2025-01-01T00-00-00Z", "").unwrap();
    early.write_result(&result(Finished)).unwrap();
    drop(early);
    fs::create_dir_all(root.path().join("something/else")).unwrap();
    fs::write(root.path().join("a/notes.txt"), "").unwrap();

    let list = Run::list(root.path()).unwrap();
    let seen: Vec<_> = list.iter().map(|run| (run.name.as_str(), run.state, run.result.is_some())).collect();
    let expected = [
        ("z", Finished, true),
        ("a", Finished, true),
        ("b", Failed, true),
        ("c", Interrupted, true),
        ("d", Interrupted, false),
        ("e", Running, false),
        ("f", Interrupted, false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(list[1].path, root.path().join("a").join(WHEN));
    assert_eq!(list[1].when, WHEN);
}

#[test]
fn the_small_files_come_back_as_they_were() {
    let root = tempfile::tempdir().unwrap();
    let run = create(root.path(), "digits");
    assert!(run.provenance().unwrap().is_none() && run.result().unwrap().is_none());
    assert!(run.split::<Value>().unwrap().is_none() && run.metrics().unwrap().is_empty());
    let provenance = Provenance { seed: u64::MAX, ..Provenance::gather() };
    run.write_provenance(&provenance).unwrap();
    run.write_split(&json!({"train": ["0a"]})).unwrap();
    run.write_result(&result(RunState::Finished)).unwrap();
    run.write_report("<html>").unwrap();
    assert_eq!(run.provenance().unwrap(), Some(provenance));
    assert_eq!(run.split().unwrap(), Some(json!({"train": ["0a"]})));
    assert_eq!(run.result().unwrap(), Some(result(RunState::Finished)));
    assert_eq!(fs::read_to_string(run.report_file()).unwrap(), "<html>");

    fs::write(run.path().join("result.json"), "{\"state\": \"fini").unwrap();
    let error = run.result().unwrap_err();
    assert!(matches!(error, ArtifactError::Malformed { .. }) && line(&error).contains("line 1"), "{error:?}");
}

#[test]
fn the_logs_are_cut_back_to_a_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let run = create(root.path(), "digits");
    assert_eq!(run.log_lengths().unwrap(), LogLengths::default());
    run.append_metrics(&metrics(1)).unwrap();
    run.append_event(&json!({"step": 1})).unwrap();
    let checkpoint = run.log_lengths().unwrap();
    run.append_metrics(&metrics(2)).unwrap();
    run.append_event(&json!({"step": 2})).unwrap();
    let file = run.path().join("metrics.jsonl");
    let straight = fs::read(&file).unwrap();

    // Killed in the middle of the third line: it is no line, and the second comes again.
    fs::write(&file, [&straight[..], &straight[..20]].concat()).unwrap();
    assert_eq!(run.metrics().unwrap(), [metrics(1), metrics(2)]);
    run.truncate_logs(checkpoint).unwrap();
    assert_eq!(run.metrics().unwrap(), [metrics(1)]);
    assert_eq!(run.events::<Value>().unwrap(), [json!({"step": 1})]);
    run.append_metrics(&metrics(2)).unwrap();
    assert_eq!(fs::read(&file).unwrap(), straight);

    for wrong in [LogLengths { metrics: 1, ..checkpoint }, LogLengths { metrics: 9999, ..checkpoint }] {
        let error = run.truncate_logs(wrong).unwrap_err();
        assert!(matches!(error, ArtifactError::Malformed { .. }), "{}", line(&error));
        assert_eq!(fs::read(&file).unwrap(), straight, "nothing is lost");
    }
    run.truncate_logs(LogLengths::default()).unwrap();
    assert!(run.metrics().unwrap().is_empty() && run.events::<Value>().unwrap().is_empty());
}

#[test]
fn a_damaged_line_is_named() {
    let root = tempfile::tempdir().unwrap();
    let run = create(root.path(), "digits");
    run.append_metrics(&metrics(1)).unwrap();
    let mut text = fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    text.push_str("{\"step\": 2\n");
    fs::write(run.path().join("metrics.jsonl"), text).unwrap();
    let error = run.metrics().unwrap_err();
    assert!(line(&error).contains("metrics.jsonl") && line(&error).contains("line 2"), "{error}");
}

#[test]
fn a_log_on_a_full_disk_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let run = create(root.path(), "digits");
    symlink("/dev/full", run.path().join("metrics.jsonl")).unwrap();
    let error = run.append_metrics(&metrics(1)).unwrap_err();
    assert!(line(&error).contains("metrics.jsonl (the disk is full"), "{error}");
}

#[test]
fn how_far_a_run_has_come_is_read_from_the_ends_of_its_logs() {
    let root = tempfile::tempdir().unwrap();
    let run = create(root.path(), "digits");
    assert_eq!(run.progress().unwrap(), homeostat_artifact::RunProgress::default());
    for step in 0..300 {
        run.append_event(&json!({"step": step, "epoch": step / 100, "decisions": ["x".repeat(40)]})).unwrap();
        let progress = run.progress().unwrap();
        assert_eq!((progress.steps, progress.epochs, progress.evaluated), (step, step / 100, None));
    }
    // One line that is longer than any piece that is read at once, and another that a killed process did not end.
    run.append_event(&json!({"step": 300, "epoch": 3, "decisions": ["x".repeat(100_000)]})).unwrap();
    let log = run.path().join("events.jsonl");
    fs::write(&log, [fs::read(&log).unwrap(), b"{\"step\": 30".to_vec()].concat()).unwrap();
    let valid = MetricsLine { step: 299, epoch: 3, part: Part::Valid, ..metrics(0) };
    run.append_metrics(&valid).unwrap();
    run.append_metrics(&metrics(299)).unwrap();
    let progress = run.progress().unwrap();
    assert_eq!((progress.steps, progress.epochs, progress.evaluated), (300, 3, Some(valid)));
}
