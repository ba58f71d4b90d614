//! Files and folders that are there whole or not at all. (The crashes are in `src/faults.rs`.)

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use homeostat_artifact::ArtifactError;
use homeostat_artifact::atomic::{clean, remove_dir, write_dir, write_file};

use crate::line;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_and_may_be_read_by_whom_other_files_may() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("deep/down/file");
    write_file(&path, b"one").unwrap();
    write_file(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(names(path.parent().unwrap()), ["file"]);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    fs::write(root.path().join("plain"), "").unwrap();
    fs::create_dir(root.path().join("plain-folder")).unwrap();
    write_dir::<ArtifactError>(&root.path().join("folder"), |_| Ok(())).unwrap();
    assert_eq!(mode(&path), mode(&root.path().join("plain")));
    assert_eq!(mode(&root.path().join("folder")), mode(&root.path().join("plain-folder")));
}

#[test]
fn a_folder_is_replaced_as_a_whole_and_stays_if_filling_the_new_one_fails() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("folder");
    let fill = |name: &'static str| move |dir: &Path| write_file(&dir.join(name), b"x");
    write_dir(&path, fill("a")).unwrap();
    write_dir(&path, fill("b/c")).unwrap();
    assert_eq!((names(&path), names(root.path())), (vec!["b".to_owned()], vec!["folder".to_owned()]));

    let full = |dir: &Path| {
        fs::write(dir.join("a"), "half").unwrap();
        let mut full = fs::File::options().write(true).open("/dev/full").unwrap();
        full.write_all(b"the other half").map_err(ArtifactError::write(&dir.join("a")))
    };
    let error = write_dir(&path, full).unwrap_err();
    assert!(line(&error).contains("the disk is full: free some space"), "{error}");
    assert_eq!((names(&path), names(root.path())), (vec!["b".to_owned()], vec!["folder".to_owned()]));

    remove_dir(&path).unwrap();
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn what_cannot_be_written_is_one_line_that_says_where() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    for path in [root.path().join("file/below"), "/proc/no-such-place/file".into(), "/".into()] {
        for error in [write_file(&path, b"").unwrap_err(), write_dir::<ArtifactError>(&path, |_| Ok(())).unwrap_err()] {
            assert!(matches!(error, ArtifactError::Write { .. }), "{error:?}");
            let place = path.parent().unwrap_or(&path); // here it is the folder that cannot be made
            assert!(line(&error).starts_with(&format!("cannot write {}", place.display())), "{error}");
        }
    }
    let error = write_file(&root.path().join("file/below"), b"").unwrap_err();
    assert!(line(&error).contains("choose another place"), "{error}");
}

#[test]
fn a_folder_takes_the_place_of_no_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("mails.toml");
    fs::write(&path, "mine").unwrap();
    // What a crash left of a folder may be the only copy.
    write_file(&root.path().join(".old-mails.toml/1"), b"backup").unwrap();
    let error = write_dir::<ArtifactError>(&path, |_| Ok(())).unwrap_err();
    assert!(line(&error).contains("is a file: choose another place"), "{error}");
    clean(root.path()).unwrap();
    assert_eq!(names(root.path()), [".old-mails.toml", "mails.toml"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn cleaning_removes_leftovers_puts_back_what_was_being_replaced_and_touches_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let make = |path: &str| write_file(&root.path().join(path), path.as_bytes()).unwrap();
    ["a/1", "b/1", ".old-b/1", ".old-c/1", ".tmp-x9/1", ".tmp-removed-d/1", ".hidden", "file"]
        .into_iter()
        .for_each(make);
    fs::write(root.path().join(".tmp-file"), "half").unwrap();
    std::os::unix::fs::symlink("a", root.path().join(".tmp-link")).unwrap();
    clean(root.path()).unwrap();
    assert_eq!(names(root.path()), [".hidden", "a", "b", "c", "file"]);
    assert_eq!(fs::read_to_string(root.path().join("b/1")).unwrap(), "b/1");
    assert_eq!(fs::read_to_string(root.path().join("c/1")).unwrap(), ".old-c/1");
    assert_eq!(names(&root.path().join("a")), ["1"]);
    clean(&root.path().join("not-there")).unwrap();
}
