//! Labelled rows from the tables of a folder: what sources of texts and of pictures share. It does not know what else is in a row.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::labels::Labels;
use crate::source::{Catalog, Part, title_of};
use crate::table::{nearest, short};
use crate::{Cell, DataError, DataRoot, Given, OnCorrupt, Skipped, Table, TableFormat, TableKind};

/// With more labels than this, the column is none of labels.
const CLASS_LIMIT: usize = 100_000;

/// Where rows are, and which of their columns tell labels and groups; what is empty is not there.
pub(crate) struct Tabled<'a> {
    pub(crate) folder: &'a str,
    pub(crate) files: &'a [String],
    pub(crate) format: &'a TableFormat,
    pub(crate) label: &'a str,
    pub(crate) label_separator: &'a str,
    pub(crate) classes: &'a [String],
    pub(crate) group: &'a str,
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

impl Tabled<'_> {
    /// Gives every row to `take` with the cells of `columns`; a [`DataError::Corrupt`] from there, whatever its name, makes the row a
    /// broken one.
    pub(crate) fn read(
        &self,
        root: &DataRoot,
        columns: &[&str],
        on_corrupt: OnCorrupt,
        take: &mut dyn FnMut(TabledRow) -> Result<(), DataError>,
    ) -> Result<(PathBuf, Catalog), DataError> {
        let folder = root.find(self.folder)?;
        let mut gathered = Gathered::new(self);
        for (path, given) in self.tables(&folder)? {
            self.read_table(&folder, &path, given, columns, on_corrupt, &mut gathered, take)?;
        }
        let catalog = gathered.finish(title_of(&folder), &folder)?;
        Ok((folder, catalog))
    }

    #[expect(clippy::too_many_arguments, reason = "one loop over the rows of one file, split off for its length")]
    fn read_table(
        &self,
        folder: &Path,
        path: &Path,
        given: Option<Given>,
        columns: &[&str],
        on_corrupt: OnCorrupt,
        gathered: &mut Gathered<'_>,
        take: &mut dyn FnMut(TabledRow) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let title = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let asked: Vec<&str> = columns.iter().copied().chain(self.extra_columns()).collect();
        let mut rows = Table::open(path, self.format)?.rows(&asked)?;
        let (mut current, mut any) = (None, false);
        let unit = rows.unit();
        while let Some(row) = rows.next() {
            let broken = |name, why| on_corrupt.judge(name, why, Some(folder));
            let mut row = match row {
                Ok(row) => row,
                Err(DataError::Corrupt { name, why }) => {
                    gathered.left_out.push(broken(name, why)?);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !any || row.part != current {
                let (name, given) = match &row.part {
                    None => (title.clone(), given),
                    Some(part) => (format!("{title}/{part}"), given_by(part).or(given)),
                };
                gathered.begin(name, given);
                (current, any) = (row.part.take(), true);
            }
            let extra = row.cells.split_off(columns.len());
            let part = gathered.parts.len() - 1;
            let taken = gathered.check(self, &extra).and_then(|checked| {
                take(TabledRow { number: row.number, unit, part, cells: row.cells })?;
                Ok(checked)
            });
            match taken {
                Ok(checked) => {
                    gathered.push(checked, || rows.name(row.number)).map_err(|why| DataError::format(path, why))?
                }
                Err(DataError::Corrupt { why, .. }) => gathered.left_out.push(broken(rows.name(row.number), why)?),
                Err(error) => return Err(error),
            }
        }
        if any { Ok(()) } else { Err(DataError::format(path, "has no rows")) }
    }

    /// The columns of the label and of the group, as far as there are such.
    fn extra_columns(&self) -> impl Iterator<Item = &str> {
        [self.label, self.group].into_iter().filter(|column| !column.is_empty())
    }

    /// The files, those to learn from first, each with the part that its name tells.
    fn tables(&self, folder: &Path) -> Result<Vec<(PathBuf, Option<Given>)>, DataError> {
        let mut found = if self.files.is_empty() { self.all_tables(folder)? } else { self.named_tables(folder)? };
        found.sort_by(|(a, given), (b, other)| (given.is_none(), given, a).cmp(&(other.is_none(), other, b)));
        Ok(found)
    }

    fn named_tables(&self, folder: &Path) -> Result<Vec<(PathBuf, Option<Given>)>, DataError> {
        let named = |file: &String| {
            let plain = Path::new(file).components().all(|step| matches!(step, Component::Normal(_)));
            if !plain || file.is_empty() {
                return Err(DataError::config("files", format!("`{file}` is not the name of a file below the folder")));
            }
            Ok((folder.join(file), given_by(file)))
        };
        self.files.iter().map(named).collect()
    }

    /// All tables by their endings; only those of a part, if any name tells one.
    fn all_tables(&self, folder: &Path) -> Result<Vec<(PathBuf, Option<Given>)>, DataError> {
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
                    tracing::warn!(file = %path.display(), "a table that is none of train, valid and test by its name is left out");
                }
                given.is_some()
            });
        }
        Ok(found)
    }
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

