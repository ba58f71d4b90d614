//! Hits and misses by class, and the precision, recall and F1 that follow from them.

use serde::{Deserialize, Serialize};

use crate::predictions::{Predictions, Truth, says_yes};

/// Hits and misses by class. Where any label may be right, one is predicted when its probability is above 0.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    classes: Vec<Count>,
}

/// Hits and misses of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) true_positives: u64,
    pub(crate) false_positives: u64,
    pub(crate) false_negatives: u64,
}

/// How well one class is recognised. A ratio whose denominator is zero is 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Of the samples predicted as this class, the share that are of it.
    pub precision: f64,
    /// Of the samples of this class, the share predicted as it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// How many samples are of this class.
    pub support: u64,
}

impl ClassCounts {
    /// No sample yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes: vec![Count::default(); classes] }
    }

    pub(crate) fn from_counts(classes: Vec<Count>) -> Self {
        Self { classes }
    }

    /// Counts a batch.
    ///
    /// # Panics
    /// When the batch has another number of classes.
    pub fn update(&mut self, predictions: &Predictions) {
        let given = predictions.classes().count();
        assert_eq!(self.classes.len(), given, "counts of {} classes, predictions of {given}", self.classes.len());
        match predictions.truth() {
            Truth::OneOf(_) => {
                for (_, label, predicted) in predictions.answers() {
                    if label == predicted {
                        self.classes[label].true_positives += 1;
                    } else {
                        self.classes[label].false_negatives += 1;
                        self.classes[predicted].false_positives += 1;
                    }
                }
            }
            Truth::AnyOf(labels) => {
                for (row, truths) in predictions.rows().zip(labels.chunks_exact(given)) {
                    for ((count, &probability), &truth) in self.classes.iter_mut().zip(row).zip(truths) {
                        let predicted = says_yes(probability);
                        count.true_positives += u64::from(truth && predicted);
                        count.false_positives += u64::from(!truth && predicted);
                        count.false_negatives += u64::from(truth && !predicted);
                    }
                }
            }
        }
    }

    /// One row a class.
    #[must_use]
    pub fn per_class(&self) -> Vec<ClassReport> {
        self.classes.iter().map(|count| count.report()).collect()
    }

    /// The plain mean of `figure` over the classes. Where exactly one class is right, those that were neither present
    /// nor predicted are left out, as scikit-learn does; where any label may be, all count.
    pub(crate) fn macro_mean(&self, exclusive: bool, figure: fn(&ClassReport) -> f64) -> f64 {
        let counted = || self.classes.iter().filter(|count| !exclusive || count.seen() > 0);
        let sum: f64 = counted().map(|count| figure(&count.report())).sum();
        sum / counted().count() as f64
    }
}

impl Count {
    fn seen(self) -> u64 {
        self.true_positives + self.false_positives + self.false_negatives
    }

    fn report(self) -> ClassReport {
        let Self { true_positives, false_positives, false_negatives } = self;
        ClassReport {
            precision: ratio(true_positives, true_positives + false_positives),
            recall: ratio(true_positives, true_positives + false_negatives),
            f1: ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
            support: true_positives + false_negatives,
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
