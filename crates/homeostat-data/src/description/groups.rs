//! Groups that the names of samples tell of: several pictures of one patient, several frames of one film. It knows names alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Groups that the names of samples tell of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameGroups {
    /// How many there are.
    pub count: usize,
    /// The name of the largest.
    pub largest: String,
    /// How many samples that has.
    pub size: usize,
}

impl NameGroups {
    /// Where every name ends in a group with a number in it and a number of one to three digits behind that (`p07_1.png`,
    /// `p07_2.png`, `film3-120.jpg`), and a group has at least two samples in the mean.
    pub(super) fn of(names: impl Iterator<Item = String>) -> Option<Self> {
        let mut groups: BTreeMap<String, usize> = BTreeMap::new();
        let mut samples = 0;
        for name in names {
            *groups.entry(before_number(&name)?.to_owned()).or_default() += 1;
            samples += 1;
        }
        let (largest, &size) = groups.iter().max_by_key(|(_, count)| **count)?;
        let told = groups.len() > 1 && 2 * groups.len() <= samples;
        told.then(|| Self { count: groups.len(), largest: largest.clone(), size })
    }
}

/// The group that a name tells, if it ends in a number.
pub(crate) fn before_number(name: &str) -> Option<&str> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let group = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = stem.len() - group.len();
    let group = group.strip_suffix(['_', '-'])?;
    ((1..=3).contains(&digits) && group.contains(|c: char| c.is_ascii_digit())).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::NameGroups;

    #[test]
    fn groups_are_believed_where_all_names_tell_of_them() {
        let of = |names: &[&str]| NameGroups::of(names.iter().map(|name| (*name).to_owned()));
        let found = of(&["ill/p07_1.png", "ill/p07_2.png", "ill/p07_13.png", "well/p9_1.png"]).unwrap();
        assert_eq!((found.count, found.largest.as_str(), found.size), (2, "p07", 3));
        for names in [
            &["a/p07_1.png", "a/p08_1.png", "b/p09_1.png"][..],
            &["a/p07_1.png", "a/p07_2.png", "b/other.png"],
            &["a/0001.png", "a/0002.png"],
            &["daisy/10172567486_2748826a8b.jpg", "daisy/10172567486_2748826a8c.jpg"],
            &["train-images[1]", "train-images[2]"],
            &["a/img_1.png", "a/img_2.png"],
        ] {
            assert_eq!(of(names), None, "{names:?}");
        }
    }
}
