//! How instances are, counted from what became of what they were given. It does not know what that was.

use std::sync::Mutex;

use crate::{Failure, batcher::held};

/// How instances are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether answers can be expected: what they were given last did not all fail.
    pub is_well: bool,
    /// Instances that were replaced because they panicked.
    pub panics: u64,
    /// Instances that were given up because they were stuck; their threads may still be there.
    pub stuck: u64,
}

/// What went wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<Counts>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    panics: u64,
    stuck: u64,
    in_a_row: u32,
}

/// Failures that must come one after the other until the model counts as ill.
const ILL_AFTER: u32 = 3;

impl Troubles {
    pub(crate) fn succeeded(&self) {
        held(&self.0).in_a_row = 0;
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        let mut counts = held(&self.0);
        counts.in_a_row = counts.in_a_row.saturating_add(1);
        match failure {
            Failure::Stuck => counts.stuck += 1,
            _ => counts.panics += 1,
        }
    }

    pub(crate) fn health(&self) -> Health {
        let Counts { panics, stuck, in_a_row } = *held(&self.0);
        Health { is_well: in_a_row < ILL_AFTER, panics, stuck }
    }
}
