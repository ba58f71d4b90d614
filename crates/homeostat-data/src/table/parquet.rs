//! Parquet files, by the `parquet` crate's rows. It does not know what the cells mean.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use parquet::schema::types::Type;

use super::{Cell, Fault, Row};
use crate::image::one_line;
use crate::{DataError, guard};

/// A Parquet file.
pub(super) struct Parquet {
    /// Nothing before the columns were chosen.
    rows: Option<RowIter<'static>>,
    file: Option<SerializedFileReader<File>>,
    count: u64,
    number: u64,
}

impl Parquet {
    /// The names of the columns, and the rows.
    pub(super) fn open(path: &Path) -> Result<(Vec<String>, Self), DataError> {
        let file = File::open(path).map_err(|error| DataError::read(path, error))?;
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(|why| broken(path, &why))?;
        let metadata = reader.metadata().file_metadata();
        let count = u64::try_from(metadata.num_rows()).map_err(|_| broken(path, "a negative number of rows"))?;
        let mut columns = Vec::new();
        metadata.schema().get_fields().iter().for_each(|field| flatten(field, "", &mut columns));
        Ok((columns, Self { rows: None, file: Some(reader), count, number: 0 }))
    }

    /// The names of the classes that Hugging Face's `datasets` puts beside a column of their numbers.
    pub(super) fn classes(&self, column: &str) -> Option<Vec<String>> {
        let metadata = self.file.as_ref()?.metadata().file_metadata().key_value_metadata()?;
        let text = metadata.iter().find(|entry| entry.key == "huggingface")?.value.as_deref()?;
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        let names = value.get("info")?.get("features")?.get(column)?.get("names")?.as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Reads the outer columns of these alone.
    pub(super) fn choose(&mut self, path: &Path, names: &[String]) -> Result<(), DataError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let schema = file.metadata().file_metadata().schema();
        let asked = |field: &&Arc<Type>| {
            let name = field.name();
            names
                .iter()
                .any(|asked| asked == name || asked.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
        };
        let fields = schema.get_fields().iter().filter(asked).cloned().collect();
        let chosen = Type::group_type_builder(schema.name()).with_fields(fields).build();
        let rows = chosen.and_then(|chosen| RowIter::from_file_into(Box::new(file)).project(Some(chosen)));
        self.rows = Some(rows.map_err(|error| broken(path, &error.to_string()))?);
        Ok(())
    }

    pub(super) fn next(&mut self, path: &Path, names: &[String]) -> Option<Result<Row, Fault>> {
        let rows = self.rows.as_mut()?;
        let fault = |why: &str| Some(Err(Fault::Table(broken(path, why))));
        match guarded(|| rows.next().transpose()) {
            Ok(Some(record)) => {
                self.number += 1;
                let fields = record.into_columns();
                let cells = names.iter().map(|name| find(&fields, name)).collect();
                Some(Ok(Row { number: self.number, part: None, cells }))
            }
            Ok(None) if self.number == self.count => None,
            Ok(None) => fault(&format!("{} rows where it says {}", self.number, self.count)),
            Err(why) => fault(&format!("behind row {}: {why}", self.number)),
        }
    }
}

/// What the reader says, or that it panicked.
fn guarded<T>(read: impl FnOnce() -> Result<T, parquet::errors::ParquetError>) -> Result<T, String> {
    guard::guarded("the reader", read).map_err(|why| one_line(&why))
}

fn broken(path: &Path, why: &str) -> DataError {
    DataError::format(path, format!("the Parquet file is broken or cut short: {}", one_line(why)))
}

/// The names of what is no structure.
fn flatten(field: &Type, prefix: &str, columns: &mut Vec<String>) {
    let name = format!("{prefix}{}", field.name());
    let info = field.get_basic_info();
    let is_structure = field.is_group()
        && info.logical_type_ref().is_none()
        && info.converted_type() == parquet::basic::ConvertedType::NONE;
    if is_structure {
        field.get_fields().iter().for_each(|inner| flatten(inner, &format!("{name}."), columns));
    } else {
        columns.push(name);
    }
}

/// What stands under this name, which may be a path through structures.
fn find(fields: &[(String, Field)], name: &str) -> Cell {
    if let Some((_, field)) = fields.iter().find(|(key, _)| key == name) {
        return cell(field);
    }
    let Some((outer, inner)) = name.split_once('.') else { return Cell::Empty };
    match fields.iter().find(|(key, _)| key == outer) {
        Some((_, Field::Group(record))) => find(&columns(record), inner),
        _ => Cell::Empty,
    }
}

fn columns(record: &Record) -> Vec<(String, Field)> {
    record.get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
}

fn cell(field: &Field) -> Cell {
    match field {
        Field::Null | Field::Group(_) | Field::MapInternal(_) => Cell::Empty,
        Field::Bool(yes) => Cell::Text(yes.to_string()),
        Field::Byte(number) => Cell::Whole(i64::from(*number)),
        Field::Short(number) => Cell::Whole(i64::from(*number)),
        Field::Int(number) => Cell::Whole(i64::from(*number)),
        Field::Long(number) => Cell::Whole(*number),
        Field::UByte(number) => Cell::Whole(i64::from(*number)),
        Field::UShort(number) => Cell::Whole(i64::from(*number)),
        Field::UInt(number) => Cell::Whole(i64::from(*number)),
        Field::ULong(number) => i64::try_from(*number).map_or_else(|_| Cell::Text(number.to_string()), Cell::Whole),
        Field::Float(number) => Cell::Real(f64::from(*number)),
        Field::Double(number) => Cell::Real(*number),
        Field::Str(text) => Cell::Text(text.clone()),
        Field::Bytes(bytes) => Cell::Bytes(bytes.data().to_vec()),
        Field::ListInternal(list) => Cell::List(list.elements().iter().map(cell).collect()),
        // Dates, times, decimals and half floats read as they are printed.
        other => Cell::Text(other.to_string()),
    }
}
