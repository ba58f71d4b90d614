//! From a URL to a file, whatever the server does.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homeostat_fetch::{FetchError, FetchOptions, Fetcher, Progress, Remote};

use crate::server::{Play, Server};

/// `printf '%s' "$(seq -s ' ' 1 20000)" | sha256sum`
const SHA256: &str = "25092460989e40ad5a7cae06f09911399a1b2138c492069fc44d509effae7324";

fn bytes() -> Vec<u8> {
    (1..=20_000).map(|i| i.to_string()).collect::<Vec<_>>().join(" ").into_bytes()
}

fn fetcher() -> Fetcher {
    let brief = Duration::from_millis(1);
    Fetcher::new(FetchOptions { stall: Duration::from_millis(300), pause: brief, ..FetchOptions::default() })
}

fn remote(servers: &[&Server], known: bool) -> Remote {
    Remote {
        name: "file.bin".into(),
        urls: servers.iter().map(|server| server.url.clone()).collect(),
        sha256: known.then(|| SHA256.to_owned()),
        bytes: None,
    }
}

/// What lies in the folder afterwards, but for the lock.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
    names.sort();
    names
}

/// Fetches with this server's script, and gives the ranges that were asked for.
fn comes(known: bool, plays: Vec<Play>) -> Vec<String> {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), plays));
    let path = fetcher().file(&remote(&[&server], known), folder.path(), &mut |_| {}).unwrap();
    assert!(fs::read(path).unwrap() == bytes(), "other bytes");
    assert_eq!(names(folder.path()), ["file.bin"]);
    server.ranges()
}

/// The reason why it does not come.
fn refused(known: bool, plays: Vec<Play>) -> String {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), plays));
    let error = fetcher().file(&remote(&[&server], known), folder.path(), &mut |_| {}).unwrap_err();
    assert!(!folder.path().join("file.bin").exists());
    let line = error.to_string();
    assert!(line.starts_with("cannot fetch file.bin: http://127.0.0.1:") && !line.contains('\n'), "{line}");
    line.split_once("/file.bin: ").unwrap().1.to_owned()
}

#[test]
fn a_file_comes_whole() {
    for known in [true, false] {
        assert_eq!(comes(known, vec![Play::Serve]), [""]);
        assert_eq!(comes(known, vec![Play::Unsized(bytes())]), [""]);
    }
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_broke() {
    for known in [true, false] {
        let plays = vec![Play::BreakAfter(1000), Play::SilentAfter(500), Play::Serve];
        assert_eq!(comes(known, plays), ["", "bytes=1000-", "bytes=1500-"]);
    }
}

#[test]
fn a_server_that_knows_no_ranges_sends_it_all_again() {
    assert_eq!(comes(true, vec![Play::BreakAfter(1000), Play::IgnoreRange]), ["", "bytes=1000-"]);
}

#[test]
fn a_file_that_has_changed_meanwhile_is_not_patched_together() {
    let old = bytes().iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
    let begun = vec![Play::BreakAfter(1000), Play::Other(old.clone())];
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), begun));
    let path = fetcher().file(&remote(&[&server], false), folder.path(), &mut |_| {}).unwrap();
    assert!(fs::read(path).unwrap() == old, "the new version, as a whole");
}

#[test]
fn a_killed_process_leaves_what_the_next_one_goes_on_with() {
    let (folder, broken) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), vec![Play::BreakAfter(100)]));
    fetcher().file(&remote(&[&broken], true), folder.path(), &mut |_| {}).unwrap_err();
    assert_eq!(names(folder.path()), [".file.bin.origin", ".file.bin.part"]);
    // With a hash, any place may give the rest.
    let other = Server::start(&bytes(), vec![Play::Serve]);
    fetcher().file(&remote(&[&other], true), folder.path(), &mut |_| {}).unwrap();
    assert_eq!((other.ranges(), names(folder.path())), (vec!["bytes=400-".to_owned()], vec!["file.bin".to_owned()]));
}

