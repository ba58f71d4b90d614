//! Keeps training from blowing up: skip, rewind, and in the end fail. It does not know weights or snapshots.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::gauge::Gauge;
use crate::{Action, ControlError, ControllerName, Decision, Number};

/// Watches the loss and the gradient norm of every step. A step is at fault when one of them is not finite, or stands far
/// above its recent values. A faulty step is skipped; when faults come close together, training goes back to the last
/// good snapshot at a lower rate; when that has happened too often, it fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuardConfig {
    /// How many robust standard deviations above its recent median the logarithm of a loss or gradient norm must stand
    /// to be a fault; above 0, lower is stricter. The deviation is 1.4826 times the median absolute deviation, more where
    /// the upper tail is long, and at least 0.1; below a tenth of its first values nothing is a fault.
    pub threshold: f64,
    /// Recent good steps that are compared with; at least `warmup-steps`.
    pub window: u32,
    /// Good steps before values are judged by their size; until then only what is not finite is a fault. At least 5.
    pub warmup_steps: u32,
    /// The fault that rewinds, the ones before it being skipped: with 3, the third fault in a row. At least 1.
    pub patience: u32,
    /// Good steps in a row after which earlier faults are forgotten; at least 1.
    pub recovery_steps: u32,
    /// What the learning rate is multiplied by at each rewind; above 0, at most 1.
    pub rate_factor: f64,
    /// Rewinds in the whole training; the next one needed is a failure instead.
    pub max_rewinds: u32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            threshold: 8.0,
            window: 128,
            warmup_steps: 30,
            patience: 3,
            recovery_steps: 5,
            rate_factor: 0.5,
            max_rewinds: 3,
        }
    }
}

impl GuardConfig {
    pub(crate) fn init(&self) -> Result<Guard, ControlError> {
        let Self { threshold, window, warmup_steps, patience, recovery_steps, rate_factor, .. } = *self;
        require(threshold > 0.0 && threshold.is_finite(), "control.guard.on.threshold", threshold, "above 0")?;
        require(warmup_steps >= 5, "control.guard.on.warmup-steps", warmup_steps, "at least 5")?;
        require(window >= warmup_steps, "control.guard.on.window", window, "at least control.guard.on.warmup-steps")?;
        require(patience >= 1, "control.guard.on.patience", patience, "at least 1")?;
        require(recovery_steps >= 1, "control.guard.on.recovery-steps", recovery_steps, "at least 1")?;
        let expected = "above 0 and at most 1";
        require(0.0 < rate_factor && rate_factor <= 1.0, "control.guard.on.rate-factor", rate_factor, expected)?;
        let (loss, gradient_norm) = (Gauge::default(), Gauge::default());
        Ok(Guard { config: self.clone(), loss, gradient_norm, faults: 0, calm: 0, rewinds: 0 })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Guard {
    config: GuardConfig,
    loss: Gauge,
    gradient_norm: Gauge,
    /// Faults since the last rewind or recovery.
    faults: u32,
    /// Good steps since the last fault.
    calm: u32,
    rewinds: u32,
}

/// What is wrong with a step.
#[derive(Default)]
struct Fault {
    complaints: Vec<String>,
    evidence: BTreeMap<String, Number>,
}

impl Guard {
    pub(crate) fn decide(&mut self, loss: f64, gradient_norm: f64, rate: f64) -> Option<Decision> {
        let mut fault = Fault::default();
        fault.judge("loss", loss, &self.loss, self.config.threshold);
        fault.judge("gradient-norm", gradient_norm, &self.gradient_norm, self.config.threshold);
        if fault.complaints.is_empty() {
            self.accept(loss, gradient_norm);
            return None;
        }
        fault.evidence.insert("rate".to_string(), rate.into());
        Some(self.escalate(fault))
    }

    /// Where more learns, the norm of all gradients is another quantity, larger by factors; it is warmed up for again.
    pub(crate) fn forget_gradients(&mut self) {
        self.gradient_norm = Gauge::default();
    }

    pub(crate) fn steady(&self) -> bool {
        self.calm >= self.config.recovery_steps && self.loss.is_warm()
    }

    fn accept(&mut self, loss: f64, gradient_norm: f64) {
        let (window, warmup) = (self.config.window as usize, self.config.warmup_steps as usize);
        self.loss.push(loss, window, warmup);
        self.gradient_norm.push(gradient_norm, window, warmup);
        self.calm = self.calm.saturating_add(1);
        if self.calm >= self.config.recovery_steps {
            self.faults = 0;
        }
    }

    fn escalate(&mut self, mut fault: Fault) -> Decision {
        self.faults += 1;
        self.calm = 0;
        let Self { faults, rewinds, config: GuardConfig { patience, max_rewinds, rate_factor, .. }, .. } = *self;
        let complaint = fault.complaints.join(", ");
        let (action, reason) = if faults < patience {
            (Action::SkipStep, format!("{complaint}: step skipped, fault {faults} of {patience} before a rewind"))
        } else if rewinds < max_rewinds {
            self.faults = 0;
            self.rewinds += 1;
            let (nth, times) = (self.rewinds, Number(rate_factor));
            let how = format!("rate x {times}, rewind {nth} of {max_rewinds}");
            (Action::Rewind { rate_factor }, format!("{complaint}: back to the last good snapshot, {how}"))
        } else {
            let spent = format!("fault {faults} in short order, and {rewinds} of {max_rewinds} rewinds are spent");
            let mend = "lower the learning rate, or look for bad samples or labels";
            (Action::Fail, format!("training does not recover: {complaint}; {spent}; {mend}"))
        };
        fault.evidence.insert("faults".to_string(), faults.into());
        fault.evidence.insert("rewinds".to_string(), self.rewinds.into());
        Decision { controller: ControllerName::Guard, action, reason, evidence: fault.evidence }
    }
}

impl Fault {
    fn judge(&mut self, name: &str, value: f64, gauge: &Gauge, threshold: f64) {
        self.evidence.insert(name.to_string(), value.into());
        if !value.is_finite() {
            self.complaints.push(format!("{name} is {value}"));
            return;
        }
        let Some(rise) = gauge.rise(value) else { return };
        self.evidence.insert(format!("{name}-median"), rise.median.into());
        self.evidence.insert(format!("{name}-score"), rise.score.into());
        if rise.score > threshold {
            let (shown, median, score) = (Number(value), Number(rise.median), Number(rise.score));
            let far = format!("robust z-score {score}, limit {}", Number(threshold));
            self.complaints.push(format!("{name} {shown} is far above its recent median {median} ({far})"));
        }
    }
}
