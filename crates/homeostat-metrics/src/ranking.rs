//! The area under the ROC curve: how often a right answer is scored above a wrong one.

use serde::{Deserialize, Serialize};

use crate::predictions::{Predictions, Truth};

/// Every score seen, with its truth: four bytes a sample and class, since the area is a matter of all pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ranking {
    classes: usize,
    scores: Vec<f32>,
    truth: Truth,
}

impl Ranking {
    pub(crate) fn new(classes: usize, truth: Truth) -> Self {
        Self { classes, scores: Vec::new(), truth }
    }

    pub(crate) fn update(&mut self, predictions: &Predictions) {
        match (&mut self.truth, predictions.truth()) {
            (Truth::OneOf(all), Truth::OneOf(batch)) => all.extend_from_slice(batch),
            (Truth::AnyOf(all), Truth::AnyOf(batch)) => all.extend_from_slice(batch),
            _ => panic!("a ranking takes one kind of truth: one class a sample, or any of its labels"),
        }
        self.scores.extend_from_slice(predictions.probabilities());
    }

    /// The mean over the classes that have both positives and negatives; NaN when there is none. Two exclusive classes
    /// are one question, whose positive answer is class 1.
    pub(crate) fn area(&self) -> f64 {
        let questions = match self.truth {
            Truth::OneOf(_) if self.classes == 2 => 1..2,
            _ => 0..self.classes,
        };
        let areas: Vec<f64> = questions.filter_map(|class| area(self.column(class))).collect();
        areas.iter().sum::<f64>() / areas.len() as f64
    }

    /// The area of one class; NaN where it has no positives or no negatives.
    pub(crate) fn area_of(&self, class: usize) -> f64 {
        area(self.column(class)).unwrap_or(f64::NAN)
    }

    /// `[samples]`: the score of a class, and whether it is right.
    fn column(&self, class: usize) -> Vec<(f32, bool)> {
        let right = |sample: usize| match &self.truth {
            Truth::OneOf(labels) => labels[sample] as usize == class,
            Truth::AnyOf(labels) => labels[sample * self.classes + class],
        };
        let scores = self.scores.chunks_exact(self.classes).map(|row| row[class]);
        scores.enumerate().map(|(sample, score)| (score, right(sample))).collect()
    }
}

/// The Mann-Whitney statistic: the share of pairs of a positive and a negative in which the positive has the higher
/// score, a tie being half a pair. Counted in whole half-pairs, hence exact. `None` without a pair.
fn area(mut column: Vec<(f32, bool)>) -> Option<f64> {
    column.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut positives, mut negatives, mut half_pairs) = (0_u64, 0_u64, 0_u64);
    for ties in column.chunk_by(|a, b| a.0 == b.0) {
        let above = ties.iter().filter(|(_, right)| *right).count() as u64;
        let tied = ties.len() as u64 - above;
        half_pairs += above * (2 * negatives + tied);
        positives += above;
        negatives += tied;
    }
    let pairs = positives * negatives;
    (pairs > 0).then(|| half_pairs as f64 / (2.0 * pairs as f64))
}
