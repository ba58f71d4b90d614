//! Everything that can be wrong with data from outside, each as one line: what, where, how to mend.

use std::any::Any;
use std::path::{Path, PathBuf};

use crate::KnownData;

/// What went wrong while data was looked for, read, divided or loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder or file of a source is in none of the data roots.
    #[error(
        "cannot find the {kind} `{folder}`, looked in {}; name the folder above it with --data-root or HOMEOSTAT_DATA{}",
        places(looked),
        if KnownData::find(folder).is_some() { format!(", or fetch it: homeostat data fetch {folder}") } else { String::new() }
    )]
    Missing {
        /// `folder` or `file`.
        kind: &'static str,
        /// The folder or file as the configuration names it.
        folder: String,
        /// The full paths that were tried.
        looked: Vec<PathBuf>,
    },
    /// The operating system refused to give bytes.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The reason of the operating system.
        source: std::io::Error,
    },
    /// The operating system refused to take bytes.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason of the operating system.
        source: std::io::Error,
    },
    /// A source as a whole is not in the form that it should have.
    #[error("{}: {why}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, at which byte or index, and what was expected.
        why: String,
    },
    /// One sample is broken; the others may be fine (see [`OnCorrupt`](crate::OnCorrupt)).
    #[error("{name}: {why}")]
    Corrupt {
        /// The name of the sample, as [`Source::name`](crate::Source::name) gives it.
        name: String,
        /// What is wrong with its bytes.
        why: String,
    },
    /// A value in the configuration cannot work.
    #[error("`{key}`: {why}")]
    Config {
        /// The dotted key.
        key: String,
        /// What is wrong, and which values are allowed.
        why: String,
    },
    /// The samples cannot be divided as asked.
    #[error("cannot split {name}: {why}")]
    Split {
        /// The source.
        name: String,
        /// What is missing, and how to mend it.
        why: String,
    },
    /// The code that makes a batch panicked: a defect in the program, not in the data.
    #[error("the worker that made batch {batch} panicked: {message}")]
    Panicked {
        /// The index of the batch.
        batch: usize,
        /// What the panic said.
        message: String,
    },
}

impl DataError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, why: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), why: why.into() }
    }

    pub(crate) fn config(key: &str, why: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), why: why.into() }
    }

    /// The same error under the sample's name, where bytes were decoded by somebody who did not know it.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        match self {
            Self::Corrupt { why, .. } => Self::Corrupt { name: name.to_owned(), why },
            other => other,
        }
    }
}

fn places(looked: &[PathBuf]) -> String {
    if looked.is_empty() {
        return "no place, for no data root is set".into();
    }
    looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// A word from outside, such as a label, within a message.
pub(crate) fn short(word: &str) -> String {
    shown(word, 40)
}

/// A name from outside, such as that of a file in an archive, within a message.
pub(crate) fn printable(name: &str) -> String {
    shown(name, 200)
}

/// What another parser said of bytes from outside, within a message.
pub(crate) fn told(why: &str) -> String {
    shown(why, 1000)
}

/// In one line, and not longer than can be read.
fn shown(text: &str, most: usize) -> String {
    let plain: String = text.chars().take(most + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match plain.char_indices().nth(most) {
        None => plain,
        Some((at, _)) => format!("{}...", &plain[..at]),
    }
}
