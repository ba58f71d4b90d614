//! Pictures that tables name or hold. It does not know the formats of tables, and does not decode.

use std::path::{Component, Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Source;
use super::pictures::{Blobs, Held, Pictures};
use crate::gathered::LabelRule;
use crate::row_names::RowNames;
use crate::strings::Strings;
use crate::tabled::Tabled;
use crate::{Cell, DataError, DataRoot, OnCorrupt, TableFormat};

/// A folder with tables, a picture in each row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageTableConfig {
    /// The folder, relative to the data root.
    pub folder: String,
    /// The files in it. Without them, all tables whose names have the word `train`, `val`, `valid`, `validation`, `dev` or `test`,
    /// which tells the part; all tables where no name has such a word.
    pub files: Vec<String>,
    /// The column of the picture: its bytes, or the name of its file.
    pub image: String,
    /// The path of a picture's file below the folder; `{}` is what the column says.
    pub path: String,
    /// The column of the label: a name, a number, or a list of such.
    pub label: String,
    /// What stands between labels where a cell names several. Empty: a cell names one, if it is no list.
    pub label_separator: String,
    /// The classes in the order of their labels; a number in the table is a place in this list. Without them, those that a Parquet
    /// file of Hugging Face tells, else the labels of the training part by number, or by name.
    pub classes: Vec<String>,
    /// The column that tells which samples belong together, such as the patient. Empty: there is none.
    pub group: String,
    /// How the files are read.
    pub format: TableFormat,
}

impl Default for ImageTableConfig {
    fn default() -> Self {
        Self {
            folder: String::new(),
            files: Vec::new(),
            image: "image".into(),
            path: "{}".into(),
            label: "label".into(),
            label_separator: String::new(),
            classes: Vec::new(),
            group: String::new(),
            format: TableFormat::default(),
        }
    }
}

impl ImageTableConfig {
    pub(super) fn open(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<Source, DataError> {
        for (key, column) in [("image", &self.image), ("label", &self.label)] {
            if column.is_empty() {
                return Err(DataError::config(key, "is empty; name the column"));
            }
        }
        let folder = root.find(&self.folder)?;
        let tabled = Tabled {
            folder: &folder,
            files: &self.files,
            format: &self.format,
            columns: &[&self.image],
            label: LabelRule {
                column: &self.label,
                separator: &self.label_separator,
                classes: &self.classes,
                names_only: false,
            },
            group: &self.group,
            on_corrupt,
        };
        let (mut blobs, mut rows, mut names) = (Blobs::default(), RowNames::default(), Strings::default());
        let catalog = tabled.read(|mut row| {
            match row.cells.swap_remove(0) {
                Cell::Bytes(bytes) => {
                    blobs.push(&bytes).map_err(|why| DataError::format(&folder, why))?;
                    rows.push(row.part, row.unit, row.number);
                }
                cell => names.push(&self.file(&folder, &cell)?),
            }
            if blobs.is_empty() || names.is_empty() {
                return Ok(());
            }
            Err(DataError::format(
                &folder,
                format!("the column `{}` has bytes in one row, a name in another", self.image),
            ))
        })?;
        let held = if blobs.is_empty() {
            let archives = catalog.parts.iter().map(|_| None).collect();
            Held::Files { folder, names, archives }
        } else {
            Held::Blobs { folder, blobs, rows }
        };
        Ok(Source::new(catalog, Pictures::new(held)))
    }

    /// The path of the picture's file below the folder.
    fn file(&self, folder: &Path, cell: &Cell) -> Result<String, DataError> {
        let corrupt = |why| Err(DataError::Corrupt { name: String::new(), why });
        let Some(name) = cell.text() else {
            return corrupt(format!("there is no picture in `{}`", self.image));
        };
        let file = self.path.replace("{}", name.trim());
        let inside = Path::new(&file).components().all(|step| matches!(step, Component::Normal(_) | Component::CurDir));
        if !inside || file.contains('\0') {
            return corrupt(format!("the file `{}` is not below the folder", file.escape_debug()));
        }
        if !folder.join(&file).is_file() {
            return corrupt(format!("there is no file `{}` below the folder", file.escape_debug()));
        }
        Ok(file)
    }
}
