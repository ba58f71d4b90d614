//! An instance of the network in its thread, what becomes of it when it fails, and who watches over it. It does not know
//! what is asked.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Instant, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    Answer, Failure, Shared, held,
    queue::{Memory, Taken, Waiting},
};
use crate::{Endpoint, Query, Served, threads};

/// The place of an instance: what it is busy with, so that others can answer for it if it is stuck.
#[derive(Default)]
pub(super) struct Slot {
    busy: Mutex<Option<Busy>>,
}

struct Busy {
    since: Instant,
    callers: Vec<Caller>,
}

struct Caller {
    since: Instant,
    rows: usize,
    reply: oneshot::Sender<Result<Answer, Failure>>,
}

impl Slot {
    pub(super) fn is_free(&self) -> bool {
        held(&self.busy).is_none()
    }
}

/// Starts an instance.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Arc<Slot>> {
    let endpoint = held(&shared.template).replicate();
    let slot = Arc::new(Slot::default());
    let (shared, of_thread) = (Arc::clone(shared), Arc::clone(&slot));
    let threads = threads::share(shared.config.threads, shared.config.instances);
    threads::start_computing("instance", threads, move || work(&shared, &of_thread, endpoint))?;
    Ok(slot)
}

/// Answers batches until the queue is closed and empty.
fn work(shared: &Shared, slot: &Slot, mut endpoint: Box<dyn Endpoint>) {
    let mut memory = Memory::default();
    while let Some(taken) = shared.queue.next(&mut memory) {
        let begun = Instant::now();
        let (queries, callers) = part(shared, taken);
        if queries.is_empty() {
            continue;
        }
        let rows = queries.iter().map(Query::rows).sum();
        *held(&slot.busy) = Some(Busy { since: begun, callers });
        let largest = shared.config.largest_batch;
        let result = catch_unwind(AssertUnwindSafe(|| endpoint.serve(&queries, largest)));
        let Some(Busy { callers, .. }) = held(&slot.busy).take() else {
            // It took so long that another has its place.
            return;
        };
        match result {
            Ok(served) => {
                shared.troubles.succeeded();
                answer(shared, callers, served, Batch { begun, rows });
            }
            Err(_) => {
                shared.troubles.failed(&Failure::Crashed);
                tracing::error!(rows, "an instance panicked on a batch and is replaced");
                refuse(shared, callers, &Failure::Crashed);
                endpoint = held(&shared.template).replicate();
            }
        }
    }
}

/// Queries, and who waits for their answers.
fn part(shared: &Shared, taken: Taken) -> (Vec<Query>, Vec<Caller>) {
    if taken.expired + taken.abandoned > 0 {
        let mut statistics = held(&shared.statistics);
        statistics.expired += taken.expired;
        statistics.abandoned += taken.abandoned;
    }
    let split = |Waiting { query, rows, since, reply, .. }| (query, Caller { since, rows, reply });
    taken.waiting.into_iter().map(split).unzip()
}

/// A batch on its way.
#[derive(Clone, Copy)]
struct Batch {
    begun: Instant,
    rows: usize,
}

fn answer(shared: &Shared, callers: Vec<Caller>, served: Served, batch: Batch) {
    let (phases, ended) = (served.phases, Instant::now());
    let mut statistics = held(&shared.statistics);
    statistics.batches += 1;
    statistics.last = Some(SystemTime::now());
    statistics.by_size.entry(batch.rows).or_default().add(phases);
    for (caller, reply) in callers.iter().zip(&served.replies) {
        let whole = ended.saturating_duration_since(caller.since);
        if reply.is_err() {
            statistics.failed.add(1, whole);
            continue;
        }
        statistics.rows += caller.rows as u64;
        statistics.succeeded.add(1, whole);
        statistics.queue.add(1, batch.begun.saturating_duration_since(caller.since));
        statistics.prepare.add(1, phases.prepare);
        statistics.compute.add(1, phases.compute);
        statistics.respond.add(1, phases.respond);
    }
    drop(statistics);
    for (caller, reply) in callers.into_iter().zip(served.replies) {
        let queue = batch.begun.saturating_duration_since(caller.since);
        let answer = reply.map(|reply| Answer { reply, queue, phases, batch: batch.rows });
        // Who has gone in the meantime wants no answer.
        let _ = caller.reply.send(answer.map_err(Failure::from));
    }
}

fn refuse(shared: &Shared, callers: Vec<Caller>, failure: &Failure) {
    let ended = Instant::now();
    for caller in callers {
        held(&shared.statistics).failed.add(1, ended.saturating_duration_since(caller.since));
        let _ = caller.reply.send(Err(failure.clone()));
    }
}

/// Looks after the instances as long as there is a batcher.
pub(super) fn watch(shared: &Arc<Shared>) -> std::io::Result<()> {
    threads::watch(shared, shared.config.stuck_after, look)
}

/// Replaces the instances that are stuck.
fn look(shared: &Arc<Shared>) {
    let limit = shared.config.stuck_after;
    let mut slots = held(&shared.slots);
    for slot in slots.iter_mut() {
        let mut busy = held(&slot.busy);
        if busy.as_ref().is_none_or(|busy| busy.since.elapsed() <= limit) {
            continue;
        }
        let callers = busy.take().map_or_else(Vec::new, |busy| busy.callers);
        drop(busy);
        shared.troubles.failed(&Failure::Stuck);
        tracing::error!(seconds = limit.as_secs_f64(), "an instance is stuck and is replaced");
        refuse(shared, callers, &Failure::Stuck);
        match start(shared) {
            Ok(new) => *slot = new,
            Err(error) => tracing::error!(%error, "a stuck instance cannot be replaced"),
        }
    }
}
