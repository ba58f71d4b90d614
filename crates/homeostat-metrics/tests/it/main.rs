//! What the metrics promise, against scikit-learn's values and over the whole enum.

mod batches;
mod config;
mod frechet;
mod reference;
mod retrieval;
mod temperature;
mod undefined;

use homeostat_metrics::{CalibrationErrorConfig, Classes, Loss, MetricConfig, Predictions, TopKConfig, Truth};

/// Every metric that can be asked for with these classes.
fn all_metrics(classes: Classes, k: usize) -> Vec<MetricConfig> {
    let any = [
        MetricConfig::Accuracy,
        MetricConfig::MacroPrecision,
        MetricConfig::MacroRecall,
        MetricConfig::MacroF1,
        MetricConfig::Auroc,
        MetricConfig::Brier,
    ];
    let one = [MetricConfig::TopK(TopKConfig { k }), MetricConfig::CalibrationError(CalibrationErrorConfig::default())];
    match classes {
        Classes::OneOf(_) => any.into_iter().chain(one).collect(),
        Classes::AnyOf(_) => any.into(),
    }
}

/// The samples cut into batches of these sizes, the last one taking the rest.
fn cut(classes: usize, probabilities: &[f32], truth: &Truth, sizes: &[usize]) -> Vec<Predictions> {
    let samples = probabilities.len() / classes;
    let mut ends = sizes.iter().scan(0, |end, size| {
        *end += size;
        Some((*end).min(samples))
    });
    let mut start = 0;
    let mut batches = Vec::new();
    while start < samples {
        let end = ends.next().unwrap_or(samples);
        let truth = match truth {
            Truth::OneOf(labels) => Truth::OneOf(labels[start..end].to_vec()),
            Truth::AnyOf(labels) => Truth::AnyOf(labels[start * classes..end * classes].to_vec()),
        };
        // A dyadic loss, so that its sums are exact however they are grouped.
        let loss = Loss { mean: 0.25, weight: (end - start) as f64 };
        batches.push(Predictions::new(classes, probabilities[start * classes..end * classes].to_vec(), truth, loss));
        start = end;
    }
    batches
}
