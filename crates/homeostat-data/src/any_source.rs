//! Pictures or texts, where nobody has said which: what a folder or a table looks like. It opens no source.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::source::title_of;
use crate::tabled::given_by;
use crate::text_source::{is_text, visible};
use crate::{
    Cell, DataError, Given, ImageTableConfig, SourceConfig, Table, TableFormat, TableKind, TextFolderConfig,
    TextSourceConfig, TextTableConfig,
};

/// A source of pictures or of texts.
#[derive(Clone, Debug, PartialEq)]
pub enum AnySource {
    /// Of pictures.
    Pictures(SourceConfig),
    /// Of texts.
    Texts(TextSourceConfig),
}

/// How files of tables end.
const TABLES: &str = ".csv, .tsv, .jsonl, .json, .parquet";

/// Rows of a table that are looked at.
const ROWS: usize = 1000;

/// Names under which a column is known, in lower case, the surest first.
const TEXT: [&str; 14] = [
    "text",
    "sentence",
    "content",
    "message",
    "review",
    "question",
    "query",
    "utterance",
    "comment",
    "tweet",
    "headline",
    "description",
    "body",
    "document",
];
const LABEL: [&str; 12] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "intent",
    "sentiment",
    "topic",
    "tag",
    "tags",
    "kind",
    "coarse_label",
];
const GROUP: [&str; 12] = [
    "group",
    "group_id",
    "user",
    "user_id",
    "author",
    "writer",
    "patient",
    "patient_id",
    "speaker",
    "subject",
    "customer",
    "session",
];

impl AnySource {
    /// What the folder, or the table's file, `path` looks like, under the name that an experiment has for it. Columns of a table are
    /// known by their names, else by what stands in them: the text is the one with the most words, the label the one with the
    /// fewest different values. A CSV or TSV file whose first row holds a sentence has no names of columns.
    ///
    /// ```
    /// use homeostat_data::{AnySource, TextSourceConfig};
    ///
    /// # let root = tempfile::tempdir()?;
    /// # let folder = root.path();
    /// std::fs::write(folder.join("train.csv"), "said,mood\nIt is so good today.,glad\nWhat a bad day it is.,sad\n")?;
    /// let AnySource::Texts(TextSourceConfig::Table(table)) = AnySource::guess(folder, "moods")? else { panic!() };
    /// assert_eq!((table.folder.as_str(), table.text.as_str(), table.label.as_str()), ("moods", "said", "mood"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Read`] and [`DataError::Format`] for a table that cannot be read, or in which no column looks like a text, or none
    /// like a label.
    pub fn guess(path: &Path, name: &str) -> Result<Self, DataError> {
        if TableKind::of(path).is_some() && path.is_file() {
            let (folder, file) = name.rsplit_once('/').unwrap_or((".", name));
            return of_table(path, folder, vec![file.to_owned()]);
        }
        if path.is_file() {
            let why = format!("is a file, but neither a table ({TABLES}), nor packed:FILE, nor a folder");
            return Err(DataError::format(path, why));
        }
        let pictures = SourceConfig::of_folder(path, name);
        if !matches!(pictures, SourceConfig::ImageFolder(_)) {
            return Ok(Self::Pictures(pictures));
        }
        let mut first = None;
        for table in tables(path)? {
            // Where the first ones are no such tables, only this one is meant.
            let files = first.as_ref().map(|_| title_of(&table)).into_iter().collect();
            match of_table(&table, name, files) {
                Ok(found) => return Ok(found),
                Err(error) => first = first.or(Some(error)),
            }
        }
        let texts = if first.is_none() { plain_texts(path) } else { None };
        if let Some(labelled) = texts {
            let folder = TextFolderConfig { folder: name.to_owned(), labelled, ..TextFolderConfig::default() };
            return Ok(Self::Texts(TextSourceConfig::TextFolder(folder)));
        }
        match first {
            // Tables may lie beside the folders of the classes, too.
            _ if has_folders(path)? => Ok(Self::Pictures(pictures)),
            Some(error) => Err(error),
            None => {
                let why = match count_pictures(path)? {
                    0 => format!("holds neither folders of pictures, nor a table ({TABLES}), nor plain texts (.txt)"),
                    count => format!("holds pictures directly ({count}): put them into one folder a class"),
                };
                Err(DataError::format(path, why))
            }
        }
    }
}

/// `table:FOLDER,KEY=VALUE,...` and `text-folder:FOLDER` are texts; see [`SourceConfig`] for pictures.
impl FromStr for AnySource {
    type Err = DataError;

    fn from_str(word: &str) -> Result<Self, DataError> {
        if word.starts_with("table:") || word.starts_with("text-folder:") {
            return word.parse().map(Self::Texts);
        }
        word.parse().map(Self::Pictures)
    }
}

