//! What can go wrong with a run directory, a checkpoint or an artifact. The cause of an I/O error is in `source()`, not in the text.

use std::io;
use std::path::{Path, PathBuf};

/// One line each: what, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file or folder could not be written; what stood there before is intact.
    #[error("cannot write {}{}", .path.display(), how_to_mend(.source))]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file or folder could not be read.
    #[error("cannot read {path}")]
    Read {
        /// What was being read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what its name says: not JSON, cut short, a field missing.
    #[error("{path} cannot be understood: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        reason: String,
    },
    /// A run's name or time that cannot be a folder's name.
    #[error("{name:?} cannot name a run: use letters, digits, `-`, `_` and `.`, not `.` first, and not `latest`")]
    Name {
        /// The name as given.
        name: String,
    },
    /// The path leads to no run.
    #[error("{path} is not a run: {missing} is missing (`homeostat runs list` shows the runs)")]
    NotARun {
        /// The path as given.
        path: PathBuf,
        /// The file or folder that is not there.
        missing: String,
    },
    /// Another process writes to this run.
    #[error("{path} is in use by another process: wait until it has ended, or end it")]
    Locked {
        /// The run.
        path: PathBuf,
    },
    /// A checkpoint that was made under another experiment.
    #[error(
        "{path} is a checkpoint of another experiment ({found:.12}, this one is {expected:.12}): resume in its own run"
    )]
    OtherExperiment {
        /// The checkpoint.
        path: PathBuf,
        /// SHA-256 of this run's experiment.
        expected: String,
        /// SHA-256 of the experiment that the checkpoint was made under.
        found: String,
    },
    /// The path leads nowhere.
    #[error("there is no run or artifact `{path}` (`homeostat runs list` shows the runs)")]
    NotThere {
        /// The path as given.
        path: PathBuf,
    },
    /// The path leads to no artifact.
    #[error("{path} is not an artifact: {reason}")]
    NotAnArtifact {
        /// The path as given.
        path: PathBuf,
        /// What it is, or what it lacks, and what leads to an artifact.
        reason: String,
    },
    /// The layout is one that this version does not know.
    #[error("{path} has format {found}, this version of homeostat reads format {known}: use the version that wrote it")]
    Format {
        /// The manifest.
        path: PathBuf,
        /// The number in the file.
        found: u64,
        /// The number that is understood here.
        known: u64,
    },
    /// A listed path leads, or could lead, out of its folder. It has not been followed.
    #[error("{path} lists {file:?}, which leads out of its folder: do not trust it")]
    Escapes {
        /// The folder.
        path: PathBuf,
        /// The path as listed.
        file: String,
    },
    /// A file that should be there is not.
    #[error("{path} lacks {file}: restore it from a copy")]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The file, relative to it.
        file: String,
    },
    /// A file is not as it was written.
    #[error("{}: expected {expected}, found {found}; restore it from a copy", .path.join(.file).display())]
    Changed {
        /// The folder.
        path: PathBuf,
        /// The file, relative to it.
        file: String,
        /// As written: a size, or `sha256` and 64 hex digits.
        expected: String,
        /// As it is now.
        found: String,
    },
    /// A file is larger than anything of its kind should be; nothing of it has been read.
    #[error("{path} has {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The most that is read into memory, in bytes.
        limit: u64,
    },
}

impl ArtifactError {
    /// For `map_err`: an I/O error of writing to `path`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// For `map_err`: an I/O error of reading from `path`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}

fn how_to_mend(source: &io::Error) -> &'static str {
    use io::ErrorKind::{
        AlreadyExists, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match source.kind() {
        StorageFull | QuotaExceeded => " (the disk is full: free some space and repeat; what was there is intact)",
        PermissionDenied | ReadOnlyFilesystem => " (not writable: choose another place)",
        AlreadyExists | NotADirectory => " (a part of this path is a file: choose another place)",
        _ => "",
    }
}