#[test]
fn pieces_of_different_files_are_found_out_and_fetched_anew() {
    let wrong = bytes().iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
    let (folder, broken) = (tempfile::tempdir().unwrap(), Server::start(&wrong, vec![Play::BreakAfter(1000)]));
    fetcher().file(&remote(&[&broken], true), folder.path(), &mut |_| {}).unwrap_err();
    let right = Server::start(&bytes(), vec![Play::Serve]);
    let path = fetcher().file(&remote(&[&right], true), folder.path(), &mut |_| {}).unwrap();
    assert_eq!((right.ranges(), fs::read(path).unwrap() == bytes()), (vec!["bytes=4000-".into(), String::new()], true));
}

#[test]
fn lies_are_refused() {
    let why = refused(true, vec![Play::Other(b"something else".to_vec())]);
    assert!(why.starts_with("its SHA-256 is ") && why.ends_with(&format!("but should be {SHA256}")), "{why}");
    let why = refused(true, vec![Play::LieLength(1 << 40)]);
    assert_eq!(why, "it is larger than the limit of 68719476736 bytes");
    let why = refused(false, vec![Play::LieLength(200_000)]);
    assert!(why.contains("broken off"), "{why}");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&bytes(), vec![Play::Serve]);
    let wanted = Remote { bytes: Some(17), ..remote(&[&server], true) };
    let line = fetcher().file(&wanted, folder.path(), &mut |_| {}).unwrap_err().to_string();
    assert!(line.ends_with(&format!("the server has {} bytes instead of 17", bytes().len())), "{line}");
    let endless = Server::start(&bytes(), vec![Play::Unsized(vec![0; 2000])]);
    let options = FetchOptions { limit: 1000, ..FetchOptions::default() };
    let line =
        Fetcher::new(options).file(&remote(&[&endless], true), folder.path(), &mut |_| {}).unwrap_err().to_string();
    assert!(line.ends_with("more than 1000 bytes came"), "{line}");
    assert_eq!(names(folder.path()), [""; 0], "nothing of use is left");
}

#[test]
fn a_file_that_never_ends_ends_in_time() {
    let why = refused(true, vec![Play::Endless(1)]);
    assert_eq!(why, "the server sends next to nothing");
    let folder = tempfile::tempdir().unwrap();
    let endless = Server::start(&bytes(), vec![Play::Endless(64 << 10)]);
    let options = FetchOptions { longest: Duration::from_millis(200), ..FetchOptions::default() };
    let line =
        Fetcher::new(options).file(&remote(&[&endless], true), folder.path(), &mut |_| {}).unwrap_err().to_string();
    assert!(line.ends_with("it has not come in 0.2 s; the next try goes on there"), "{line}");
    assert_eq!(names(folder.path()), [".file.bin.origin", ".file.bin.part"], "no file that could be taken for it");
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let busy = |status| Play::Status(status, "Retry-After: 0\r\n".into());
    assert_eq!(comes(true, vec![busy("429 Slow"), busy("500 Oh"), busy("503 No"), Play::Serve]).len(), 4);
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), vec![busy("404 Not Found")]));
    let error = fetcher().file(&remote(&[&server], true), folder.path(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with(": HTTP 404 Not Found"), "{error}");
    assert_eq!(server.ranges().len(), 1);
    let server = Server::start(&bytes(), vec![busy("500 Oh")]);
    fetcher().file(&remote(&[&server], true), folder.path(), &mut |_| {}).unwrap_err();
    assert_eq!(server.ranges().len(), 4, "and not for ever");
}

