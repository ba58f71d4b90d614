//! Counts how long a figure has not improved. It does not know what follows from that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Goal, Number};

/// The best value so far, and the evaluations since.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Stall {
    /// None until the first finite value.
    pub(crate) best: Option<f64>,
    pub(crate) waited: u32,
}

impl Stall {
    /// Takes one value; it must beat the best by more than `margin(best)` to count. What is not finite never counts:
    /// an infinite best could not be beaten, and JSON could not hold it.
    pub(crate) fn observe(&mut self, value: f64, goal: Goal, margin: impl Fn(f64) -> f64) {
        let improved =
            value.is_finite() && self.best.is_none_or(|best| goal.better(value, goal.bar(best, margin(best))));
        if improved {
            *self = Self { best: Some(value), waited: 0 };
        } else {
            self.waited = self.waited.saturating_add(1);
        }
    }

    /// For a reason: the best value and for how long it has stood.
    pub(crate) fn describe(&self, figure: &str, value: f64) -> String {
        let (waited, value) = (self.waited, Number(value));
        match self.best.map(Number) {
            Some(best) => format!("{figure} is {value} and has not improved on {best} in {waited} evaluations"),
            None => format!("{figure} is {value} and was finite in none of {waited} evaluations"),
        }
    }

    /// For the record: the value, the best, and the evaluations since.
    pub(crate) fn evidence(&self, figure: &str, value: f64) -> BTreeMap<String, Number> {
        let mut evidence = BTreeMap::from([(figure.to_string(), value.into()), ("waited".into(), self.waited.into())]);
        evidence.extend(self.best.map(|best| (format!("best-{figure}"), best.into())));
        evidence
    }
}
