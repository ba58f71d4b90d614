//! A file in the making: bytes so far, their hash, and from which version of the file they came. It does not know the network.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::FetchError;

/// Which version of which URL the bytes are from: the server's strong `ETag`, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) url: String,
    pub(crate) etag: Option<String>,
}

/// The file beside the wanted one that grows until it is whole.
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
    origin: Origin,
}

impl Partial {
    /// Goes on with what is there for `target`, if anything.
    pub(crate) fn open(target: &Path) -> Result<Self, FetchError> {
        let path = hidden(target, "part");
        let open = || {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            let (hash, length) = hash_of(&mut file)?;
            Ok((file, hash, length))
        };
        let (file, hash, length) = open().map_err(FetchError::disk(&path))?;
        let origin = fs::read(hidden(target, "origin")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self { path, file, hash, length, origin: origin.unwrap_or_default() })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Forgets all bytes; those that follow are from `origin`.
    pub(crate) fn restart(&mut self, target: &Path, origin: Origin) -> Result<(), FetchError> {
        let path = hidden(target, "origin");
        let text = serde_json::to_vec(&origin).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text)).map_err(FetchError::disk(&path))?;
        let empty = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)).map(drop));
        empty.map_err(FetchError::disk(&self.path))?;
        (self.hash, self.length, self.origin) = (Sha256::new(), 0, origin);
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(FetchError::disk(&self.path))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn sha256(&self) -> String {
        hex(self.hash.clone())
    }

    /// Makes it the wanted file, on the disk before it has the name.
    pub(crate) fn publish(self, target: &Path) -> Result<(), FetchError> {
        let publish = self.file.sync_all().and_then(|()| fs::rename(&self.path, target));
        publish.map_err(FetchError::disk(target))?;
        remove(&hidden(target, "origin"))
    }

    /// Nothing of it is of use.
    pub(crate) fn remove(self, target: &Path) -> Result<(), FetchError> {
        remove(&self.path)?;
        remove(&hidden(target, "origin"))
    }
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FetchError::disk(path)(error)),
        _ => Ok(()),
    }
}

/// `.name.kind` beside `name`: readers of folders leave hidden files alone.
pub(crate) fn hidden(target: &Path, kind: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{kind}"))
}

/// The SHA-256 and the length of a file that is there.
pub(crate) fn sha256_of(path: &Path) -> Result<(String, u64), FetchError> {
    let hash = File::open(path).and_then(|mut file| hash_of(&mut file)).map_err(FetchError::disk(path))?;
    Ok((hex(hash.0), hash.1))
}

pub(crate) fn sha256_of_text(text: &str) -> String {
    hex(Sha256::new().chain_update(text))
}

fn hash_of(file: &mut File) -> io::Result<(Sha256, u64)> {
    let (mut hash, mut length, mut block) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok((hash, length)),
            read => {
                hash.update(&block[..read]);
                length += read as u64;
            }
        }
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
