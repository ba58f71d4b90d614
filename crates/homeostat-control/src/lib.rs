//! Feedback: observations in, decisions out.
//!
//! A controller is a pure state machine. Each [`Observation`] gives zero or more [`Decision`]s with their reasons; the
//! same observations always give the same decisions, also when the state was written to a checkpoint in between.
//!
//! ```
//! use std::collections::BTreeMap;
//! use homeostat_control::{Action, ControlConfig, Goal, Observation};
//!
//! let goals = BTreeMap::from([("loss".to_string(), Goal::Minimize)]);
//! let mut controllers = ControlConfig::default().init(&goals)?;
//!
//! let calm = Observation::Step { loss: 2.3, gradient_norm: 1.0, rate: 0.1 };
//! assert!(controllers.decide(&calm).is_empty());
//!
//! let broken = Observation::Step { loss: f64::NAN, gradient_norm: 1.0, rate: 0.1 };
//! let decisions = controllers.decide(&broken);
//! assert_eq!(decisions[0].action, Action::SkipStep);
//! assert!(decisions[0].reason.contains("loss is NaN"));
//! # Ok::<(), homeostat_control::ControlError>(())
//! ```
//!
//! [`LatencyConfig`] is the loop of serving: intervals in, paces out.
//!
//! This crate does not know Burn, clocks, or files. The loop that observes also acts: see [`Action`] for what it owes.

mod control_config;
mod control_event;
mod controllers;
mod decision;
mod early_stop;
mod error;
mod gauge;
mod guard;
mod latency;
mod monitor;
mod number;
mod observation;
mod plateau;
mod stall;

pub use control_config::{ControlConfig, Switch};
pub use control_event::{ControlEvent, replay};
pub use controllers::Controllers;
pub use decision::{Action, ControllerName, Decision};
pub use early_stop::EarlyStopConfig;
pub use error::ControlError;
pub use guard::GuardConfig;
pub use latency::{Interval, Latency, LatencyConfig, Pace, PaceDecision};
pub use monitor::{Goal, Monitor};
pub use number::Number;
pub use observation::Observation;
pub use plateau::PlateauConfig;
