//! What waits for an instance: bounded, by priority, without what has expired or whose caller has gone. It does not know
//! what is asked.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Answer, BatcherConfig, Failure, held};
use crate::Query;

/// A query in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) query: Query,
    pub(super) rows: usize,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) reply: oneshot::Sender<Result<Answer, Failure>>,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLevel {
    /// Queries that wait.
    pub queries: usize,
    /// Samples that they ask about.
    pub rows: usize,
    /// The most queries that may wait.
    pub limit: usize,
}

/// How much was asked of a queue since it was looked at last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// The most queries that waited at once.
    pub deepest: usize,
    /// Queries that were refused because it was full.
    pub refused: u64,
    /// How long instances waited for queries, all of them together.
    pub rested: Duration,
}

/// What an instance takes from the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) waiting: Vec<Waiting>,
    /// Queries that were dropped because their time was over.
    pub(super) expired: u64,
    /// Queries that were dropped because nobody waits for the answer.
    pub(super) abandoned: u64,
}

pub(super) struct Queue {
    largest_batch: usize,
    /// In falling order.
    preferred: Vec<usize>,
    inner: Mutex<Inner>,
    arrived: Condvar,
}

struct Inner {
    levels: Vec<VecDeque<Waiting>>,
    queries: usize,
    rows: usize,
    limit: usize,
    /// Refusals to come that do not look for callers that have gone.
    refusals_unlooked: usize,
    pressure: Pressure,
    wait: Duration,
    is_closed: bool,
    /// Instances that wait for queries, since when they are so many, and the fewest rows that one of them waits for.
    sleepers: usize,
    asleep_since: Instant,
    wake_at: usize,
}

/// Queries of a full queue that a refusal looks at, on the average.
const LOOKED_AT_A_REFUSAL: usize = 16;

/// What an instance remembers between two batches.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Rows of the batch before, which may come again: many callers ask anew once they are answered.
    expected: usize,
}

impl Queue {
    pub(super) fn new(config: &BatcherConfig) -> Self {
        let largest_batch = config.largest_batch.max(1);
        let mut preferred: Vec<usize> =
            config.preferred_batches.iter().copied().filter(|size| (1..=largest_batch).contains(size)).collect();
        preferred.sort_unstable_by(|a, b| b.cmp(a));
        let inner = Inner {
            levels: (0..config.priorities.max(1)).map(|_| VecDeque::new()).collect(),
            queries: 0,
            rows: 0,
            limit: config.queue.max(1),
            refusals_unlooked: 0,
            pressure: Pressure::default(),
            wait: config.longest_wait,
            is_closed: false,
            sleepers: 0,
            asleep_since: Instant::now(),
            wake_at: usize::MAX,
        };
        Self { largest_batch, preferred, inner: Mutex::new(inner), arrived: Condvar::new() }
    }

    pub(super) fn push(&self, level: usize, waiting: Waiting) -> Result<(), Failure> {
        let mut inner = held(&self.inner);
        if inner.is_closed {
            return Err(Failure::Closed);
        }
        if inner.refuses() {
            return Err(Failure::Full);
        }
        inner.queries += 1;
        inner.pressure.deepest = inner.pressure.deepest.max(inner.queries);
        inner.rows += waiting.rows;
        let last = inner.levels.len() - 1;
        inner.levels[level.saturating_sub(1).min(last)].push_back(waiting);
        let wakes = inner.sleepers > 0 && inner.rows >= inner.wake_at;
        drop(inner);
        if wakes {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Whether a query would be refused now; if so, it counts as refused.
    pub(super) fn refuses(&self) -> bool {
        held(&self.inner).refuses()
    }

    /// Waits for a batch; nothing where the queue is closed and empty.
    ///
    /// An instance that has been idle takes what is there. One that comes from a batch of several rows waits for as many
    /// again, but no query longer than the longest wait.
    pub(super) fn next(&self, memory: &mut Memory) -> Option<Taken> {
        let freed = Instant::now();
        let mut inner = held(&self.inner);
        loop {
            let now = Instant::now();
            if inner.queries == 0 {
                if inner.is_closed {
                    return None;
                }
                inner = self.sleep(inner, 1, None);
                if freed.elapsed() > inner.wait {
                    memory.expected = 0;
                }
                continue;
            }
            let wanted = memory.expected.min(self.largest_batch);
            let due = inner.oldest().map_or(now, |oldest| oldest + inner.wait);
            if inner.rows < wanted && now < due && !inner.is_closed {
                inner = self.sleep(inner, wanted, Some(due - now));
                continue;
            }
            let rows = self.cut(inner.rows);
            let taken = inner.take(rows, now);
            // A batch of the size that was found: where a preferred size cut it down, the rest is there at once.
            memory.expected = taken.waiting.iter().map(|waiting| waiting.rows).sum();
            return Some(taken);
        }
    }

    /// How many rows to take of so many.
    fn cut(&self, rows: usize) -> usize {
        let most = rows.min(self.largest_batch);
        self.preferred.iter().copied().find(|&size| size <= most).unwrap_or(most)
    }

    fn sleep<'a>(
        &'a self,
        mut inner: std::sync::MutexGuard<'a, Inner>,
        rows: usize,
        longest: Option<Duration>,
    ) -> std::sync::MutexGuard<'a, Inner> {
        inner.count_rest();
        inner.sleepers += 1;
        inner.wake_at = inner.wake_at.min(rows);
        let mut inner = match longest {
            None => self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(longest) => self.arrived.wait_timeout(inner, longest).unwrap_or_else(PoisonError::into_inner).0,
        };
        inner.count_rest();
        inner.sleepers -= 1;
        if inner.sleepers == 0 {
            inner.wake_at = usize::MAX;
        }
        inner
    }

