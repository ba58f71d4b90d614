//! How often, and where the time went. It does not know who asks for it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::Phases;

/// Since the batcher was started.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Queries that were answered, from their arrival on.
    pub succeeded: Spent,
    /// Queries that were not, from their arrival on.
    pub failed: Spent,
    /// Their time in the queue, of those that left it for an instance.
    pub queue: Spent,
    /// What was prepared for them, once a query.
    pub prepare: Spent,
    /// What was computed for them, once a query.
    pub compute: Spent,
    /// What was responded to them, once a query.
    pub respond: Spent,
    /// Samples that were answered.
    pub rows: u64,
    /// Batches that were taken from the queue.
    pub batches: u64,
    /// The same by the rows of a batch.
    pub by_size: BTreeMap<usize, BatchSpent>,
    /// Queries whose time was over before they could begin.
    pub expired: u64,
    /// Queries whose caller had gone before they could begin.
    pub abandoned: u64,
    /// When the last batch was answered.
    pub last: Option<SystemTime>,
}

/// So often, so long altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How often.
    pub count: u64,
    /// How long.
    pub time: Duration,
}

/// Where the time of batches of one size went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchSpent {
    /// Batches.
    pub count: u64,
    /// Where their time went.
    pub phases: Phases,
}

impl Spent {
    pub(super) fn add(&mut self, count: u64, each: Duration) {
        self.count += count;
        self.time = self.time.saturating_add(each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

impl BatchSpent {
    pub(super) fn add(&mut self, phases: Phases) {
        self.count += 1;
        self.phases.prepare += phases.prepare;
        self.phases.compute += phases.compute;
        self.phases.respond += phases.respond;
    }
}
