//! One metric, alive: it takes batches in and gives a figure. Which figure was settled by its config.

use serde::{Deserialize, Serialize};

use crate::class_counts::ClassCounts;
use crate::metric_config::MetricConfig;
use crate::predictions::{Classes, Predictions, Truth, says_yes};
use crate::ranking::Ranking;
use crate::reliability_bins::ReliabilityBins;

/// One metric with what it has seen. Written to JSON and read again, it goes on exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    config: MetricConfig,
    classes: Classes,
    samples: u64,
    broken: bool,
    state: State,
}

/// What a metric remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// How many answers were right.
    Right(u64),
    /// How many answers to samples that are not of one class were right, and how many samples these are.
    Without {
        right: u64,
        samples: u64,
    },
    Counts(ClassCounts),
    Ranking(Ranking),
    Reliability(ReliabilityBins),
    /// The sum of the squared distances.
    Distances(f64),
}

impl Metric {
    pub(crate) fn new(config: MetricConfig, classes: Classes, state: State) -> Self {
        Self { config, classes, samples: 0, broken: false, state }
    }

    /// What this metric was made from: its name, and whether higher is better.
    #[must_use]
    pub fn config(&self) -> &MetricConfig {
        &self.config
    }

    /// Takes in a batch.
    ///
    /// # Panics
    /// When the batch has other classes than the metric was made for.
    pub fn update(&mut self, predictions: &Predictions) {
        assert_eq!(self.classes, predictions.classes(), "metric and predictions disagree on the classes");
        // Kept as a flag and out of the sums: a NaN does not survive JSON.
        self.broken |= !predictions.is_finite();
        if self.broken {
            return;
        }
        self.samples += predictions.len() as u64;
        match (&mut self.state, &self.config) {
            (State::Right(right), MetricConfig::TopK(config)) => *right += right_in_top(config.k, predictions),
            (State::Right(right), _) => *right += right_answers(predictions),
            (State::Without { right, samples }, config) => {
                let class = config.class().unwrap_or_default();
                let others = predictions.answers().filter(|(_, label, _)| *label != class);
                for (_, label, predicted) in others {
                    *samples += 1;
                    *right += u64::from(label == predicted);
                }
            }
            (State::Counts(counts), _) => counts.update(predictions),
            (State::Ranking(ranking), _) => ranking.update(predictions),
            (State::Reliability(bins), _) => bins.update(predictions),
            (State::Distances(sum), _) => add_distances(sum, predictions),
        }
    }

    /// The figure over all samples so far. NaN over no sample, once a probability was not a finite number, and, for
    /// `auroc`, when no class has both positives and negatives; for `auroc-of`, when its class has not.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.broken || self.samples == 0 {
            return f64::NAN;
        }
        match &self.state {
            State::Right(right) => *right as f64 / (self.samples * self.answers_per_sample()) as f64,
            State::Without { right, samples } => *right as f64 / *samples as f64,
            State::Counts(counts) => self.macro_mean(counts),
            State::Ranking(ranking) => match self.config.class() {
                Some(class) => ranking.area_of(class),
                None => ranking.area(),
            },
            State::Reliability(bins) => bins.calibration_error(),
            State::Distances(sum) => sum / self.samples as f64,
        }
    }

    fn answers_per_sample(&self) -> u64 {
        match self.classes {
            Classes::OneOf(_) => 1,
            Classes::AnyOf(labels) => labels as u64,
        }
    }

    fn macro_mean(&self, counts: &ClassCounts) -> f64 {
        let exclusive = matches!(self.classes, Classes::OneOf(_));
        counts.macro_mean(
            exclusive,
            match self.config {
                MetricConfig::MacroPrecision => |class| class.precision,
                MetricConfig::MacroRecall => |class| class.recall,
                _ => |class| class.f1,
            },
        )
    }
}

fn right_answers(predictions: &Predictions) -> u64 {
    let right = match predictions.truth() {
        Truth::OneOf(labels) => labels.iter().zip(predictions.predicted()).filter(|(a, b)| a == b).count(),
        Truth::AnyOf(labels) => {
            labels.iter().zip(predictions.probabilities()).filter(|(truth, p)| **truth == says_yes(**p)).count()
        }
    };
    right as u64
}

/// Among equals the lower class goes first, so that top-1 is accuracy.
fn right_in_top(k: usize, predictions: &Predictions) -> u64 {
    let in_top = |(row, label, _): &(&[f32], usize, usize)| {
        let own = row[*label];
        let before = row[..*label].iter().filter(|p| **p >= own).count();
        let after = row[label + 1..].iter().filter(|p| **p > own).count();
        before + after < k
    };
    predictions.answers().filter(in_top).count() as u64
}

/// Adds the squared distance of each sample by itself: a subtotal of the batch would depend on how batches are cut.
fn add_distances(sum: &mut f64, predictions: &Predictions) {
    let classes = predictions.classes().count();
    for (sample, row) in predictions.rows().enumerate() {
        let target = |class: usize| match predictions.truth() {
            Truth::OneOf(labels) => labels[sample] as usize == class,
            Truth::AnyOf(labels) => labels[sample * classes + class],
        };
        let distance = |(class, p): (usize, &f32)| (f64::from(*p) - f64::from(u8::from(target(class)))).powi(2);
        *sum += row.iter().enumerate().map(distance).sum::<f64>();
    }
}
