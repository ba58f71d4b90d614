//! What can be wrong with the metrics that an experiment asks for.

use thiserror::Error;

/// Why metrics cannot be measured as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetricError {
    /// The list of metrics does not fit the classes, or itself; the user mends the experiment file.
    #[error("metric `{metric}` {problem}")]
    Config {
        /// The figure's name, such as `top-5`.
        metric: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}
