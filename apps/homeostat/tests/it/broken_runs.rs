//! Runs and artifacts that are not what they were: one line each, and nothing is touched.

use std::{
    fs,
    path::{Path, PathBuf},
};

use homeostat_artifact::{ArtifactError, Run, sha256};

use crate::{
    place::{Place, copy, says, text},
    resuming::same_remains,
};

/// A run of two epochs as it was after the first, and the run at its end.
fn halfway(place: &Place) -> (PathBuf, PathBuf) {
    let whole = place.train("runs", &["epochs=2"]);
    let half = place.path("half");
    copy(&whole, &half);
    for later in ["result.json", "report.html"] {
        fs::remove_file(half.join(later)).unwrap();
    }
    fs::remove_dir_all(half.join("artifact")).unwrap();
    fs::remove_dir_all(half.join("checkpoints/step-00000046")).unwrap();
    (half, whole)
}

/// Puts a NaN in the place of the first number of a safetensors file (its layout: the length of the header as 8 bytes, the header, the numbers).
fn spoil(bytes: &mut [u8]) {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..8 + header + 4].copy_from_slice(&f32::NAN.to_le_bytes());
}

/// Saves the checkpoint once more as the library does, after a change to one of its files.
fn save_changed(run: &Path, step: u64, file: &str, change: impl Fn(&mut Vec<u8>)) {
    let run = Run::open(run).unwrap().lock().unwrap();
    let checkpoints = run.checkpoints().unwrap();
    let old = checkpoints.open(step).unwrap();
    let fill = |folder: &Path| -> Result<(), ArtifactError> {
        for entry in fs::read_dir(old.path()).unwrap() {
            let entry = entry.unwrap();
            let mut bytes = fs::read(entry.path()).unwrap();
            match entry.file_name().to_str().unwrap() {
                "checkpoint.json" => continue,
                name if name == file => change(&mut bytes),
                _ => {}
            }
            fs::write(folder.join(entry.file_name()), bytes).unwrap();
        }
        Ok(())
    };
    checkpoints.save(step, old.best(), fill).unwrap();
}

#[test]
fn a_checkpoint_with_numbers_that_are_none() {
    for file in ["model.safetensors", "average.safetensors", "good-model.safetensors"] {
        let place = Place::new();
        let (half, _) = halfway(&place);
        save_changed(&half, 23, file, |bytes| spoil(bytes));
        let line = place.refused(&["resume", "half", "--quiet"]);
        says(&line, &["half/checkpoints/step-00000023", file, "NaN"]);
        Run::open(&half).unwrap().checkpoints().unwrap().open(23).unwrap(); // as it was
        assert!(!half.join("artifact").exists());
    }
}

