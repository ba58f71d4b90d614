//! Files of a hub, which here is a server that knows its paths.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use homeostat_fetch::{Cache, FetchError, FetchOptions, Hub, HubFile};

use crate::server::{Play, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// `printf weights | sha256sum`
const SHA256: &str = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

fn word(text: &str) -> HubFile {
    text.parse().unwrap()
}

/// A hub with `owner/name`, whose large file is redirected, as the real one does it, and is this.
fn hub(large: &'static [u8], sha256: &'static str) -> Server {
    Server::choosing(move |path, _| {
        let list = format!(
            "{{\"sha\": \"{COMMIT}\", \"siblings\": [{{\"rfilename\": \"config.json\", \"size\": 2}}, \
             {{\"rfilename\": \"model.safetensors\", \"size\": 7, \"lfs\": {{\"sha256\": \"{sha256}\", \"size\": 7}}}}]}}"
        );
        match path {
            "/api/models/owner/name/revision/main?blobs=true"
            | "/api/models/owner/name/revision/refs%2Fpr%2F1?blobs=true" => (list.into_bytes(), Play::Serve),
            "/owner/name/resolve/0123456789abcdef0123456789abcdef01234567/config.json" => (b"{}".to_vec(), Play::Serve),
            "/owner/name/resolve/0123456789abcdef0123456789abcdef01234567/model.safetensors" => {
                (vec![], Play::Status("302 Found", "Location: /storage/7\r\n".to_owned()))
            }
            "/storage/7" => (large.to_vec(), Play::Serve),
            "/storage/vast" => (vec![], Play::LieLength((16 << 30) + 1)),
            "/api/models/odd/list/revision/main?blobs=true" => (b"<html>".to_vec(), Play::Serve),
            _ => (vec![], Play::Status("404 Not Found", String::new())),
        }
    })
}

/// The hub at this address, with its cache in `folder`.
fn at(endpoint: &str, folder: &Path) -> Hub {
    let cache = Cache::find(|name| (name == "HOMEOSTAT_CACHE").then(|| OsString::from(folder))).unwrap();
    let brief = Duration::from_millis(1);
    let options = FetchOptions { pause: brief, stall: Duration::from_millis(300), ..FetchOptions::default() };
    Hub::find(|name| (name == "HF_ENDPOINT").then(|| OsString::from(endpoint)), &cache, &options)
}

#[test]
fn a_file_comes_by_its_revision_and_stays() {
    let (server, folder) = (hub(b"weights", SHA256), tempfile::tempdir().unwrap());
    let hub = at(server.endpoint(), folder.path());
    let path = hub.file(&word("hf:owner/name"), &["model.safetensors"], &mut |_| {}).unwrap();
    assert_eq!(path, folder.path().join(format!("hub/owner/name/{COMMIT}/model.safetensors")));
    assert_eq!(fs::read(&path).unwrap(), b"weights");
    let named = hub.file(&word("hf:owner/name@refs/pr/1:config.json"), &[], &mut |_| {}).unwrap();
    assert_eq!(fs::read(named).unwrap(), b"{}");
    hub.file(&word("hf:owner/name"), &["model.safetensors"], &mut |_| {}).unwrap();
    let fetched = |end: &str| server.paths().iter().filter(|path| path.ends_with(end)).count();
    assert_eq!((fetched("/storage/7"), fetched("/main?blobs=true")), (1, 2), "{:?}", server.paths());
}

#[test]
fn without_a_network_what_is_there_is_used() {
    let (server, folder) = (hub(b"weights", SHA256), tempfile::tempdir().unwrap());
    let wanted = word("hf:owner/name");
    let path = at(server.endpoint(), folder.path()).file(&wanted, &["model.safetensors"], &mut |_| {}).unwrap();
    let away = at("http://127.0.0.1:1", folder.path());
    assert_eq!(away.file(&wanted, &["model.safetensors"], &mut |_| {}).unwrap(), path);
    let line = away.file(&word("hf:owner/other"), &["a.bin"], &mut |_| {}).unwrap_err().to_string();
    assert!(line.starts_with("cannot fetch owner/other: http://127.0.0.1:1/api/models/owner/other/"), "{line}");
}

#[test]
fn what_the_hub_has_not_or_lies_about_is_refused() {
    let (server, folder) = (hub(b"WEIGHTS", SHA256), tempfile::tempdir().unwrap());
    let hub = at(server.endpoint(), folder.path());
    let refused = |text: &str| {
        let line = hub.file(&word(text), &["pytorch_model.bin", "model.pt"], &mut |_| {}).unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    };
    let line = refused("hf:owner/name");
    assert!(line.contains("it has no pytorch_model.bin nor model.pt; name one of its files after a colon: config.json, model.safetensors"), "{line}");
    let line = refused("hf:owner/name:model.safetensors");
    assert!(line.contains("its SHA-256 is ") && line.ends_with(&format!("but should be {SHA256}")), "{line}");
    assert!(!folder.path().join(format!("hub/owner/name/{COMMIT}/model.safetensors")).exists());
    assert!(refused("hf:owner/none").contains("HTTP 404"));
    assert!(refused("hf:odd/list").contains("did not answer with a list of files"));
}

#[test]
fn words_that_name_no_file_are_refused() {
    let wanted = word("hf:timm/resnet18.a1_in1k@v1:onnx/model.onnx");
    assert_eq!((wanted.repository.as_str(), wanted.revision.as_str()), ("timm/resnet18.a1_in1k", "v1"));
    assert_eq!(wanted.file.as_deref(), Some("onnx/model.onnx"));
    for text in ["timm/resnet18", "hf:resnet18", "hf:a/b/c", "hf:../b", "hf:a/b@", "hf:a/b@../..", "hf:/b", "hf:a b/c"]
    {
        assert!(matches!(text.parse::<HubFile>(), Err(FetchError::Refused { .. })), "{text}");
    }
}

#[test]
fn a_file_from_elsewhere_has_a_place_of_its_own() {
    let (server, folder) = (hub(b"weights", SHA256), tempfile::tempdir().unwrap());
    let hub = at(server.endpoint(), folder.path());
    let url = format!("{}/storage/7", server.endpoint());
    let path = hub.from_address(&url, Some(SHA256), &mut |_| {}).unwrap();
    assert_eq!((fs::read(&path).unwrap().as_slice(), path.file_name().unwrap().to_str()), (&b"weights"[..], Some("7")));
    let line = hub.from_address(&url, Some(&SHA256.replace('a', "b")), &mut |_| {}).unwrap_err().to_string();
    assert!(line.contains("its SHA-256 is "), "{line}");
    // The first digits are better than nothing.
    assert_eq!(hub.from_address(&url, Some(&SHA256[..8]), &mut |_| {}).unwrap(), path);
    let line = hub.from_address(&url, Some("00000000"), &mut |_| {}).unwrap_err().to_string();
    assert!(line.ends_with("but should begin with 00000000"), "{line}");
    assert!(hub.from_address(&format!("{}/", server.endpoint()), None, &mut |_| {}).is_err());
    let vast = format!("{}/storage/vast", server.endpoint());
    let line = hub.from_address(&vast, None, &mut |_| {}).unwrap_err().to_string();
    assert!(line.ends_with("it is larger than the limit of 17179869184 bytes"), "{line}");
}
