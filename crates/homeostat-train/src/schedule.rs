//! How the learning rate moves with the step. A schedule is a pure function of the step, so resuming needs no state.
//! It does not know metrics: what reacts to them is a controller.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    TrainError,
    bound::{NOT_NEGATIVE, POSITIVE, SHARE},
};

/// How the learning rate moves over a run; every schedule starts with a linear warm-up of `warmup-steps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleConfig {
    /// The rate stays.
    Constant(ConstantConfig),
    /// The rate falls by a factor every so many epochs.
    Step(StepConfig),
    /// The rate falls on a straight line to the end of the run.
    Linear(LinearConfig),
    /// The rate falls on half a cosine to the end of the run (Loshchilov & Hutter 2017, without restarts).
    Cosine(CosineConfig),
    /// The rate is multiplied by a factor each epoch, smoothly.
    Exponential(ExponentialConfig),
    /// The rate rises for `warmup-steps`, then falls with the square root of the step (Vaswani et al. 2017).
    Noam(NoamConfig),
    /// The rate rises and falls once, both on half a cosine (Smith & Topin 2018).
    OneCycle(OneCycleConfig),
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Cosine(CosineConfig::default())
    }
}

/// The rate stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConstantConfig {
    /// Optimiser steps over which the rate rises from near zero.
    pub warmup_steps: usize,
}

/// The rate falls by a factor every so many epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StepConfig {
    /// Epochs between two falls; fractions are allowed.
    pub every_epochs: f64,
    /// What the rate is multiplied by at each fall.
    pub factor: f64,
    /// Optimiser steps over which the rate rises from near zero.
    pub warmup_steps: usize,
}

impl Default for StepConfig {
    fn default() -> Self {
        Self { every_epochs: 10.0, factor: 0.1, warmup_steps: 0 }
    }
}

/// The rate falls on a straight line to the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinearConfig {
    /// The rate at the end of the run, behind its last step, as a share of the learning rate.
    pub final_factor: f64,
    /// Optimiser steps over which the rate rises from near zero.
    pub warmup_steps: usize,
}

/// The rate falls on half a cosine to the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CosineConfig {
    /// The rate at the end of the run, behind its last step, as a share of the learning rate.
    pub final_factor: f64,
    /// Optimiser steps over which the rate rises from near zero.
    pub warmup_steps: usize,
}

/// The rate is multiplied by a factor each epoch, smoothly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExponentialConfig {
    /// What the rate is multiplied by over one epoch.
    pub factor: f64,
    /// Optimiser steps over which the rate rises from near zero.
    pub warmup_steps: usize,
}

impl Default for ExponentialConfig {
    fn default() -> Self {
        Self { factor: 0.95, warmup_steps: 0 }
    }
}

/// The rate rises for `warmup-steps`, then falls with the square root of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoamConfig {
    /// Optimiser steps over which the rate rises; at their end it is the learning rate.
    pub warmup_steps: usize,
}

impl Default for NoamConfig {
    fn default() -> Self {
        Self { warmup_steps: 400 }
    }
}

/// The rate rises and falls once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OneCycleConfig {
    /// Share of the run over which the rate rises, in 0..1.
    pub warmup_share: f64,
    /// The first rate, as a share of the learning rate.
    pub initial_factor: f64,
    /// The last rate, as a share of the learning rate.
    pub final_factor: f64,
}

impl Default for OneCycleConfig {
    fn default() -> Self {
        Self { warmup_share: 0.3, initial_factor: 0.04, final_factor: 4e-6 }
    }
}

/// A schedule over a run of known length.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    learning_rate: f64,
    steps_per_epoch: f64,
    total_steps: f64,
}

impl ScheduleConfig {
    /// The schedule of a run with these many optimiser steps.
    #[must_use]
    pub fn init(&self, learning_rate: f64, steps_per_epoch: usize, total_steps: usize) -> Schedule {
        Schedule {
            config: self.clone(),
            learning_rate,
            steps_per_epoch: steps_per_epoch.max(1) as f64,
            total_steps: total_steps.max(1) as f64,
        }
    }

    /// Refuses numbers that make no schedule.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let numbers = match self {
            Self::Constant(_) | Self::Noam(_) => vec![],
            Self::Step(c) => vec![("every-epochs", c.every_epochs, POSITIVE), ("factor", c.factor, NOT_NEGATIVE)],
            Self::Linear(LinearConfig { final_factor, .. }) | Self::Cosine(CosineConfig { final_factor, .. }) => {
                vec![("final-factor", *final_factor, NOT_NEGATIVE)]
            }
            Self::Exponential(c) => vec![("factor", c.factor, NOT_NEGATIVE)],
            Self::OneCycle(c) => vec![
                ("warmup-share", c.warmup_share, SHARE),
                ("initial-factor", c.initial_factor, NOT_NEGATIVE),
                ("final-factor", c.final_factor, NOT_NEGATIVE),
            ],
        };
        numbers.into_iter().try_for_each(|(name, value, bound)| bound.check("train.schedule", name, value))
    }

    /// Optimiser steps over which the rate rises before the schedule begins.
    #[must_use]
    pub fn warmup_steps(&self) -> usize {
        match self {
            Self::Constant(c) => c.warmup_steps,
            Self::Step(c) => c.warmup_steps,
            Self::Linear(c) => c.warmup_steps,
            Self::Cosine(c) => c.warmup_steps,
            Self::Exponential(c) => c.warmup_steps,
            // Their rise is part of their shape.
            Self::Noam(_) | Self::OneCycle(_) => 0,
        }
    }
}

impl Schedule {
    /// The rate of the step with this index, from 0.
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        self.learning_rate * self.factor(step)
    }

    fn factor(&self, step: usize) -> f64 {
        let warmup = self.config.warmup_steps();
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let warmup = warmup as f64;
        let after = step as f64 - warmup;
        let left = (self.total_steps - warmup).max(1.0);
        let share = (after / left).min(1.0);
        match &self.config {
            ScheduleConfig::Constant(_) => 1.0,
            ScheduleConfig::Step(c) => c.factor.powf((after / (c.every_epochs * self.steps_per_epoch)).floor()),
            ScheduleConfig::Linear(c) => 1.0 + share * (c.final_factor - 1.0),
            ScheduleConfig::Cosine(c) => half_cosine(1.0, c.final_factor, share),
            ScheduleConfig::Exponential(c) => c.factor.powf(after / self.steps_per_epoch),
            ScheduleConfig::Noam(c) => {
                let (step, warmup) = (step as f64 + 1.0, c.warmup_steps.max(1) as f64);
                (step / warmup).min((warmup / step).sqrt())
            }
            ScheduleConfig::OneCycle(c) => {
                let last = (self.total_steps - 1.0).max(1.0);
                // As in PyTorch; below 0 the rise is over before the first step.
                let peak = c.warmup_share * self.total_steps - 1.0;
                let step = step as f64;
                if step < peak {
                    half_cosine(c.initial_factor, 1.0, step / peak)
                } else {
                    let fall = (last - peak).max(f64::MIN_POSITIVE);
                    half_cosine(1.0, c.final_factor, ((step - peak) / fall).min(1.0))
                }
            }
        }
    }
}

fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}
