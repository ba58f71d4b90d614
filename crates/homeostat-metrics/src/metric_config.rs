//! The metrics as an experiment file names them. The enum is the registry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::class_counts::ClassCounts;
use crate::error::MetricError;
use crate::metric::{Metric, State};
use crate::predictions::{Classes, Truth};
use crate::ranking::Ranking;
use crate::reliability_bins::ReliabilityBins;

/// A figure to measure. The loss is always measured and needs no entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricConfig {
    /// The share of answers that are right, from 0 to 1. Where any label may be right, each label of each sample is one
    /// answer.
    Accuracy,
    /// The share of samples whose right class is among the most probable ones, from 0 to 1.
    TopK(TopKConfig),
    /// Of the samples predicted as a class, the share that are of it: the plain mean over the classes, from 0 to 1.
    MacroPrecision,
    /// Of the samples of a class, the share predicted as it: the plain mean over the classes, from 0 to 1.
    MacroRecall,
    /// The harmonic mean of a class's precision and recall: the plain mean over the classes, from 0 to 1.
    MacroF1,
    /// The area under the ROC curve, from 0 to 1, 0.5 being chance: the mean over one class against the rest, classes
    /// without an example left out; for two classes the area of class 1. Keeps every score, 4 bytes a sample and class.
    Auroc,
    /// The area under the ROC curve of one class against all others, by its probability: how well a class such as
    /// "out of scope" is told from the rest, whatever else is answered.
    AurocOf(OneClassConfig),
    /// The share of answers that are right among the samples that are not of one class, from 0 to 1: with "out of scope"
    /// as that class, the accuracy in scope.
    AccuracyWithout(OneClassConfig),
    /// The expected calibration error, from 0 to 1: how far the confidence of an answer is from the share of answers
    /// that are right.
    CalibrationError(CalibrationErrorConfig),
    /// The Brier score, from 0 to 2: the squared distance between probabilities and truth, summed over all classes (of
    /// two classes, too), in the mean over samples.
    Brier,
}

/// The options of `top-k`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopKConfig {
    /// How many of the most probable classes count: at least 1, and fewer than there are classes.
    pub k: usize,
}

impl Default for TopKConfig {
    fn default() -> Self {
        Self { k: 5 }
    }
}

/// The options of `auroc-of` and `accuracy-without`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OneClassConfig {
    /// The place of the class among the labels, from 0.
    pub class: usize,
}

/// The options of `calibration-error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CalibrationErrorConfig {
    /// Into how many bins of equal width the confidences from 0 to 1 are sorted: from 1 to 10000.
    pub bins: usize,
}

impl Default for CalibrationErrorConfig {
    fn default() -> Self {
        Self { bins: 15 }
    }
}

impl MetricConfig {
    /// The name of the figure, such as `accuracy` or `top-5`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Accuracy => "accuracy".to_owned(),
            Self::TopK(config) => format!("top-{}", config.k),
            Self::MacroPrecision => "macro-precision".to_owned(),
            Self::MacroRecall => "macro-recall".to_owned(),
            Self::MacroF1 => "macro-f1".to_owned(),
            Self::Auroc => "auroc".to_owned(),
            Self::AurocOf(OneClassConfig { class }) => format!("auroc-of-{class}"),
            Self::AccuracyWithout(OneClassConfig { class }) => format!("accuracy-without-{class}"),
            Self::CalibrationError(_) => "calibration-error".to_owned(),
            Self::Brier => "brier".to_owned(),
        }
    }

    /// Whether a larger figure is a better one.
    #[must_use]
    pub fn higher_is_better(&self) -> bool {
        !matches!(self, Self::CalibrationError(_) | Self::Brier)
    }

    /// Whether the figure is cheap and telling enough to run beside training.
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self, Self::Accuracy | Self::TopK(_))
    }

    /// Refuses options that fit no classes at all.
    pub(crate) fn check(&self) -> Result<(), MetricError> {
        match self {
            Self::TopK(TopKConfig { k: 0 }) => Err(self.error("needs a `k` of at least 1".to_owned())),
            Self::CalibrationError(CalibrationErrorConfig { bins }) if !(1..=10_000).contains(bins) => {
                Err(self.error(format!("needs `bins` from 1 to 10000, not {bins}")))
            }
            _ => Ok(()),
        }
    }

    /// A metric that has seen no sample.
    ///
    /// # Errors
    /// [`MetricError::Config`] when an option is out of range, or the metric asks for one right class a sample and
    /// any label may be right.
    pub fn init(&self, classes: Classes) -> Result<Metric, MetricError> {
        self.check()?;
        let state = match self {
            Self::Accuracy => State::Right(0),
            Self::TopK(config) => {
                self.one_of_only(classes)?;
                if config.k >= classes.count() {
                    return Err(self.error(format!(
                        "needs a `k` below the number of classes, {}; change `k` or drop the metric",
                        classes.count()
                    )));
                }
                State::Right(0)
            }
            Self::MacroPrecision | Self::MacroRecall | Self::MacroF1 => {
                State::Counts(ClassCounts::new(classes.count()))
            }
            Self::AurocOf(OneClassConfig { class }) | Self::AccuracyWithout(OneClassConfig { class }) => {
                self.one_of_only(classes)?;
                if *class >= classes.count() {
                    let count = classes.count();
                    return Err(self.error(format!("needs a `class` below {count}, the number of classes")));
                }
                match self {
                    Self::AurocOf(_) => State::Ranking(Ranking::new(classes.count(), Truth::OneOf(Vec::new()))),
                    _ => State::Without { right: 0, samples: 0 },
                }
            }
            Self::Auroc => State::Ranking(match classes {
                Classes::OneOf(count) => Ranking::new(count, Truth::OneOf(Vec::new())),
                Classes::AnyOf(count) => Ranking::new(count, Truth::AnyOf(Vec::new())),
            }),
            Self::CalibrationError(config) => {
                self.one_of_only(classes)?;
                State::Reliability(ReliabilityBins::new(config.bins))
            }
            Self::Brier => State::Distances(0.0),
        };
        Ok(Metric::new(self.clone(), classes, state))
    }

    /// The one class that this is about, if it is about one.
    pub(crate) fn class(&self) -> Option<usize> {
        match self {
            Self::AurocOf(OneClassConfig { class }) | Self::AccuracyWithout(OneClassConfig { class }) => Some(*class),
            _ => None,
        }
    }

    pub(crate) fn error(&self, problem: String) -> MetricError {
        MetricError::Config { metric: self.name(), problem }
    }

    fn one_of_only(&self, classes: Classes) -> Result<(), MetricError> {
        match classes {
            Classes::OneOf(_) => Ok(()),
            Classes::AnyOf(_) => Err(self.error("needs exactly one right class a sample; drop the metric".to_owned())),
        }
    }
}