#[test]
fn a_changed_checkpoint_is_refused_or_the_one_before_it_taken() {
    let place = Place::new();
    let (half, whole) = halfway(&place);
    let file = half.join("checkpoints/step-00000023/model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    spoil(&mut bytes);
    fs::write(&file, bytes).unwrap();
    let line = place.refused(&["resume", "half", "--quiet"]);
    says(&line, &["step-00000023/model.safetensors: expected sha256", "restore it from a copy"]);

    // With a good one before it, the run goes on from there, and says so.
    let place = Place::new();
    let run = place.train("runs", &["epochs=2"]);
    fs::remove_file(run.join("result.json")).unwrap();
    fs::write(run.join("checkpoints/step-00000046/state.json"), "{").unwrap();
    let output = place.run(&["resume", "runs/latest"]);
    let err = text(&output.stderr);
    assert!(output.status.success(), "{err}");
    says(&err, &["this checkpoint is damaged", "goes on from the checkpoint of step 23"]);
    same_remains(&whole, &run);
}

#[test]
fn a_state_that_cannot_be_read() {
    let place = Place::new();
    let (half, _) = halfway(&place);
    for (content, wanted) in [("{}", "missing field"), ("{", "EOF")] {
        save_changed(&half, 23, "state.json", |bytes| *bytes = content.into());
        says(&place.refused(&["resume", "half", "--quiet"]), &["state.json cannot be used", wanted]);
    }
}

#[test]
fn a_checkpoint_of_another_experiment() {
    let place = Place::new();
    let (half, _) = halfway(&place);
    let other = place.train("runs", &["seed=2", "epochs=2"]);
    fs::remove_dir_all(half.join("checkpoints/step-00000023")).unwrap();
    copy(&other.join("checkpoints/step-00000023"), &half.join("checkpoints/step-00000023"));
    let line = place.refused(&["resume", "half", "--quiet"]);
    says(&line, &["step-00000023 is a checkpoint of another experiment", "its own run"]);
}

#[test]
fn data_that_have_changed() {
    let place = Place::new();
    for class in 0..2 {
        (0..10).for_each(|at| place.picture(&format!("pets/{class}/{at}.png"), 12 * at + class * 5));
    }
    let words = ["train", "digits", "source.image-folder.folder=pets", "model=mlp", "train.metrics=[]", "--quiet"];
    place.well(&words);
    let run = fs::canonicalize(place.path("runs/latest")).unwrap();
    fs::remove_file(run.join("result.json")).unwrap();
    place.picture("pets/1/9.png", 251);
    for verb in ["resume", "eval"] {
        says(&place.refused(&[verb, "runs/latest", "--quiet"]), &["the data have changed", "bring the old data back"]);
    }
    fs::remove_dir_all(place.path("pets")).unwrap();
    says(&place.refused(&["resume", "runs/latest", "--quiet"]), &["cannot find the folder `pets`"]);
}

/// An artifact to be broken.
fn artifact(place: &Place) -> PathBuf {
    let path = place.path("artifact");
    let _ = fs::remove_dir_all(&path);
    copy(&Place::with_run().path("runs/latest/artifact"), &path);
    path
}

#[test]
fn an_artifact_with_a_changed_byte() {
    let place = Place::new();
    place.picture("a.png", 1);
    for file in ["model.safetensors", "task.toml", "golden/03.answer.json", "golden/03.request", "artifact.json"] {
        let path = artifact(&place).join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        for words in [&["verify", "artifact"][..], &["predict", "artifact", "a.png"]] {
            says(&place.refused(words), &["artifact/", file]);
        }
    }
    let path = artifact(&place).join("model.safetensors");
    fs::write(&path, &fs::read(&path).unwrap()[..1000]).unwrap();
    says(&place.refused(&["verify", "artifact"]), &["model.safetensors: expected", "found 1000 bytes"]);
    fs::remove_file(&path).unwrap();
    says(&place.refused(&["verify", "artifact"]), &["lacks model.safetensors"]);
}

#[test]
fn an_artifact_that_leads_out_of_itself() {
    let place = Place::new();
    for outside in ["../secret", "/etc/passwd", "golden/../../secret"] {
        let path = artifact(&place);
        place.write("secret", "secret");
        let manifest = fs::read_to_string(path.join("artifact.json")).unwrap();
        // With a seal that is right: it is the path that is refused.
        let body = manifest.split_once(",\n  \"seal\"").unwrap().0.replace("golden/03.request", outside);
        let sealed = format!("{body},\n  \"seal\": \"{}\"\n}}\n", sha256(body.as_bytes()));
        fs::write(path.join("artifact.json"), sealed).unwrap();
        let line = place.refused(&["verify", "artifact"]);
        says(&line, &[outside, "leads out of its folder"]);
    }
}

#[test]
fn an_answer_that_is_not_what_it_was() {
    let place = Place::new();
    let path = artifact(&place);
    let answer = fs::read_to_string(path.join("golden/03.answer.json")).unwrap();
    let mut parsed: serde_json::Value = serde_json::from_str(&answer).unwrap();
    parsed["probabilities"][0] = 0.99.into();
    let manifest = fs::read_to_string(path.join("artifact.json")).unwrap();
    let changed = parsed.to_string();
    let entry = |text: &str| format!("\"sha256\": \"{}\",\n      \"bytes\": {}", sha256(text.as_bytes()), text.len());
    let body = manifest.split_once(",\n  \"seal\"").unwrap().0.replace(&entry(&answer), &entry(&changed));
    fs::write(path.join("golden/03.answer.json"), changed).unwrap();
    let sealed = format!("{body},\n  \"seal\": \"{}\"\n}}\n", sha256(body.as_bytes()));
    fs::write(path.join("artifact.json"), sealed).unwrap();
    says(&place.refused(&["verify", "artifact"]), &["the golden request `03`", "at the end of training"]);
}
