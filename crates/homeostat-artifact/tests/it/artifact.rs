//! The artifact: what was published is what is opened, and whatever was done to it in between is found.

use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

use homeostat_artifact::{Artifact, ArtifactError, Golden, Parts, Run, Weights, sha256};
use serde_json::json;
use tempfile::TempDir;

use crate::line;

fn parts() -> Parts {
    Parts {
        kind: "image-classification".into(),
        created: "2026-11-23T17:13:05Z".into(),
        task: "classes = [\"0\", \"\u{fffd}\"]\n".into(),
        model: Weights::Bytes((0..=255).collect()),
        assets: [("tokenizer.json".into(), b"{}".to_vec()), ("empty".into(), vec![])].into(),
        golden: vec![
            Golden {
                name: "0001".into(),
                request: vec![0, 255, 10],
                answer: json!({"p": [0.1, 0.30000000000000004], "b": 1, "a": 2}),
            },
            Golden { name: "0002".into(), request: vec![], answer: json!(null) },
        ],
    }
}

fn published() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("artifact");
    Artifact::publish(&path, &parts()).unwrap();
    (root, path)
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Changes the text of `artifact.json`, and seals it again as somebody with ill intent would.
fn forge(artifact: &Path, change: impl Fn(String) -> String) {
    let path = artifact.join("artifact.json");
    let text = change(fs::read_to_string(&path).unwrap());
    let (body, _) = text.rsplit_once(",\n  \"seal\": \"").unwrap();
    fs::write(path, format!("{body},\n  \"seal\": \"{}\"\n}}\n", sha256(body.as_bytes()))).unwrap();
}

#[test]
fn what_was_published_is_what_is_opened() {
    let (_root, path) = published();
    let artifact = Artifact::open(&path).unwrap();
    let parts = parts();
    assert_eq!((artifact.kind(), artifact.created()), ("image-classification", "2026-11-23T17:13:05Z"));
    assert_eq!(artifact.homeostat(), env!("CARGO_PKG_VERSION"));
    assert_eq!(artifact.task().unwrap(), parts.task);
    assert_eq!(fs::read(artifact.model()).unwrap(), (0..=255).collect::<Vec<u8>>());
    assert_eq!(artifact.assets().collect::<Vec<_>>(), ["empty", "tokenizer.json"]);
    assert_eq!(artifact.asset("tokenizer.json").unwrap(), b"{}");
    assert!(matches!(artifact.asset("other"), Err(ArtifactError::Missing { .. })));
    assert_eq!(artifact.golden().unwrap(), parts.golden);
    let keys: Vec<_> = artifact.golden().unwrap()[0].answer.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["p", "b", "a"]);
}

#[test]
fn it_is_found_in_its_run_and_behind_the_link() {
    let root = tempfile::tempdir().unwrap();
    let run = Run::create(root.path(), "digits", "now", "").unwrap();
    let weights = root.path().join("weights");
    fs::write(&weights, "from a file").unwrap();
    Artifact::publish(&run.artifact_dir(), &Parts { model: Weights::File(weights.clone()), ..parts() }).unwrap();
    for path in
        [run.path().to_owned(), run.artifact_dir(), root.path().join("latest"), root.path().join("latest/artifact")]
    {
        let artifact = Artifact::open(&path).unwrap();
        assert_eq!(artifact.path(), run.artifact_dir().canonicalize().unwrap());
        assert_eq!(fs::read_to_string(artifact.model()).unwrap(), "from a file");
    }
    for path in [root.path(), &weights] {
        let error = Artifact::open(path).unwrap_err();
        assert!(matches!(error, ArtifactError::NotAnArtifact { .. }), "{}: {error:?}", line(&error));
    }
    for path in ["not-there", "", "not-there/latest"] {
        let error = Artifact::open(Path::new(path)).unwrap_err();
        assert!(line(&error).contains(&format!("there is no run or artifact `{path}`")), "{error:?}");
    }
}

#[test]
fn what_has_no_artifact_says_what_leads_to_one() {
    let root = tempfile::tempdir().unwrap();
    let run = Run::create(root.path(), "digits", "now", "").unwrap();
    let said = |path: &Path| line(&Artifact::open(path).unwrap_err());
    assert!(said(run.path()).contains("its training has not ended yet"), "{}", said(run.path()));
    let path = run.path().to_owned();
    drop(run);
    let resume = format!("it was interrupted: go on with `homeostat resume {}`", path.display());
    assert!(said(&path).contains(&resume), "{}", said(&path));
    let latest = root.path().join("latest");
    for (folder, newest) in [(root.path(), &latest), (path.parent().unwrap(), &path)] {
        let name = format!("it is a folder of runs: name one, such as {}", newest.display());
        assert!(said(folder).contains(&name), "{}", said(folder));
    }
    let failed = r#"{"state": "failed", "epochs": 1, "steps": 1, "parameters": 1, "seconds": 1.0}"#;
    fs::write(path.join("result.json"), failed).unwrap();
    assert!(said(&path).contains("`homeostat runs show "), "{}", said(&path));
}

