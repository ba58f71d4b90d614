//! What is lost when pictures of other kinds become 8-bit levels, and of how many pictures: warned of once. It does not know formats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// A picture that had more than 8-bit grey or red, green and blue can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conversion {
    /// More than 8 bits a channel, which were rounded to 8.
    Deep,
    /// The four inks of print, without a colour profile.
    Print,
}

impl Conversion {
    fn words(self) -> &'static str {
        match self {
            Self::Deep => "have more than 8 bits a channel, and are rounded to 8",
            Self::Print => "are in CMYK, and are converted to red, green and blue without a colour profile",
        }
    }
}

/// The pictures of a source that were converted, each counted once, however often it is read. When the source is done with, one warning
/// says how many they were.
#[derive(Default)]
pub(crate) struct Conversions(Mutex<BTreeMap<Conversion, Converted>>);

struct Converted {
    /// The first of them that was read.
    name: String,
    indices: BTreeSet<usize>,
}

impl Conversions {
    /// Counts the picture of this index, if it was not counted before.
    pub(crate) fn count(&self, conversion: Conversion, index: usize, name: impl FnOnce() -> String) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let converted = seen.entry(conversion).or_insert_with(|| Converted { name: name(), indices: BTreeSet::new() });
        converted.indices.insert(index);
    }

    /// How many pictures were read, by what was done to them.
    pub(crate) fn counts(&self) -> Vec<(Conversion, usize)> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(conversion, converted)| (*conversion, converted.indices.len())).collect()
    }
}

impl Drop for Conversions {
    fn drop(&mut self) {
        let seen = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (conversion, Converted { name, indices }) in seen {
            tracing::warn!("pictures {}: {}, the first is {name}", conversion.words(), indices.len());
        }
    }
}
