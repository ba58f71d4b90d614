//! How good the answers are: metrics of predictions.
//!
//! A [`MetricConfig`] stands in an experiment file, [`MetricSet`] is what a pass over a split fills batch by batch, and
//! [`ConfusionMatrix`], [`ClassCounts`] and [`ReliabilityBins`] are the tables of a report.
//!
//! ```
//! use homeostat_metrics::{Classes, Loss, MetricConfig, MetricSet, Predictions, Truth};
//!
//! let mut metrics = MetricSet::init(&[MetricConfig::Accuracy, MetricConfig::Brier], Classes::OneOf(2))?;
//! let probabilities = vec![0.75, 0.25, 0.5, 0.5]; // [samples, classes]
//! metrics.update(&Predictions::new(2, probabilities, Truth::OneOf(vec![0, 1]), Loss { mean: 0.5, weight: 2.0 }));
//!
//! let figures = metrics.figures();
//! assert_eq!(figures[0], ("loss".to_owned(), 0.5));
//! assert_eq!(figures[1], ("accuracy".to_owned(), 0.5));
//! assert_eq!(figures[2], ("brier".to_owned(), 0.3125));
//! # Ok::<(), homeostat_metrics::MetricError>(())
//! ```
//!
//! It does not know networks, losses, files or the loop: probabilities and the truth come in as plain numbers, figures
//! go out. Sums are taken in float64, sample by sample in the order of arrival, so a figure does not depend on how the
//! samples were cut into batches, and every state survives JSON exactly, so that a checkpoint may hold it.

mod class_counts;
mod confusion_matrix;
mod error;
mod frechet;
mod interval;
mod language;
mod mean_figures;
mod metric;
mod metric_config;
mod metric_set;
mod predictions;
mod ranking;
mod reliability_bins;
mod retrieval;
mod temperature;

pub use class_counts::{ClassCounts, ClassReport};
pub use confusion_matrix::ConfusionMatrix;
pub use error::MetricError;
pub use frechet::{Moments, frechet_distance};
pub use interval::wilson;
pub use language::{LanguageFigures, TokenLosses};
pub use mean_figures::{MeanFigures, Measurements};
pub use metric::Metric;
pub use metric_config::{CalibrationErrorConfig, MetricConfig, OneClassConfig, TopKConfig};
pub use metric_set::MetricSet;
pub use predictions::{Classes, Loss, Predictions, Truth};
pub use reliability_bins::{ReliabilityBin, ReliabilityBins};
pub use retrieval::{Found, Judgements, PairFigures, PairVectors, ndcg_at, recall_at, reciprocal_rank};
pub use temperature::TemperatureScaling;
