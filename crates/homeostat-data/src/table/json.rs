//! Tables of JSON objects or lists, one a line or all in one. It does not know what the cells mean.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::stream::{self, Budget, Stream};
use super::{Cell, Fault, Row, TableFormat};
use crate::DataError;

/// The most bytes of a file that is one JSON value, for it is in memory as a whole, many times as large.
const WHOLE_LIMIT: u64 = 1 << 28;

/// A table of JSON values.
pub(super) enum Json {
    Lines {
        reader: BufReader<Stream>,
        budget: Budget,
        format: TableFormat,
        line: u64,
        /// The first row, which was read for the names of its columns.
        first: Option<Value>,
    },
    Whole {
        rows: std::vec::IntoIter<(Option<String>, Value)>,
        number: u64,
    },
}

impl Json {
    /// A JSON value a line.
    pub(super) fn lines(path: &Path, format: &TableFormat) -> Result<(Vec<String>, Self), DataError> {
        let stream = Stream::open(path)?;
        let (budget, reader) = (stream.budget(), BufReader::with_capacity(1 << 16, stream));
        let mut lines = Self::Lines { reader, budget, format: format.clone(), line: 0, first: None };
        let value = match lines.line(path) {
            None => return Err(DataError::format(path, "is empty; each line should be a JSON object")),
            Some(Err(Fault::Row(line, why))) => return Err(DataError::format(path, format!("line {line}: {why}"))),
            Some(Err(Fault::Table(error))) => return Err(error),
            Some(Ok((_, value))) => value,
        };
        let columns = columns(path, &value, format)?;
        if let Self::Lines { first, .. } = &mut lines {
            *first = Some(value);
        }
        Ok((columns, lines))
    }

    /// A list of rows, or an object of lists.
    pub(super) fn whole(path: &Path, format: &TableFormat) -> Result<(Vec<String>, Self), DataError> {
        let mut bytes = Vec::new();
        let stream = Stream::open(path)?;
        let budget = stream.budget();
        budget.lift(WHOLE_LIMIT);
        stream.take(WHOLE_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| stream::fault(path, error))?;
        let text = format.encoding.decode(&bytes).map_err(|why| DataError::format(path, why))?;
        let value = serde_json::from_str(&text).map_err(|error| DataError::format(path, no_json(&error)))?;
        let shape = "should be a list of rows, or an object with a list of rows for each part";
        let rows: Vec<(Option<String>, Value)> = match value {
            Value::Array(rows) => rows.into_iter().map(|row| (None, row)).collect(),
            Value::Object(parts) => {
                let mut rows = Vec::new();
                for (part, value) in parts {
                    let Value::Array(list) = value else {
                        let why = format!("`{}` is no list; the file {shape}", super::short(&part));
                        return Err(DataError::format(path, why));
                    };
                    rows.extend(list.into_iter().map(|row| (Some(part.clone()), row)));
                }
                rows
            }
            _ => return Err(DataError::format(path, shape)),
        };
        let Some((_, first)) = rows.first() else { return Err(DataError::format(path, "has no rows")) };
        let columns = columns(path, first, format)?;
        Ok((columns, Self::Whole { rows: rows.into_iter(), number: 0 }))
    }

    /// What the rows are counted in.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Self::Lines { .. } => "line",
            Self::Whole { .. } => "row",
        }
    }

    pub(super) fn next(&mut self, path: &Path, names: &[String], chosen: &[usize]) -> Option<Result<Row, Fault>> {
        let (number, part, value) = match self {
            Self::Whole { rows, number } => {
                let (part, value) = rows.next()?;
                *number += 1;
                (*number, part, value)
            }
            Self::Lines { line, first: first @ Some(_), .. } => (*line, None, first.take()?),
            Self::Lines { .. } => match self.line(path)? {
                Ok((line, value)) => (line, None, value),
                Err(fault) => return Some(Err(fault)),
            },
        };
        let cells = match &value {
            Value::Object(object) => names.iter().map(|name| find(object, name)).collect(),
            Value::Array(list) => chosen.iter().map(|&at| list.get(at).map_or(Cell::Empty, cell)).collect(),
            _ => return Some(Err(Fault::Row(number, "should be an object or a list".into()))),
        };
        Some(Ok(Row { number, part, cells }))
    }

    /// The next line that is not blank, with its number.
    fn line(&mut self, path: &Path) -> Option<Result<(u64, Value), Fault>> {
        let Self::Lines { reader, budget, format, line, .. } = self else { unreachable!("asked of lines alone") };
        let mut bytes = Vec::new();
        loop {
            budget.renew();
            bytes.clear();
            match reader.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => *line += 1,
                Err(error) => return Some(Err(Fault::Table(stream::fault(path, error)))),
            }
            if !bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let value =
            format.encoding.decode(&bytes).and_then(|text| serde_json::from_str(&text).map_err(|e| no_json(&e)));
        Some(value.map(|value| (*line, value)).map_err(|why| Fault::Row(*line, why)))
    }
}

/// The value at a path in a JSON object.
pub(crate) fn json_cell(text: &str, path: &str) -> Result<Cell, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(find(&object, path)),
        Ok(_) => Err("is no JSON object".into()),
        Err(error) => Err(no_json(&error)),
    }
}

fn no_json(error: &serde_json::Error) -> String {
    format!("is no JSON: {error}")
}

/// The names of the columns that the first row has.
fn columns(path: &Path, first: &Value, format: &TableFormat) -> Result<Vec<String>, DataError> {
    match first {
        Value::Object(object) => {
            let mut columns = Vec::new();
            flatten(object, "", &mut columns);
            Ok(columns)
        }
        Value::Array(list) if format.columns.is_empty() => Ok((0..list.len()).map(|at| at.to_string()).collect()),
        Value::Array(_) => Ok(format.columns.clone()),
        _ => Err(DataError::format(path, "the first row is neither an object nor a list")),
    }
}

fn flatten(object: &Map<String, Value>, prefix: &str, columns: &mut Vec<String>) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => flatten(inner, &format!("{name}."), columns),
            _ => columns.push(name),
        }
    }
}

/// What stands under this name, which may be a path through objects.
fn find(object: &Map<String, Value>, name: &str) -> Cell {
    if let Some(value) = object.get(name) {
        return cell(value);
    }
    let Some((outer, inner)) = name.split_once('.') else { return Cell::Empty };
    object.get(outer).and_then(Value::as_object).map_or(Cell::Empty, |object| find(object, inner))
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null | Value::Object(_) => Cell::Empty,
        Value::Bool(yes) => Cell::Text(yes.to_string()),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Cell::Real(number.as_f64().unwrap_or(f64::NAN)), Cell::Whole)
        }
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(list) => Cell::List(list.iter().map(cell).collect()),
    }
}
