//! Where the folders that an experiment names are looked for. It does not know what is in them, nor where its own folders came from.

use std::path::{Path, PathBuf};

use crate::DataError;

/// The folders in which sources are looked for, the first that has them wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataRoot {
    folders: Vec<PathBuf>,
}

impl DataRoot {
    /// Looks in these folders, in this order.
    pub fn new(folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { folders: folders.into_iter().map(Into::into).collect() }
    }

    /// The root in which the folder of this name is found, in full, so that it can be looked in again from anywhere.
    #[must_use]
    pub fn root_of(&self, folder: &str) -> Option<PathBuf> {
        let root = self.folders.iter().find(|root| root.join(folder).is_dir())?;
        root.canonicalize().ok()
    }

    /// Looks in this folder, too, after all others.
    #[must_use]
    pub fn or(mut self, folder: Option<PathBuf>) -> Self {
        self.folders.extend(folder);
        self
    }

    /// The folder of this name below the first root that has one; an absolute path is taken as it is.
    ///
    /// # Errors
    /// [`DataError::Missing`] lists where it looked; [`DataError::Config`] for an empty name.
    pub fn find(&self, folder: &str) -> Result<PathBuf, DataError> {
        if folder.is_empty() {
            return Err(DataError::config(
                "folder",
                "is empty; name the folder of the data, relative to the data root",
            ));
        }
        let looked = self.places(folder);
        match looked.iter().find(|path| path.is_dir()) {
            Some(path) => Ok(path.clone()),
            None => Err(DataError::Missing { folder: folder.to_owned(), looked }),
        }
    }

    /// The file of this name below the first root that has one; an absolute path is taken as it is.
    ///
    /// # Errors
    /// [`DataError::Read`] for the last place where it looked, [`DataError::Config`] without any.
    pub fn find_file(&self, file: &str) -> Result<PathBuf, DataError> {
        let looked = self.places(file);
        let found = looked.iter().find(|path| path.is_file()).or(looked.last());
        let Some(path) = found else { return Err(DataError::config("file", "no data root is set to look in")) };
        match path.is_file() {
            true => Ok(path.clone()),
            false => Err(DataError::read(path, std::io::ErrorKind::NotFound.into())),
        }
    }

    fn places(&self, name: &str) -> Vec<PathBuf> {
        if Path::new(name).is_absolute() {
            return vec![PathBuf::from(name)];
        }
        self.folders.iter().map(|root| root.join(name)).collect()
    }
}
