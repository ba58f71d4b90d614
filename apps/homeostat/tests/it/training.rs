//! `train`: what it prints and leaves, and how it takes its settings.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::place::{Place, SMALL, runs_in, says, text};

#[test]
fn a_run_has_all_that_was_promised() {
    let place = Place::new();
    let output = place.run(&[&["train"], &SMALL[..], &["name=mine", "--out", "there", "--device", "cpu"]].concat());
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    let [run] = &runs_in(&place.path("there"))[..] else { panic!("one run") };
    let shown = run.strip_prefix(place.path("")).unwrap().display().to_string();
    assert!(shown.starts_with("there/mine/"), "{shown}");
    says(
        &err,
        &["1439 samples to learn from", &shown, "train loss", "valid loss", "best", "published and verified: 16"],
    );
    says(&err, &["23 steps", "train.schedule warms up for 50 steps: the rate ends below learning-rate"]);
    says(&out, &["test    loss ", &format!("run     {shown}"), &format!("homeostat predict {shown} FILE...")]);
    says(&out, &["homeostat runs compare --out there"]);
    assert!(out.lines().chain(err.lines()).all(|line| line.chars().count() <= 80), "{out}{err}");
    for file in [
        "experiment.toml",
        "provenance.json",
        "split.json",
        "metrics.jsonl",
        "events.jsonl",
        "result.json",
        "report.html",
        "tensorboard",
        "checkpoints",
        "artifact/artifact.json",
        "artifact/task.toml",
        "artifact/model.safetensors",
        "artifact/golden",
    ] {
        assert!(run.join(file).exists(), "{file}");
    }
    assert_eq!(fs::canonicalize(place.path("there/latest")).unwrap(), fs::canonicalize(run).unwrap());
    assert!(!place.path("runs").exists(), "--out is where it all goes");

    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert!(result["test"]["accuracy"].as_f64().unwrap() > 0.5, "{result}");
    assert!(result["valid"]["loss"].is_f64() && result["seconds"].is_f64(), "{result}");
    assert_eq!((&result["state"], &result["best"]["epoch"]), (&"finished".into(), &1.into()));
    assert_eq!((&result["epochs"], &result["steps"], &result["parameters"]), (&1.into(), &23.into(), &34186.into()));
}

#[test]
fn json_is_an_event_a_line() {
    let place = Place::new();
    let lines = place.json(&[&["train"], &SMALL[..], &["--json"]].concat());
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[1], events[2]), ("prepared", "begin", "step"));
    assert_eq!(events.iter().filter(|event| **event == "step").count(), 23);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert!(lines.iter().flat_map(keys).all(|key| !key.contains('_')), "hyphens everywhere: {lines:?}");
    assert_eq!(events[events.len() - 5..], ["epoch", "checkpoint", "testing", "published", "finished"]);
    let last = lines.last().unwrap();
    let result = fs::read(place.path(last["run"].as_str().unwrap()).join("result.json")).unwrap();
    assert_eq!(last["result"], serde_json::from_slice::<Value>(&result).unwrap());
}

#[test]
fn quiet_is_quiet() {
    let place = Place::new();
    let output = place.run(&[&["train"], &SMALL[..], &["--quiet"]].concat());
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), String::new(), String::new())
    );
    assert_eq!(runs_in(&place.path("runs")).len(), 1);
}

#[test]
fn a_training_to_which_nobody_listens_goes_on() {
    let place = Place::new();
    let words = [&["train"], &SMALL[..], &["--json"]].concat();
    let mut child = place.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    assert!(place.path("runs/latest/result.json").exists());
}

#[test]
fn a_file_with_settings_on_top() {
    let place = Place::new();
    place.write("mine.toml", "name = \"mine\"\n[task.image-classification]\nmodel = \"mlp\"\n[train]\nepochs = 7\n");
    place.well(&["train", "mine.toml", "train.epochs=1", "train.max-steps=2", "--quiet"]);
    let [run] = &runs_in(&place.path("runs"))[..] else { panic!("one run") };
    let experiment = fs::read_to_string(run.join("experiment.toml")).unwrap();
    says(&experiment, &["# mine.toml:1", "epochs = 1", "# command line", "max-steps = 2", "labels = ["]);
    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert_eq!((&result["steps"], &result["reason"]), (&2.into(), &"train.max-steps = 2".into()));
}

