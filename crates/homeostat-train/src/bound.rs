//! The range that a number in an experiment must lie in. It does not know which number.
//!
//! Tensors have 32 bits, so a number that is another one there (0, infinite, or at the end of its range) is refused, too.

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
    /// Refuses what is outside or not finite, here or in 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "whether something is lost is what is asked")]
    pub(crate) fn check(self, key: &'static str, name: &str, value: f64) -> Result<(), TrainError> {
        let holds = |value: f64| value.is_finite() && (self.holds)(value);
        let says = match (holds(value), holds(f64::from(value as f32))) {
            (true, true) => return Ok(()),
            (true, false) => format!("{}, also as a 32-bit float", self.says),
            (false, _) => self.says.to_owned(),
        };
        let name = if name.is_empty() { String::new() } else { format!("{name} ") };
        Err(TrainError::setting(key, format!("{name}is {value}, but must be {says}")))
    }
}
