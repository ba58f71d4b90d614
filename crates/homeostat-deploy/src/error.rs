//! Why an artifact cannot answer.

use homeostat_artifact::ArtifactError;
use homeostat_task::{TaskError, WeightsError};

/// Why an artifact cannot be opened or is not what it was.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The directory is broken.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The task's description makes no network.
    #[error("{path}: {source}")]
    Task {
        /// The artifact.
        path: String,
        /// What is wrong.
        source: TaskError,
    },
    /// The weights are broken or of another network.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: String,
        /// What is wrong.
        source: WeightsError,
    },
    /// A golden request is answered differently than at the end of training.
    #[error("{path}: the golden request `{name}` is answered {found}, but was {expected} at the end of training")]
    Golden {
        /// The artifact.
        path: String,
        /// The request.
        name: String,
        /// The answer at the end of training.
        expected: String,
        /// The answer now.
        found: String,
    },
    /// Changes of low rank cannot be merged into the weights without another answer.
    #[error(
        "merged into the weights, the changes of low rank answer the request `{name}` with {merged}, but apart from them with {apart}: \
         this is not published; a smaller train.lora.alpha or learning rate keeps numbers small"
    )]
    Merged {
        /// The request.
        name: String,
        /// The answer of the merged weights.
        merged: String,
        /// The answer of the others.
        apart: String,
    },
    /// A text that cannot be put into an index, or looked for in it.
    #[error("`{name}`: {reason}")]
    NotIndexed {
        /// The text's name, or the question.
        name: String,
        /// Why.
        reason: String,
    },
    /// An index that cannot be made or opened.
    #[error("{path}: {reason}")]
    Index {
        /// The folder.
        path: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// There is nothing to verify by.
    #[error("{path} has no golden requests, so it cannot be verified")]
    NoGolden {
        /// The artifact.
        path: String,
    },
}
