//! Files and folders that are there whole or not at all, whatever kills the process. Does not know what is in them.
//!
//! Everything is first written under a name that begins with `.tmp-` in the same folder, synced, and renamed. A folder cannot be
//! renamed over another: the old one steps aside as `.old-NAME` for as long as that takes. A process that died in between leaves
//! such names behind; [`clean`] removes them, or puts the old folder back where the new one never arrived.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{NamedTempFile, PersistError};

use crate::ArtifactError;

const TEMPORARY: &str = ".tmp-";
const OLD: &str = ".old-";

/// Writes `bytes` to `path`, so that after a crash at any moment either the old content or the new one is there.
///
/// # Errors
/// [`ArtifactError::Write`]; the old content is intact.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    write(path, bytes, |temporary| temporary.persist(path))
}

/// Writes `bytes` to `path`, where nothing may be yet, so that after a crash at any moment the file is whole or not there.
///
/// # Errors
/// [`ArtifactError::Write`], also if there is something: it is intact.
pub fn write_new_file(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    if path.symlink_metadata().is_ok() {
        return Err(ArtifactError::write(path)(io::ErrorKind::AlreadyExists.into()));
    }
    write(path, bytes, |temporary| temporary.persist_noclobber(path))
}

fn write(
    path: &Path,
    bytes: &[u8],
    persist: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> Result<(), ArtifactError> {
    let (parent, _) = place(path)?;
    create_dir(parent)?;
    let mut temporary = operate(path, || temporary(0o666).tempfile_in(parent))?;
    operate(path, || temporary.write_all(bytes))?;
    operate(path, || temporary.as_file().sync_all())?;
    operate(path, || persist(temporary).map_err(|error| error.error))?;
    sync(parent)
}

/// Lets `fill` write into an empty folder that then becomes `path`, so that after a crash at any moment either the old folder
/// or the new one is there (after [`clean`]).
///
/// # Errors
/// [`ArtifactError::Write`], also if `path` is a file, or what `fill` returns; what was there is intact.
pub fn write_dir<E: From<ArtifactError>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let (parent, name) = place(path)?;
    if path.exists() && !path.is_dir() {
        return Err(ArtifactError::write(path)(io::ErrorKind::NotADirectory.into()).into());
    }
    create_dir(parent)?;
    let old = parent.join(prefixed(OLD, name));
    settle(&old, path)?;
    let temporary = operate(path, || temporary(0o777).tempdir_in(parent))?;
    fill(temporary.path())?;
    sync_tree(temporary.path())?;
    let replaces = path.exists();
    if replaces {
        operate(path, || fs::rename(path, &old))?;
    }
    if let Err(error) = operate(path, || fs::rename(temporary.path(), path)) {
        settle(&old, path)?;
        return Err(error.into());
    }
    let _ = temporary.keep(); // it has been renamed: nothing is left to remove
    sync(parent)?;
    if replaces {
        operate(path, || fs::remove_dir_all(&old))?;
    }
    Ok(())
}

/// Removes the folder `path`, so that after a crash at any moment it is there whole or not at all.
///
/// # Errors
/// [`ArtifactError::Write`].
pub fn remove_dir(path: &Path) -> Result<(), ArtifactError> {
    let (parent, name) = place(path)?;
    let doomed = parent.join(prefixed(&format!("{TEMPORARY}removed-"), name));
    if doomed.exists() {
        operate(path, || fs::remove_dir_all(&doomed))?;
    }
    operate(path, || fs::rename(path, &doomed))?;
    sync(parent)?;
    operate(path, || fs::remove_dir_all(&doomed))
}

/// Removes what a killed process left in `folder`, and puts back a folder that was being replaced. Only for the one process
/// that may write there: it would take the ground from under another's feet. A folder that is not there is clean.
///
/// # Errors
/// [`ArtifactError::Read`] or [`ArtifactError::Write`].
pub fn clean(folder: &Path) -> Result<(), ArtifactError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(ArtifactError::read(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(ArtifactError::read(folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY) {
            remove(&entry.path())?;
        } else if let Some(name) = name.strip_prefix(OLD) {
            settle(&entry.path(), &folder.join(name))?;
        }
    }
    Ok(())
}

/// Makes a folder and those above it, so that they outlive a loss of power.
pub(crate) fn create_dir(folder: &Path) -> Result<(), ArtifactError> {
    let above = folder.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir());
    let new: Vec<_> = above.collect();
    operate(folder, || fs::create_dir_all(folder))?;
    new.into_iter().try_for_each(|made| sync(place(made)?.0))
}

/// Every plain file under `folder`, relative, with `/` between the parts, in order. Links are not followed and not listed.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>, ArtifactError> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(&here).map_err(ArtifactError::read(&here))? {
            let entry = entry.map_err(ArtifactError::read(&here))?;
            let kind = entry.file_type().map_err(ArtifactError::read(&here))?;
            let path = entry.path();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file()
                && let Ok(relative) = path.strip_prefix(folder)
            {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes the entries of `folder`, or the content of a file, outlive a loss of power.
pub(crate) fn sync(path: &Path) -> Result<(), ArtifactError> {
    operate(path, || File::open(path)?.sync_all())
}

fn sync_tree(folder: &Path) -> Result<(), ArtifactError> {
    for entry in fs::read_dir(folder).map_err(ArtifactError::read(folder))? {
        let entry = entry.map_err(ArtifactError::read(folder))?;
        let kind = entry.file_type().map_err(ArtifactError::read(folder))?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            sync(&entry.path())?;
        }
    }
    sync(folder)
}

/// After a crash between the two renames only `old` is there, after a later one both are. Anything but folders was not left by us.
fn settle(old: &Path, path: &Path) -> Result<(), ArtifactError> {
    match (old.is_dir(), path.exists()) {
        (true, false) => operate(path, || fs::rename(old, path)),
        (true, true) if path.is_dir() => operate(path, || fs::remove_dir_all(old)),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), ArtifactError> {
    let kind = fs::symlink_metadata(path).map_err(ArtifactError::read(path))?;
    operate(path, || if kind.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) })
}

/// Temporary things get the permissions that the process gives its other files, not those of secrets.
fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).permissions(Permissions::from_mode(mode));
    builder
}

fn prefixed(prefix: &str, name: &OsStr) -> OsString {
    let mut prefixed = OsString::from(prefix);
    prefixed.push(name);
    prefixed
}

/// The folder that `path` is in, and its name there.
fn place(path: &Path) -> Result<(&Path, &OsStr), ArtifactError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => Ok((Path::new("."), name)),
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(ArtifactError::write(path)(io::ErrorKind::InvalidInput.into())),
    }
}

/// Every change to the disk goes through here, so that a test can end the process, or fill the disk, before each of them.
fn operate<T>(path: &Path, operation: impl FnOnce() -> io::Result<T>) -> Result<T, ArtifactError> {
    #[cfg(test)]
    crate::faults::before_operation().map_err(ArtifactError::write(path))?;
    operation().map_err(ArtifactError::write(path))
}
