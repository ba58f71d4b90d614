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
    /// The SHA-256 of its bytes, 64 hexadecimal digits; or, where no more is known, its first ones, at least 8: then as of a file
    /// without one, only an `https:` server is asked. Without it, what such a server sends is taken on trust.
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
        let is_hash = |hash: &String| (8..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if self.sha256.as_ref().is_some_and(|hash| !is_hash(hash)) {
            return refuse("a SHA-256 has 64 hexadecimal digits, and at least the first 8 of them are needed");
        }
        for url in &self.urls {
            if url.starts_with("http:") && !self.is_certain() && !is_loopback(url) {
                return refuse(&format!("{url} can be changed on its way: give its SHA-256, or an https: URL"));
            }
            if !url.starts_with("http:") && !url.starts_with("https:") {
                return refuse(&format!("{url} is neither an https: nor an http: URL"));
            }
        }
        Ok(())
    }

    /// Whether the hash tells the bytes from all others, also from those that somebody made to be taken for them.
    pub(crate) fn is_certain(&self) -> bool {
        self.sha256.as_ref().is_some_and(|hash| hash.len() == 64)
    }

    /// Whether the bytes of this length and hash are those that are wanted; if not, why.
    pub(crate) fn verify(&self, length: u64, hash: &str) -> Result<(), String> {
        match (&self.bytes, &self.sha256) {
            (Some(bytes), _) if *bytes != length => Err(format!("{length} bytes came instead of {bytes}")),
            (_, Some(wanted)) if !hash.to_ascii_lowercase().starts_with(&wanted.to_ascii_lowercase()) => {
                let should = if self.is_certain() { "be" } else { "begin with" };
                Err(format!("its SHA-256 is {hash}, but should {should} {wanted}"))
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
