//! Files inside a tar file, read without unpacking it to disk. It does not know pictures or classes.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::packed::is_gzip;
use crate::DataError;

/// The most bytes of one file inside, and of all files inside a `.tar.gz`, which is kept in memory.
const MEMBER_LIMIT: u64 = 1 << 28;
const MEMORY_LIMIT: u64 = 1 << 33;

/// The files of a tar file: where each lies, and for a packed one, their bytes.
pub(super) struct Archive {
    path: PathBuf,
    /// The bytes of the tar file when it was opened.
    length: u64,
    members: Vec<Member>,
    memory: Option<Vec<u8>>,
}

/// One file inside.
struct Member {
    start: u64,
    length: u64,
}

impl Archive {
    /// Lists a tar file, sorted by what `name` makes of the paths inside; where it makes nothing, the file is left out.
    pub(super) fn open<N: Ord>(
        path: &Path,
        mut name: impl FnMut(&str) -> Option<N>,
    ) -> Result<(Self, Vec<N>), DataError> {
        let file = File::open(path).map_err(|error| DataError::read(path, error))?;
        let length = file.metadata().map_err(|error| DataError::read(path, error))?.len();
        let (mut found, memory) = if is_gzip(path) {
            let (found, bytes) = unpack(path, file, &mut name)?;
            (found, Some(bytes))
        } else {
            (list(path, file, &mut name)?, None)
        };
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (names, members) = found.into_iter().unzip();
        Ok((Self { path: path.to_owned(), length, members, memory }, names))
    }

    /// Keeps these files alone, whose numbers ascend; they are numbered anew.
    pub(super) fn keep(&mut self, kept: &[usize]) {
        let mut kept = kept.iter().copied().peekable();
        let mut at = 0..;
        self.members.retain(|_| at.next() == kept.peek().copied() && kept.next().is_some());
    }

    /// The bytes of the `i`-th file, in the order of the names.
    pub(super) fn read(&self, i: usize) -> Result<Vec<u8>, DataError> {
        let Member { start, length } = self.members[i];
        if let Some(memory) = &self.memory {
            let start = index(start);
            return Ok(memory[start..start + index(length)].to_vec());
        }
        let read = |file: &mut File| {
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = vec![0; index(length)];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let fault = |error| DataError::read(&self.path, error);
        let mut file = File::open(&self.path).map_err(fault)?;
        if file.metadata().map_err(fault)?.len() != self.length {
            return Err(DataError::format(&self.path, "has changed since it was opened; begin anew"));
        }
        read(&mut file).map_err(fault)
    }
}

/// Each file with its name, in the order of the archive.
type Found<N> = Vec<(N, Member)>;

/// Where the files of a plain tar file lie in it.
fn list<N>(path: &Path, file: File, name: &mut impl FnMut(&str) -> Option<N>) -> Result<Found<N>, DataError> {
    let end = file.metadata().map_err(|error| DataError::read(path, error))?.len();
    let mut tar = tar::Archive::new(file);
    let mut found = Vec::new();
    for entry in tar.entries_with_seek().map_err(|error| broken(path, &error))? {
        let entry = entry.map_err(|error| broken(path, &error))?;
        let Some((name, length)) = accept(path, &entry, name)? else { continue };
        let start = entry.raw_file_position();
        if start.saturating_add(length) > end {
            return Err(DataError::format(path, "is cut short"));
        }
        found.push((name, Member { start, length }));
    }
    Ok(found)
}

/// The files of a packed tar file, one behind the other, and where each lies there.
fn unpack<N>(
    path: &Path,
    file: File,
    name: &mut impl FnMut(&str) -> Option<N>,
) -> Result<(Found<N>, Vec<u8>), DataError> {
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    for entry in tar.entries().map_err(|error| broken(path, &error))? {
        let mut entry = entry.map_err(|error| broken(path, &error))?;
        let Some((name, length)) = accept(path, &entry, name)? else { continue };
        let start = bytes.len() as u64;
        if start + length > MEMORY_LIMIT {
            return Err(DataError::format(path, "holds more than 8 GiB; unpack it into a folder"));
        }
        entry.read_to_end(&mut bytes).map_err(|error| broken(path, &error))?;
        if bytes.len() as u64 != start + length {
            return Err(DataError::format(path, "is cut short"));
        }
        found.push((name, Member { start, length }));
    }
    Ok((found, bytes))
}

/// The name and the length of an entry that is a file and that `name` accepts.
fn accept<R: Read, N>(
    path: &Path,
    entry: &tar::Entry<'_, R>,
    name: &mut impl FnMut(&str) -> Option<N>,
) -> Result<Option<(N, u64)>, DataError> {
    let kind = entry.header().entry_type();
    let is_link = kind.is_symlink() || kind.is_hard_link();
    if !kind.is_file() && !is_link {
        return Ok(None);
    }
    let inside = entry.path().map_err(|error| broken(path, &error))?;
    let Some(inside) = inside.to_str() else {
        return Err(DataError::format(path, format!("the name {} inside is not UTF-8", inside.display())));
    };
    if inside.split(['/', '\\']).any(|step| step == "..") {
        return Err(DataError::format(path, format!("the name {inside} inside leads out of the archive")));
    }
    let Some(name) = name(inside) else { return Ok(None) };
    if is_link {
        let how = "pack the files themselves (tar --dereference --hard-dereference)";
        return Err(DataError::format(path, format!("{inside} inside is a link, which is not followed; {how}")));
    }
    if entry.size() > MEMBER_LIMIT {
        return Err(DataError::format(
            path,
            format!("{inside} inside says that it has {} bytes, more than {MEMBER_LIMIT}", entry.size()),
        ));
    }
    Ok(Some((name, entry.size())))
}

fn broken(path: &Path, error: &std::io::Error) -> DataError {
    DataError::format(path, format!("the archive is broken or cut short: {error}"))
}

/// Positions in memory are below [`MEMORY_LIMIT`], lengths below [`MEMBER_LIMIT`].
#[expect(clippy::cast_possible_truncation, reason = "see above")]
fn index(x: u64) -> usize {
    x as usize
}
