//! A figure and the direction in which it is good. It does not know who computes it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ControlError;

/// The direction in which a figure is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// More is better, as for accuracy.
    Maximize,
    /// Less is better, as for the loss.
    Minimize,
}

impl Goal {
    /// Whether the candidate is strictly better than the incumbent. A NaN is never better, and every number is better
    /// than a NaN.
    #[must_use]
    pub fn better(self, candidate: f64, incumbent: f64) -> bool {
        if candidate.is_nan() || incumbent.is_nan() {
            return !candidate.is_nan();
        }
        match self {
            Self::Maximize => candidate > incumbent,
            Self::Minimize => candidate < incumbent,
        }
    }

    /// The value that a candidate must be better than, to be so by at least `margin`.
    pub(crate) fn bar(self, incumbent: f64, margin: f64) -> f64 {
        match self {
            Self::Maximize => incumbent + margin,
            Self::Minimize => incumbent - margin,
        }
    }
}

/// A figure to watch: for a plateau, for early stopping, for the choice of the best weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Monitor {
    /// The name that evaluations give it, as `loss` or `macro-f1`.
    pub figure: String,
    /// The direction in which it is good.
    pub goal: Goal,
}

impl Monitor {
    /// Whether the candidate is strictly better than the incumbent: see [`Goal::better`].
    #[must_use]
    pub fn better(&self, candidate: f64, incumbent: f64) -> bool {
        self.goal.better(candidate, incumbent)
    }

    /// Finds the figure among those that evaluations give; `key` is where the user named it.
    ///
    /// # Errors
    /// [`ControlError::UnknownFigure`] when there is none of that name.
    pub fn find(figure: &str, goals: &BTreeMap<String, Goal>, key: &'static str) -> Result<Self, ControlError> {
        match goals.get(figure) {
            Some(&goal) => Ok(Self { figure: figure.to_string(), goal }),
            None => Err(ControlError::UnknownFigure {
                key,
                figure: figure.to_string(),
                known: goals.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}
