//! A file with one JSON value a line, written by appending. Does not know what the values mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ArtifactError;

/// A file that is not there is an empty one.
#[derive(Debug)]
pub(crate) struct JsonLines {
    path: PathBuf,
    /// Stays open from the first line on: opening takes longer than writing a line.
    end: OnceLock<File>,
}

impl JsonLines {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, end: OnceLock::new() }
    }

    /// Appends one line, in one write, straight to the system: it outlives the process.
    pub(crate) fn append(&self, value: &impl Serialize) -> Result<(), ArtifactError> {
        let mut line = serde_json::to_vec(value).map_err(|error| self.malformed(&error.to_string()))?;
        line.push(b'\n');
        self.end().and_then(|mut file| file.write_all(&line)).map_err(ArtifactError::write(&self.path))
    }

    fn end(&self) -> io::Result<&File> {
        if let Some(file) = self.end.get() {
            return Ok(file);
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        Ok(self.end.get_or_init(|| file))
    }

    /// All whole lines. A process that was killed while it wrote may have left a part of one at the end: that is none.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, ArtifactError> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(ArtifactError::read(&self.path))?,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let values = whole.lines().enumerate().map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| self.malformed(&format!("line {}: {error}", index + 1)))
        });
        values.collect()
    }

    /// The last whole line, without reading those before it: a log can be long.
    pub(crate) fn last<T: DeserializeOwned>(&self) -> Result<Option<T>, ArtifactError> {
        let tail = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.and_then(|mut file| last_line(&mut file)).map_err(ArtifactError::read(&self.path))?,
        };
        let value = tail.map(|line| serde_json::from_slice(&line));
        value.transpose().map_err(|error| self.malformed(&format!("the last line: {error}")))
    }

    /// Its length in bytes, after making sure that they outlive a loss of power.
    pub(crate) fn sync(&self) -> Result<u64, ArtifactError> {
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            file => file
                .and_then(|file| file.sync_all().and_then(|()| file.metadata()))
                .map(|metadata| metadata.len())
                .map_err(ArtifactError::write(&self.path)),
        }
    }

    /// Cuts the file back to its first `keep` bytes, which must be whole lines.
    pub(crate) fn truncate(&self, keep: u64) -> Result<(), ArtifactError> {
        let length = self.sync()?;
        if length < keep {
            return Err(self
                .malformed(&format!("it has {length} bytes, the checkpoint knows of {keep}; restore it from a copy")));
        }
        if length == keep {
            return Ok(());
        }
        let opened = OpenOptions::new().read(true).write(true).open(&self.path);
        let mut file = opened.map_err(ArtifactError::write(&self.path))?;
        if keep > 0 {
            let mut last = [0];
            let read = file.seek(SeekFrom::Start(keep - 1)).and_then(|_| file.read_exact(&mut last));
            read.map_err(ArtifactError::read(&self.path))?;
            if last != *b"\n" {
                return Err(self.malformed(&format!("no line ends at byte {keep}, where the checkpoint was made")));
            }
        }
        file.set_len(keep).and_then(|()| file.sync_all()).map_err(ArtifactError::write(&self.path))
    }

    fn malformed(&self, reason: &str) -> ArtifactError {
        ArtifactError::Malformed { path: self.path.clone(), reason: reason.to_owned() }
    }
}

/// The last line that has an end, sought in a tail of the file that grows until it holds one.
fn last_line(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    let mut reach = 4096;
    loop {
        let start = length.saturating_sub(reach);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        io::Read::by_ref(file).take(length - start).read_to_end(&mut tail)?;
        let line_break = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte == b'\n');
        if let Some(end) = line_break(&tail) {
            tail.truncate(end);
            if let Some(before) = line_break(&tail) {
                return Ok(Some(tail.split_off(before + 1)));
            }
            if start == 0 {
                return Ok(Some(tail));
            }
        } else if start == 0 {
            return Ok(None);
        }
        reach *= 16;
    }
}
