//! The statistics extension: how often a model was asked, and where the time went. It does not know clocks.

use serde::{Deserialize, Serialize};

/// `GET /v2/models/{m}/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStatistics {
    /// One entry a version.
    pub model_stats: Vec<VersionStatistics>,
}

/// Of one version of a model, since it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionStatistics {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The last inference, in milliseconds since 1970.
    pub last_inference: u64,
    /// Inferences that were answered: a batch of `n` counts `n`.
    pub inference_count: u64,
    /// Batches that were computed.
    pub execution_count: u64,
    /// Where the requests' time went.
    pub inference_stats: InferenceStatistics,
    /// The same by the size of the batch.
    pub batch_stats: Vec<BatchStatistics>,
}

/// Where the time of requests went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferenceStatistics {
    /// Whole requests that were answered.
    pub success: Duration,
    /// Whole requests that failed.
    pub fail: Duration,
    /// Waiting for a batch and an instance.
    pub queue: Duration,
    /// Preparing the inputs.
    pub compute_input: Duration,
    /// Computing.
    pub compute_infer: Duration,
    /// Making the outputs.
    pub compute_output: Duration,
    /// Answers from a cache.
    pub cache_hit: Duration,
    /// Requests that a cache could not answer.
    pub cache_miss: Duration,
}

/// Where the time of batches of one size went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStatistics {
    /// Samples in the batch.
    pub batch_size: u64,
    /// Preparing the inputs.
    pub compute_input: Duration,
    /// Computing.
    pub compute_infer: Duration,
    /// Making the outputs.
    pub compute_output: Duration,
}

/// So many times, so long altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duration {
    /// How often.
    pub count: u64,
    /// Nanoseconds altogether.
    pub ns: u64,
}
