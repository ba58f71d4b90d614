//! Ctrl-C and SIGTERM: the first ends the training after its step with a checkpoint, the second at once.

use std::{
    fs,
    io::{Write, pipe},
    os::unix::process::ExitStatusExt,
    process::{Child, Command},
    thread::{sleep, spawn},
    time::Duration,
};

use crate::{
    place::{Place, SMALL, runs_in, says},
    resuming::{LONGER, same_remains},
};

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn the_first_signal_leaves_a_checkpoint_and_the_line_that_resumes() {
    let place = Place::new();
    let straight = place.train("straight", &LONGER);
    for name in ["INT", "TERM"] {
        let out = format!("out-{name}");
        let (mut child, mut lines) = place.start(&[&["train", "--out", &out], &SMALL[..], &LONGER].concat());
        assert!(lines.any(|line| line.contains(" parameters, ")), "the loop begins");
        signal(&child, name);
        let last = lines.last().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{last}");
        let command = last.split_once("to go on: homeostat ").unwrap_or_else(|| panic!("{last}")).1;
        let run = runs_in(&place.path(&out)).pop().unwrap();
        says(&place.well(&["runs", "list", "--out", &out]), &["interrupted"]);
        let shown = place.well(&["runs", "show", &format!("{out}/latest")]);
        says(&shown, &["so far  epochs ", " of 3  steps ", " of 69", &format!("next    homeostat {command}")]);
        assert!(fs::read_dir(run.join("checkpoints")).unwrap().count() > 0);
        let words: Vec<&str> = command.split(' ').chain(["--quiet"]).collect();
        place.well(&words);
        same_remains(&straight, &run);
    }
}

#[test]
fn a_signal_is_told_to_machines() {
    let place = Place::new();
    let (child, _) = place.start(&[&["train"], &SMALL[..], &["epochs=1000", "--json"]].concat());
    while !place.path("runs/latest/events.jsonl").exists() {
        sleep(Duration::from_millis(5));
    }
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let last = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last["event"], "interrupted");
    assert!(place.path(last["run"].as_str().unwrap()).join("checkpoints").is_dir());
}

#[test]
fn the_second_signal_ends_at_once() {
    let place = Place::new();
    // One step is a whole epoch, a sample at a time: it takes seconds.
    let slow = ["batch-size=1", "train.accumulate=2000", "epochs=50"];
    let (mut child, mut lines) = place.start(&[&["train", "digits", "model=mlp"], &slow[..]].concat());
    assert!(lines.any(|line| line.contains(" parameters, ")), "the loop begins");
    signal(&child, "INT");
    sleep(Duration::from_millis(20));
    assert!(child.try_wait().unwrap().is_none(), "the first waits for the step");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(lines.count(), 0, "nothing is said any more");
    assert!(!place.path("runs/latest/checkpoints").exists());
}

#[test]
fn what_does_not_train_ends_at_the_first_signal() {
    // Its standard output is a pipe that is full and never read, so it cannot end by itself.
    let (reader, mut writer) = pipe().unwrap();
    let stdout = writer.try_clone().unwrap();
    let filler = spawn(move || while writer.write(&[0; 4096]).is_ok() {});
    let mut child = Place::with_run().command(&["eval", "runs/latest"]).stdout(stdout).spawn().unwrap();
    sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    signal(&child, "INT");
    let ended = (0..500).find_map(|_| {
        sleep(Duration::from_millis(20));
        child.try_wait().unwrap()
    });
    let _ = child.kill();
    assert_eq!(ended.and_then(|status| status.signal()), Some(2));
    drop(reader);
    filler.join().unwrap();
}

/// Waits until a process has taken this signal into its own hands.
fn wait_until_caught(child: &Child, number: u32) {
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << (number - 1)) != 0
    };
    while !caught() {
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn before_there_is_a_run_the_first_signal_ends_all_and_nothing_is_left() {
    let place = Place::new();
    // So many black pictures that they are still being counted when the signal comes.
    let (count, side) = (20_000_u32, 64_u32);
    for part in ["train", "t10k"] {
        let head: Vec<u8> = [0x803, count, side, side].iter().flat_map(|number| number.to_be_bytes()).collect();
        let images = place.write(&format!("black/{part}-images-idx3-ubyte"), head);
        let file = fs::File::options().write(true).open(images).unwrap();
        file.set_len(16 + u64::from(count * side * side)).unwrap();
        let mut labels = [0x801_u32, count].map(u32::to_be_bytes).concat();
        labels.extend((0..count).map(|at| u8::from(at % 2 == 0)));
        place.write(&format!("black/{part}-labels-idx1-ubyte"), labels);
    }
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let (mut child, lines) = place.start(&["train", "digits", "source.idx.folder=black"]);
        wait_until_caught(&child, number);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        assert_eq!(lines.count(), 0, "{name}");
        assert!(!place.path("runs").exists());
    }
}