/// The label and the group of a row, in order, but without places yet.
struct Checked {
    labels: Vec<String>,
    several: bool,
    group: Option<String>,
}

/// What the rows so far have told.
struct Gathered<'a> {
    label: &'a str,
    /// The place of each class that is prescribed.
    classes: &'a [String],
    parts: Vec<Part>,
    left_out: Vec<Skipped>,
    /// The names of the labels in the order of their first appearance, or as prescribed.
    names: Vec<Name>,
    places: HashMap<String, u32>,
    labels: Vec<u32>,
    ends: Vec<usize>,
    several: bool,
    groups: HashMap<String, u32>,
    group_of: Vec<u32>,
}

/// A label that was met.
struct Name {
    name: String,
    /// The row in which it was met first, and that row's part.
    first: String,
    part: usize,
    /// Whether it is in the part to learn from.
    trained: bool,
}

impl<'a> Gathered<'a> {
    fn new(tabled: &Tabled<'a>) -> Self {
        let prescribed = |name: &String| Name { name: name.clone(), first: String::new(), part: 0, trained: true };
        let place = |(at, name): (usize, &String)| (name.clone(), u32::try_from(at).unwrap_or(u32::MAX));
        Self {
            label: tabled.label,
            classes: tabled.classes,
            parts: Vec::new(),
            left_out: Vec::new(),
            names: tabled.classes.iter().map(prescribed).collect(),
            places: tabled.classes.iter().enumerate().map(place).collect(),
            labels: Vec::new(),
            ends: Vec::new(),
            several: false,
            groups: HashMap::new(),
            group_of: Vec::new(),
        }
    }

    fn begin(&mut self, name: String, given: Option<Given>) {
        self.parts.push(Part { name, given, start: self.ends.len() });
    }

    /// The label and the group in the cells behind those that were asked for.
    fn check(&self, tabled: &Tabled<'_>, extra: &[Cell]) -> Result<Checked, DataError> {
        let corrupt = |why: String| DataError::Corrupt { name: String::new(), why };
        let mut extra = extra.iter();
        let mut checked = Checked { labels: Vec::new(), several: false, group: None };
        if !tabled.label.is_empty() {
            let cell = extra.next().unwrap_or(&Cell::Empty);
            (checked.labels, checked.several) = labels_in(cell, tabled.label_separator)
                .map_err(|why| corrupt(format!("{why} in the column `{}`", tabled.label)))?;
            for label in &mut checked.labels {
                if let Some(name) = self.prescribed(label).map_err(corrupt)? {
                    *label = name;
                }
            }
        }
        if !tabled.group.is_empty() {
            let group = extra.next().and_then(Cell::text);
            let group = group.ok_or_else(|| corrupt(format!("there is no group in the column `{}`", tabled.group)))?;
            checked.group = Some(group.trim().to_owned());
        }
        Ok(checked)
    }

    /// The class that a label means where classes are prescribed: by its name, else by its place.
    fn prescribed(&self, label: &str) -> Result<Option<String>, String> {
        if self.classes.is_empty() || self.places.contains_key(label) {
            return Ok(None);
        }
        match label.parse::<usize>().ok().and_then(|at| self.classes.get(at)) {
            Some(name) => Ok(Some(name.clone())),
            None => {
                let meant = nearest(label, self.classes).map_or_else(String::new, |name| format!(" (near `{name}`)"));
                Err(format!("the label `{}`{meant} is none of the {} in `classes`", short(label), self.classes.len()))
            }
        }
    }

