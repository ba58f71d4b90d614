//! The metrics of one pass over a split, with the loss.

use serde::{Deserialize, Serialize};

use crate::error::MetricError;
use crate::metric::Metric;
use crate::metric_config::MetricConfig;
use crate::predictions::{Classes, Loss, Predictions};

const LOSS: &str = "loss";

/// The metrics of one pass over a split, with the loss. Written to JSON and read again, it goes on exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSet {
    loss: MeanLoss,
    metrics: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct MeanLoss {
    sum: f64,
    weight: f64,
    broken: bool,
}

impl MetricSet {
    /// Refuses a list that fits no classes at all.
    ///
    /// # Errors
    /// [`MetricError::Config`] when an option is out of range, or a metric stands twice.
    pub fn check(configs: &[MetricConfig]) -> Result<(), MetricError> {
        let repeated = |&(at, config): &(usize, &MetricConfig)| configs[..at].iter().any(|c| c.name() == config.name());
        if let Some((_, config)) = configs.iter().enumerate().find(repeated) {
            return Err(config.error("stands twice in the list; drop one".to_owned()));
        }
        configs.iter().try_for_each(MetricConfig::check)
    }

    /// The loss and the metrics asked for, before the first sample.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and when a metric does not fit the classes.
    pub fn init(configs: &[MetricConfig], classes: Classes) -> Result<Self, MetricError> {
        Self::check(configs)?;
        let metrics = configs.iter().map(|config| config.init(classes)).collect::<Result<_, _>>()?;
        Ok(Self { loss: MeanLoss::default(), metrics })
    }

    /// Only what runs beside training: the loss, accuracy and top-k.
    #[must_use]
    pub fn streaming_only(mut self) -> Self {
        self.metrics.retain(|metric| metric.config().is_streaming());
        self
    }

    /// Takes in a batch.
    ///
    /// # Panics
    /// When the batch has other classes than the metrics were made for.
    pub fn update(&mut self, predictions: &Predictions) {
        self.loss.update(predictions.loss());
        for metric in &mut self.metrics {
            metric.update(predictions);
        }
    }

    /// Names and values: `loss` first (the weighted mean over the batches; NaN over none, and once the loss of a batch
    /// was not finite), then the metrics in the order of the experiment file (see [`Metric::value`] for their NaN).
    #[must_use]
    pub fn figures(&self) -> Vec<(String, f64)> {
        let metrics = self.metrics.iter().map(|metric| (metric.config().name(), metric.value()));
        std::iter::once((LOSS.to_owned(), self.loss.value())).chain(metrics).collect()
    }

    /// Whether a larger value of this figure is a better one; `None` when the set has no figure of this name.
    #[must_use]
    pub fn higher_is_better(&self, figure: &str) -> Option<bool> {
        if figure == LOSS {
            return Some(false);
        }
        self.metrics
            .iter()
            .map(Metric::config)
            .find(|config| config.name() == figure)
            .map(MetricConfig::higher_is_better)
    }
}

impl MeanLoss {
    fn update(&mut self, loss: Loss) {
        let part = loss.mean * loss.weight;
        if loss.weight == 0.0 {
            return; // An empty batch, whose mean is 0 / 0.
        }
        // Kept as a flag and out of the sum: a NaN does not survive JSON.
        self.broken |= !part.is_finite();
        if !self.broken {
            self.sum += part;
            self.weight += loss.weight;
        }
    }

    fn value(&self) -> f64 {
        if self.broken { f64::NAN } else { self.sum / self.weight }
    }
}
