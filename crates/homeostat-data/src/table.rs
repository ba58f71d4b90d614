//! Tables in files, row by row: CSV, TSV, JSON and JSON Lines, Parquet. It does not know what the columns are for.

mod cell;
mod delimited;
mod encoding;
mod json;
mod parquet;
pub(crate) mod stream;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cell::Cell;
pub use encoding::Encoding;

use crate::DataError;
use crate::error::short;
use delimited::Delimited;
use json::Json;
pub(crate) use json::json_cell;
use parquet::Parquet;

/// The most bytes of one row; what is longer is no row, but a file of another kind.
const ROW_LIMIT: u64 = 1 << 24;

/// How the files of a table are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableFormat {
    /// What the files are.
    pub kind: TableKind,
    /// The names of the columns in their order, for a table that does not name them itself.
    pub columns: Vec<String>,
    /// How the bytes of a text are characters. Parquet is UTF-8 in any case.
    pub encoding: Encoding,
    /// What stands between two cells of a CSV file, one ASCII character.
    pub separator: char,
}

impl Default for TableFormat {
    fn default() -> Self {
        Self { kind: TableKind::Auto, columns: Vec::new(), encoding: Encoding::Utf8, separator: ',' }
    }
}

/// What a table's file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// What the file's ending says: `.csv`, `.tsv` or `.tab`, `.jsonl` or `.ndjson`, `.json`, perhaps with `.gz` behind it, or
    /// `.parquet`.
    #[default]
    Auto,
    /// Cells between separators; those in quotes may hold separators, line ends, and quotes written twice (RFC 4180).
    Csv,
    /// Cells between tabs, in which quotes mean nothing.
    Tsv,
    /// A JSON object, or list of cells, in each line.
    JsonLines,
    /// A list of JSON objects, or of lists of cells; or an object with such a list under the name of each part.
    Json,
    /// Parquet, plain or packed with Snappy, gzip or Zstandard.
    Parquet,
}

impl TableKind {
    /// What the ending of a file says, if it is one of a table.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let (_, ending) = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')?;
        Some(match ending {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "jsonl" | "ndjson" => Self::JsonLines,
            "json" => Self::Json,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }
}

impl TableFormat {
    fn kind_of(&self, path: &Path) -> Result<TableKind, DataError> {
        match self.kind {
            TableKind::Auto => TableKind::of(path).ok_or_else(|| {
                let why = "the ending is not one of a table: .csv, .tsv, .jsonl, .json or .parquet; a setting of a source may say it with `format.kind`";
                DataError::format(path, why)
            }),
            kind => Ok(kind),
        }
    }
}

/// A table in a file, of which the names of the columns are known.
///
/// ```
/// use homeostat_data::{Cell, Table, TableFormat};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("pets.csv");
/// std::fs::write(&path, "name,kind\nRex,dog\nTom,cat\n")?;
/// let table = Table::open(&path, &TableFormat::default())?;
/// assert_eq!(table.columns(), ["name", "kind"]);
/// let kinds = table.rows(&["kind"])?.map(|row| Ok(row?.cells[0].clone()));
/// assert_eq!(kinds.collect::<Result<Vec<_>, homeostat_data::DataError>>()?, ["dog", "cat"].map(|kind| Cell::Text(kind.into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    reader: Reader,
}

enum Reader {
    Delimited(Box<Delimited>),
    Json(Json),
    Parquet(Box<Parquet>),
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The line at which it begins, or where a file has no lines of its own, its number; both from 1.
    pub number: u64,
    /// The name of the part of the file in which it stands, where a file has several.
    pub part: Option<String>,
    /// The cells of the columns that were asked for, in that order.
    pub cells: Vec<Cell>,
}

