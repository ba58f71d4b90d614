//! What can be wrong with what comes from outside.

use crate::Number;

/// What a caller of this crate may have to tell the user.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A setting of the `[control]` table is outside its range.
    #[error("{key} = {value}: must be {expected}")]
    OutOfRange {
        /// The dotted key, as `control.guard.on.threshold`.
        key: &'static str,
        /// What was given.
        value: Number,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A controller is to watch a figure that no evaluation gives.
    #[error("{key} = \"{figure}\": no such figure; evaluations give {known}")]
    UnknownFigure {
        /// The dotted key, as `control.plateau.on.monitor`.
        key: &'static str,
        /// What was given.
        figure: String,
        /// The figures that there are, separated by commas.
        known: String,
    },
    /// A line is not an event of this crate.
    #[error("not a control event: {source}")]
    Event {
        /// What the parser found, with the column.
        source: serde_json::Error,
    },
}

/// Passes, or says that the setting is outside its range.
pub(crate) fn require(
    holds: bool,
    key: &'static str,
    value: impl Into<Number>,
    expected: &'static str,
) -> Result<(), ControlError> {
    if holds { Ok(()) } else { Err(ControlError::OutOfRange { key, value: value.into(), expected }) }
}