/// The tables of a folder, those to learn from first where names tell.
fn tables(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fault = |error| DataError::read(folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = title_of(&path);
        if !name.starts_with('.') && TableKind::of(&path).is_some() && path.is_file() {
            found.push((given_by(&name) != Some(Given::Train), path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn has_folders(folder: &Path) -> Result<bool, DataError> {
    let fault = |error| DataError::read(folder, error);
    Ok(std::fs::read_dir(folder).map_err(fault)?.filter_map(Result::ok).any(|entry| entry.path().is_dir()))
}

/// Whether plain texts lie in a folder, and whether most of them in folders of their own, which are classes then; nothing where there are
/// pictures, too.
fn plain_texts(folder: &Path) -> Option<bool> {
    let [mut outer, mut inner] = [0_usize; 2];
    // What cannot be read is told where it is opened.
    for entry in visible(folder).filter_map(Result::ok) {
        if is_picture(&entry.file_name().to_string_lossy()) {
            return None;
        }
        if is_text(&entry) {
            *if entry.depth() > 1 { &mut inner } else { &mut outer } += 1;
        }
    }
    (outer + inner > 0).then_some(inner > outer)
}

fn count_pictures(folder: &Path) -> Result<usize, DataError> {
    let entries = std::fs::read_dir(folder).map_err(|error| DataError::read(folder, error))?;
    Ok(entries.filter_map(Result::ok).filter(|entry| is_picture(&entry.file_name().to_string_lossy())).count())
}

/// What the rows looked at have in one column.
struct Column {
    name: String,
    /// Different values.
    values: HashSet<String>,
    words: usize,
    pictures: usize,
    is_list: bool,
}

fn of_table(path: &Path, folder: &str, files: Vec<String>) -> Result<AnySource, DataError> {
    let mut format = TableFormat::default();
    let mut table = Table::open(path, &format)?;
    if table.columns().iter().any(|name| name.split_whitespace().count() > 4) {
        format.columns = (1..=table.columns().len()).map(|number| format!("column-{number}")).collect();
        table = Table::open(path, &format)?;
    }
    let (columns, rows) = look(table)?;
    let known = |names: &[&str], taken: &str| {
        let named = |name: &&str| columns.iter().find(|column| column.name.to_lowercase() == **name);
        names.iter().find_map(named).filter(|column| column.name != taken)
    };
    let column = |found: Option<&Column>| found.map(|column| column.name.clone());
    let picture = columns.iter().find(|column| column.pictures > 0 && 2 * column.pictures >= rows);
    let wordiest = || columns.iter().filter(|column| column.words >= 3 * rows).max_by_key(|column| column.words);
    let content = column(picture.or_else(|| known(&TEXT, "")).or_else(wordiest));
    let content = content.ok_or_else(|| unlike(path, &columns, "a text", "text"))?;
    let is_label = |column: &&Column| {
        column.name != content && (column.is_list || (2..=(rows / 4).max(2)).contains(&column.values.len()))
    };
    let fewest = || columns.iter().filter(is_label).min_by_key(|column| column.values.len());
    let label = column(known(&LABEL, &content).or_else(fewest));
    let label = label.ok_or_else(|| unlike(path, &columns, "a label", "label"))?;
    let group = known(&GROUP, &label).filter(|column| column.name != content && column.values.len() < rows);
    let (folder, group) = (folder.to_owned(), column(group).unwrap_or_default());
    Ok(if picture.is_some() {
        let table =
            ImageTableConfig { folder, files, image: content, label, group, format, ..ImageTableConfig::default() };
        AnySource::Pictures(SourceConfig::ImageTable(table))
    } else {
        let table =
            TextTableConfig { folder, files, text: content, label, group, format, ..TextTableConfig::default() };
        AnySource::Texts(TextSourceConfig::Table(table))
    })
}

/// What stands in the columns of the first rows, and how many rows these are.
fn look(table: Table) -> Result<(Vec<Column>, usize), DataError> {
    let names: Vec<String> = table.columns().iter().map(|name| name.trim_end_matches(".bytes").to_owned()).collect();
    let unknown =
        |name: &String| Column { name: name.clone(), values: HashSet::new(), words: 0, pictures: 0, is_list: false };
    let mut columns: Vec<Column> = names.iter().map(unknown).collect();
    let mut count = 0;
    for row in table.rows(&names.iter().map(String::as_str).collect::<Vec<_>>())?.take(ROWS) {
        // A broken row tells nothing here; it is told of when the source is opened.
        let Ok(row) = row else { continue };
        count += 1;
        for (column, cell) in columns.iter_mut().zip(row.cells) {
            column.is_list |= matches!(cell, Cell::List(_));
            let Some(text) = cell.text() else {
                column.pictures += usize::from(matches!(cell, Cell::Bytes(_)));
                continue;
            };
            column.words += text.split_whitespace().count();
            column.pictures += usize::from(is_picture(&text));
            column.values.insert(text);
        }
    }
    Ok((columns, count))
}

fn is_picture(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    matches!(ending.as_str(), "png" | "jpg" | "jpeg" | "webp" | "bmp" | "gif")
}

fn unlike(path: &Path, columns: &[Column], what: &str, key: &str) -> DataError {
    let names: Vec<String> = columns.iter().take(12).map(|column| format!("`{}`", column.name)).collect();
    let why = format!(
        "no column looks like {what}: name one, as in table:FOLDER,{key}=COLUMN; there are {}",
        names.join(", ")
    );
    DataError::format(path, why)
}
