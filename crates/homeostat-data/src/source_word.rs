//! A source in one word of a command line. It does not know which sources there are.

use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use crate::error::{printable, told};
use crate::{DataError, SourceConfig, TableKind, TextSourceConfig};

/// Reads `KIND:FOLDER` or `KIND:FOLDER,KEY=VALUE,...`, where the folder may be a table's file, and the rest are the keys of the kind.
fn parse<T: DeserializeOwned>(word: &str) -> Result<T, DataError> {
    let fault = |why: String| DataError::config(&printable(word), told(&why));
    let (kind, rest) = word.split_once(':').unwrap_or((word, ""));
    if rest.is_empty() {
        return toml::Value::String(kind.to_owned()).try_into().map_err(|error| fault(first_line(&error)));
    }
    let mut pieces = pieces(rest).into_iter();
    let path = pieces.next().unwrap_or_default();
    let mut lines = folder_and_file(path).to_vec();
    for piece in pieces {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        let as_written = format!("{key} = {value}");
        let is_toml = !value.contains('\n') && as_written.parse::<toml::Table>().is_ok();
        lines.push(if is_toml { as_written } else { format!("{key} = {}", quoted(value)) });
    }
    let options: toml::Table = lines.join("\n").parse().map_err(|error: toml::de::Error| fault(first_line(&error)))?;
    let source = toml::Table::from_iter([(kind.to_owned(), toml::Value::Table(options))]);
    source.try_into().map_err(|error| fault(first_line(&error)))
}

/// The keys for a folder, or for a table's file and the folder in which it lies.
fn folder_and_file(path: &str) -> [String; 2] {
    let folder = |folder: &str| format!("folder = {}", quoted(folder));
    match (TableKind::of(Path::new(path)), path.rsplit_once('/')) {
        (None, _) => [folder(path), String::new()],
        (Some(_), Some((above, file))) => [folder(above), format!("files = [{}]", quoted(file))],
        (Some(_), None) => [folder("."), format!("files = [{}]", quoted(path))],
    }
}

/// The parts between commas that a key follows; others belong to a value.
fn pieces(text: &str) -> Vec<&str> {
    let is_key = |rest: &str| {
        let key = rest.split_once('=').map_or("", |(key, _)| key);
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.'))
    };
    let (mut pieces, mut start) = (Vec::new(), 0);
    for (comma, _) in text.match_indices(',') {
        if is_key(&text[comma + 1..]) {
            pieces.push(&text[start..comma]);
            start = comma + 1;
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn first_line(error: &toml::de::Error) -> String {
    error.message().lines().next().unwrap_or_default().to_owned()
}

/// `digits`, `KIND:FOLDER` or `KIND:FOLDER,KEY=VALUE,...`: `image-table:pets/train.csv,image=file,label=kind`.
///
/// ```
/// use homeostat_data::SourceConfig;
///
/// let source: SourceConfig = "image-table:pets/train.csv,label=kind,classes=[\"cat\", \"dog\"]".parse()?;
/// assert_eq!(source.folder(), Some("pets"));
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
impl FromStr for SourceConfig {
    type Err = DataError;

    fn from_str(word: &str) -> Result<Self, DataError> {
        parse(word)
    }
}

/// `KIND:FOLDER` or `KIND:FOLDER,KEY=VALUE,...`: `table:reviews.csv,text=review,label=stars`.
impl FromStr for TextSourceConfig {
    type Err = DataError;

    fn from_str(word: &str) -> Result<Self, DataError> {
        parse(word)
    }
}
