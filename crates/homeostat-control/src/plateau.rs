//! Lowers the learning rate when learning stalls. It does not know the schedule that it scales.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::stall::Stall;
use crate::{Action, ControlError, ControllerName, Decision, Goal, Monitor, Number};

/// Lowers the learning rate when a validation figure has stopped improving, on top of the schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlateauConfig {
    /// The validation figure to watch, as `loss` or `accuracy`. Its direction is known from its name.
    pub monitor: String,
    /// What the rate is multiplied by; above 0 and below 1.
    pub factor: f64,
    /// Evaluations in a row without improvement after which the rate is lowered; at least 1.
    pub patience: u32,
    /// How much better than the best so far a figure must be to count as an improvement, as a share of that best; 0 or
    /// more, 0.001 is a thousandth.
    pub threshold: f64,
    /// Evaluations after a reduction that are not held against the new rate.
    pub cooldown: u32,
    /// The smallest share of the schedule's rate that reductions may lead to; above 0, at most 1.
    pub min_scale: f64,
}

impl Default for PlateauConfig {
    fn default() -> Self {
        let monitor = "loss".to_string();
        Self { monitor, factor: 0.5, patience: 5, threshold: 1e-3, cooldown: 2, min_scale: 1e-3 }
    }
}

impl PlateauConfig {
    pub(crate) fn init(&self, goals: &BTreeMap<String, Goal>) -> Result<Plateau, ControlError> {
        let Self { factor, patience, threshold, min_scale, .. } = *self;
        require(0.0 < factor && factor < 1.0, "control.plateau.on.factor", factor, "above 0 and below 1")?;
        require(patience >= 1, "control.plateau.on.patience", patience, "at least 1")?;
        require(threshold >= 0.0 && threshold.is_finite(), "control.plateau.on.threshold", threshold, "0 or more")?;
        let expected = "above 0 and at most 1";
        require(0.0 < min_scale && min_scale <= 1.0, "control.plateau.on.min-scale", min_scale, expected)?;
        let monitor = Monitor::find(&self.monitor, goals, "control.plateau.on.monitor")?;
        Ok(Plateau { config: self.clone(), monitor, stall: Stall::default(), cooling: 0, scale: 1.0 })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Plateau {
    config: PlateauConfig,
    monitor: Monitor,
    stall: Stall,
    /// Evaluations still to be forgiven.
    cooling: u32,
    /// The product of this controller's own reductions.
    scale: f64,
}

impl Plateau {
    pub(crate) fn decide(&mut self, figures: &BTreeMap<String, f64>) -> Option<Decision> {
        let value = *figures.get(&self.monitor.figure)?;
        self.stall.observe(value, self.monitor.goal, |best| self.config.threshold * best.abs());
        if self.cooling > 0 {
            self.cooling -= 1;
            self.stall.waited = 0;
        }
        let lowest = self.config.min_scale;
        (self.stall.waited >= self.config.patience && self.scale > lowest).then(|| self.reduce(value))
    }

    fn reduce(&mut self, value: f64) -> Decision {
        let scale = (self.scale * self.config.factor).max(self.config.min_scale);
        let factor = scale / self.scale;
        let figure = &self.monitor.figure;
        let (times, share) = (Number(factor), Number(scale));
        let mut evidence = self.stall.evidence(figure, value);
        evidence.insert("scale".to_string(), share);
        let stalled = self.stall.describe(figure, value);
        let reason = format!("{stalled}: rate x {times}, now {share} of the schedule by this controller");

        self.scale = scale;
        self.stall.waited = 0;
        self.cooling = self.config.cooldown;
        Decision { controller: ControllerName::Plateau, action: Action::ScaleRate { factor }, reason, evidence }
    }
}
