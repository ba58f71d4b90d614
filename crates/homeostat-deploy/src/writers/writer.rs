//! An instance of the network that writes, in its thread; what becomes of it when it fails, and who watches over it. It does not
//! know what it writes.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{Finished, Outcome, Shared, Waiting};
use crate::{Endpoint, Failure, Written, batcher::held, threads};

/// The place of an instance: the text that it is at, so that others can end it if the instance is stuck.
#[derive(Default)]
pub(super) struct Slot {
    busy: Mutex<Option<Busy>>,
}

struct Busy {
    text: Waiting,
    begun: Instant,
    /// When the last token was there.
    last: Instant,
    tokens: usize,
    first: Option<Duration>,
    /// Why it broke off.
    broken: Option<Broken>,
}

#[derive(Clone, Copy)]
enum Broken {
    Left,
    Late,
}

/// Starts an instance.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Arc<Slot>> {
    let endpoint = held(&shared.template).replicate();
    let slot = Arc::new(Slot::default());
    let (shared, of_thread) = (Arc::clone(shared), Arc::clone(&slot));
    let threads = threads::share(shared.config.threads, shared.config.at_once);
    threads::start_computing("writer", threads, move || work(&shared, &of_thread, endpoint))?;
    Ok(slot)
}

/// Writes texts until there will be none any more.
fn work(shared: &Shared, slot: &Slot, mut endpoint: Box<dyn Endpoint>) {
    while let Some(text) = shared.next() {
        let begun = Instant::now();
        let request = text.request.clone();
        let is_late = text.deadline.is_some_and(|deadline| deadline <= begun);
        let busy = Busy { text, begun, last: begun, tokens: 0, first: None, broken: None };
        if is_late {
            over(shared, busy, None, Err(Failure::Expired));
            continue;
        }
        *held(&slot.busy) = Some(busy);
        let mut say = |piece: &str| slot.say(piece, shared.config.most_tokens);
        let result = catch_unwind(AssertUnwindSafe(|| endpoint.write(&request, &mut say)));
        let Some(busy) = held(&slot.busy).take() else {
            // It took so long that another has its place.
            return;
        };
        let end = match &result {
            Ok(Ok(_)) if matches!(busy.broken, Some(Broken::Late)) => Err(Failure::Expired),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refused)) => Err(Failure::Input(refused.reason.clone())),
            Err(_) => Err(Failure::Crashed),
        };
        if matches!(end, Err(Failure::Crashed)) {
            shared.troubles.failed(&Failure::Crashed);
            tracing::error!("an instance panicked while it wrote, and is replaced");
            endpoint = held(&shared.template).replicate();
        } else {
            shared.troubles.succeeded();
        }
        over(shared, busy, result.ok().and_then(Result::ok), end);
    }
}

impl Slot {
    /// Takes what a token adds to the text.
    fn say(&self, piece: &str, most: usize) -> ControlFlow<()> {
        let mut busy = held(&self.busy);
        // Given up: what is written goes nowhere.
        let Some(busy) = busy.as_mut() else { return ControlFlow::Break(()) };
        busy.last = Instant::now();
        busy.tokens += 1;
        if busy.text.page.is_left() {
            busy.broken = Some(Broken::Left);
        } else if busy.text.deadline.is_some_and(|deadline| deadline <= busy.last) {
            busy.broken = Some(Broken::Late);
        } else if !piece.is_empty() {
            busy.first.get_or_insert_with(|| busy.text.since.elapsed());
            busy.text.page.push(piece);
        }
        if busy.broken.is_some() || busy.tokens >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Tells what became of a text.
fn over(shared: &Shared, busy: Busy, written: Option<Written>, end: Result<(), Failure>) {
    let Busy { text, begun, tokens, first, broken, .. } = busy;
    let outcome = match (&end, broken) {
        (_, Some(Broken::Left)) => Outcome::Abandoned,
        (Ok(()), _) => Outcome::Written,
        (Err(_), _) => Outcome::Failed,
    };
    let finished = Finished {
        outcome,
        tokens: written.map_or(tokens, |written| written.tokens),
        cut: written.is_some_and(|written| written.cut),
        queue: begun.saturating_duration_since(text.since),
        prepare: written.map_or(Duration::ZERO, |written| written.prepare),
        work: begun.elapsed(),
        first,
        whole: text.since.elapsed(),
    };
    shared.finish(&text.page, &finished, end);
}

/// Looks after the instances as long as there are any.
pub(super) fn watch(shared: &Arc<Shared>) -> std::io::Result<()> {
    threads::watch(shared, shared.config.stuck_after, look)
}

/// Replaces the instances that are stuck.
fn look(shared: &Arc<Shared>) {
    let limit = shared.config.stuck_after;
    let mut slots = held(&shared.slots);
    for slot in slots.iter_mut() {
        let mut busy = held(&slot.busy);
        if busy.as_ref().is_none_or(|busy| busy.last.elapsed() <= limit) {
            continue;
        }
        let Some(stuck) = busy.take() else { continue };
        drop(busy);
        shared.troubles.failed(&Failure::Stuck);
        tracing::error!(seconds = limit.as_secs_f64(), "an instance is stuck while it writes, and is replaced");
        over(shared, stuck, None, Err(Failure::Stuck));
        match start(shared) {
            Ok(new) => *slot = new,
            Err(error) => tracing::error!(%error, "a stuck instance cannot be replaced"),
        }
    }
}