#[test]
fn it_is_replaced_whole_and_the_same_parts_have_the_same_digest() {
    let (root, path) = published();
    let first = Artifact::open(&path).unwrap();
    let later = Artifact::publish(&path, &Parts { created: "later".into(), ..parts() }).unwrap();
    assert_eq!((later.created(), later.digest()), ("later", first.digest()));
    let other = Artifact::publish(&path, &Parts { assets: [].into(), ..parts() }).unwrap();
    assert_ne!(other.digest(), first.digest());
    assert!(!path.join("assets").exists());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left beside it");

    let bad = Parts { model: Weights::File(root.path().join("not-there")), ..parts() };
    assert!(matches!(Artifact::publish(&path, &bad), Err(ArtifactError::Read { .. })));
    let twice = [parts().golden, parts().golden].concat();
    assert!(matches!(Artifact::publish(&path, &Parts { golden: twice, ..parts() }), Err(ArtifactError::Write { .. })));
    assert_eq!(Artifact::open(&path).unwrap().digest(), other.digest(), "a failed one leaves the old one");
}

#[test]
fn names_that_lead_out_are_not_written() {
    let root = tempfile::tempdir().unwrap();
    for name in ["../escaped", "/escaped", "a/../../escaped", "..", "", "./a", "a//b", "a\\b", "a\0", "a\n"] {
        let assets = [(name.to_owned(), vec![])].into();
        let error = Artifact::publish(&root.path().join("artifact"), &Parts { assets, ..parts() }).unwrap_err();
        assert!(matches!(error, ArtifactError::Escapes { .. }), "{name}: {error:?}");
        line(&error);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "{name}");
    }
}

/// The property that the design asks for: no byte, wherever it is, can change unseen.
#[test]
fn any_changed_byte_is_detected() {
    let (_root, path) = published();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64; // xorshift64 (Marsaglia 2003)
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        let opened = fs::File::options().write(true).open(&file).unwrap();
        for (position, &byte) in (0..).zip(&whole) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let single_bit = 1 << (random % 8);
            let any = u8::try_from(random >> 32 & 0xff).unwrap().max(1);
            let mask = if random >> 60 & 1 == 0 { single_bit } else { any };
            opened.write_all_at(&[byte ^ mask], position).unwrap();
            match Artifact::open(&path) {
                Ok(_) => panic!("{}: byte {position} ^ {mask} is not seen", file.display()),
                Err(error) => line(&error),
            };
            opened.write_all_at(&[byte], position).unwrap();
        }
    }
    Artifact::open(&path).unwrap();
}

#[test]
fn a_file_cut_short_lengthened_or_gone_is_detected() {
    let (_root, path) = published();
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        for length in (0..whole.len()).rev() {
            fs::File::options().write(true).open(&file).unwrap().set_len(length as u64).unwrap();
            Artifact::open(&path).unwrap_err();
        }
        fs::write(&file, [&whole[..], b" "].concat()).unwrap();
        Artifact::open(&path).unwrap_err();
        fs::remove_file(&file).unwrap();
        Artifact::open(&path).unwrap_err();
        fs::write(&file, whole).unwrap();
    }
    Artifact::open(&path).unwrap();
}

#[test]
fn each_damage_has_its_error() {
    let (_root, path) = published();
    let model = path.join("model.safetensors");
    let whole = fs::read(&model).unwrap();

    let mut changed = whole.clone();
    changed[100] ^= 1;
    fs::write(&model, changed).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(
        matches!(&error, ArtifactError::Changed { file, expected, .. } if file == "model.safetensors" && expected.starts_with("sha256 "))
    );

    fs::write(&model, [&whole[..], b"more"].concat()).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(line(&error).contains("model.safetensors: expected 256 bytes, found 260 bytes"), "{error}");

    fs::remove_file(&model).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(&error, ArtifactError::Missing { file, .. } if file == "model.safetensors"), "{error:?}");

    fs::create_dir(&model).unwrap();
    assert!(matches!(Artifact::open(&path).unwrap_err(), ArtifactError::Changed { .. }));

    let manifest = path.join("artifact.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(error, ArtifactError::Malformed { .. }) && line(&error).contains("artifact.json"), "{error:?}");

    fs::write(&manifest, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(error, ArtifactError::Format { found: 2, known: 1, .. }), "{error:?}");
    line(&error);

    fs::write(&manifest, text.replace("image-", "audio-")).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(&error, ArtifactError::Changed { file, .. } if file == "artifact.json"), "{error:?}");

    fs::File::create(&manifest).unwrap().set_len(1 << 40).unwrap(); // sparse: refused by its size, before memory is taken
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(error, ArtifactError::TooLarge { .. }), "{error:?}");
    line(&error);
}

