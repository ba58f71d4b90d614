//! Devices that are not there, folders that cannot be written, disks that are full.

use std::{fs, path::Path, process::Command};

use crate::{
    place::{Place, SMALL, refusal, runs_in, says},
    resuming::{LONGER, same_remains},
};

#[test]
fn a_device_that_is_not_there_is_named_before_anything_is_made() {
    let place = Place::new();
    for (device, wanted) in [
        ("gpu", "unknown device `gpu`: give cpu, cuda"),
        ("cuda:99", "device `cuda:99` is not"),
        ("cuda:x", "unknown device `cuda:x`"),
        ("", "unknown device ``"),
    ] {
        says(&place.refused(&[&["train", "--device", device], &SMALL[..]].concat()), &[wanted]);
        assert!(!place.path("runs").exists());
        let place = Place::with_run();
        for words in [&["eval", "runs/latest"][..], &["verify", "runs/latest"], &["predict", "runs/latest", "pictures"]]
        {
            says(&place.refused(&[words, &["--device", device]].concat()), &[wanted]);
        }
    }
    for line in place.json(&["devices", "--json"]).iter().filter(|line| line["ready"] == false) {
        let device = line["device"].as_str().unwrap();
        let said = place.refused(&[&["train", "--device", device], &SMALL[..]].concat());
        assert_eq!(said, format!("error: {}", line["why"].as_str().unwrap()));
    }
}

#[test]
fn a_file_where_a_folder_should_be() {
    let place = Place::new();
    place.write("file", "kept");
    place.write("out/digits", "kept");
    for (out, where_) in [("file", "file/digits"), ("file/below", "file/below/digits"), ("out", "out/digits")] {
        let line = place.refused(&[&["train", "--quiet", "--out", out], &SMALL[..]].concat());
        says(&line, &["cannot write", where_, "choose another place"]);
    }
    assert_eq!(fs::read_to_string(place.path("file")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(place.path("out/digits")).unwrap(), "kept");
}

/// A file system of its own, where that is allowed.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        mount(path, options).then_some(Self(path))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn mount(path: &Path, options: &str) -> bool {
    let output = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_and_survived() {
    let place = Place::new();
    let out = place.path("disk");
    let Some(_disk) = Disk::mount(&out, "size=1600k") else {
        eprintln!("skipped: no right to mount a small disk");
        return;
    };
    let words = [&["train", "--quiet", "--out", "disk"], &SMALL[..], &LONGER].concat();
    let line = refusal(&place.run(&words));
    says(&line, &["cannot write ", "disk/digits/", "the disk is full"]);
    let run = runs_in(&out).pop().unwrap();
    says(&place.well(&["runs", "list", "--out", "disk"]), &["digits"]);

    // With more room it goes on from the last checkpoint that was whole, as if nothing had happened.
    let checkpoints = fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert!(checkpoints > 0, "the disk had room for one");
    assert!(mount(&out, "remount,size=64m"));
    place.well(&["resume", run.to_str().unwrap(), "--quiet"]);
    same_remains(&place.train("runs", &LONGER), &run);

    assert!(mount(&out, "remount,ro"));
    says(&place.refused(&words), &["cannot write disk/digits", "not writable", "choose another place"]);
    says(&place.well(&["verify", "disk/latest"]), &["16 golden requests"]);
}

#[test]
fn exported_weights_that_find_no_room_leave_nothing() {
    let place = Place::new();
    let out = place.path("disk");
    let Some(_disk) = Disk::mount(&out, "size=16k") else {
        eprintln!("skipped: no right to mount a small disk");
        return;
    };
    let network = "model.cifar-resnet={ depth = 20, width = 4 }";
    place.well(&["train", "--quiet", "--out", "runs", "digits", network, "train.max-steps=1"]);
    let line = place.refused(&["models", "export", "runs/latest", "disk/net.safetensors"]);
    says(&line, &["cannot write disk/net.safetensors: ", "space"]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing half-written");
    assert!(mount(&out, "remount,size=1m"));
    place.well(&["models", "export", "runs/latest", "disk/net.safetensors"]);
    let line = place.refused(&["models", "export", "runs/latest", "disk/net.safetensors"]);
    says(&line, &["there is such a file already"]);
}
