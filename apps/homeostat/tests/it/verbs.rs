//! Every verb but training, and the forms that scripts rely on.

use std::process::Stdio;

use homeostat_data::Tokenizer;
use serde_json::Value;

use crate::place::{Place, refusal, runs_in, says, text};

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
fn help_of_eval_names_every_kind_of_source() {
    let place = Place::with_run();
    let help = place.well(&["eval", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    // What is refused lists them all.
    let refused = place.refused(&["eval", RUN, "--data", "nowhere:x"]);
    let kinds: Vec<&str> = refused.split([' ', ',']).filter_map(|word| word.strip_suffix(":FOLDER")).collect();
    assert!(kinds.len() > 5, "{refused}");
    says(&help, &kinds);
}

#[test]
fn eval_of_several_views_and_of_several_runs() {
    let place = Place::new();
    let plain = "loss.cross-entropy.label-smoothing=0";
    let runs = ["4", "8", "12"].map(|width| place.train("runs", &[&format!("model.mlp.hidden=[{width}]"), plain]));
    let runs = runs.map(|run| run.to_str().unwrap().to_owned());
    let one = |words: &[&str]| {
        let lines = place.json(&[&["eval"], words, &["--json"]].concat());
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        line.clone()
    };
    let plain = one(&[&runs[0]]);
    for views in ["mirror", "five-crop"] {
        let averaged = one(&[&runs[0], "--tta", views]);
        assert_eq!(averaged["samples"], plain["samples"]);
        assert_ne!(averaged["figures"]["loss"], plain["figures"]["loss"], "{views} changes what is answered");
    }
    let together = one(&[&runs[0], &runs[1], &runs[2]]);
    let members = together["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    for (run, member) in runs.iter().zip(members) {
        assert_eq!(member["run"], run.as_str());
        assert_eq!(member["figures"], one(&[run])["figures"], "each alone, as it is measured alone");
    }
    // Cross-entropy is convex: the mean of probabilities is no worse than the mean of the runs. These are without smoothing.
    let loss = |value: &Value| value["figures"]["loss"].as_f64().unwrap();
    let mean = members.iter().map(loss).sum::<f64>() / 3.0;
    assert!(together["figures"]["cross-entropy"].as_f64().unwrap() <= mean + 1e-6, "{together}");
    assert!(together["figures"]["loss"].is_null(), "{together}");
    let shown = place.well(&["eval", &runs[0], &runs[1]]);
    says(&shown, &[&runs[0], &runs[1], "the mean of their probabilities:", "accuracy"]);
    // Runs that hold other samples back cannot be measured together on their own test part.
    let other = place.train("runs", &["seed=2"]);
    says(&place.refused(&["eval", &runs[0], other.to_str().unwrap()]), &["another test part than the first run"]);
}

#[test]
fn a_tokenizer_is_learnt_from_a_file() {
    let place = Place::new();
    let lines: Vec<String> = (0..200).map(|line| format!("The cat number {line} sat on the mat.\n")).collect();
    place.write("cats.txt", lines.concat());
    for kind in ["wordpiece", "bpe", "unigram", "characters"] {
        let file = format!("{kind}.json");
        let said = place.well(&["data", "tokenizer", "cats.txt", "--kind", kind, "--size", "300", "--out", &file]);
        says(&said, &[&file, "tokens from 200 texts"]);
        let tokenizer = Tokenizer::open(&place.path(&file)).unwrap();
        assert!(tokenizer.size() <= 300, "{kind}: {}", tokenizer.size());
        let ids = tokenizer.encode("the cat sat on the mat").unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap().trim(), "the cat sat on the mat", "{kind}");
    }
    let cased = ["data", "tokenizer", "cats.txt", "--cased", "--kind", "bpe", "--size", "300", "--out", "cased.json"];
    place.well(&cased);
    let [lower, cased] = ["bpe.json", "cased.json"].map(|file| Tokenizer::open(&place.path(file)).unwrap());
    assert_eq!(lower.encode("THE").unwrap(), lower.encode("the").unwrap());
    assert_ne!(cased.encode("The").unwrap(), cased.encode("the").unwrap());
    let refused = place.refused(&["data", "tokenizer", "cats.txt", "--size", "3", "--out", "none.json"]);
    says(&refused, &["error: --size: 3 is not within"]);
    says(&place.refused(&["data", "tokenizer", "nowhere.txt", "--out", "none.json"]), &["nowhere"]);
    assert!(!place.path("none.json").exists());
}

#[test]
fn no_verb_writes_over_a_file_of_another_kind() {
    let place = Place::new();
    place.write("mine.toml", "mine");
    place.write("cats.txt", "The cat sat on the mat.\n");
    for (words, ending) in [
        (&["data", "describe", "digits", "--html", "mine.toml"][..], ".html or .htm"),
        (&["data", "pack", "digits", "mine.toml"][..], ".pack"),
        (&["data", "tokenizer", "cats.txt", "--out", "mine.toml"][..], ".json"),
        (&["inspect", "digits", "--png", "mine.toml"][..], ".png"),
        (&["sample", "runs/latest", "--png", "mine.toml"][..], ".png"),
    ] {
        says(&place.refused(words), &["cannot write mine.toml", "ends in", ending]);
    }
    assert_eq!(std::fs::read_to_string(place.path("mine.toml")).unwrap(), "mine");
    place.write("page.html", "an earlier one");
    place.well(&["data", "describe", "digits", "--html", "page.html"]);
}

#[test]
fn eval_and_verify() {
    let place = Place::with_run();
    let result: Value = serde_json::from_slice(&std::fs::read(place.path(RUN).join("result.json")).unwrap()).unwrap();
    let [measured] = &place.json(&["eval", RUN, "--json"])[..] else { panic!("one line") };
    assert_eq!(measured["figures"], result["test"], "what was measured at the end is measured again");
    assert_eq!((&measured["samples"], &measured["known"]), (&179.into(), &0.into()));
    let [measured] = &place.json(&["eval", RUN, "--data", "digits", "--json"])[..] else { panic!("one line") };
    assert_eq!(measured["known"], 1439 + 179, "neither what the run has learnt from nor what chose it");
    assert_eq!((&measured["samples"], &measured["figures"]), (&179.into(), &result["test"]));
    says(
        &place.well(&["eval", RUN]),
        &["test    loss ", "accuracy ", "on      179 samples; accuracy with 95 % confidence 0."],
    );
    assert_eq!(place.well(&["eval", RUN, "--quiet"]), "");
    says(&place.refused(&["eval", RUN, "--data", "mnist"]), &["there is no folder `mnist`", "idx:FOLDER"]);

    for artifact in [RUN, "runs/latest/artifact"] {
        says(&place.well(&["verify", artifact]), &[&format!("{artifact} answers all 16 golden requests")]);
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
    assert_eq!((lines.len(), lines[0]), (3, "file,label,confidence,label-2,confidence-2,label-3,confidence-3,error"));
    assert!(lines[2].starts_with("\"pictures/c, d.png\","), "{csv}");
    let csv = place.well(&["predict", RUN, "pictures/a.png", "--format", "csv", "--top", "1"]);
    let confidence = csv.lines().nth(1).and_then(|line| line.split(',').nth(2)).unwrap();
    assert_eq!((csv.lines().next(), confidence.len()), (Some("file,label,confidence,error"), "0.123456".len()));
    let table = place.well(&["predict", RUN, "pictures"]);
    assert!(table.starts_with("file ") && table.lines().count() == 4, "{table}");

    says(&place.refused(&["predict", "pictures", "pictures/a.png"]), &["pictures is not an artifact"]);
    says(&place.refused(&["predict", "nope", "pictures/a.png"]), &["there is no run or artifact `nope`"]);
    says(&place.refused(&["predict", "runs", "pictures/a.png"]), &["name one, such as runs/latest"]);
}

#[test]
fn what_is_no_picture_spoils_the_status_but_not_the_other_answers() {
    let place = Place::new();
    place.picture("a.png", 3);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.write("b.png", "no picture");
    let run = Place::with_run().path(RUN).display().to_string();
    let output = place.run(&["predict", &run, "no.png", "empty", "a.png", "b.png", "--format", "jsonl"]);
    let answers: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = |at: usize| answers[at]["error"].as_str().unwrap();
    assert!(answers[2]["label"].is_string(), "{answers:?}");
    says(error(3), &["this is no picture"]);
    says(error(0), &["cannot be read: No such file"]);
    says(error(1), &["has no pictures"]);
    says(&refusal(&output), &["3 of 4 files could not be answered"]);
}

#[test]
fn runs_list_show_and_compare() {
    let place = Place::with_run();
    let list = place.well(&["runs", "list"]);
    says(&list, &["figures of", "finished", "runs/digits/", "  test ", "accuracy 0."]);
    let [listed] = &place.json(&["runs", "list", "--json"])[..] else { panic!("one run") };
    assert_eq!((&listed["name"], &listed["state"]), (&"digits".into(), &"finished".into()));
    says(
        &place.well(&["runs", "show", RUN]),
        &[
            "digits",
            "test    loss",
            "on      179 samples",
            "by which the weights were chosen",
            "chosen  by validation loss",
            "report  ",
        ],
    );
    let [shown] = &place.json(&["runs", "show", RUN, "--json"])[..] else { panic!("one line") };
    assert_eq!((&shown["summary"]["state"], &shown["provenance"]["seed"]), (&"finished".into(), &1.into()));
    says(&place.well(&["runs", "compare"]), &["test accuracy", "  95 % from", "valid accuracy", "seconds"]);
    for verb in ["list", "compare"] {
        says(&place.refused(&["runs", verb, "--out", "elsewhere"]), &["no folder elsewhere", "--out elsewhere"]);
    }
    says(&place.well(&["runs", "list", "--out", "pictures"]), &["no runs below pictures", "homeostat train"]);
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
    assert_eq!((&lines[0]["differing"]["seed"], &lines[1]["differing"]["seed"]), (&1.into(), &2.into()));
}

#[test]
fn a_run_that_cannot_be_read_is_told_of_among_the_others() {
    let place = Place::new();
    for seed in ["1", "2", "3"] {
        place.train("runs", &["train.max-steps=1", &format!("seed={seed}")]);
    }
    let runs = runs_in(&place.path("runs"));
    std::fs::write(runs[0].join("result.json"), "{").unwrap();
    std::fs::write(runs[1].join("experiment.toml"), "no = 1").unwrap();
    let list = place.well(&["runs", "list"]);
    says(list.lines().nth(1).unwrap(), &["unreadable", "result.json cannot be understood"]);
    says(list.lines().nth(3).unwrap(), &["finished"]);
    let table = place.well(&["runs", "compare"]);
    let legend: Vec<&str> = table.lines().take(3).collect();
    says(legend[0], &[" 1  runs/digits/", "unreadable: ", "result.json"]);
    says(legend[1], &[" 2  runs/digits/", "unreadable: ", "unknown key `no`"]);
    says(legend[2], &[" 3  runs/digits/", "finished"]);
    let broken = runs[1].display().to_string();
    for words in [&["eval"][..], &["config", "check"]] {
        let said = place.refused(&[words, &[broken.as_str()]].concat());
        says(&said, &["runs/digits/", "/experiment.toml:1: unknown key `no`"]);
    }
    // What was finished can be looked at, whatever this version makes of its experiment.
    says(&place.well(&["runs", "show", &broken]), &["finished", "accuracy"]);
    assert_eq!(place.well(&["config", "show", &broken]), "no = 1");
    let lines = place.json(&["runs", "compare", "--json"]);
    assert!(lines[0]["run"]["problem"].is_string() && lines[2]["run"]["state"] == "finished", "{lines:?}");
}

#[test]
fn comparisons_fit_and_say_what_the_program_chose() {
    let place = Place::new();
    let runs = ["seed=1", "seed=2"].map(|seed| place.train("runs", &["train.max-steps=1", seed]).display().to_string());
    let many = runs.each_ref().map(String::as_str).repeat(10);
    let table = place.well(&[&["runs", "compare"], &many[..]].concat());
    let (_, table) = table.split_once("\n\n").unwrap();
    let figures = table.split("\nprepare\n").next().unwrap();
    assert!(figures.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert_eq!(
        figures.lines().filter(|line| line.starts_with("test loss")).count(),
        3,
        "nine stand side by side: {table}"
    );
    says(table, &["] *\n", "* chosen by the program, from the data"]);
    let mean = table.split_once("mean = [").unwrap().1.split_once(']').unwrap().0;
    assert!(mean.len() <= "0.123456".len(), "{mean}");
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

    // A run is its experiment, with the origins that it has recorded.
    let of_run = place.well(&["config", "show", RUN]);
    assert_eq!(of_run, std::fs::read_to_string(place.path(RUN).join("experiment.toml")).unwrap());
    says(&of_run, &["# chosen: the classes of the data"]);
    says(&place.well(&["config", "show", RUN, "epochs=7"]), &["epochs = 7", "experiment.toml:2"]);
    place.well(&["config", "check", RUN]);

    let walk = place.well(&["inspect", "digits"]);
    says(&walk, &["read", "augment: rotate", "prepare", "collate", "loss"]);
    assert!(walk.lines().all(|line| line.chars().count() <= 80), "{walk}");
    let steps = place.json(&["inspect", "digits", "--sample", "7", "--json"]);
    assert!(steps.len() >= 5 && steps.iter().all(|step| step["step"].is_string()), "{steps:?}");
    says(&place.refused(&["inspect", "digits", "--sample", "1439"]), &["--sample", "1439 samples"]);
    says(&place.well(&["inspect", "digits", "--png", "sheet.png"]), &["sheet.png has pictures"]);
    assert!(std::fs::read(place.path("sheet.png")).unwrap().starts_with(b"\x89PNG"));

    for source in ["digits", "shown.toml"] {
        says(&place.well(&["data", "describe", source]), &["1797 samples, 10 classes", "8 x 8 pixels, 1 channel\n"]);
    }
    let [described] = &place.json(&["data", "describe", "digits", "--json"])[..] else { panic!("one line") };
    assert_eq!((&described["samples"], described["classes"].as_array().unwrap().len()), (&1797.into(), 10));
    says(&place.well(&["data", "describe", "digits", "--html", "digits.html"]), &["digits.html has the page"]);
    let page = std::fs::read_to_string(place.path("digits.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("data:image/png"));
    says(&place.refused(&["data", "describe", "digits", "--html", "no/page.html"]), &["cannot write no/page.html"]);
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
