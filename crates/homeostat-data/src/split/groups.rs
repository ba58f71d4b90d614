//! Dividing groups of samples: no group on both sides, and the classes in proportion as well as groups allow. It does not know what a
//! part is for.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::description::before_number;
use crate::{DataError, Rng, Source, Store, stream};

/// What tells the group of a sample: the patient on a picture, the camera, the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupBy {
    /// The data: the column of a table that its source names as `group`.
    #[default]
    Data,
    /// The folder in which the picture lies, for `class/patient/picture.png`.
    Folder,
    /// The name of the file up to the first such text: with `_`, `p12_003.png` is of the group `p12`, in whatever folder.
    NameUntil(String),
    /// The name of the file without the number at its end: `film3-120.jpg` is of the group `film3`; a file without such a number
    /// is a group of its own.
    NameBeforeNumber,
}

/// A group as the data number it, or as a name tells it.
#[derive(PartialEq, Eq, Hash)]
enum Group {
    Number(usize),
    Name(String),
}

impl GroupBy {
    fn of<S: Store>(&self, source: &Source<S>, i: usize) -> Result<Group, DataError> {
        let name = || source.name(i);
        let group = match self {
            Self::Data => {
                let why =
                    "the data tell no groups; name their column with the source's `group`, or choose another `by`";
                let group = source.group(i).ok_or_else(|| super::fault(source, why.into()))?;
                return Ok(Group::Number(group));
            }
            Self::Folder => name().rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned()),
            Self::NameUntil(text) => {
                let name = name();
                let file = name.rsplit('/').next().unwrap_or_default();
                let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
                stem.split_once(text.as_str()).map_or(stem, |(group, _)| group).to_owned()
            }
            Self::NameBeforeNumber => {
                let name = name();
                before_number(&name).map_or_else(|| name.clone(), str::to_owned)
            }
        };
        Ok(Group::Name(group))
    }
}

/// Samples that must stay together.
struct Atom {
    samples: Vec<usize>,
    /// How many of each class.
    counts: Vec<f64>,
}

/// Divides these samples into parts of about these shares, which are above 0; groups that share a sample's content are one group.
pub(super) fn divide<S: Store>(
    source: &Source<S>,
    samples: &[usize],
    by: &GroupBy,
    shares: &[f64],
    seed: u64,
) -> Result<Vec<Vec<usize>>, DataError> {
    let mut atoms = atoms(source, samples, by)?;
    if atoms.len() < shares.len() {
        let why = format!(
            "there are {} groups for {} parts; look at `by`, which tells groups apart",
            atoms.len(),
            shares.len()
        );
        return Err(super::fault(source, why));
    }
    // The large ones first, while every part has room; chance decides among equals.
    let order = Rng::keyed(seed, [0, 0, stream("split-groups", 0)]).permutation(atoms.len());
    let mut order: Vec<usize> = order.into_iter().collect();
    order.sort_by_key(|&atom| std::cmp::Reverse(atoms[atom].samples.len()));
    let mut totals = vec![0.0; source.strata()];
    atoms.iter().for_each(|atom| add(&mut totals, &atom.counts));
    let mut have = vec![vec![0.0; totals.len()]; shares.len()];
    let mut parts = vec![Vec::new(); shares.len()];
    for (placed, atom) in order.iter().enumerate() {
        let atom = &mut atoms[*atom];
        let empty = parts.iter().filter(|part: &&Vec<usize>| part.is_empty()).count();
        let fill = order.len() - placed == empty;
        let cost = |part: &usize| cost(&have[*part], &atom.counts, &totals, shares[*part]);
        let open = (0..shares.len()).filter(|&part| !fill || parts[part].is_empty());
        let Some(best) = open.min_by(|a, b| cost(a).total_cmp(&cost(b))) else { unreachable!("a share is given") };
        add(&mut have[best], &atom.counts);
        parts[best].append(&mut atom.samples);
    }
    Ok(parts)
}

/// By how much the sum over classes of (count - target)^2 / target grows.
fn cost(have: &[f64], more: &[f64], totals: &[f64], share: f64) -> f64 {
    let of_class = |((&have, &more), &total): ((&f64, &f64), &f64)| {
        let target = share * total;
        if target > 0.0 { more * (2.0 * (have - target) + more) / target } else { 0.0 }
    };
    have.iter().zip(more).zip(totals).map(of_class).sum()
}

fn add(sums: &mut [f64], counts: &[f64]) {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

/// Groups in the order of their first samples; those that have a content in common are one.
fn atoms<S: Store>(source: &Source<S>, samples: &[usize], by: &GroupBy) -> Result<Vec<Atom>, DataError> {
    let digests = source.digests()?;
    // Each sample points to an earlier one that it must stay with, or to itself.
    let mut root: Vec<usize> = (0..samples.len()).collect();
    let (mut groups, mut contents) = (HashMap::new(), HashMap::new());
    for (at, &sample) in samples.iter().enumerate() {
        let group = *groups.entry(by.of(source, sample)?).or_insert(at);
        let content = *contents.entry(digests[sample]).or_insert(at);
        join(&mut root, at, group);
        join(&mut root, at, content);
    }
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut atoms: Vec<Atom> = Vec::new();
    for (at, &sample) in samples.iter().enumerate() {
        let place = *places.entry(find(&mut root, at)).or_insert_with(|| {
            atoms.push(Atom { samples: Vec::new(), counts: vec![0.0; source.strata()] });
            atoms.len() - 1
        });
        atoms[place].samples.push(sample);
        atoms[place].counts[source.stratum(sample)] += 1.0;
    }
    Ok(atoms)
}

fn find(root: &mut [usize], mut at: usize) -> usize {
    while root[at] != at {
        root[at] = root[root[at]];
        at = root[at];
    }
    at
}

fn join(root: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(root, a), find(root, b));
    let (first, last) = (a.min(b), a.max(b));
    root[last] = first;
}
