//! Samples that are met one by one become classes, labels, groups and parts. It does not know where they are met.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{printable, short};
use crate::labels::Labels;
use crate::source::{Catalog, Part};
use crate::table::nearest;
use crate::{Cell, DataError, Given, Skipped};

/// With more labels than this, the column is none of labels.
const CLASS_LIMIT: usize = 100_000;

/// How labels are read; what is empty is not there.
pub(crate) struct LabelRule<'a> {
    /// The column in which they stand.
    pub(crate) column: &'a str,
    /// What stands between several in one cell.
    pub(crate) separator: &'a str,
    /// The classes in their order.
    pub(crate) classes: &'a [String],
    /// Whether a number is never a place in this order.
    pub(crate) names_only: bool,
}

/// The labels and the group of a sample, in order, but without places yet.
pub(crate) struct Checked {
    labels: Vec<String>,
    several: bool,
    pub(crate) group: Option<String>,
}

/// What the samples so far have told.
pub(crate) struct Gathered<'a> {
    rule: &'a LabelRule<'a>,
    /// The classes in their order, where that is known beforehand.
    classes: Vec<String>,
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
    pub(crate) fn new(rule: &'a LabelRule<'a>) -> Self {
        let mut gathered = Self {
            rule,
            classes: Vec::new(),
            parts: Vec::new(),
            left_out: Vec::new(),
            names: Vec::new(),
            places: HashMap::new(),
            labels: Vec::new(),
            ends: Vec::new(),
            several: false,
            groups: HashMap::new(),
            group_of: Vec::new(),
        };
        gathered.prescribe(rule.classes.to_vec());
        gathered
    }

    /// The classes as the data themselves tell them, before the first sample.
    pub(crate) fn suggest(&mut self, classes: Vec<String>) {
        if self.names.is_empty() {
            self.prescribe(classes);
        }
    }

    fn prescribe(&mut self, classes: Vec<String>) {
        for (place, name) in (0_u32..).zip(&classes) {
            self.names.push(Name { name: name.clone(), first: String::new(), part: 0, trained: true });
            self.places.insert(name.clone(), place);
        }
        self.classes = classes;
    }

    /// The number of parts so far.
    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn leave_out(&mut self, skipped: Skipped) {
        self.left_out.push(skipped);
    }

    /// The samples that follow are of this part.
    pub(crate) fn begin(&mut self, name: String, given: Option<Given>) {
        self.parts.push(Part { name, given, start: self.ends.len() });
    }

    /// The labels that a cell names, or what is wrong with it; without a cell there are none.
    pub(crate) fn check(&self, label: Option<&Cell>) -> Result<Checked, String> {
        let Some(cell) = label else { return Ok(Checked { labels: Vec::new(), several: false, group: None }) };
        let place = |why| format!("{why} in `{}`", self.rule.column);
        let (mut labels, several) = labels_in(cell, self.rule.separator).map_err(place)?;
        for label in &mut labels {
            if let Some(name) = self.prescribed(label)? {
                *label = name;
            }
        }
        Ok(Checked { labels, several, group: None })
    }

    /// The class that a label means where classes are prescribed: by its name, else by its place; only by its name where the names are
    /// numbers themselves.
    fn prescribed(&self, label: &str) -> Result<Option<String>, String> {
        if self.classes.is_empty() || self.places.contains_key(label) {
            return Ok(None);
        }
        let have_names = || self.classes.iter().any(|class| class.parse::<i64>().is_err());
        let place = label.parse::<usize>().ok().filter(|_| !self.rule.names_only && have_names());
        match place.and_then(|at| self.classes.get(at)) {
            Some(name) => Ok(Some(name.clone())),
            None => {
                let meant =
                    nearest(label, &self.classes).map_or_else(String::new, |name| format!(" (near `{}`)", short(name)));
                Err(format!("the label `{}`{meant} is none of the {} in `classes`", short(label), self.classes.len()))
            }
        }
    }

    /// One more sample of the last part, whose name `row` tells.
    pub(crate) fn push(&mut self, checked: Checked, row: impl Fn() -> String) -> Result<(), String> {
        let part = self.parts.len() - 1;
        let trained = self.parts[part].given == Some(Given::Train);
        for name in checked.labels {
            let place = match self.places.get(&name) {
                Some(&place) => place,
                None if self.names.len() == CLASS_LIMIT => {
                    let why = "does it tell the class? If every row has a label of its own, there is nothing to learn";
                    return Err(format!(
                        "the column `{}` has more than {CLASS_LIMIT} different labels; {why}",
                        self.rule.column
                    ));
                }
                None => {
                    let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                    self.names.push(Name { name: name.clone(), first: printable(&row()), part, trained: false });
                    self.places.insert(name, place);
                    place
                }
            };
            self.names[place as usize].trained |= trained;
            self.labels.push(place);
        }
        self.several |= checked.several;
        self.ends.push(self.labels.len());
        if let Some(group) = checked.group {
            let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
            self.group_of.push(*self.groups.entry(group).or_insert(next));
        }
        Ok(())
    }

    /// What a source of these samples has.
    pub(crate) fn finish(mut self, title: String, folder: &Path) -> Result<Catalog, DataError> {
        let samples = self.ends.len();
        if samples == 0 {
            let first = self.left_out.first().map(|Skipped { name, reason }| format!("; {name}: {reason}"));
            return Err(DataError::format(folder, format!("no sample can be used{}", first.unwrap_or_default())));
        }
        let (classes, places) = self.classes(folder)?;
        self.labels.iter_mut().for_each(|label| *label = places[*label as usize]);
        let labels = match (self.rule.column.is_empty(), self.several) {
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
                    "{first}: {} has the label `{}`, which the training part has not: mend or remove it; a table may name the \
                     labels that count in `classes`",
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
