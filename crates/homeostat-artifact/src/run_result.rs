//! `result.json`: how a run ended, so that scripts need not read prose. Does not know how it came about.

use serde::{Deserialize, Serialize};

use crate::Figures;
use crate::figures::number;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// A process is training in it now. Found out by its lock, never in a file: see [`crate::Run::summary`].
    Running,
    /// Stopped before its end: it can be resumed.
    Interrupted,
    /// Ended by an error or by the guard.
    Failed,
    /// Trained to its end and tested.
    Finished,
}

/// The content of `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// How it ended.
    pub state: RunState,
    /// Why it ended so, if there is more to say: which limit, which error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The figures on the test part, with the chosen weights.
    #[serde(default)]
    pub test: Figures,
    /// The figures on the validation part, with the chosen weights.
    #[serde(default)]
    pub valid: Figures,
    /// How many samples these figures are of.
    #[serde(default)]
    pub samples: Samples,
    /// The evaluation that chose the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Epochs done.
    pub epochs: u64,
    /// Optimiser steps done.
    pub steps: u64,
    /// Parameters of the network.
    pub parameters: u64,
    /// Wall time of training in seconds, over all its resumptions.
    pub seconds: f64,
}

/// How many samples of each part were measured; those that could not be read are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// Of the test part.
    pub test: u64,
    /// Of the validation part.
    pub valid: u64,
}

/// The best evaluation of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Epochs done at that time.
    pub epoch: u64,
    /// Optimiser steps done at that time.
    pub step: u64,
    /// The figure that decides.
    pub monitor: String,
    /// Its value.
    #[serde(with = "number")]
    pub value: f64,
}
