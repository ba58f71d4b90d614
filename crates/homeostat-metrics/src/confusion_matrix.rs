//! Which class is taken for which.

use serde::{Deserialize, Serialize};

use crate::class_counts::{ClassCounts, ClassReport, Count};
use crate::predictions::Predictions;

/// Which class is taken for which: `[classes, classes]` counts, a row a right class, a column a predicted one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    rows: Vec<Vec<u64>>,
}

impl ConfusionMatrix {
    /// No sample yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { rows: vec![vec![0; classes]; classes] }
    }

    /// Counts a batch.
    ///
    /// # Panics
    /// When the batch has another number of classes, or any label may be right ([`ClassCounts`] is for those).
    pub fn update(&mut self, predictions: &Predictions) {
        let given = predictions.classes().count();
        assert_eq!(self.rows.len(), given, "a matrix of {} classes, predictions of {given}", self.rows.len());
        for (_, label, predicted) in predictions.answers() {
            self.rows[label][predicted] += 1;
        }
    }

    /// `[classes, classes]`: the counts, a row a right class.
    #[must_use]
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.rows
    }

    /// One row a class.
    #[must_use]
    pub fn per_class(&self) -> Vec<ClassReport> {
        let mut counts = vec![Count::default(); self.rows.len()];
        for (truth, row) in self.rows.iter().enumerate() {
            for (predicted, &samples) in row.iter().enumerate() {
                if truth == predicted {
                    counts[truth].true_positives += samples;
                } else {
                    counts[truth].false_negatives += samples;
                    counts[predicted].false_positives += samples;
                }
            }
        }
        ClassCounts::from_counts(counts).per_class()
    }
}