impl Table {
    /// Opens a table and reads the names of its columns. Those of an object within a JSON object or of a Parquet structure are
    /// `outer.inner`; a JSON table has the columns of its first row.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read, [`DataError::Format`] for one that is no such table.
    pub fn open(path: &Path, format: &TableFormat) -> Result<Self, DataError> {
        let (columns, reader) = match format.kind_of(path)? {
            TableKind::Auto => unreachable!("found out above"),
            kind @ (TableKind::Csv | TableKind::Tsv) => {
                let (columns, reader) = Delimited::open(path, kind, format)?;
                (columns, Reader::Delimited(Box::new(reader)))
            }
            TableKind::JsonLines => {
                let (columns, reader) = Json::lines(path, format)?;
                (columns, Reader::Json(reader))
            }
            TableKind::Json => {
                let (columns, reader) = Json::whole(path, format)?;
                (columns, Reader::Json(reader))
            }
            TableKind::Parquet => {
                let (columns, reader) = Parquet::open(path)?;
                (columns, Reader::Parquet(Box::new(reader)))
            }
        };
        Ok(Self { path: path.to_owned(), columns, reader })
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The names of the classes whose numbers stand in this column, where the file tells them, as those of Hugging Face do.
    #[must_use]
    pub fn classes(&self, column: &str) -> Option<Vec<String>> {
        match &self.reader {
            Reader::Parquet(reader) => reader.classes(column),
            Reader::Delimited(_) | Reader::Json(_) => None,
        }
    }

    /// The rows, with the cells of these columns. The structure `{bytes, path}`, in which Hugging Face stores pictures, stands for
    /// its bytes.
    ///
    /// # Errors
    /// [`DataError::Format`] for a column that is not there, or is there twice; it names the nearest one.
    pub fn rows(mut self, columns: &[&str]) -> Result<TableRows, DataError> {
        let chosen = columns.iter().map(|column| self.place(column)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = chosen.iter().map(|&at| self.columns[at].clone()).collect();
        if let Reader::Parquet(reader) = &mut self.reader {
            reader.choose(&self.path, &names)?;
        }
        Ok(TableRows { path: self.path, chosen, names, reader: self.reader, done: false })
    }

    fn place(&self, column: &str) -> Result<usize, DataError> {
        let bytes = format!("{column}.bytes");
        let name = if self.columns.iter().any(|name| name == column) { column } else { &bytes };
        let mut places = (0..self.columns.len()).filter(|&at| self.columns[at] == name);
        match (places.next(), places.next()) {
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => Err(DataError::format(&self.path, format!("has the column `{column}` twice"))),
            (None, _) => Err(DataError::format(&self.path, self.missing(column))),
        }
    }

    fn missing(&self, column: &str) -> String {
        const SHOWN: usize = 12;
        let nearest = nearest(column, &self.columns);
        let meant = nearest.map_or_else(String::new, |name| format!(" (did you mean `{}`?)", short(name)));
        let shown: Vec<String> = self.columns.iter().take(SHOWN).map(|name| format!("`{}`", short(name))).collect();
        let more = if self.columns.len() > SHOWN { ", ..." } else { "" };
        format!("has no column `{column}`{meant}; there are {}{more}", shown.join(", "))
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({}: {})", self.path.display(), self.columns.join(", "))
    }
}

/// The rows of a table. A row that is broken is a [`DataError::Corrupt`], and others follow it; any other error is the last item.
pub struct TableRows {
    path: PathBuf,
    chosen: Vec<usize>,
    names: Vec<String>,
    reader: Reader,
    done: bool,
}

impl TableRows {
    /// What the row of this number is called: `train.csv, line 17`.
    #[must_use]
    pub fn name(&self, number: u64) -> String {
        format!("{}, {} {number}", crate::source::title_of(&self.path), self.unit())
    }

    /// What the rows are counted in.
    pub(crate) fn unit(&self) -> &'static str {
        match &self.reader {
            Reader::Delimited(_) => "line",
            Reader::Json(json) => json.unit(),
            Reader::Parquet(_) => "row",
        }
    }
}

impl Iterator for TableRows {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = match &mut self.reader {
            Reader::Delimited(reader) => reader.next(&self.path, &self.chosen),
            Reader::Json(reader) => reader.next(&self.path, &self.names, &self.chosen),
            Reader::Parquet(reader) => reader.next(&self.path, &self.names),
        };
        let item = next.map(|row| row.map_err(|fault| fault.at(self)));
        self.done = !matches!(item, Some(Ok(_) | Err(DataError::Corrupt { .. })));
        item
    }
}

impl std::fmt::Debug for TableRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableRows({}: {})", self.path.display(), self.names.join(", "))
    }
}

/// What is wrong where a row should be.
enum Fault {
    /// The row of this number is broken; others follow.
    Row(u64, String),
    /// Nothing follows.
    Table(DataError),
}

impl Fault {
    fn at(self, rows: &TableRows) -> DataError {
        match self {
            Self::Row(number, why) => DataError::Corrupt { name: rows.name(number), why },
            Self::Table(error) => error,
        }
    }
}

/// The name that was meant, perhaps.
pub(crate) fn nearest<'a>(meant: &str, names: &'a [String]) -> Option<&'a str> {
    const ALIKE: f64 = 0.6;
    let meant = meant.to_lowercase();
    let alike = |name: &String| strsim::jaro_winkler(&name.to_lowercase(), &meant);
    let best = names.iter().map(|name| (alike(name), name)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(alike, _)| *alike > ALIKE).map(|(_, name)| name.as_str())
}