    fn push(&mut self, checked: Checked, row: impl Fn() -> String) -> Result<(), String> {
        let part = self.parts.len() - 1;
        let trained = self.parts[part].given == Some(Given::Train);
        let start = self.labels.len();
        for name in checked.labels {
            let place = match self.places.get(&name) {
                Some(&place) => place,
                None if self.names.len() == CLASS_LIMIT => {
                    let why = "does it tell the class? If every row has a label of its own, there is nothing to learn";
                    return Err(format!(
                        "the column `{}` has more than {CLASS_LIMIT} different labels; {why}",
                        self.label
                    ));
                }
                None => {
                    let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                    self.names.push(Name { name: name.clone(), first: row(), part, trained: false });
                    self.places.insert(name, place);
                    place
                }
            };
            self.names[place as usize].trained |= trained;
            self.labels.push(place);
        }
        self.labels[start..].sort_unstable();
        self.several |= checked.several;
        self.ends.push(self.labels.len());
        if let Some(group) = checked.group {
            let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
            self.group_of.push(*self.groups.entry(group).or_insert(next));
        }
        Ok(())
    }

    fn finish(mut self, title: String, folder: &Path) -> Result<Catalog, DataError> {
        let samples = self.ends.len();
        if samples == 0 {
            let first = self.left_out.first().map(|Skipped { name, reason }| format!("; {name}: {reason}"));
            return Err(DataError::format(folder, format!("no row can be used{}", first.unwrap_or_default())));
        }
        let (classes, places) = self.classes(folder)?;
        self.labels.iter_mut().for_each(|label| *label = places[*label as usize]);
        let labels = match (self.label.is_empty(), self.several) {
            (true, _) => Labels::None(samples),
            (false, false) => Labels::One(self.labels),
            (false, true) => Labels::Several { ends: unique(&mut self.labels, &self.ends), labels: self.labels },
        };
        let (parts, groups, left_out) = (self.parts, self.group_of, self.left_out);
        Ok(Catalog { title, classes, labels, groups, parts, left_out })
    }

    /// The classes in their order, and the place in it of each name.
    fn classes(&self, folder: &Path) -> Result<(Vec<String>, Vec<u32>), DataError> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        if self.classes.is_empty() {
            self.check_trained(folder)?;
            let names: Vec<&str> = self.names.iter().map(|name| name.name.as_str()).collect();
            match names.iter().map(|name| name.parse::<i64>()).collect::<Result<Vec<_>, _>>() {
                Ok(numbers) => order.sort_by_key(|&at| (numbers[at], names[at])),
                Err(_) => order.sort_by_key(|&at| names[at]),
            }
        }
        let mut places = vec![0; order.len()];
        for (place, &at) in (0_u32..).zip(&order) {
            places[at] = place;
        }
        Ok((order.into_iter().map(|at| self.names[at].name.clone()).collect(), places))
    }

    /// Whether there is something to learn every label from.
    fn check_trained(&self, folder: &Path) -> Result<(), DataError> {
        let comes = self.parts.iter().any(|part| part.given == Some(Given::Train));
        match self.names.iter().find(|name| comes && !name.trained) {
            None => Ok(()),
            Some(Name { name, first, part, .. }) => {
                let why = format!(
                    "{first}: {} has the label `{}`, which the training part has not",
                    self.parts[*part].name,
                    short(name)
                );
                Err(DataError::format(folder, why))
            }
        }
    }
}

/// The labels that a cell names, and whether it is one of several.
fn labels_in(cell: &Cell, separator: &str) -> Result<(Vec<String>, bool), String> {
    let name = |text: Option<String>| text.map(|text| text.trim().to_owned()).ok_or("there is an empty label");
    match cell {
        Cell::List(cells) => Ok((cells.iter().map(|cell| name(cell.text())).collect::<Result<_, _>>()?, true)),
        Cell::Bytes(_) => Err("there are bytes, but no label".into()),
        cell if separator.is_empty() => match name(cell.text()) {
            Ok(name) => Ok((vec![name], false)),
            Err(_) => Err("the label is empty".into()),
        },
        cell => {
            let text = cell.text().unwrap_or_default();
            let labels = text.split(separator).filter(|label| !label.trim().is_empty());
            Ok((labels.map(|label| label.trim().to_owned()).collect(), true))
        }
    }
}

/// Removes what a sample names twice from the ascending labels of each; where those of each end now.
fn unique(labels: &mut Vec<u32>, ends: &[usize]) -> Vec<usize> {
    let (mut kept, mut start, mut new_ends) = (Vec::with_capacity(labels.len()), 0, Vec::with_capacity(ends.len()));
    for &end in ends {
        let mut own = labels[start..end].to_vec();
        own.sort_unstable();
        own.dedup();
        kept.extend(own);
        new_ends.push(kept.len());
        start = end;
    }
    *labels = kept;
    new_ends
}
