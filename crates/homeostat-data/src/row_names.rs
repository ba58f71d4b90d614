//! The names of samples that are rows of files. It does not know what is in them.

use crate::Place;

/// Where each sample stands in its file.
#[derive(Default)]
pub(crate) struct RowNames {
    /// Counted from 1, or 0 where the sample is all of the file.
    numbers: Vec<u64>,
    /// What the numbers of each part count.
    units: Vec<&'static str>,
}

impl RowNames {
    /// One more sample, of the part of this number.
    pub(crate) fn push(&mut self, part: usize, unit: &'static str, number: u64) {
        self.numbers.push(number);
        self.units.resize(part + 1, unit);
    }

    /// `train.csv, line 17`.
    pub(crate) fn name(&self, place: Place<'_>) -> String {
        match self.numbers[place.index] {
            0 => place.part.to_owned(),
            number => format!("{}, {} {number}", place.part, self.units[place.part_index]),
        }
    }
}