#[test]
fn mirrors_are_tried_in_order_and_redirects_followed() {
    let gone = Server::start(&bytes(), vec![Play::Status("404 Not Found", String::new())]);
    let last = Server::start(&bytes(), vec![Play::Serve]);
    let moved = Server::start(&[], vec![Play::Status("302 Found", format!("Location: {}\r\n", last.url))]);
    let (folder, mut failed) = (tempfile::tempdir().unwrap(), Vec::new());
    let mut watch = |progress: Progress<'_>| {
        if let Progress::Failed { tried, .. } = progress {
            failed.push(tried.to_string());
        }
    };
    fetcher().file(&remote(&[&gone, &moved], true), folder.path(), &mut watch).unwrap();
    assert_eq!(failed, [format!("{}: HTTP 404 Not Found", gone.url)]);
    let circle = Server::start(&[], vec![Play::Status("302 Found", "Location: /file.bin\r\n".into())]);
    let error = fetcher().file(&remote(&[&gone, &circle], true), &folder.path().join("b"), &mut |_| {}).unwrap_err();
    let FetchError::Unreachable { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 2, "{error}");
}

#[test]
fn a_file_that_is_there_is_not_fetched_again_unless_it_is_broken() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), vec![Play::Serve]));
    let remote = remote(&[&server], true);
    let path = fetcher().file(&remote, folder.path(), &mut |_| {}).unwrap();
    fetcher().file(&remote, folder.path(), &mut |_| {}).unwrap();
    assert_eq!(server.ranges().len(), 1);
    fs::write(&path, b"broken").unwrap();
    fetcher().file(&remote, folder.path(), &mut |_| {}).unwrap();
    assert!(fs::read(path).unwrap() == bytes());
}

#[test]
fn two_at_once_make_one_transfer() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(&bytes(), vec![Play::Serve]));
    let (remote, waited) = (remote(&[&server], true), AtomicUsize::new(0));
    let fetch = || {
        let mut watch = |progress: Progress<'_>| {
            waited.fetch_add(usize::from(progress == Progress::Waiting), Ordering::Relaxed);
        };
        fetcher().file(&remote, folder.path(), &mut watch).unwrap()
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(fetch))));
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_folder_appears_when_it_is_whole() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("set");
    let (good, bad) = (Server::start(&bytes(), vec![Play::Serve]), Server::start(&[], vec![Play::BreakAfter(0)]));
    let named = |name: &str, server| Remote { name: name.into(), ..remote(&[server], true) };
    let both = |second| [named("a.bin", &good), named("below/b.bin", second)];
    let finish = |folder: &Path| fs::rename(folder.join("a.bin"), folder.join("unpacked"));
    fetcher().folder(&both(&bad), &folder, &finish, &mut |_| {}).unwrap_err();
    assert!(!folder.exists());
    fetcher().folder(&both(&good), &folder, &finish, &mut |_| {}).unwrap();
    assert_eq!(
        (names(&folder), names(&folder.join("below"))),
        (vec!["below".into(), "unpacked".into()], vec!["b.bin".to_owned()])
    );
    assert_eq!(good.ranges().len(), 2, "what was there was kept");
    fetcher().folder(&both(&bad), &folder, &finish, &mut |_| {}).unwrap();
}

#[test]
fn wishes_that_cannot_be_right_are_refused() {
    let refused = |remote: Remote| {
        let error = fetcher().file(&remote, Path::new("/nowhere"), &mut |_| {}).unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    };
    let right = Remote { name: "a".into(), urls: vec!["https://example.org/a".into()], sha256: None, bytes: None };
    refused(Remote { name: "../a".into(), ..right.clone() });
    refused(Remote { name: ".a".into(), ..right.clone() });
    refused(Remote { name: "/a".into(), ..right.clone() });
    refused(Remote { urls: vec![], ..right.clone() });
    refused(Remote { urls: vec!["http://example.org/a".into()], ..right.clone() });
    // A few digits of a hash can be met on purpose.
    let insecure = Remote { urls: vec!["http://example.org/a".into()], ..right.clone() };
    refused(Remote { sha256: Some(SHA256[..8].into()), ..insecure });
    refused(Remote { urls: vec!["http://localhost.example.org/a".into()], ..right.clone() });
    refused(Remote { urls: vec!["ftp://example.org/a".into()], ..right.clone() });
    refused(Remote { sha256: Some("abc".into()), ..right });
}
