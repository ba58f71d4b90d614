//! The `[control]` table of an experiment. It does not know the rest of the experiment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ControlError, Controllers, EarlyStopConfig, Goal, GuardConfig, PlateauConfig};

/// The loops that watch the training and act on it. Each can be switched off: `guard = "off"`, or set:
/// `plateau.on = { patience = 3 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlConfig {
    /// Skips steps whose loss or gradients are broken, and rewinds when that does not help. On by default.
    pub guard: Switch<GuardConfig>,
    /// Lowers the learning rate when a validation figure has stopped improving. Off by default.
    pub plateau: Switch<PlateauConfig>,
    /// Ends the training when a validation figure has stopped improving. Off by default.
    pub early_stop: Switch<EarlyStopConfig>,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { guard: Switch::On(GuardConfig::default()), plateau: Switch::Off, early_stop: Switch::Off }
    }
}

impl ControlConfig {
    /// Makes the controllers live. `goals` names every figure that evaluations give, and the direction in which it is
    /// good.
    ///
    /// # Errors
    /// A setting out of its range, or a watched figure that is not in `goals`.
    pub fn init(&self, goals: &BTreeMap<String, Goal>) -> Result<Controllers, ControlError> {
        Ok(Controllers {
            rate_scale: 1.0,
            guard: self.guard.on().map(GuardConfig::init).transpose()?,
            plateau: self.plateau.on().map(|config| config.init(goals)).transpose()?,
            early_stop: self.early_stop.on().map(|config| config.init(goals)).transpose()?,
        })
    }
}

/// A controller that is off, or on with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch<T> {
    /// Does nothing.
    Off,
    /// Acts, with these settings.
    On(T),
}

impl<T> Switch<T> {
    /// The settings, where it is on.
    pub fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(config) => Some(config),
        }
    }
}
