//! Labelled rows from the tables of a folder: what sources of texts and of pictures share. It does not know what else is in a row.

use std::path::{Component, Path, PathBuf};

use crate::gathered::{Checked, Gathered, LabelRule};
use crate::source::{Catalog, title_of};
use crate::{Cell, DataError, Given, OnCorrupt, Table, TableFormat, TableKind};

/// Where rows are, and which of their columns count; what is empty is not there.
pub(crate) struct Tabled<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) files: &'a [String],
    pub(crate) format: &'a TableFormat,
    /// The columns of the content.
    pub(crate) columns: &'a [&'a str],
    pub(crate) label: LabelRule<'a>,
    pub(crate) group: &'a str,
    pub(crate) on_corrupt: OnCorrupt,
}

/// A row that has passed its label's test.
pub(crate) struct TabledRow {
    pub(crate) number: u64,
    /// What `number` counts.
    pub(crate) unit: &'static str,
    /// The number of the part that it is in.
    pub(crate) part: usize,
    /// The cells of the columns that were asked for.
    pub(crate) cells: Vec<Cell>,
}

impl<'a> Tabled<'a> {
    /// Gives every row to `take`, with the cells of the content; a [`DataError::Corrupt`] from there, whatever its name, makes the row
    /// a broken one.
    pub(crate) fn read(&self, mut take: impl FnMut(TabledRow) -> Result<(), DataError>) -> Result<Catalog, DataError> {
        let mut gathered = Gathered::new(&self.label);
        for (path, given) in self.tables()? {
            self.read_table(&path, given, &mut gathered, &mut take)?;
        }
        gathered.finish(title_of(self.folder), self.folder)
    }

    fn read_table(
        &self,
        path: &Path,
        given: Option<Given>,
        gathered: &mut Gathered<'a>,
        take: &mut impl FnMut(TabledRow) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let title = path.strip_prefix(self.folder).unwrap_or(path).display().to_string();
        let asked: Vec<&str> = self.columns.iter().copied().chain(self.extra_columns()).collect();
        let table = Table::open(path, self.format)?;
        if let Some(classes) = table.classes(self.label.column) {
            gathered.suggest(classes);
        }
        let mut rows = table.rows(&asked)?;
        let broken = |name: String, why: String| self.on_corrupt.judge(&name, &why, Some(self.folder));
        let (mut current, mut begun, mut any) = (None, false, false);
        let unit = rows.unit();
        while let Some(row) = rows.next() {
            any = true;
            let mut row = match row {
                Ok(row) => row,
                Err(DataError::Corrupt { name, why }) => {
                    gathered.leave_out(broken(name, why)?);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !begun || row.part != current {
                let (name, given) = match &row.part {
                    None => (title.clone(), given),
                    Some(part) => (format!("{title}/{part}"), given_by(part).or(given)),
                };
                gathered.begin(name, given);
                (current, begun) = (row.part.take(), true);
            }
            let extra = row.cells.split_off(self.columns.len());
            let part = gathered.parts() - 1;
            let taken = self.check(gathered, &extra).and_then(|checked| {
                take(TabledRow { number: row.number, unit, part, cells: row.cells })?;
                Ok(checked)
            });
            match taken {
                Ok(checked) => {
                    gathered.push(checked, || rows.name(row.number)).map_err(|why| DataError::format(path, why))?;
                }
                Err(DataError::Corrupt { why, .. }) => gathered.leave_out(broken(rows.name(row.number), why)?),
                Err(error) => return Err(error),
            }
        }
        if any { Ok(()) } else { Err(DataError::format(path, "has no rows")) }
    }

    /// The label and the group in the cells behind those that were asked for.
    fn check(&self, gathered: &Gathered<'_>, extra: &[Cell]) -> Result<Checked, DataError> {
        let corrupt = |why: String| DataError::Corrupt { name: String::new(), why };
        let mut extra = extra.iter();
        let label = (!self.label.column.is_empty()).then(|| extra.next().unwrap_or(&Cell::Empty));
        let mut checked = gathered.check(label).map_err(corrupt)?;
        if !self.group.is_empty() {
            let group = extra.next().and_then(Cell::text);
            let group = group.ok_or_else(|| corrupt(format!("there is no group in `{}`", self.group)))?;
            checked.group = Some(group.trim().to_owned());
        }
        Ok(checked)
    }

    /// The columns of the label and of the group, as far as there are such.
    fn extra_columns(&self) -> impl Iterator<Item = &str> {
        [self.label.column, self.group].into_iter().filter(|column| !column.is_empty())
    }

    /// The files, those to learn from first, each with the part that its name tells.
    fn tables(&self) -> Result<Vec<(PathBuf, Option<Given>)>, DataError> {
        let mut found = if self.files.is_empty() {
            self.all_tables()?
        } else {
            below(self.folder, self.files)?
                .into_iter()
                .map(|path| {
                    let given = given_by(&title_of(&path));
                    (path, given)
                })
                .collect()
        };
        found.sort_by(|(a, given), (b, other)| (given.is_none(), given, a).cmp(&(other.is_none(), other, b)));
        Ok(found)
    }

    /// All tables by their endings; only those of a part, if any name tells one.
    fn all_tables(&self) -> Result<Vec<(PathBuf, Option<Given>)>, DataError> {
        let folder = self.folder;
        let fault = |error| DataError::read(folder, error);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let name = title_of(&path);
            if !name.starts_with('.') && TableKind::of(&path).is_some() && path.is_file() {
                found.push((path, given_by(&name)));
            }
        }
        if found.is_empty() {
            let why = "no table in it: no .csv, .tsv, .jsonl, .json or .parquet file; name others with `files`";
            return Err(DataError::format(folder, why));
        }
        if found.iter().any(|(_, given)| given.is_some()) {
            found.retain(|(path, given)| {
                if given.is_none() {
                    let path = path.display();
                    tracing::warn!("{path}: a table that is none of train, valid and test by its name is left out");
                }
                given.is_some()
            });
        }
        Ok(found)
    }
}

/// The files of these names in a folder.
pub(crate) fn below(folder: &Path, files: &[String]) -> Result<Vec<PathBuf>, DataError> {
    let path = |file: &String| {
        let plain = Path::new(file).components().all(|step| matches!(step, Component::Normal(_)));
        if !plain || file.is_empty() {
            return Err(DataError::config("files", format!("`{file}` is not the name of a file below the folder")));
        }
        Ok(folder.join(file))
    };
    files.iter().map(path).collect()
}

/// The part that a name tells, by one of its words.
pub(crate) fn given_by(name: &str) -> Option<Given> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Given::Train),
        "val" | "valid" | "validation" | "dev" => Some(Given::Valid),
        "test" | "testing" => Some(Given::Test),
        _ => None,
    })
}
