//! Where models lie: folders that were named, or a repository laid out `MODEL/VERSION/`. It does not know what is loaded.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use homeostat_protocol::VersionPolicy;

use crate::ServeError;

/// Where models lie, and which of their versions are wanted.
#[derive(Clone, Debug, Default)]
pub struct Source {
    named: BTreeMap<String, Vec<PathBuf>>,
    repository: Option<PathBuf>,
    policy: VersionPolicy,
    traffic: BTreeMap<String, Traffic>,
}

/// Which version gets what share of the requests that name none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// This version gets so many of a hundred requests.
    pub canary: Option<(u64, u8)>,
    /// This version is asked too, and its answers are compared and thrown away.
    pub shadow: Option<u64>,
}

/// A version of a model in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) version: u64,
    pub(crate) path: PathBuf,
}

/// Why a name or a place is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The name is none that a path or a metric could carry.
    #[error(
        "`{0}` is no name of a model: letters, digits, `.`, `_` and `-`, beginning with a letter or a digit, at most 128"
    )]
    Name(String),
    /// There is no such folder.
    #[error("{0}: there is no such folder")]
    Folder(PathBuf),
    /// A canary or a shadow of a model that is not served.
    #[error("there is no model `{0}` for a canary or a shadow")]
    Traffic(String),
    /// A canary or a shadow of a version that was not named.
    #[error(
        "the model `{model}` has no version {version} for a canary or a shadow: name {version} runs, each as {model}=RUN"
    )]
    Version {
        /// The model.
        model: String,
        /// The version that is not there.
        version: u64,
    },
}

impl Source {
    /// Folders of runs or artifacts by name; several of one name are its versions 1, 2 and so on. All are served.
    ///
    /// # Errors
    /// A name that is refused.
    pub fn named(folders: impl IntoIterator<Item = (String, PathBuf)>) -> Result<Self, SourceError> {
        let mut named: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (name, path) in folders {
            check_name(&name)?;
            named.entry(name).or_default().push(path);
        }
        Ok(Self { named, policy: VersionPolicy::All {}, ..Self::default() })
    }

    /// A folder that has a folder for each model, and in it one for each version, named by its number.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn repository(folder: &Path, policy: VersionPolicy) -> Result<Self, SourceError> {
        if !folder.is_dir() {
            return Err(SourceError::Folder(folder.to_owned()));
        }
        Ok(Self { repository: Some(folder.to_owned()), policy, ..Self::default() })
    }

    /// The same source with this sharing of a model's requests.
    ///
    /// # Errors
    /// There is no such model or, where folders were named, no such version. Into a repository it may come later: it is warned of.
    pub fn with_traffic(mut self, model: &str, traffic: Traffic) -> Result<Self, SourceError> {
        if !self.has(model) {
            return Err(SourceError::Traffic(model.to_owned()));
        }
        let found = self.versions(model).unwrap_or_default();
        for version in traffic.canary.map(|(version, _)| version).into_iter().chain(traffic.shadow) {
            if found.iter().any(|folder| folder.version == version) {
                continue;
            }
            if self.repository.is_none() {
                return Err(SourceError::Version { model: model.to_owned(), version });
            }
            tracing::warn!(model, version, "this version is not served now: it gets no requests until it is");
        }
        self.traffic.insert(model.to_owned(), traffic);
        Ok(self)
    }

    pub(crate) fn traffic(&self, model: &str) -> Traffic {
        self.traffic.get(model).copied().unwrap_or_default()
    }

    pub(crate) fn policy(&self) -> VersionPolicy {
        self.policy.clone()
    }

    /// The models that there are, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let Some(repository) = &self.repository else { return self.named.keys().cloned().collect() };
        let mut names: Vec<String> = folders(repository).filter_map(|path| name_of(&path)).collect();
        names.retain(|name| check_name(name).is_ok());
        names.sort();
        names
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match &self.repository {
            None => self.named.contains_key(name),
            Some(repository) => check_name(name).is_ok() && repository.join(name).is_dir(),
        }
    }

    /// The versions of a model that are wanted, in order.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Folder>, ServeError> {
        let Some(repository) = &self.repository else {
            let paths = self.named.get(name).into_iter().flatten();
            return Ok((1..).zip(paths).map(|(version, path)| Folder { version, path: path.clone() }).collect());
        };
        if !self.has(name) {
            return Err(ServeError::unknown(name, None));
        }
        let number = |path: PathBuf| {
            let version = name_of(&path)?.parse().ok().filter(|&version: &u64| version > 0)?;
            Some(Folder { version, path })
        };
        let mut found: Vec<Folder> = folders(&repository.join(name)).filter_map(number).collect();
        found.sort_by_key(|folder| folder.version);
        found.dedup_by_key(|folder| folder.version);
        match &self.policy {
            VersionPolicy::All {} => {}
            VersionPolicy::Latest { num_versions } => {
                let surplus = found.len().saturating_sub(*num_versions as usize);
                found.drain(..surplus);
            }
            VersionPolicy::Specific { versions } => {
                found.retain(|folder| versions.iter().any(|&wanted| u64::try_from(wanted) == Ok(folder.version)));
            }
        }
        if found.is_empty() {
            let reason = "its folder has no folder of a version that is wanted, such as `1`".to_owned();
            return Err(ServeError::Load { model: name.to_owned(), reason });
        }
        Ok(found)
    }
}

/// Whether a name can stand in a path, a metric and a file's name.
fn check_name(name: &str) -> Result<(), SourceError> {
    let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && name.len() <= 128 && name.chars().all(may_stand) {
        Ok(())
    } else {
        Err(SourceError::Name(name.chars().take(128).collect()))
    }
}

/// The folders in a folder, without those that links lead out to.
fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    fs::read_dir(folder).into_iter().flatten().flatten().filter(is_folder).map(|entry| entry.path())
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}
