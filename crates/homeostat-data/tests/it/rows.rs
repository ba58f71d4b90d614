use homeostat_data::{DataError, DataRoot, ImageFolderConfig, OnCorrupt, Rows, SourceConfig, describe};

use crate::fixture;

/// Two classes, and among them a JPEG that is cut short, an empty PNG, and a picture that is there twice.
fn folder() -> (tempfile::TempDir, homeostat_data::Source) {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = fixture("baseline.jpg");
    for (name, bytes) in [
        ("set/cat/a.png", fixture("decoded.png")),
        ("set/cat/b.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("set/dog/c.png", fixture("decoded.png")),
        ("set/dog/d.png", Vec::new()),
        ("set/dog/e.jpg", fixture("grey.jpg")),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let source = config.open(&DataRoot::new([folder.path()])).unwrap();
    (folder, source)
}

#[test]
fn a_broken_sample_ends_the_run_or_is_skipped_and_listed() {
    let (_folder, source) = folder();
    let error = Rows::read(&source, &[0, 1, 2], OnCorrupt::Error).unwrap_err().to_string();
    assert!(error.starts_with("cat/b.jpg: the JPEG is cut short"), "{error}");
    assert!(error.ends_with("/set, or leave such samples out with data.on-corrupt=skip"), "{error}");
    let rows = Rows::read(&source, &[4, 3, 0, 1], OnCorrupt::Skip).unwrap();
    assert_eq!((rows.indices, rows.samples.len()), (vec![4, 0], 2));
    let skipped: Vec<_> = rows.skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(skipped, ["dog/d.png", "cat/b.jpg"]);
    assert_eq!(rows.skipped[0].reason, "the file is empty (0 bytes)");
}

#[test]
fn a_file_that_is_gone_is_never_skipped() {
    let (folder, source) = folder();
    std::fs::remove_file(folder.path().join("set/cat/a.png")).unwrap();
    let error = Rows::read(&source, &[0], OnCorrupt::Skip).unwrap_err();
    assert!(matches!(&error, DataError::Read { path, .. } if path.ends_with("cat/a.png")), "{error}");
}

#[test]
fn a_description_counts_everything() {
    let (_folder, source) = folder();
    let text = serde_json::to_value(describe(&source).unwrap()).unwrap();
    let class =
        |name, count| serde_json::json!({ "name": name, "train": 0, "valid": 0, "test": 0, "unassigned": count });
    assert_eq!(text["classes"], serde_json::json!([class("cat", 2), class("dog", 3)]));
    assert_eq!(text["shapes"][0], serde_json::json!({ "height": 16, "width": 24, "channels": 3, "count": 2 }));
    assert_eq!(text["shapes"][1]["channels"], 1);
    assert_eq!((&text["samples"], &text["duplicates"]), (&5.into(), &1.into()));
    assert_eq!(text["corrupt"][1]["name"], "dog/d.png");
    let twice = serde_json::json!({ "samples": ["cat/a.png", "dog/c.png"], "classes": ["cat", "dog"] });
    assert_eq!((&text["contradictions"], &text["across"]), (&serde_json::json!([twice]), &0.into()));
}
