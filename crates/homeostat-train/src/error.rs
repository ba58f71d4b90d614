//! What ends a training early. It does not know the command line, which shows these lines as they are.

use homeostat_artifact::ArtifactError;
use homeostat_control::ControlError;
use homeostat_data::DataError;
use homeostat_task::{TaskError, WeightsError};

/// Why a training cannot start, go on, or be resumed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting outside its range.
    #[error("`{key}`: {problem}")]
    Setting {
        /// The setting's key in the experiment.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run's directory cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The description makes no network.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A controller's settings are wrong.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The weights of a checkpoint are broken or of another network.
    #[error("{file}: {source}")]
    Weights {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: WeightsError,
    },
    /// The optimiser's state in a checkpoint is broken.
    #[error("the optimiser's state in the checkpoint cannot be used: {reason}")]
    OptimizerState {
        /// What is wrong with it.
        reason: String,
    },
    /// The loop's own state in a checkpoint is broken.
    #[error("{file} cannot be used: {reason}")]
    State {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A controller gave the training up.
    #[error("training diverged at step {step}: {reason}")]
    Diverged {
        /// Optimiser steps done.
        step: usize,
        /// The controller's reason.
        reason: String,
    },
}

impl TrainError {
    pub(crate) fn setting(key: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { key, problem: problem.into() }
    }
}
