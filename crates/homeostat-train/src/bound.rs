//! The range that a number in an experiment must lie in. It does not know which number.

use crate::TrainError;

/// A range, and how a person says it.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    holds: fn(f64) -> bool,
    says: &'static str,
}

pub(crate) const POSITIVE: Bound = Bound { holds: |value| value > 0.0, says: "above 0" };
pub(crate) const NOT_NEGATIVE: Bound = Bound { holds: |value| value >= 0.0, says: "0 or more" };
pub(crate) const SHARE: Bound = Bound { holds: |value| (0.0..=1.0).contains(&value), says: "in 0..1" };
/// The share of an old mean that is kept: at 1 nothing new would ever come in.
pub(crate) const DECAY: Bound = Bound { holds: |value| (0.0..1.0).contains(&value), says: "in 0..1 (1 excluded)" };

impl Bound {
    /// Refuses what is outside, or not finite.
    pub(crate) fn check(self, key: &'static str, name: &str, value: f64) -> Result<(), TrainError> {
        if value.is_finite() && (self.holds)(value) {
            return Ok(());
        }
        let name = if name.is_empty() { String::new() } else { format!("{name} ") };
        Err(TrainError::setting(key, format!("{name}is {value}, but must be {}", self.says)))
    }
}
