//! What is in a source, for people and for scripts. It does not know how a network would use it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DataError, Given, Shape, Skipped, Source};

/// What is in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The short name of the source.
    pub title: String,
    /// See [`Source::fingerprint`].
    pub fingerprint: String,
    /// The number of samples, broken ones included.
    pub samples: usize,
    /// How many samples there are of each class, in the order of the labels.
    pub classes: Vec<ClassCount>,
    /// How many pictures there are of each shape, the most frequent first.
    pub shapes: Vec<ShapeCount>,
    /// The samples whose content another sample with a smaller number has.
    pub duplicates: usize,
    /// Of the contents that are there more than once, those that stand in several parts of the data set.
    pub across: usize,
    /// The contents that stand under several classes: what is right cannot be learnt from them.
    pub contradictions: Vec<Contradiction>,
    /// The samples that cannot be decoded.
    pub corrupt: Vec<Skipped>,
}

/// The samples of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// In the training part that the data set gives.
    pub train: usize,
    /// In the validation part that it gives.
    pub valid: usize,
    /// In the test part that it gives.
    pub test: usize,
    /// In no part, for the data set gives none.
    pub unassigned: usize,
}

/// Samples of the same content that stand under several classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Their names, in the order of their numbers.
    pub samples: Vec<String>,
    /// The class of each.
    pub classes: Vec<String>,
}

/// The pictures of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeCount {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 (grey), 3 (colour) or 4 (and alpha).
    pub channels: usize,
    /// How many there are.
    pub count: usize,
}

/// Reads every sample of a source and counts.
///
/// # Errors
/// [`DataError::Read`] for a file that cannot be read; broken pictures are listed instead.
pub fn describe(source: &Source) -> Result<Description, DataError> {
    let mut classes: Vec<ClassCount> =
        source.classes().iter().map(|name| ClassCount { name: name.clone(), ..ClassCount::default() }).collect();
    let mut shapes: BTreeMap<Shape, usize> = BTreeMap::new();
    let mut corrupt = source.left_out().to_vec();
    for i in 0..source.len() {
        for &label in source.labels(i) {
            let class = &mut classes[label as usize];
            *match source.given(i) {
                Some(Given::Train) => &mut class.train,
                Some(Given::Valid) => &mut class.valid,
                Some(Given::Test) => &mut class.test,
                None => &mut class.unassigned,
            } += 1;
        }
        match source.get(i) {
            Ok(image) => *shapes.entry(image.shape()).or_default() += 1,
            Err(DataError::Corrupt { name, why }) => corrupt.push(Skipped { name, reason: why }),
            Err(error) => return Err(error),
        }
    }
    let count = |(Shape { height, width, channels }, count)| ShapeCount { height, width, channels, count };
    let mut shapes: Vec<ShapeCount> = shapes.into_iter().map(count).collect();
    shapes.sort_by_key(|shape| std::cmp::Reverse(shape.count));
    let groups = groups(source)?;
    let several =
        |group: &[usize], differ: &dyn Fn(usize, usize) -> bool| group.windows(2).any(|pair| differ(pair[0], pair[1]));
    let across = groups.iter().filter(|group| several(group, &|a, b| source.given(a) != source.given(b))).count();
    let contradicting = groups.iter().filter(|group| several(group, &|a, b| source.labels(a) != source.labels(b)));
    let contradiction = |group: &Vec<usize>| Contradiction {
        samples: group.iter().map(|&i| source.name(i)).collect(),
        classes: group.iter().map(|&i| named(source, i)).collect(),
    };
    Ok(Description {
        title: source.title().to_owned(),
        fingerprint: source.fingerprint()?,
        samples: source.len(),
        classes,
        shapes,
        duplicates: groups.iter().map(|group| group.len() - 1).sum(),
        across,
        contradictions: contradicting.map(contradiction).collect(),
        corrupt,
    })
}

/// The classes of a sample, in words.
fn named(source: &Source, i: usize) -> String {
    let names: Vec<&str> = source.labels(i).iter().map(|&label| source.classes()[label as usize].as_str()).collect();
    names.join(", ")
}

/// The samples of each content that is there more than once, in the order of their first samples.
fn groups(source: &Source) -> Result<Vec<Vec<usize>>, DataError> {
    let digests = source.digests()?;
    let mut order: Vec<usize> = (0..source.len()).collect();
    order.sort_by_key(|&i| digests[i]);
    let same = order.chunk_by(|&a, &b| digests[a] == digests[b]);
    let mut groups: Vec<Vec<usize>> = same.filter(|group| group.len() > 1).map(<[usize]>::to_vec).collect();
    groups.sort_unstable_by_key(|group| group[0]);
    Ok(groups)
}
