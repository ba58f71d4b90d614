//! Only in tests: ends the process, or fills the disk, before the n-th change to the disk, for every n there is.
#![allow(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, exit};

use crate::{Artifact, ArtifactError, Parts, Run, RunWriter, Weights, atomic};

const CRASH_BEFORE: &str = "HOMEOSTAT_TEST_CRASH_BEFORE";
const ROOT: &str = "HOMEOSTAT_TEST_ROOT";
const CRASHED: i32 = 99;

#[derive(Clone, Copy)]
enum Fault {
    Crash,
    DiskFull,
}

thread_local! {
    static NEXT: Cell<Option<(u32, Fault)>> = const { Cell::new(None) };
}

pub(crate) fn before_operation() -> io::Result<()> {
    match NEXT.get() {
        Some((0, Fault::Crash)) => exit(CRASHED), // no destructor runs: to the disk this is a SIGKILL
        Some((0, Fault::DiskFull)) => {
            NEXT.set(None);
            Err(io::ErrorKind::StorageFull.into())
        }
        Some((left, fault)) => {
            NEXT.set(Some((left - 1, fault)));
            Ok(())
        }
        None => Ok(()),
    }
}

/// A run with a checkpoint at step 10 and an artifact, both of content `old`.
fn begin(root: &Path) {
    let run = Run::create(root, "digits", "now", "seed = 1").unwrap();
    save(&run, 10, "old").unwrap();
    publish(&run, "old").unwrap();
    atomic::write_file(&run.report_file(), b"old").unwrap();
}

/// Every kind of change: a new checkpoint, one in the place of another, pruning, an artifact and a file in the place of others.
fn go_on(root: &Path) -> Result<(), ArtifactError> {
    let run = Run::open(&root.join("latest"))?.lock()?;
    save(&run, 20, "first")?;
    save(&run, 30, "first")?;
    save(&run, 20, "second")?;
    run.checkpoints()?.prune(1, &[])?;
    publish(&run, "new")?;
    atomic::write_file(&run.report_file(), b"new")
}

fn save(run: &RunWriter, step: u64, content: &str) -> Result<(), ArtifactError> {
    let fill = |folder: &Path| fs::write(folder.join("state.json"), content).map_err(ArtifactError::write(folder));
    run.checkpoints()?.save(step, None, fill).map(drop)
}

fn publish(run: &RunWriter, content: &str) -> Result<(), ArtifactError> {
    let parts = Parts {
        kind: "test".into(),
        created: "now".into(),
        task: content.into(),
        model: Weights::Bytes(content.into()),
        assets: [].into(),
        golden: vec![],
    };
    Artifact::publish(&run.artifact_dir(), &parts).map(drop)
}

/// Opens everything as the next process would. Returns what it found: `20 first, new, old`.
fn check(root: &Path) -> String {
    let run = Run::open(&root.join("latest")).unwrap().lock().unwrap();
    let latest = run.checkpoints().unwrap().latest().unwrap().expect("a checkpoint is there at every moment");
    let state = fs::read_to_string(latest.file("state.json").unwrap()).unwrap();
    let artifact = Artifact::open(run.path()).unwrap().task().unwrap();
    let report = fs::read_to_string(run.report_file()).unwrap();
    for folder in [run.path().to_owned(), run.checkpoints_dir()] {
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.') || name == ".lock", "{name} is left behind");
        }
    }
    format!("{} {state}, {artifact}, {report}", latest.step())
}

/// The states that the scenario passes through, in order; no crash may lead to any other.
fn passes_through() -> BTreeSet<String> {
    [
        "10 old, old, old",
        "20 first, old, old",
        "30 first, old, old",
        "20 second, old, old",
        "20 second, new, old",
        "20 second, new, new",
    ]
    .map(String::from)
    .into()
}

#[test]
fn a_process_that_dies_before_any_operation_leaves_a_whole_run() {
    let mut seen = BTreeSet::new();
    for operation in 0.. {
        let root = tempfile::tempdir().unwrap();
        begin(root.path());
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::the_process_that_dies", "--ignored"])
            .env(CRASH_BEFORE, operation.to_string())
            .env(ROOT, root.path())
            .output()
            .unwrap()
            .status;
        seen.insert(check(root.path()));
        if status.success() {
            assert!(operation > 40, "the faults did not strike: only {operation} operations");
            break;
        }
        assert_eq!(status.code(), Some(CRASHED), "before operation {operation}");
    }
    assert_eq!(seen, passes_through());
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn the_process_that_dies() {
    let (Ok(operation), Ok(root)) = (std::env::var(CRASH_BEFORE), std::env::var(ROOT)) else { return };
    NEXT.set(Some((operation.parse().unwrap(), Fault::Crash)));
    go_on(Path::new(&root)).unwrap();
}

#[test]
fn a_disk_that_is_full_at_any_operation_is_an_error_and_leaves_a_whole_run() {
    let mut seen = BTreeSet::new();
    for operation in 0.. {
        let root = tempfile::tempdir().unwrap();
        begin(root.path());
        NEXT.set(Some((operation, Fault::DiskFull)));
        let result = go_on(root.path());
        let struck = NEXT.take().is_none();
        if !struck {
            break;
        }
        let error = result.expect_err("a change that was not made is an error");
        assert!(error.to_string().contains("the disk is full"), "{error}");
        seen.insert(check(root.path()));
    }
    assert!(seen.is_subset(&passes_through()) && seen.len() >= 5, "{seen:?}");
}

#[test]
fn a_new_file_is_whole_or_not_there_and_what_was_there_stays() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    for operation in 0.. {
        NEXT.set(Some((operation, Fault::DiskFull)));
        let result = atomic::write_new_file(&path, b"whole");
        if NEXT.take().is_some() {
            result.unwrap();
            assert!(operation > 3, "the disk was full at each of them");
            break;
        }
        result.expect_err("a change that was not made is an error");
        let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        match names.as_slice() {
            [] => {}
            // Only the entry in the folder may yet be lost.
            [name] if *name == *"file" => {
                assert_eq!(fs::read(&path).unwrap(), b"whole");
                fs::remove_file(&path).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    let error = atomic::write_new_file(&path, b"another").unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"whole");
}
