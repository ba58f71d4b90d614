//! Temperature scaling: the one number that scores are divided by so that a network is as sure as it is right (Guo et al. 2017). It
//! does not know networks: it is fitted on their answers.

use crate::predictions::{Predictions, Truth};

/// The temperatures that are looked at.
const RANGE: [f64; 2] = [0.05, 20.0];

/// Answers by which a temperature is fitted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemperatureScaling {
    /// Of each sample the logarithms of its probabilities, which are its scores but for a constant, and the right class.
    samples: Vec<(Vec<f32>, usize)>,
}

impl TemperatureScaling {
    /// Takes in a batch.
    ///
    /// # Panics
    /// When any label may be right.
    pub fn update(&mut self, predictions: &Predictions) {
        let logs = |row: &[f32]| row.iter().map(|p| p.max(f32::MIN_POSITIVE).ln()).collect();
        self.samples.extend(predictions.answers().map(|(row, label, _)| (logs(row), label)));
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The temperature at which the right classes are most likely; 1 without any sample. It lies in 0.05..=20.
    #[must_use]
    pub fn fit(&self) -> f64 {
        if self.samples.is_empty() {
            return 1.0;
        }
        // The loss is convex in the inverse of the temperature, so its slope changes sign once.
        let [mut low, mut high] = [1.0 / RANGE[1], 1.0 / RANGE[0]];
        for _ in 0..60 {
            let middle = (low * high).sqrt();
            if self.slope(middle) < 0.0 { low = middle } else { high = middle }
        }
        1.0 / (low * high).sqrt()
    }

    /// The derivative of the negative log-likelihood by the inverse temperature: what a score is expected to be, less that of the
    /// right class.
    fn slope(&self, inverse: f64) -> f64 {
        let of_sample = |(scores, label): &(Vec<f32>, usize)| {
            let highest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let weights = scores.iter().map(|&score| ((f64::from(score) - highest) * inverse).exp());
            let (sum, expected) = weights
                .zip(scores)
                .fold((0.0, 0.0), |(sum, expected), (w, &score)| (sum + w, expected + w * f64::from(score)));
            expected / sum - f64::from(scores[*label])
        };
        self.samples.iter().map(of_sample).sum()
    }
}

impl Predictions {
    /// The answers that scores divided by `temperature` would have given.
    ///
    /// # Panics
    /// When any label may be right.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "probabilities are 32-bit floats")]
    pub fn at_temperature(&self, temperature: f64) -> Self {
        assert!(matches!(self.truth(), Truth::OneOf(_)), "one right class a sample is needed");
        let scaled = self.rows().flat_map(|row| {
            let powers: Vec<f64> = row.iter().map(|&p| f64::from(p).powf(1.0 / temperature)).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(move |power| (power / sum) as f32)
        });
        Self::new(self.classes().count(), scaled.collect(), self.truth().clone(), self.loss())
    }
}
