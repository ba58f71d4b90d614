//! Ends a training that no longer improves. It does not know which weights are kept.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::stall::Stall;
use crate::{Action, ControlError, ControllerName, Decision, Goal, Monitor};

/// Ends the training when a validation figure has stopped improving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EarlyStopConfig {
    /// The validation figure to watch, as `loss` or `accuracy`. Its direction is known from its name.
    pub monitor: String,
    /// Evaluations in a row without improvement after which training stops; at least 1.
    pub patience: u32,
    /// How much better than the best so far a figure must be to count as an improvement, in the figure's own unit; 0 or
    /// more.
    pub min_delta: f64,
}

impl Default for EarlyStopConfig {
    fn default() -> Self {
        Self { monitor: "loss".to_string(), patience: 10, min_delta: 0.0 }
    }
}

impl EarlyStopConfig {
    pub(crate) fn init(&self, goals: &BTreeMap<String, Goal>) -> Result<EarlyStop, ControlError> {
        require(self.patience >= 1, "control.early-stop.on.patience", self.patience, "at least 1")?;
        let delta = self.min_delta;
        require(delta >= 0.0 && delta.is_finite(), "control.early-stop.on.min-delta", delta, "0 or more")?;
        let monitor = Monitor::find(&self.monitor, goals, "control.early-stop.on.monitor")?;
        Ok(EarlyStop { config: self.clone(), monitor, stall: Stall::default() })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct EarlyStop {
    config: EarlyStopConfig,
    monitor: Monitor,
    stall: Stall,
}

impl EarlyStop {
    pub(crate) fn decide(&mut self, figures: &BTreeMap<String, f64>) -> Option<Decision> {
        let value = *figures.get(&self.monitor.figure)?;
        self.stall.observe(value, self.monitor.goal, |_| self.config.min_delta);
        (self.stall.waited >= self.config.patience).then(|| Decision {
            controller: ControllerName::EarlyStop,
            action: Action::Stop,
            reason: format!("{}: training stops", self.stall.describe(&self.monitor.figure, value)),
            evidence: self.stall.evidence(&self.monitor.figure, value),
        })
    }
}