#[test]
fn data_are_found_below_the_root_of_the_option_or_the_environment() {
    let place = Place::new();
    for class in ["cat", "dog"] {
        (0..5).for_each(|at| place.picture(&format!("all/pets/{class}/{at}.png"), 10 * at + class.as_bytes()[0]));
    }
    let words = ["data", "describe", "image-folder:pets"];
    says(&place.refused(&words), &["cannot find the folder `pets`", "./pets", "--data-root", "HOMEOSTAT_DATA"]);
    says(&place.well(&[&words[..], &["--data-root", "all"]].concat()), &["pets: 10 samples, 2 classes"]);
    let output = place.command(&words).env("HOMEOSTAT_DATA", place.path("all")).output().unwrap();
    says(&text(&output.stdout), &["pets: 10 samples"]);
    fs::create_dir_all(place.path("cache/data")).unwrap();
    fs::rename(place.path("all/pets"), place.path("cache/data/pets")).unwrap();
    says(&place.well(&words), &["pets: 10 samples"]);
    fs::rename(place.path("cache/data/pets"), place.path("all/pets")).unwrap();

    // The way to the first training of one's own pictures that the program itself shows.
    let hint = place.refused(&["train", "all/pets"]);
    let shown = hint.split_once(": homeostat ").unwrap().1;
    let line = format!("{} {shown} epochs=1 model=mlp --quiet", env!("CARGO_BIN_EXE_homeostat"));
    assert!(Command::new("sh").args(["-c", &line]).current_dir(place.path("")).status().unwrap().success(), "{line}");
    assert!(place.path("runs/pets").is_dir());
    says(&place.refused(&["init", "all/pets"]), &["pets.toml is there already", "--out"]);
    // A folder elsewhere: the file says what, the printed line where.
    let elsewhere = place.path("all/pets").display().to_string();
    let said = place.well(&["init", &elsewhere, "--out", "again.toml"]);
    says(&said, &["again.toml: an experiment for 10 samples", "doubt: 2 classes have fewer than 20", "--data-root"]);
    says(&fs::read_to_string(place.path("again.toml")).unwrap(), &["folder = \"pets\"", "name = \"pets\""]);
    says(&place.refused(&["init", "all/pets", "--out", "again.txt"]), &["ends in .toml"]);
    says(&place.refused(&["init", "nowhere"]), &["no folder or file `nowhere`", " table:FOLDER", "text-folder:FOLDER"]);
    // The line that is printed works, also where only the option told where the data are.
    let said = place.well(&["init", "pets", "--data-root", "all", "--out", "third.toml"]);
    let shown = said.lines().find_map(|line| line.strip_prefix("next    homeostat ")).unwrap();
    let words: Vec<&str> = shown.split(' ').chain(["epochs=1", "model=mlp", "--quiet"]).collect();
    assert_eq!(place.well(&words), "");
    let words = ["init", "all/pets", "--out", "fourth.toml", "--train", "epochs=1", "model=mlp"];
    assert!(!place.well(&words).contains("next    homeostat train"), "it is trained already");

    says(
        &place.refused(&["train", "digits", "--data-root", "nowhere"]),
        &["--data-root nowhere: there is no such folder"],
    );

    let all = place.path("all").display().to_string();
    let hint = place.refused(&["train", "digits", &format!("source.image-folder.folder={all}/pets")]);
    says(&hint, &["absolute path", "folder = \"pets\"", &format!("--data-root {all}")]);
}

#[test]
fn no_experiment_is_drafted_that_training_would_refuse() {
    let place = Place::new();
    (0..5).for_each(|at| place.picture(&format!("one/cat/{at}.png"), at));
    ["cat", "dog"].iter().zip(0..).for_each(|(class, at)| place.picture(&format!("each/{class}/0.png"), at));
    place.write("row/all.csv", "text,label\nwin a free prize now,spam\nsee you at lunch,ham\n");
    for (source, why) in [("one", "only one class, `cat`"), ("each", "`cat` has 1"), ("row", "has 1 different")] {
        says(&place.refused(&["init", source]), &["cannot split", why]);
        assert!(!place.path(&format!("{source}.toml")).exists());
    }
}

/// Two classes of pictures in `all/pets/PART`, and the words that train on them.
fn pets(place: &Place, parts: &[&str]) -> [&'static str; 8] {
    for (turn, part) in (0u8..).zip(parts) {
        for class in ["cat", "dog"] {
            let level = |at: u8| 10 * at + class.as_bytes()[0] + 3 * turn;
            (0..5).for_each(|at| place.picture(&format!("all/pets/{part}/{class}/{at}.png"), level(at)));
        }
    }
    [
        "train",
        "digits",
        "source.image-folder.folder=pets",
        "model=mlp",
        "train.metrics=[\"accuracy\"]",
        "epochs=1",
        "--data-root",
        "all",
    ]
}

