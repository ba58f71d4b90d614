//! Checkpoints: whole or not seen, of this experiment or refused, kept while they are needed.

use std::fs;
use std::path::{Path, PathBuf};

use homeostat_artifact::{ArtifactError, Checkpoint, Checkpoints, Run};
use tempfile::TempDir;

use crate::line;

fn run() -> (TempDir, PathBuf, Checkpoints) {
    let root = tempfile::tempdir().unwrap();
    let run = Run::create(root.path(), "digits", "now", "seed = 1\n").unwrap();
    (root, run.path().to_owned(), run.checkpoints().unwrap())
}

fn save(checkpoints: &Checkpoints, step: u64, best: Option<u64>) -> Checkpoint {
    let fill = |folder: &Path| {
        let write = |name: &str| fs::write(folder.join(name), format!("{name} {step}"));
        let written = ["model.safetensors", "optimizer.safetensors", "state.json"].into_iter().try_for_each(write);
        written.map_err(ArtifactError::write(folder))
    };
    checkpoints.save(step, best, fill).unwrap()
}

fn latest(checkpoints: &Checkpoints) -> Option<u64> {
    checkpoints.latest().unwrap().map(|checkpoint| checkpoint.step())
}

#[test]
fn a_checkpoint_comes_back_as_it_was_saved() {
    let (_root, run, checkpoints) = run();
    assert_eq!((latest(&checkpoints), checkpoints.steps().unwrap()), (None, vec![]));
    assert_eq!(save(&checkpoints, 9, None).step(), 9);
    assert_eq!(save(&checkpoints, 100, Some(9)).path(), run.join("checkpoints/step-00000100"));
    save(&checkpoints, 123_456_789, Some(100)); // longer than the padding: still the newest
    assert_eq!((latest(&checkpoints), checkpoints.steps().unwrap()), (Some(123_456_789), vec![9, 100, 123_456_789]));
    assert_eq!(checkpoints.best().unwrap().unwrap().step(), 100);
    let opened = checkpoints.open(9).unwrap();
    assert_eq!(fs::read_to_string(opened.file("state.json").unwrap()).unwrap(), "state.json 9");
    assert!(matches!(opened.file("notes"), Err(ArtifactError::Missing { .. })));
    assert!(matches!(checkpoints.open(10), Err(ArtifactError::Missing { .. })));
}

#[test]
fn a_failed_save_leaves_nothing_and_harms_nothing() {
    let (_root, run, checkpoints) = run();
    save(&checkpoints, 1, None);
    for step in [1, 2] {
        let error = checkpoints
            .save(step, None, |folder| {
                fs::write(folder.join("model.safetensors"), "half").unwrap();
                fs::write("/dev/full", "the other half").map_err(ArtifactError::write(folder))
            })
            .unwrap_err();
        assert!(line(&error).contains("the disk is full"), "{error}");
        assert_eq!((latest(&checkpoints), checkpoints.steps().unwrap()), (Some(1), vec![1]));
    }
    assert_eq!(fs::read_dir(run.join("checkpoints")).unwrap().count(), 1);
}

#[test]
fn half_written_folders_are_never_taken_for_checkpoints() {
    let (_root, run, checkpoints) = run();
    save(&checkpoints, 1, None);
    let whole = run.join("checkpoints/step-00000001");
    for name in [".tmp-abc", ".old-step-00000002", "step-00000003", "step-4", "step-+0000005", "step-x"] {
        fs::create_dir(run.join("checkpoints").join(name)).unwrap();
        fs::copy(whole.join("state.json"), run.join("checkpoints").join(name).join("state.json")).unwrap();
    }
    assert_eq!(checkpoints.steps().unwrap(), [1, 3], "a folder that somebody else made is seen, but");
    assert_eq!(latest(&checkpoints), Some(1));
    // A copy under another name is not the checkpoint of that step.
    fs::copy(whole.join("checkpoint.json"), run.join("checkpoints/step-00000003/checkpoint.json")).unwrap();
    assert!(matches!(checkpoints.open(3), Err(ArtifactError::Changed { .. })));
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before_it_but_not_to_none() {
    let (_root, run, checkpoints) = run();
    save(&checkpoints, 1, None);
    save(&checkpoints, 2, None);
    fs::write(run.join("checkpoints/step-00000002/optimizer.safetensors"), "optimizer.safetensors 3").unwrap();
    let error = checkpoints.open(2).unwrap_err();
    assert!(matches!(&error, ArtifactError::Changed { file, .. } if file == "optimizer.safetensors"), "{error:?}");
    assert_eq!(latest(&checkpoints), Some(1));

    fs::remove_file(run.join("checkpoints/step-00000001/state.json")).unwrap();
    let error = checkpoints.latest().unwrap_err();
    assert!(line(&error).contains("step-00000002"), "starting anew in silence would lose the run: {error}");
}

#[test]
fn a_checkpoint_of_another_experiment_is_refused() {
    let (_root, run, checkpoints) = run();
    save(&checkpoints, 1, None);
    fs::write(run.join("experiment.toml"), "seed = 2\n").unwrap();
    let other = Run::open(&run).unwrap().checkpoints().unwrap();
    for error in [other.latest().unwrap_err(), other.open(1).unwrap_err()] {
        assert!(matches!(error, ArtifactError::OtherExperiment { .. }), "{error:?}");
        assert!(line(&error).contains("a checkpoint of another experiment"), "{error}");
    }
}

#[test]
fn pruning_keeps_the_last_and_the_best_of_each() {
    let (_root, run, checkpoints) = run();
    for (step, best) in [(10, None), (20, Some(20)), (30, Some(20)), (40, Some(40)), (50, Some(40)), (60, Some(40))] {
        save(&checkpoints, step, best);
    }
    checkpoints.prune(4, &[]).unwrap();
    assert_eq!(checkpoints.steps().unwrap(), [20, 30, 40, 50, 60], "20 is the best that 30 knows");
    fs::write(run.join("checkpoints/step-00000060/checkpoint.json"), "{").unwrap();
    checkpoints.prune(0, &[]).unwrap();
    assert_eq!(checkpoints.steps().unwrap(), [40, 50], "the damaged one is not the last");
    assert_eq!(checkpoints.best().unwrap().unwrap().step(), 40);
}

#[test]
fn saving_after_a_rewind_undoes_the_later_checkpoints_but_not_the_best() {
    let (_root, _run, checkpoints) = run();
    for step in [10, 20, 30, 40] {
        save(&checkpoints, step, None);
    }
    save(&checkpoints, 20, Some(40));
    assert_eq!(checkpoints.steps().unwrap(), [10, 20, 40]);
}
