//! Texts in the rows of tables. It does not know the formats of tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TextSource, Texts};
use crate::gathered::LabelRule;
use crate::tabled::Tabled;
use crate::{Cell, DataError, DataRoot, OnCorrupt, TableFormat};

/// A folder with tables, a text in each row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextTableConfig {
    /// The folder, relative to the data root.
    pub folder: String,
    /// The files in it. Without them, all tables whose names have the word `train`, `val`, `valid`, `validation`, `dev` or `test`,
    /// which tells the part; all tables where no name has such a word.
    pub files: Vec<String>,
    /// The column of the text.
    pub text: String,
    /// The column of a second text, such as the answer to a question. Empty: there is none.
    pub pair: String,
    /// The column of the label: a name, a number, or a list of such. Empty: the texts have no labels.
    pub label: String,
    /// What stands between labels where a cell names several. Empty: a cell names one, if it is no list.
    pub label_separator: String,
    /// The classes in the order of their labels; a number in the table is a place in this list, if they have names. Without them, the labels of the
    /// training part by number, or by name.
    pub classes: Vec<String>,
    /// Whether a number is never a place in that list, for data that are measured with classes known from elsewhere; no setting.
    #[serde(skip)]
    pub names_only: bool,
    /// The column that tells which samples belong together, such as the writer. Empty: there is none.
    pub group: String,
    /// How the files are read.
    pub format: TableFormat,
}

impl Default for TextTableConfig {
    fn default() -> Self {
        Self {
            folder: String::new(),
            files: Vec::new(),
            text: "text".into(),
            pair: String::new(),
            label: "label".into(),
            label_separator: String::new(),
            classes: Vec::new(),
            names_only: false,
            group: String::new(),
            format: TableFormat::default(),
        }
    }
}

impl TextTableConfig {
    pub(super) fn open(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<TextSource, DataError> {
        if self.text.is_empty() {
            return Err(DataError::config("text", "is empty; name the column of the text"));
        }
        let folder = root.find(&self.folder)?;
        let columns: Vec<&str> = [self.text.as_str(), &self.pair].into_iter().filter(|name| !name.is_empty()).collect();
        let tabled = Tabled {
            folder: &folder,
            files: &self.files,
            format: &self.format,
            columns: &columns,
            label: LabelRule {
                column: &self.label,
                separator: &self.label_separator,
                classes: &self.classes,
                names_only: self.names_only,
            },
            group: &self.group,
            on_corrupt,
        };
        let mut texts = Texts::new(folder.clone(), columns.len() > 1);
        let catalog = tabled.read(|row| {
            let found = row.cells.iter().zip(&columns).map(|(cell, column)| text(cell, column));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            texts.push(&found[0], row.part, row.unit, row.number)?;
            if let (Some(pairs), Some(pair)) = (&mut texts.pairs, found.get(1)) {
                pairs.push(pair);
            }
            Ok(())
        })?;
        Ok(TextSource::new(catalog, texts))
    }
}

fn text(cell: &Cell, column: &str) -> Result<String, DataError> {
    let corrupt = |why| DataError::Corrupt { name: String::new(), why };
    let text = cell.text().ok_or_else(|| corrupt(format!("there is no text in `{column}`")))?;
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(corrupt(format!("in `{column}`: a NUL byte at {at}, which no text has"))),
    }
}
