//! What can go wrong on the way from a URL to a file, each as one line: what, where, how to mend.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No place gave the file; what came so far is kept, and the next try goes on there.
    #[error("cannot fetch {name}: {}", tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unreachable {
        /// The file.
        name: String,
        /// Each place with what was wrong there.
        tried: Vec<Tried>,
    },
    /// The request itself cannot be right.
    #[error("cannot fetch {name}: {why}")]
    Refused {
        /// The file.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The cache cannot be written or read.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The reason of the operating system.
        source: io::Error,
    },
}

/// A place, and why it did not give the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The URL.
    pub url: String,
    /// What went wrong there in the end.
    pub why: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.why)
    }
}

impl FetchError {
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Disk { path: path.to_owned(), source }
    }
}
