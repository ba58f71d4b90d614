//! Where the folders that an experiment names are looked for. It does not know what is in them, nor where its own folders came from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::DataError;

/// The folders in which sources are looked for, the first that has them wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataRoot {
    folders: Vec<PathBuf>,
    /// Files that lie elsewhere, by name.
    files: BTreeMap<String, PathBuf>,
}

impl DataRoot {
    /// Looks in these folders, in this order.
    pub fn new(folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { folders: folders.into_iter().map(Into::into).collect(), files: BTreeMap::new() }
    }

    /// The root in which the folder or file of this name is found, in full, so that it can be looked in again from anywhere.
    #[must_use]
    pub fn root_of(&self, folder: &str) -> Option<PathBuf> {
        let root = self.folders.iter().find(|root| root.join(folder).exists())?;
        root.canonicalize().ok()
    }

    /// Looks in this folder, too, after all others.
    #[must_use]
    pub fn or(mut self, folder: Option<PathBuf>) -> Self {
        self.folders.extend(folder);
        self
    }

    /// Finds the file of this name here, whatever the folders have: one that came over the network.
    #[must_use]
    pub fn with_file(mut self, name: &str, path: PathBuf) -> Self {
        self.files.insert(name.to_owned(), path);
        self
    }

    /// The folder of this name below the first root that has one; an absolute path is taken as it is.
    ///
    /// # Errors
    /// [`DataError::Missing`] lists where it looked; [`DataError::Config`] for an empty name.
    pub fn find(&self, folder: &str) -> Result<PathBuf, DataError> {
        self.look("folder", folder, Path::is_dir)
    }

    /// The file of this name below the first root that has one; an absolute path is taken as it is.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_file(&self, file: &str) -> Result<PathBuf, DataError> {
        match self.files.get(file) {
            Some(path) => Ok(path.clone()),
            None => self.look("file", file, Path::is_file),
        }
    }

    fn look(&self, kind: &'static str, folder: &str, is_right: fn(&Path) -> bool) -> Result<PathBuf, DataError> {
        if folder.is_empty() {
            let why = format!("is empty; name the {kind} of the data, relative to the data root");
            return Err(DataError::config(kind, why));
        }
        let looked: Vec<PathBuf> = if Path::new(folder).is_absolute() {
            vec![PathBuf::from(folder)]
        } else {
            self.folders.iter().map(|root| root.join(folder)).collect()
        };
        match looked.iter().find(|path| is_right(path)) {
            Some(path) => Ok(path.clone()),
            None => Err(DataError::Missing { kind, folder: folder.to_owned(), looked }),
        }
    }
}
