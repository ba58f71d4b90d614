//! How a number is spread over many samples. It does not know what it counts.

use serde::{Deserialize, Serialize};

/// How a number is spread over many samples. All is 0 where there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The smallest.
    pub least: f64,
    /// Half of the samples have at most this.
    pub median: f64,
    /// 95 in 100 of the samples have at most this.
    pub high: f64,
    /// The largest.
    pub most: f64,
    /// Counts in bins of one width; a single one where all are equal.
    pub bins: Vec<Bin>,
}

/// A range and how many samples lie in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Where it begins.
    pub from: f64,
    /// Where it ends; it belongs to the next bin, but for the last one.
    pub to: f64,
    /// How many samples.
    pub count: usize,
}

const BINS: usize = 12;

impl Distribution {
    /// Of values, each with the number of samples that have it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the place of a bin")]
    pub(super) fn of(mut values: Vec<(f64, usize)>) -> Self {
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(&(least, _)), Some(&(most, _))) = (values.first(), values.last()) else { return Self::default() };
        let all: usize = values.iter().map(|(_, count)| count).sum();
        let at = |share: f64| {
            let mut seen = 0;
            let reached = |(_, count): &&(f64, usize)| {
                seen += count;
                seen as f64 >= share * all as f64
            };
            values.iter().find(reached).map_or(most, |(value, _)| *value)
        };
        let bins = if most > least { BINS } else { 1 };
        let width = (most - least) / bins as f64;
        let bin = |at: usize| Bin { from: least + width * at as f64, to: least + width * (at + 1) as f64, count: 0 };
        let mut bins: Vec<Bin> = (0..bins).map(bin).collect();
        let last = bins.len() - 1;
        for &(value, count) in &values {
            let place = if width > 0.0 { ((value - least) / width) as usize } else { 0 };
            bins[place.min(last)].count += count;
        }
        Self { least, median: at(0.5), high: at(0.95), most, bins }
    }
}
