//! What a controller decides, why, and on which numbers. It does not know how to act.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Number;

/// One decision of one controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// Who decided.
    pub controller: ControllerName,
    /// What the loop is to do.
    pub action: Action,
    /// Why, in one line for people.
    pub reason: String,
    /// The numbers behind the reason, by name, as `loss` or `loss-median`.
    pub evidence: BTreeMap<String, Number>,
}

/// What the loop is to do.
///
/// The factors are already part of [`Controllers::rate_scale`], which is all that the loop multiplies its schedule by.
///
/// [`Controllers::rate_scale`]: crate::Controllers::rate_scale
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Drop this step's gradients: weights and optimiser stay as they are, and the step counts as done.
    SkipStep,
    /// Drop this step's gradients and put weights and optimiser back to the last good snapshot (see
    /// [`Controllers::steady`](crate::Controllers::steady)). The step count, the order of the data, and the controllers
    /// go on, so that the batches before the fault are not seen again and the budget of rewinds stays spent.
    Rewind {
        /// The learning rate from now on is this many times what it was.
        rate_factor: f64,
    },
    /// Go on at another learning rate.
    ScaleRate {
        /// The learning rate from now on is this many times what it was.
        factor: f64,
    },
    /// End the training as a success.
    Stop,
    /// End the training as a failure, with the reason as its message.
    Fail,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkipStep => f.write_str("skip step"),
            Self::Rewind { rate_factor } => write!(f, "rewind, rate x {}", Number(*rate_factor)),
            Self::ScaleRate { factor } => write!(f, "rate x {}", Number(*factor)),
            Self::Stop => f.write_str("stop"),
            Self::Fail => f.write_str("fail"),
        }
    }
}

/// The controllers by name; each is also a key of the `[control]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerName {
    /// Keeps training from blowing up: [`GuardConfig`](crate::GuardConfig).
    Guard,
    /// Lowers the rate when learning stalls: [`PlateauConfig`](crate::PlateauConfig).
    Plateau,
    /// Ends what no longer improves: [`EarlyStopConfig`](crate::EarlyStopConfig).
    EarlyStop,
}

impl fmt::Display for ControllerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guard => "guard",
            Self::Plateau => "plateau",
            Self::EarlyStop => "early-stop",
        })
    }
}
