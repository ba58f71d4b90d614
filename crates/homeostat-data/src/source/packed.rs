//! Reading a file that may be packed with gzip, up to a length that is known before memory is taken. It does not know formats.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::DataError;

/// No deflate stream grows by more than this factor (RFC 1951: 258 bytes out of two bits at best).
const DEFLATE_LIMIT: u64 = 1032;

/// A file that is open for reading.
pub(super) struct PackedFile<'a> {
    path: PathBuf,
    reader: Box<dyn Read + 'a>,
    /// The most bytes that can come out of it; for a plain file, exactly as many will.
    most: u64,
    taken: u64,
}

impl<'a> PackedFile<'a> {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let fault = |error| DataError::read(path, error);
        let file = File::open(path).map_err(fault)?;
        let length = file.metadata().map_err(fault)?.len();
        let packed = is_gzip(path);
        let reader = BufReader::with_capacity(1 << 16, file);
        let reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        let most = if packed { length.saturating_mul(DEFLATE_LIMIT) } else { length };
        Ok(Self { path: path.to_owned(), reader, most, taken: 0 })
    }

    /// What is at `path`, of which at most so many bytes can be read.
    pub(super) fn of(path: &Path, reader: Box<dyn Read + 'a>, most: u64) -> Self {
        Self { path: path.to_owned(), reader, most, taken: 0 }
    }

    /// Exactly `length` bytes, which `what` describes; a claim that the file cannot keep is refused before memory is taken.
    pub(super) fn take(&mut self, length: u64, what: &str) -> Result<Vec<u8>, DataError> {
        let short = |have: u64| {
            let why =
                format!("{what} should take {length} bytes from byte {} on, but at most {have} are there", self.taken);
            DataError::format(&self.path, why)
        };
        let most = self.most.saturating_sub(self.taken);
        if length > most {
            return Err(short(most));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes);
        let have = bytes.len() as u64;
        match read {
            Ok(_) if have == length => {
                self.taken += length;
                Ok(bytes)
            }
            Ok(_) => Err(short(have)),
            Err(error) => Err(fault(&self.path, error)),
        }
    }

    /// All bytes that are left, which may be `limit` at most.
    pub(super) fn rest(&mut self, limit: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(limit + 1).read_to_end(&mut bytes).map_err(|error| fault(&self.path, error))?;
        if bytes.len() as u64 > limit {
            return Err(DataError::format(&self.path, format!("holds more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Nothing is left, after what `what` describes.
    pub(super) fn end(&mut self, what: &str) -> Result<(), DataError> {
        match (&mut self.reader).take(1).read_to_end(&mut Vec::new()) {
            Ok(0) => Ok(()),
            Ok(_) => Err(DataError::format(&self.path, format!("more bytes follow after {what}"))),
            Err(error) => Err(fault(&self.path, error)),
        }
    }
}

/// What an error on the way from the file to unpacked bytes says about the file.
pub(crate) fn fault(path: &Path, error: io::Error) -> DataError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if is_gzip(path) && matches!(error.kind(), InvalidInput | InvalidData | UnexpectedEof) {
        return DataError::format(path, format!("the gzip stream is broken or cut short: {error}"));
    }
    DataError::read(path, error)
}

/// Whether the name says so.
pub(crate) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "gz" || ending == "tgz")
}
