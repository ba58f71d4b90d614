//! Every verb but training, and the forms that scripts rely on.

use std::process::Stdio;

use serde_json::Value;

use crate::place::{Place, refusal, says, text};

const RUN: &str = "runs/latest";

#[test]
fn help_and_usage() {
    let place = Place::with_run();
    let verbs =
        ["train", "resume", "eval", "predict", "verify", "runs", "config", "inspect", "data", "devices", "completions"];
    let all = place.well(&["--help"]);
    for verb in verbs {
        says(&all, &[verb]);
        says(&place.well(&[verb, "--help"]), &["Usage: homeostat", verb, "--log-level"]);
    }
    says(&place.well(&["--version"]), &["homeostat"]);
    for help in [&["--help"][..], &["train", "-h"], &["predict", "--help"]] {
        for line in place.well(help).lines() {
            assert!(line.chars().count() <= 110, "{line}");
        }
    }
    for wrong in [
        &[][..],
        &["frobnicate"],
        &["train"],
        &["runs"],
        &["train", "digits", "--nope"],
        &["devices", "--json", "--quiet"],
    ] {
        let output = place.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        says(&text(&output.stderr), &["Usage: homeostat"]);
    }
}

#[test]
fn eval_and_verify() {
    let place = Place::with_run();
    let result: Value = serde_json::from_slice(&std::fs::read(place.path(RUN).join("result.json")).unwrap()).unwrap();
    let [measured] = &place.json(&["eval", RUN, "--json"])[..] else { panic!("one line") };
    assert_eq!(measured["figures"], result["test"], "what was measured at the end is measured again");
    assert_eq!((&measured["samples"], &measured["left_out"]), (&179.into(), &0.into()));
    let [measured] = &place.json(&["eval", RUN, "--data", "digits", "--json"])[..] else { panic!("one line") };
    assert_eq!(measured["left_out"], 1439, "what the run has learnt from is not measured with");
    assert_eq!(measured["samples"], 1797 - 1439);
    says(&place.well(&["eval", RUN]), &["test    loss ", "accuracy ", "on      179 samples"]);
    assert_eq!(place.well(&["eval", RUN, "--quiet"]), "");
    says(&place.refused(&["eval", RUN, "--data", "mnist"]), &["unknown source `mnist`", "idx:FOLDER"]);

    for artifact in [RUN, "runs/latest/artifact"] {
        says(&place.well(&["verify", artifact]), &["answers all 16 golden requests"]);
    }
    let [verified] = &place.json(&["verify", RUN, "--json"])[..] else { panic!("one line") };
    assert_eq!((&verified["verified"], &verified["requests"]), (&true.into(), &16.into()));
    assert_eq!(place.well(&["verify", RUN, "--quiet"]), "");
    says(&place.refused(&["verify", "pictures"]), &["pictures is not an artifact"]);
}

