//! The list of a folder's files with a hash each, and with a seal on itself. Does not know what the files are for.
//!
//! A manifest is a JSON file whose last field, `seal`, is the SHA-256 of every byte before `,\n  "seal"`. So a changed byte is found wherever it
//! is. That guards against accidents and half-made copies, not against somebody who writes a new manifest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ArtifactError, atomic, digest};

const FORMAT: u64 = 1;
const LIMIT: u64 = 16 << 20;
const SEAL: &str = ",\n  \"seal\": \"";
const END: &str = "\"\n}\n";

/// `{ "format": 1, ...head, "files": { relative path: { sha256, bytes } }, "seal": .. }`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest<H> {
    format: u64,
    #[serde(flatten)]
    pub(crate) head: H,
    pub(crate) files: BTreeMap<String, Entry>,
}

/// A file as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) sha256: String,
    bytes: u64,
}

impl<H: Serialize + DeserializeOwned> Manifest<H> {
    /// Lists all that is in `folder`, which nobody else sees yet, and writes the list there as `name`.
    pub(crate) fn write(folder: &Path, name: &str, head: H) -> Result<(), ArtifactError> {
        let mut files = BTreeMap::new();
        for file in atomic::files(folder)? {
            let path = folder.join(&file);
            let opened = File::open(&path).map_err(ArtifactError::read(&path))?;
            let (sha256, bytes) = digest::sha256_stream(opened).map_err(ArtifactError::read(&path))?;
            files.insert(file, Entry { sha256, bytes });
        }
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&Self { format: FORMAT, head, files })
            .map_err(|error| ArtifactError::Malformed { path: path.clone(), reason: error.to_string() })?;
        let body = text.trim_end_matches("\n}");
        let sealed = format!("{body}{SEAL}{}{END}", digest::sha256(body.as_bytes()));
        fs::write(&path, sealed).map_err(ArtifactError::write(&path))
    }

    /// Reads the list `name` in `folder`: its size, its format, its seal. The files that it lists have not been looked at.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, ArtifactError> {
        #[derive(Deserialize)]
        struct Numbered {
            format: u64,
        }
        let path = folder.join(name);
        let bytes = match read_at_most(&path, LIMIT) {
            Err(ArtifactError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(ArtifactError::Missing { path: folder.to_owned(), file: name.to_owned() });
            }
            bytes => bytes?,
        };
        let malformed = |error: &dyn std::error::Error| ArtifactError::Malformed {
            path: path.clone(),
            reason: format!("{error}; restore it from a copy"),
        };
        let text = String::from_utf8(bytes).map_err(|error| malformed(&error))?;
        let Numbered { format } = serde_json::from_str(&text).map_err(|error| malformed(&error))?;
        if format != FORMAT {
            return Err(ArtifactError::Format { path, found: format, known: FORMAT });
        }
        check_seal(&text).map_err(|(expected, found)| changed(folder, name, expected, found))?;
        serde_json::from_str(&text).map_err(|error| malformed(&error))
    }

    /// Checks that every listed file is inside `folder`, is there, and is as it was written.
    pub(crate) fn verify(&self, folder: &Path) -> Result<(), ArtifactError> {
        for (file, entry) in &self.files {
            let path = entry.locate(folder, file)?;
            let opened = File::open(&path).map_err(ArtifactError::read(&path))?;
            let (found, _) = digest::sha256_stream(opened.take(entry.bytes)).map_err(ArtifactError::read(&path))?;
            entry.check(folder, file, &found)?;
        }
        Ok(())
    }

    /// The content of a listed file, checked once more.
    pub(crate) fn read_file(&self, folder: &Path, file: &str, limit: u64) -> Result<Vec<u8>, ArtifactError> {
        let entry = self.files.get(file).ok_or_else(|| missing(folder, file))?;
        let bytes = read_at_most(&entry.locate(folder, file)?, limit)?;
        entry.check(folder, file, &digest::sha256(&bytes))?;
        Ok(bytes)
    }
}

impl Entry {
    /// Where the file is, if it is inside `folder`, a plain file, and of the listed size.
    fn locate(&self, folder: &Path, file: &str) -> Result<PathBuf, ArtifactError> {
        let escapes = || ArtifactError::Escapes { path: folder.to_owned(), file: file.to_owned() };
        if !stays_inside(file) {
            return Err(escapes());
        }
        let root = folder.canonicalize().map_err(ArtifactError::read(folder))?;
        let path = match folder.join(file).canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(folder, file)),
            path => path.map_err(ArtifactError::read(&folder.join(file)))?,
        };
        if !path.starts_with(&root) {
            return Err(escapes());
        }
        let metadata = fs::metadata(&path).map_err(ArtifactError::read(&path))?;
        if !metadata.is_file() {
            return Err(changed(folder, file, "a file".into(), "something else".into()));
        }
        if metadata.len() != self.bytes {
            let found = format!("{} bytes", metadata.len());
            return Err(changed(folder, file, format!("{} bytes", self.bytes), found));
        }
        Ok(path)
    }

    fn check(&self, folder: &Path, file: &str, found: &str) -> Result<(), ArtifactError> {
        if found == self.sha256 {
            return Ok(());
        }
        Err(changed(folder, file, format!("sha256 {}", self.sha256), format!("sha256 {found}")))
    }
}

/// True for `a/b.txt`; false for what is absolute, has `..`, or is spelt in another way than the one of every system.
pub(crate) fn stays_inside(file: &str) -> bool {
    let parts: Vec<_> = Path::new(file).components().collect();
    let normal = parts.iter().all(|part| matches!(part, Component::Normal(_)));
    let spelling: Vec<_> = parts.iter().filter_map(|part| part.as_os_str().to_str()).collect();
    normal && !parts.is_empty() && spelling.join("/") == file && !file.contains(|c: char| c == '\\' || c.is_control())
}

/// The content of a file of no more than `limit` bytes; a larger one is refused before memory is taken.
fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, ArtifactError> {
    let metadata = fs::metadata(path).map_err(ArtifactError::read(path))?;
    if !metadata.is_file() {
        return Err(ArtifactError::Malformed { path: path.to_owned(), reason: "it is not a plain file".into() });
    }
    let mut bytes = Vec::new();
    if metadata.len() <= limit {
        let file = File::open(path).map_err(ArtifactError::read(path))?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(ArtifactError::read(path))?;
    }
    let length = metadata.len().max(bytes.len() as u64);
    if length > limit {
        return Err(ArtifactError::TooLarge { path: path.to_owned(), bytes: length, limit });
    }
    Ok(bytes)
}

/// What was expected and what was found, if the seal is broken.
fn check_seal(text: &str) -> Result<(), (String, String)> {
    let sealed = text.rsplit_once(SEAL).and_then(|(body, rest)| Some((body, rest.strip_suffix(END)?)));
    let Some((body, seal)) = sealed else {
        return Err(("a seal as its last field".into(), "none".into()));
    };
    let found = digest::sha256(body.as_bytes());
    if found == seal { Ok(()) } else { Err((format!("sha256 {seal}"), format!("sha256 {found}"))) }
}

fn missing(folder: &Path, file: &str) -> ArtifactError {
    ArtifactError::Missing { path: folder.to_owned(), file: file.to_owned() }
}

fn changed(folder: &Path, file: &str, expected: String, found: String) -> ArtifactError {
    ArtifactError::Changed { path: folder.to_owned(), file: file.to_owned(), expected, found }
}
