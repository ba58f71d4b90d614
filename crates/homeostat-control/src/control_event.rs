//! One line of the log of observations and decisions. It does not know the file.

use serde::{Deserialize, Serialize};

use crate::{ControlError, Controllers, Decision, Observation};

/// What was observed at a step, and what was decided: one JSON line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlEvent {
    /// Optimiser steps done before.
    pub step: u64,
    /// Epochs done before.
    pub epoch: u64,
    /// What was measured.
    pub observation: Observation,
    /// What follows from it; often nothing.
    pub decisions: Vec<Decision>,
}

impl ControlEvent {
    /// One line of JSON, without the line break.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| panic!("an event is plain data, yet: {error}"))
    }

    /// Reads what [`to_line`](Self::to_line) wrote, every float exact.
    ///
    /// # Errors
    /// [`ControlError::Event`] when the line is not such an event.
    pub fn from_line(line: &str) -> Result<Self, ControlError> {
        serde_json::from_str(line).map_err(|source| ControlError::Event { source })
    }
}

/// Decides again from recorded observations, with fresh controllers: the decisions of each observation in turn.
///
/// With the controllers of the recorded run and all its observations, these are the recorded decisions. With other
/// controllers they say what those would have decided first; what the training would have done after that, nobody knows.
#[must_use]
pub fn replay<'a>(
    mut controllers: Controllers,
    observations: impl IntoIterator<Item = &'a Observation>,
) -> Vec<Vec<Decision>> {
    observations.into_iter().map(|observation| controllers.decide(observation)).collect()
}
