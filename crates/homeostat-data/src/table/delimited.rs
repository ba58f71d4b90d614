//! Tables with a separator between cells. It does not know what the cells mean.

use std::io::{Chain, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::stream::{self, Budget, Stream};
use super::{Cell, Encoding, Fault, Row, TableFormat, TableKind};
use crate::DataError;

/// The last row, which we append: where a reader does not come across it, a quote before it was never closed.
const LAST: &[u8] = b"\x1eno more rows\x1e";
const APPENDED: &[u8] = b"\n\x1eno more rows\x1e\n";

/// A table with a separator between cells.
pub(super) struct Delimited {
    reader: csv::Reader<Chain<Stream, &'static [u8]>>,
    row: Budget,
    encoding: Encoding,
    /// The names of the columns.
    columns: Vec<String>,
    record: ByteRecord,
}

impl Delimited {
    /// The names of the columns, and the rows below them.
    pub(super) fn open(path: &Path, kind: TableKind, format: &TableFormat) -> Result<(Vec<String>, Self), DataError> {
        let separator = if kind == TableKind::Tsv { '\t' } else { format.separator };
        let separator = u8::try_from(separator).ok().filter(u8::is_ascii).ok_or_else(|| {
            DataError::config("format.separator", format!("`{separator}` is not one ASCII character"))
        })?;
        let stream = Stream::open(path)?;
        let row = stream.budget();
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .quoting(kind == TableKind::Csv)
            // With `\r\n` as one end, the reader would not know of a row's last byte whether it has read it.
            .terminator(Terminator::Any(b'\n'))
            .from_reader(stream.chain(APPENDED));
        let (encoding, columns) = (format.encoding, format.columns.clone());
        let mut table = Self { reader, row, encoding, columns, record: ByteRecord::new() };
        if table.columns.is_empty() {
            if !table.read(path)? {
                return Err(DataError::format(
                    path,
                    "is empty; a table has the names of its columns in the first line",
                ));
            }
            let name = |cell: &[u8]| encoding.decode(cell).map(|name| name.trim().to_owned());
            let names: Result<Vec<String>, String> = (0..table.record.len()).map(|at| name(table.bytes(at))).collect();
            table.columns =
                names.map_err(|why| DataError::format(path, format!("in the names of the columns: {why}")))?;
        }
        Ok((table.columns.clone(), table))
    }

    pub(super) fn next(&mut self, path: &Path, chosen: &[usize]) -> Option<Result<Row, Fault>> {
        match self.read(path) {
            Ok(true) => Some(self.row(chosen)),
            Ok(false) => None,
            Err(error) => Some(Err(Fault::Table(error))),
        }
    }

    /// Whether there is another row, which is the record then.
    fn read(&mut self, path: &Path) -> Result<bool, DataError> {
        loop {
            self.row.renew();
            let more = self.reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
                csv::ErrorKind::Io(error) => stream::fault(path, error),
                kind => DataError::format(path, format!("line {}: {kind:?}", self.line(0))),
            })?;
            let last = self.record.iter().next_back().unwrap_or_default();
            if more && self.record.len() == 1 && last == LAST {
                return Ok(false);
            }
            if !more || last.ends_with(&APPENDED[..APPENDED.len() - 1]) || last.ends_with(APPENDED) {
                let why = "is never closed; a quote inside a cell is written twice, and the cell stands in quotes";
                return Err(DataError::format(path, format!("the quote that opens in line {} {why}", self.line(0))));
            }
            let blank = self.record.len() == 1 && matches!(last, b"" | b"\r");
            if !blank {
                return Ok(true);
            }
        }
    }

    /// The line at which the record begins, where the reader has just read so many line ends behind it; those inside quotes are
    /// still in it.
    fn line(&self, ends: u64) -> u64 {
        let inside = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.reader.position().line().saturating_sub(ends + inside).max(1)
    }

    /// The bytes of a cell; the last of a row may have half a line end.
    fn bytes(&self, at: usize) -> &[u8] {
        let bytes = &self.record[at];
        if at + 1 == self.record.len() { bytes.strip_suffix(b"\r").unwrap_or(bytes) } else { bytes }
    }

    fn row(&self, chosen: &[usize]) -> Result<Row, Fault> {
        let number = self.line(1);
        let (found, expected) = (self.record.len(), self.columns.len());
        if found != expected {
            let cells = if found == 1 { "cell" } else { "cells" };
            return Err(Fault::Row(number, format!("{found} {cells} for {expected} columns")));
        }
        let cell = |&at: &usize| {
            let text = self.encoding.decode(self.bytes(at));
            text.map(Cell::Text).map_err(|why| Fault::Row(number, format!("in `{}`: {why}", self.columns[at])))
        };
        Ok(Row { number, part: None, cells: chosen.iter().map(cell).collect::<Result<_, _>>()? })
    }
}