    pub(super) fn level(&self) -> QueueLevel {
        let inner = held(&self.inner);
        QueueLevel { queries: inner.queries, rows: inner.rows, limit: inner.limit }
    }

    pub(super) fn pressure(&self) -> Pressure {
        let mut inner = held(&self.inner);
        inner.count_rest();
        let from_now = Pressure { deepest: inner.queries, ..Pressure::default() };
        std::mem::replace(&mut inner.pressure, from_now)
    }

    pub(super) fn wait(&self) -> Duration {
        held(&self.inner).wait
    }

    pub(super) fn set_wait(&self, wait: Duration) {
        held(&self.inner).wait = wait;
    }

    pub(super) fn set_limit(&self, limit: usize) {
        held(&self.inner).limit = limit.max(1);
    }

    pub(super) fn close(&self) {
        held(&self.inner).is_closed = true;
        self.arrived.notify_all();
    }
}

impl Inner {
    /// Adds up the rest until now, before there are more sleepers or fewer.
    fn count_rest(&mut self) {
        let now = Instant::now();
        let asleep = now.duration_since(self.asleep_since);
        self.pressure.rested += asleep * u32::try_from(self.sleepers).unwrap_or(u32::MAX);
        self.asleep_since = now;
    }

    fn oldest(&self) -> Option<Instant> {
        self.levels.iter().filter_map(|level| level.front()).map(|waiting| waiting.since).min()
    }

    /// Takes queries of so many rows, the first level first; one that is larger than all that is wanted comes alone.
    fn take(&mut self, most: usize, now: Instant) -> Taken {
        let mut taken = Taken { waiting: Vec::new(), expired: 0, abandoned: 0 };
        let mut rows = 0;
        'levels: for level in &mut self.levels {
            while let Some(first) = level.front() {
                let is_useless = first.reply.is_closed() || first.deadline.is_some_and(|deadline| deadline <= now);
                if !is_useless && !taken.waiting.is_empty() && rows + first.rows > most {
                    break 'levels;
                }
                let Some(first) = level.pop_front() else { break };
                self.queries -= 1;
                self.rows -= first.rows;
                if first.reply.is_closed() {
                    taken.abandoned += 1;
                } else if first.deadline.is_some_and(|deadline| deadline <= now) {
                    taken.expired += 1;
                    let _ = first.reply.send(Err(Failure::Expired));
                } else {
                    rows += first.rows;
                    taken.waiting.push(first);
                }
            }
        }
        taken
    }

    fn refuses(&mut self) -> bool {
        if self.queries < self.limit {
            return false;
        }
        // Places of callers that have gone are free. To look for them takes as long as the queue is: not at each refusal.
        match self.refusals_unlooked.checked_sub(1) {
            Some(left) => self.refusals_unlooked = left,
            None => {
                self.forget();
                self.refusals_unlooked = self.queries / LOOKED_AT_A_REFUSAL;
            }
        }
        let is_full = self.queries >= self.limit;
        self.pressure.refused += u64::from(is_full);
        is_full
    }

    fn forget(&mut self) {
        for level in &mut self.levels {
            level.retain(|waiting| !waiting.reply.is_closed());
        }
        self.queries = self.levels.iter().map(VecDeque::len).sum();
        self.rows = self.levels.iter().flatten().map(|waiting| waiting.rows).sum();
    }
}
