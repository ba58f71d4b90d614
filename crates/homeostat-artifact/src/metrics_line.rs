//! One line of `metrics.jsonl`: the figures of one part of the data at one step. Does not know what the figures mean.

use serde::{Deserialize, Serialize};

use crate::Figures;
use crate::figures::number;

/// The part of the data that figures are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What the network learns from.
    Train,
    /// What choices are made by.
    Valid,
    /// What is looked at once, at the end.
    Test,
}

/// One evaluation: `{"step":120,"epoch":3,"part":"valid","rate":0.001,"figures":{"loss":0.1},"seconds":4.2}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Optimiser steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// What the figures are of.
    pub part: Part,
    /// The learning rate at that step.
    #[serde(with = "number")]
    pub rate: f64,
    /// The figures.
    pub figures: Figures,
    /// Wall time since the run began, in seconds. The last field, and the only one that may differ between a straight run and a resumed one.
    pub seconds: f64,
}
