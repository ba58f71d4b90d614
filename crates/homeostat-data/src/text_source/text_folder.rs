//! Texts in plain files: a file, a line or a paragraph each. It does not know what they say.

use std::io::Read;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

use super::{TextSource, Texts};
use crate::gathered::{Gathered, LabelRule};
use crate::source::title_of;
use crate::table::stream::{self, Stream};
use crate::tabled::{below, given_by};
use crate::{Cell, DataError, DataRoot, Encoding, Given, OnCorrupt};

/// The most bytes of one file.
const FILE_LIMIT: u64 = 1 << 30;

/// A folder of plain text files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextFolderConfig {
    /// The folder, relative to the data root. The words `train`, `val`, `valid`, `validation`, `dev` and `test` in the name of a file,
    /// or of the outermost folder in which it lies, tell the part.
    pub folder: String,
    /// The files in it. Without them, all that end in `.txt` or `.txt.gz`, at any depth.
    pub files: Vec<String>,
    /// What one text is.
    pub unit: TextUnit,
    /// Whether the folder in which a file lies is its label. If not, the texts have no labels, as a language model wants it.
    pub labelled: bool,
    /// How the bytes are characters.
    pub encoding: Encoding,
}

/// How much of a file is one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TextUnit {
    /// All of it.
    #[default]
    File,
    /// A line; blank ones are passed over.
    Line,
    /// Lines up to a blank one.
    Paragraph,
}

impl TextFolderConfig {
    pub(super) fn open(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<TextSource, DataError> {
        let folder = root.find(&self.folder)?;
        let rule = LabelRule {
            column: if self.labelled { "folder" } else { "" },
            separator: "",
            classes: &[],
            names_only: false,
        };
        let mut gathered = Gathered::new(&rule);
        let mut texts = Texts::new(folder.clone(), false);
        for (path, name, given) in self.paths(&folder)? {
            let text = match self.read(&path)? {
                Ok(text) => text,
                Err(why) => {
                    gathered.leave_out(on_corrupt.judge(&name, &why, Some(&folder))?);
                    continue;
                }
            };
            let class = path.parent().filter(|_| self.labelled).map(title_of).map(Cell::Text);
            gathered.begin(name.clone(), given);
            let part = gathered.parts() - 1;
            for (line, unit) in self.unit.divide(&text) {
                let checked = gathered.check(class.as_ref()).map_err(|why| DataError::format(&path, why))?;
                texts.push(unit, part, "line", line)?;
                gathered.push(checked, || name.clone()).map_err(|why| DataError::format(&path, why))?;
            }
        }
        Ok(TextSource::new(gathered.finish(title_of(&folder), &folder)?, texts))
    }

    /// What is in a file, or what is wrong with it.
    fn read(&self, path: &Path) -> Result<Result<String, String>, DataError> {
        let stream = Stream::open(path)?;
        stream.budget().lift(FILE_LIMIT);
        let mut bytes = Vec::new();
        stream.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(|error| stream::fault(path, error))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Err("the file is empty".into()));
        }
        Ok(self.encoding.decode(&bytes))
    }

    /// The files with their names below the folder, those to learn from first.
    fn paths(&self, folder: &Path) -> Result<Vec<(PathBuf, String, Option<Given>)>, DataError> {
        let mut paths = if self.files.is_empty() { all(folder)? } else { below(folder, &self.files)? };
        // What lies beside the folders of the classes is of none: a README.
        paths.retain(|path| !self.labelled || path.parent() != Some(folder));
        if paths.is_empty() {
            return Err(DataError::format(folder, "no text in it: no .txt or .txt.gz file; name others with `files`"));
        }
        let named = |path: PathBuf| {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string().replace('\\', "/");
            let outermost = name.split_once('/').and_then(|(outermost, _)| given_by(outermost));
            let given = outermost.or_else(|| given_by(&title_of(&path)));
            (path, name, given)
        };
        let mut paths: Vec<_> = paths.into_iter().map(named).collect();
        paths.sort_by(|(_, a, given), (_, b, other)| (given.is_none(), given, a).cmp(&(other.is_none(), other, b)));
        Ok(paths)
    }
}

/// All text files that are not hidden, at any depth.
fn all(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in visible(folder) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            DataError::Read { path, source: error.into() }
        })?;
        if is_text(&entry) {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

/// What is not hidden in a folder, at any depth.
pub(crate) fn visible(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_visible = |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
    WalkDir::new(folder).follow_links(true).into_iter().filter_entry(is_visible)
}

/// Whether this is a plain text by its name.
pub(crate) fn is_text(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy().to_lowercase();
    entry.file_type().is_file() && name.strip_suffix(".gz").unwrap_or(&name).ends_with(".txt")
}

impl TextUnit {
    /// The texts in a text with the lines at which they begin, or with 0 for all of it.
    fn divide(self, text: &str) -> Vec<(u64, &str)> {
        if self == Self::File {
            return vec![(0, text)];
        }
        let (mut found, mut at) = (Vec::<(u64, usize, usize)>::new(), 0);
        let mut open = false;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            let blank = line.trim().is_empty();
            let end = at + line.trim_end_matches(['\n', '\r']).len();
            match found.last_mut().filter(|_| open && self == Self::Paragraph) {
                Some(last) if !blank => last.2 = end,
                None if !blank => found.push((number, at, end)),
                _ => {}
            }
            open = !blank;
            at += line.len();
        }
        found.into_iter().map(|(number, start, end)| (number, &text[start..end])).collect()
    }
}
