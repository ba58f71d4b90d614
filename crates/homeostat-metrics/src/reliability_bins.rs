//! Whether a network that says 80 % is right in 80 % of the cases.

use serde::{Deserialize, Serialize};

use crate::predictions::Predictions;

/// The samples by the confidence of their answer (the probability of the predicted class), in bins of equal width:
/// bin `i` of `n` holds the confidences in `(i / n, (i + 1) / n]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBins {
    bins: Vec<Sums>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    count: u64,
    right: u64,
    confidence: f64,
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many samples fell into the bin.
    pub count: u64,
    /// The mean of their confidences; 0 in an empty bin.
    pub confidence: f64,
    /// The share of them that were right; 0 in an empty bin.
    pub accuracy: f64,
}

impl ReliabilityBins {
    /// No sample yet; `bins` is at least 1.
    ///
    /// # Panics
    /// When there is no bin.
    #[must_use]
    pub fn new(bins: usize) -> Self {
        assert!(bins > 0, "a reliability diagram needs at least one bin");
        Self { bins: vec![Sums::default(); bins] }
    }

    /// Counts a batch.
    ///
    /// # Panics
    /// When any label may be right.
    pub fn update(&mut self, predictions: &Predictions) {
        for (row, label, predicted) in predictions.answers() {
            let confidence = f64::from(row[predicted]);
            let bin = self.bin_of(confidence);
            self.bins[bin].count += 1;
            self.bins[bin].right += u64::from(label == predicted);
            self.bins[bin].confidence += confidence;
        }
    }

    /// The bins, from the lowest confidence to the highest.
    #[must_use]
    pub fn bins(&self) -> Vec<ReliabilityBin> {
        let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
        let bin = |&Sums { count, right, confidence }: &Sums| ReliabilityBin {
            count,
            confidence: mean(confidence, count),
            accuracy: mean(right as f64, count),
        };
        self.bins.iter().map(bin).collect()
    }

    /// The expected calibration error: the gap between accuracy and mean confidence of a bin, averaged over the
    /// samples (Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3). NaN over no sample.
    #[must_use]
    pub fn calibration_error(&self) -> f64 {
        let samples: u64 = self.bins.iter().map(|bin| bin.count).sum();
        let gaps: f64 = self.bins.iter().map(|bin| (bin.right as f64 - bin.confidence).abs()).sum();
        gaps / samples as f64
    }

    fn bin_of(&self, confidence: f64) -> usize {
        let bins = self.bins.len();
        // The bin is the number of upper edges below the confidence; NaN falls into the first bin.
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the number of bins")]
        let above = (confidence * bins as f64).ceil().clamp(1.0, bins as f64) as usize;
        above.saturating_sub(1)
    }
}