#[test]
fn a_run_knows_where_its_data_are_and_keeps_their_division() {
    let place = Place::new();
    let words = pets(&place, &["train", "test"]);
    let said = text(&place.run(&words).stderr);
    says(&said, &["8 samples to learn from, 2 to choose by, 10 to test with\ndata all/pets\n", "testing, once"]);
    let [run] = &runs_in(&place.path("runs"))[..] else { panic!("one run") };
    let experiment = fs::read_to_string(run.join("experiment.toml")).unwrap();
    says(&experiment, &["[data.split.given]", "# chosen: the data come divided: training, test"]);
    says(&place.well(&["eval", "runs/latest"]), &["on      10 samples"]);
    fs::remove_file(run.join("result.json")).unwrap();
    place.well(&["resume", "runs/latest", "--quiet"]);
}

#[test]
fn without_a_test_part_nothing_is_said_to_be_tested() {
    let place = Place::new();
    let words = pets(&place, &["train", "val"]);
    let output = place.run(&words);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    says(&err, &["10 samples to learn from, 10 to choose by, no test part\n"]);
    assert!(!err.contains("testing"), "{err}");
    says(&out, &["valid   loss ", "on      10 samples, by which the weights were chosen"]);
    assert!(!out.contains("confidence"), "an interval would be too good: {out}");
    let report = fs::read_to_string(place.path("runs/latest/report.html")).unwrap();
    says(&report, &["10 samples, by which the weights were chosen", "--data SOURCE"]);
    assert!(!report.contains("measured once"));
    says(&place.refused(&["eval", "runs/latest"]), &["no test part", "--data"]);
    says(&place.well(&["runs", "list"]), &["  validation  "]);
}

#[test]
fn epochs_are_counted_to_where_the_steps_end() {
    let place = Place::new();
    let output = place.run(&["train", "digits", "model=mlp", "epochs=9", "train.max-steps=30"]);
    let said = text(&output.stderr);
    says(&said, &["34186 parameters, 30 steps\n", "\n  1/2 ", "\n  2/2 "]);
    assert!(!said.contains("/9"), "{said}");
}

#[test]
fn both_sets_of_kernels_train_alike() {
    let network =
        ["model.cnn.widths=[4,8]", "model.cnn.hidden=[]", "model.cnn.dropout=0", "epochs=1", "train.max-steps=5"];
    let trained = |kernels: &str| {
        let place = Place::new();
        place.run(&[&["train", "digits"], &network[..], &["--quiet", "--kernels", kernels]].concat());
        let run = runs_in(&place.path("runs")).remove(0);
        let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
        (result["valid"]["loss"].as_f64().unwrap(), fs::read(run.join("artifact/model.safetensors")).unwrap())
    };
    let ((own, own_weights), (burn, burn_weights)) = (trained("own"), trained("burn"));
    assert!((own - burn).abs() < 1e-4, "own {own}, burn {burn}");
    assert!(own_weights != burn_weights, "the option chose the same kernels twice");
}

#[test]
fn public_data_are_listed_and_named_where_they_are_missing() {
    let place = Place::new();
    let listed = place.json(&["data", "fetch", "--json"]);
    let names: Vec<&str> = listed.iter().map(|data| data["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mnist", "fashion-mnist", "cifar10", "cifar100", "ag-news", "banking77"]);
    says(&place.refused(&["data", "fetch", "minst"]), &["unknown data set `minst`", "mnist, fashion-mnist"]);
    says(&place.refused(&["train", "mnist"]), &["cannot find the folder `mnist`", "homeostat data fetch mnist"]);
    fs::create_dir_all(place.path("cache/data/mnist")).unwrap();
    says(&place.well(&["data", "fetch", "mnist"]), &["mnist is there already", "cache/data/mnist"]);
}

#[test]
fn training_from_a_pack_is_training_from_its_source() {
    let place = Place::new();
    for class in ["cat", "dog"] {
        (0..20).for_each(|at| place.picture(&format!("pets/{class}/{at}.png"), 5 * at + class.as_bytes()[0]));
    }
    let said = place.well(&["data", "pack", "image-folder:pets", "pets.pack"]);
    says(&said, &["pets.pack: 40 samples", "source.packed.file=pets.pack"]);
    let trained = |source: &str, out: &str| {
        let prepare = "prepare=[\"normalize-from-train\"]";
        let words =
            ["train", "digits", source, "model=mlp", "epochs=1", prepare, "train.metrics=[]", "--quiet", "--out", out];
        place.well(&words);
        let [run] = &runs_in(&place.path(out))[..] else { panic!("one run") };
        fs::read(run.join("artifact/model.safetensors")).unwrap()
    };
    let source = trained("source.image-folder.folder=pets", "plain");
    assert!(source == trained("source.packed.file=pets.pack", "packed"), "other weights");
    place.well(&["data", "pack", "image-folder:pets", "small.pack", "--size", "4", "--json"]);
    says(&place.well(&["data", "describe", "packed:small.pack"]), &["pets: 40 samples", "4 x 4 pixels"]);
}
