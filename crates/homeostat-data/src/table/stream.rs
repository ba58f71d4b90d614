//! The bytes of a text file, unpacked, row by row within limits. It does not know what a row looks like.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::ROW_LIMIT;
use crate::DataError;
use crate::source::packed;

/// A packed text that grows by more than this is none: prose grows fivefold, logs twentyfold.
const GROWTH_LIMIT: u64 = 300;
/// Below this, anything may grow as it likes.
const HARMLESS: u64 = 1 << 24;

/// A file that is read as a stream, unpacked where its name ends in `.gz`, without a byte order mark.
pub(crate) struct Stream {
    inner: Box<dyn Read>,
    /// What may still be read at all.
    total: u64,
    /// What may still be read of this row.
    row: Budget,
}

/// How many bytes the row that is being read may still take.
#[derive(Clone, Default)]
pub(crate) struct Budget(Rc<Cell<u64>>);

impl Budget {
    pub(crate) fn renew(&self) {
        self.lift(ROW_LIMIT);
    }

    /// Lets as many bytes be read.
    pub(crate) fn lift(&self, bytes: u64) {
        self.0.set(bytes);
    }
}

impl Stream {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let fault = |error| DataError::read(path, error);
        let file = File::open(path).map_err(fault)?;
        let length = file.metadata().map_err(fault)?.len();
        let file = BufReader::with_capacity(1 << 16, file);
        let (mut inner, total): (Box<dyn Read>, u64) = if packed::is_gzip(path) {
            (Box::new(MultiGzDecoder::new(file)), length.saturating_mul(GROWTH_LIMIT).max(HARMLESS))
        } else {
            (Box::new(file), u64::MAX)
        };
        let mut mark = Vec::new();
        (&mut inner).take(3).read_to_end(&mut mark).map_err(|error| packed::fault(path, error))?;
        if mark.starts_with(&[0xFF, 0xFE]) || mark.starts_with(&[0xFE, 0xFF]) {
            return Err(DataError::format(path, "is UTF-16; store it as UTF-8"));
        }
        if mark.starts_with(&[0x1F, 0x8B]) {
            return Err(DataError::format(path, "is packed with gzip; let its name end in .gz"));
        }
        if mark.starts_with(&[0xEF, 0xBB, 0xBF]) {
            mark.clear();
        }
        let row = Budget::default();
        row.renew();
        Ok(Self { inner: Box::new(io::Cursor::new(mark).chain(inner)), total, row })
    }

    /// The means to say that the next row begins.
    pub(crate) fn budget(&self) -> Budget {
        self.row.clone()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        let read = self.inner.read(buffer)? as u64;
        let row = self.row.0.get();
        if read > row {
            return refuse(format!("a row is too long, more than {ROW_LIMIT} bytes"));
        }
        if read > self.total {
            return refuse(format!("unpacks to more than {GROWTH_LIMIT} times its size, as no text does"));
        }
        self.row.0.set(row - read);
        self.total -= read;
        Ok(usize::try_from(read).unwrap_or(buffer.len()))
    }
}

/// What an error of the stream says about the file.
pub(crate) fn fault(path: &Path, error: io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => DataError::format(path, error.to_string()),
        _ => packed::fault(path, error),
    }
}
