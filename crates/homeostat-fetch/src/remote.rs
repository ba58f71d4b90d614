//! A file on the network, and what is known of it. It does not fetch.

use std::path::{Component, Path};

use crate::FetchError;

/// A file on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The name that it gets in its folder; folders before it are allowed (`onnx/model.onnx`).
    pub name: String,
    /// Where it is to be had, the best place first; `https:`, or `http:` where the SHA-256 is known.
    pub urls: Vec<String>,
    /// The SHA-256 of its bytes, 64 hexadecimal digits. Without it, what an `https:` server sends is taken on trust.
    pub sha256: Option<String>,
    /// Its length in bytes.
    pub bytes: Option<u64>,
}

impl Remote {
    pub(crate) fn check(&self) -> Result<(), FetchError> {
        let refuse = |why: &str| Err(FetchError::Refused { name: self.name.clone(), why: why.to_owned() });
        let inside =
            |part: Component<'_>| matches!(part, Component::Normal(name) if !name.to_string_lossy().starts_with('.'));
        if self.name.is_empty() || !Path::new(&self.name).components().all(inside) {
            return refuse("the name has to be that of a file below its folder, without a dot in front");
        }
        if self.urls.is_empty() {
            return refuse("no URL is given");
        }
        if self.sha256.as_ref().is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit())) {
            return refuse("a SHA-256 has 64 hexadecimal digits");
        }
        for url in &self.urls {
            if url.starts_with("http:") && self.sha256.is_none() && !is_loopback(url) {
                return refuse(&format!("{url} can be changed on its way: give its SHA-256, or an https: URL"));
            }
            if !url.starts_with("http:") && !url.starts_with("https:") {
                return refuse(&format!("{url} is neither an https: nor an http: URL"));
            }
        }
        Ok(())
    }

    /// Whether the bytes of this length and hash are those that are wanted; if not, why.
    pub(crate) fn verify(&self, length: u64, hash: &str) -> Result<(), String> {
        match (&self.bytes, &self.sha256) {
            (Some(bytes), _) if *bytes != length => Err(format!("{length} bytes came instead of {bytes}")),
            (_, Some(wanted)) if !wanted.eq_ignore_ascii_case(hash) => {
                Err(format!("its SHA-256 is {hash}, but should be {wanted}"))
            }
            _ => Ok(()),
        }
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.trim_start_matches("http://");
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}
