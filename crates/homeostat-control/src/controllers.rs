//! The controllers of one training, alive. It does not know how their decisions are carried out.

use serde::{Deserialize, Serialize};

use crate::early_stop::EarlyStop;
use crate::guard::Guard;
use crate::plateau::Plateau;
use crate::{Action, Decision, Observation};

/// The controllers that are on, with all their state: a checkpoint that holds this value, through JSON or another exact
/// format that describes itself, goes on as if nothing had happened.
///
/// It is made by [`ControlConfig::init`](crate::ControlConfig::init).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Controllers {
    pub(crate) rate_scale: f64,
    pub(crate) guard: Option<Guard>,
    pub(crate) plateau: Option<Plateau>,
    pub(crate) early_stop: Option<EarlyStop>,
}

impl Controllers {
    /// Takes one observation. No decision means: go on.
    ///
    /// An evaluation that lacks a watched figure tells its controller nothing.
    pub fn decide(&mut self, observation: &Observation) -> Vec<Decision> {
        let decisions: Vec<_> = match observation {
            Observation::Step { loss, gradient_norm, rate } => {
                let guard = self.guard.as_mut();
                guard.and_then(|guard| guard.decide(*loss, *gradient_norm, *rate)).into_iter().collect()
            }
            Observation::Unfrozen { .. } => {
                self.guard.iter_mut().for_each(Guard::forget_gradients);
                Vec::new()
            }
            Observation::Evaluation { figures } => {
                let plateau = self.plateau.as_mut().and_then(|plateau| plateau.decide(figures));
                let early_stop = self.early_stop.as_mut().and_then(|early_stop| early_stop.decide(figures));
                plateau.into_iter().chain(early_stop).collect()
            }
        };
        for decision in &decisions {
            if let Action::Rewind { rate_factor: factor } | Action::ScaleRate { factor } = decision.action {
                self.rate_scale *= factor;
            }
        }
        decisions
    }

    /// What the schedule's rate is multiplied by: the product of all factors decided so far, 1 at the start.
    #[must_use]
    pub fn rate_scale(&self) -> f64 {
        self.rate_scale
    }

    /// Whether a snapshot of the weights and the optimiser as they were for the last step observed, before its update,
    /// is one to rewind to.
    ///
    /// True when the guard is on and warm, and has seen no fault for its recovery steps. The state at the start of the
    /// training is the snapshot until then.
    #[must_use]
    pub fn steady(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::steady)
    }
}
