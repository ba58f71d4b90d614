//! The folder in which fetched files are kept. It does not know what they are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder in which fetched files are kept: it may be removed at any time, and everything in it be fetched again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder that the environment names: `HOMEOSTAT_CACHE`, else `homeostat` below `XDG_CACHE_HOME`, `~/.cache`, or on Windows
    /// `LOCALAPPDATA`. `variable` is [`std::env::var_os`] but in tests; an empty one counts as absent. Nothing where none of them is set.
    #[must_use]
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The XDG specification has relative paths ignored.
        let xdg = || path("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
        let below = || xdg().or_else(|| path("HOME").map(|home| home.join(".cache"))).or_else(|| path("LOCALAPPDATA"));
        path("HOMEOSTAT_CACHE").or_else(|| below().map(|folder| folder.join("homeostat"))).map(|folder| Self { folder })
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where data sets lie, a folder each.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where files of a hub of models lie, a folder a repository.
    #[must_use]
    pub fn hub(&self) -> PathBuf {
        self.folder.join("hub")
    }

    /// Where weights from elsewhere lie.
    #[must_use]
    pub fn weights(&self) -> PathBuf {
        self.folder.join("weights")
    }
}