#[test]
fn a_listed_path_that_leads_out_is_not_followed() {
    let (root, path) = published();
    fs::write(root.path().join("secret"), (0..=255).collect::<Vec<u8>>()).unwrap();
    let secret = root.path().join("secret");
    let manifest = fs::read_to_string(path.join("artifact.json")).unwrap();
    let spellings =
        ["../secret", "assets/../../secret", "./task.toml", "assets//empty", "", ".", secret.to_str().unwrap()];
    for spelling in spellings {
        forge(&path, |text| text.replace("\"assets/empty\"", &format!("\"{spelling}\"")));
        let error = Artifact::open(&path).unwrap_err();
        assert!(matches!(&error, ArtifactError::Escapes { file, .. } if file == spelling), "{spelling}: {error:?}");
        line(&error);
        fs::write(path.join("artifact.json"), &manifest).unwrap();
    }
}

#[test]
fn a_link_may_point_inside_but_not_outside() {
    let (root, path) = published();
    let (model, secret) = (path.join("model.safetensors"), root.path().join("secret"));
    fs::rename(&model, &secret).unwrap();
    symlink(&secret, &model).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(
        matches!(&error, ArtifactError::Escapes { file, .. } if file == "model.safetensors"),
        "the content is right: {error:?}"
    );

    fs::remove_file(&model).unwrap();
    fs::rename(&secret, path.join("elsewhere")).unwrap();
    symlink("elsewhere", &model).unwrap();
    Artifact::open(&path).unwrap();

    fs::rename(path.join("assets"), root.path().join("assets")).unwrap();
    symlink(root.path().join("assets"), path.join("assets")).unwrap();
    assert!(matches!(Artifact::open(&path).unwrap_err(), ArtifactError::Escapes { .. }));
}

#[test]
fn a_forged_size_takes_no_memory_and_a_needed_file_cannot_be_unlisted() {
    let (_root, path) = published();
    let manifest = fs::read_to_string(path.join("artifact.json")).unwrap();
    forge(&path, |text| text.replace("\"bytes\": 256", "\"bytes\": 18446744073709551615"));
    assert!(matches!(Artifact::open(&path).unwrap_err(), ArtifactError::Changed { .. }));
    fs::write(path.join("artifact.json"), &manifest).unwrap();

    forge(&path, |text| text.replace("\"model.safetensors\"", "\"other.safetensors\""));
    fs::copy(path.join("model.safetensors"), path.join("other.safetensors")).unwrap();
    let error = Artifact::open(&path).unwrap_err();
    assert!(matches!(&error, ArtifactError::Missing { file, .. } if file == "model.safetensors"), "{error:?}");
    fs::write(path.join("artifact.json"), &manifest).unwrap();
    Artifact::open(&path).unwrap();
}

#[test]
fn what_is_not_listed_is_not_read() {
    let (_root, path) = published();
    fs::write(path.join("assets/extra"), "x").unwrap();
    fs::write(path.join("golden/0003.request"), "x").unwrap();
    let artifact = Artifact::open(&path).unwrap();
    assert_eq!((artifact.assets().count(), artifact.golden().unwrap().len()), (2, 2));
    assert!(matches!(artifact.asset("extra"), Err(ArtifactError::Missing { .. })));
}

#[test]
fn a_change_after_opening_is_found_on_reading() {
    let (_root, path) = published();
    let artifact = Artifact::open(&path).unwrap();
    fs::write(path.join("assets/tokenizer.json"), "[]").unwrap();
    fs::write(path.join("golden/0001.answer.json"), "{}").unwrap();
    assert!(matches!(artifact.asset("tokenizer.json"), Err(ArtifactError::Changed { .. })));
    assert!(matches!(artifact.golden(), Err(ArtifactError::Changed { .. })));
}
