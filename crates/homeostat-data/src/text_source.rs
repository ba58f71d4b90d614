//! Where texts come from. It does not know tokens, nor what a label means to a loss.

mod text_folder;
mod text_table;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use text_folder::{TextFolderConfig, TextUnit};
pub(crate) use text_folder::{is_text, visible};
pub use text_table::TextTableConfig;

use crate::row_names::RowNames;
use crate::strings::Strings;
use crate::{DataError, DataRoot, Digest, OnCorrupt, Place, Source, Store};

/// Where texts come from. Folders are relative to the data root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TextSourceConfig {
    /// A folder with tables, a text in each row: CSV, TSV, JSON Lines, JSON or Parquet.
    Table(TextTableConfig),
    /// A folder of plain text files; a file, a line or a paragraph is a text.
    TextFolder(TextFolderConfig),
}

impl TextSourceConfig {
    /// Opens the source and reads all texts into memory.
    ///
    /// # Errors
    /// As [`Self::open_with`], which it calls for [`OnCorrupt::Error`].
    pub fn open(&self, root: &DataRoot) -> Result<TextSource, DataError> {
        self.open_with(root, OnCorrupt::Error)
    }

    /// The same; broken rows may be left out, and then [`Source::left_out`] lists them.
    ///
    /// # Errors
    /// [`DataError::Missing`] without the folder, [`DataError::Read`] and [`DataError::Format`] for what cannot be read in it,
    /// [`DataError::Corrupt`] for the first row that is broken.
    pub fn open_with(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<TextSource, DataError> {
        match self {
            Self::Table(config) => config.open(root, on_corrupt),
            Self::TextFolder(config) => config.open(root, on_corrupt),
        }
    }

    /// The same columns, or units, in another folder; without `files`, in all that a source of this kind finds there.
    #[must_use]
    pub fn elsewhere(&self, folder: &str, files: Vec<String>) -> Self {
        let folder = folder.to_owned();
        match self {
            Self::Table(config) => Self::Table(TextTableConfig { folder, files, ..config.clone() }),
            Self::TextFolder(config) => Self::TextFolder(TextFolderConfig { folder, files, ..config.clone() }),
        }
    }

    /// The folder as the configuration names it.
    #[must_use]
    pub fn folder(&self) -> &str {
        match self {
            Self::Table(TextTableConfig { folder, .. }) | Self::TextFolder(TextFolderConfig { folder, .. }) => folder,
        }
    }
}

/// A text, perhaps with a second one, as a question has an answer. Its label stands in its source, as that of a picture does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TextSample {
    /// The text.
    pub text: String,
    /// The second text, if there are two.
    pub pair: Option<String>,
}

impl TextSample {
    /// What tells this content from others.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.text, self.pair.as_deref())
    }
}

/// No text has a NUL, so nothing else looks like two texts.
fn digest(text: &str, pair: Option<&str>) -> Digest {
    match pair {
        None => Digest::of(text.as_bytes()),
        Some(pair) => Digest::of(format!("{text}\0{pair}").as_bytes()),
    }
}

/// Texts with their labels.
///
/// ```
/// use homeostat_data::{DataRoot, SplitConfig, TextSourceConfig, TextTableConfig};
///
/// # let root = tempfile::tempdir()?;
/// # std::fs::create_dir(root.path().join("pets"))?;
/// std::fs::write(root.path().join("pets/train.csv"), "text,label\nIt barks.,dog\nIt purrs.,cat\n")?;
/// let config = TextSourceConfig::Table(TextTableConfig { folder: "pets".into(), ..TextTableConfig::default() });
/// let source = config.open(&DataRoot::new([root.path()]))?;
/// assert_eq!((source.len(), source.classes()), (2, &["cat".to_owned(), "dog".to_owned()][..]));
/// assert_eq!((source.get(0)?.text.as_str(), source.label(0)), ("It barks.", 1));
/// assert_eq!(source.name(0), "train.csv, line 2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type TextSource = Source<Texts>;

/// The texts of a [`TextSource`], in memory.
pub struct Texts {
    folder: PathBuf,
    texts: Strings,
    /// The second texts, or nothing.
    pairs: Option<Strings>,
    names: RowNames,
}

/// The most bytes of text in memory.
const TEXT_LIMIT: usize = 1 << 33;

impl Texts {
    fn new(folder: PathBuf, with_pairs: bool) -> Self {
        let pairs = with_pairs.then(Strings::default);
        Self { folder, texts: Strings::default(), pairs, names: RowNames::default() }
    }

    /// One more text, of the part of this number; see [`RowNames`].
    fn push(&mut self, text: &str, part: usize, unit: &'static str, number: u64) -> Result<(), DataError> {
        if self.texts.bytes() + text.len() > TEXT_LIMIT {
            return Err(DataError::format(&self.folder, "holds more than 8 GiB of text"));
        }
        self.texts.push(text);
        self.names.push(part, unit, number);
        Ok(())
    }

    fn of(&self, index: usize) -> (&str, Option<&str>) {
        (self.texts.get(index), self.pairs.as_ref().map(|pairs| pairs.get(index)))
    }
}

impl Store for Texts {
    type Sample = TextSample;

    fn sample(&self, place: Place<'_>) -> Result<TextSample, DataError> {
        let (text, pair) = self.of(place.index);
        Ok(TextSample { text: text.to_owned(), pair: pair.map(str::to_owned) })
    }

    fn digest(&self, place: Place<'_>) -> Result<Digest, DataError> {
        let (text, pair) = self.of(place.index);
        Ok(digest(text, pair))
    }

    fn name(&self, place: Place<'_>) -> String {
        self.names.name(place)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Texts({} bytes)", self.texts.bytes())
    }
}