#[test]
fn predict() {
    let place = Place::with_run();
    let answers = place.json(&["predict", RUN, "pictures", "--format", "jsonl", "--top", "2"]);
    assert_eq!(answers.len(), 3);
    for (answer, file) in answers.iter().zip(["pictures/a.png", "pictures/b.png", "pictures/c, d.png"]) {
        assert_eq!(answer["file"], file, "in the order of their names");
        let top = answer["top"].as_object().unwrap();
        assert_eq!((top.len(), &top[answer["label"].as_str().unwrap()]), (2, &answer["confidence"]));
    }
    let csv =
        place.well(&["predict", "runs/latest/artifact", "pictures/a.png", "pictures/c, d.png", "--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "file,label,confidence,error"));
    assert!(lines[2].starts_with("\"pictures/c, d.png\","), "{csv}");
    let table = place.well(&["predict", RUN, "pictures"]);
    assert!(table.starts_with("file ") && table.lines().count() == 4, "{table}");

    says(&place.refused(&["predict", RUN, "no.png"]), &["cannot read no.png"]);
    says(&place.refused(&["predict", RUN, "runs"]), &["runs has no pictures"]);
    says(&place.refused(&["predict", "pictures", "pictures/a.png"]), &["pictures is not an artifact"]);
}

#[test]
fn a_file_that_is_no_picture_spoils_the_status_but_not_the_other_answers() {
    let place = Place::new();
    place.picture("a.png", 3);
    place.write("b.png", "no picture");
    let run = Place::with_run().path(RUN).display().to_string();
    let output = place.run(&["predict", &run, "a.png", "b.png", "--format", "jsonl"]);
    let answers: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(answers[0]["label"].is_string() && answers[1]["error"].is_string(), "{answers:?}");
    says(&refusal(&output), &["1 of 2 files could not be answered"]);
}

#[test]
fn runs_list_show_and_compare() {
    let place = Place::with_run();
    let list = place.well(&["runs", "list"]);
    says(&list, &["experiment", "digits", "finished", "runs/digits/"]);
    let [listed] = &place.json(&["runs", "list", "--json"])[..] else { panic!("one run") };
    assert_eq!((&listed["name"], &listed["state"]), (&"digits".into(), &"finished".into()));
    says(&place.well(&["runs", "show", RUN]), &["digits", "test    loss", "best    loss", "report  "]);
    let [shown] = &place.json(&["runs", "show", RUN, "--json"])[..] else { panic!("one line") };
    assert_eq!((&shown["summary"]["state"], &shown["provenance"]["seed"]), (&"finished".into(), &1.into()));
    says(&place.well(&["runs", "compare"]), &["test accuracy", "seconds"]);
    says(&place.well(&["runs", "list", "--out", "elsewhere"]), &["no runs below elsewhere", "homeostat train"]);
    says(&place.refused(&["runs", "compare", "--out", "elsewhere"]), &["no runs below elsewhere"]);
    says(&place.refused(&["runs", "show", "pictures"]), &["pictures is not a run"]);
}

#[test]
fn runs_compare_shows_what_differs() {
    let place = Place::new();
    place.train("runs", &[]);
    place.train("runs", &["seed=2", "train.max-steps=3"]);
    let table = place.well(&["runs", "compare"]);
    assert!(table.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == ["seed", "1", "2"]), "{table}");
    assert!(!table.contains("train.epochs"), "what is equal is left out: {table}");
    let lines = place.json(&["runs", "compare", "--json"]);
    assert_eq!((&lines[0]["differing"]["seed"], &lines[1]["differing"]["seed"]), (&"1".into(), &"2".into()));
}

#[test]
fn config_inspect_data_and_devices() {
    let place = Place::with_run();
    let shown = place.well(&["config", "show", "digits", "epochs=3"]);
    says(&shown, &["epochs = 3", "# command line", "# default"]);
    let [json] = &place.json(&["config", "show", "digits", "epochs=3", "--json"])[..] else { panic!("one line") };
    assert_eq!(json["train.epochs"], serde_json::json!({ "value": 3, "from": "command line" }));
    // What is shown is an experiment again.
    place.write("shown.toml", shown);
    says(&place.well(&["config", "check", "shown.toml"]), &["shown.toml is right"]);

    says(&place.well(&["inspect", "digits"]), &["read", "augment: rotate", "prepare", "collate", "loss"]);
    let steps = place.json(&["inspect", "digits", "--sample", "7", "--json"]);
    assert!(steps.len() >= 5 && steps.iter().all(|step| step["step"].is_string()), "{steps:?}");
    says(&place.refused(&["inspect", "digits", "--sample", "1439"]), &["--sample", "1439 samples"]);

    for source in ["digits", "shown.toml"] {
        says(&place.well(&["data", "describe", source]), &["1797 samples, 10 classes", "8 x 8 pixels, 1 channel\n"]);
    }
    let [described] = &place.json(&["data", "describe", "digits", "--json"])[..] else { panic!("one line") };
    assert_eq!((&described["samples"], described["classes"].as_array().unwrap().len()), (&1797.into(), 10));
    says(&place.refused(&["data", "describe", "pictures"]), &["image-folder:pictures"]);
    says(&place.refused(&["data", "describe", "zip:x"]), &["unknown source `zip:x`"]);
    says(&place.refused(&["data", "describe", "no.toml"]), &["cannot read no.toml"]);

    says(&place.well(&["devices"]), &["cpu", "ready"]);
    let devices = place.json(&["devices", "--json"]);
    assert!(devices.iter().any(|line| line["device"] == "cpu" && line["ready"] == true), "{devices:?}");
    assert_eq!(place.well(&["devices", "--quiet"]), "");
    for shell in ["bash", "zsh", "fish"] {
        says(&place.well(&["completions", shell]), &["homeostat"]);
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::with_run();
    for words in [
        &["--help"][..],
        &["runs", "list"],
        &["runs", "show", RUN],
        &["runs", "compare"],
        &["config", "show", "digits"],
        &["data", "describe", "digits"],
        &["devices"],
        &["completions", "bash"],
        &["predict", RUN, "pictures"],
        &["eval", RUN, "--json"],
    ] {
        let mut child = place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take()); // the reader goes before the first line
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn a_full_standard_output_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Place::with_run().command(&["runs", "list"]).stdout(full).output().unwrap();
    says(&refusal(&output), &["cannot write to standard output", "No space left"]);
}
