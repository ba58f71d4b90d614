//! Texts that are told while they are written: a few instances of the network, each in a thread of its own and at one text at a
//! time, and a short queue before them. They are not the instances that answer batches: however long a text gets, nothing else
//! waits for it. It does not know which task it is, nor how texts travel.

mod page;
mod writer;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use page::Draft;

use crate::{Endpoint, Failure, Health, batcher::held, health::Troubles};
use page::Page;
use writer::Slot;

/// How many texts are written, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritersConfig {
    /// Texts that are written at once, each by an instance of the network with a thread of its own; the weights are there once.
    pub at_once: usize,
    /// Threads that an instance computes on; 0 shares the cores among the instances.
    pub threads: usize,
    /// The most texts that wait to be begun; the next one is refused.
    pub queue: usize,
    /// The most tokens of a text; it ends behind them.
    pub most_tokens: usize,
    /// How long a text may take that does not say so itself, from its arrival to its end.
    pub deadline: Option<Duration>,
    /// An instance that takes longer than this for a token is given up and replaced.
    pub stuck_after: Duration,
}

impl Default for WritersConfig {
    fn default() -> Self {
        Self {
            at_once: 2,
            threads: 0,
            queue: 16,
            most_tokens: 4096,
            deadline: None,
            stuck_after: Duration::from_secs(60),
        }
    }
}

/// A text to be written.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the task reads: a prompt, and how it is gone on with.
    pub request: Bytes,
    /// When the text is of no use any more: no token is written later.
    pub deadline: Option<Instant>,
}

/// What became of a text that was begun, told once it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What came of it.
    pub outcome: Outcome,
    /// Tokens that were written.
    pub tokens: usize,
    /// Whether the beginning of its prompt was cut off, for it was too long.
    pub cut: bool,
    /// How long it waited to be begun.
    pub queue: Duration,
    /// Reading and preparing the prompt; zero where it did not come to that, or was broken off.
    pub prepare: Duration,
    /// From its beginning to its end.
    pub work: Duration,
    /// From its arrival to its first piece, if it has one.
    pub first: Option<Duration>,
    /// From its arrival to its end.
    pub whole: Duration,
}

/// What came of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written to its end.
    Written,
    /// Nobody wanted to read on.
    Abandoned,
    /// It could not be written, or not in its time.
    Failed,
}

/// Takes what became of each text that was begun.
pub type Listener = Box<dyn Fn(&Finished) + Send + Sync>;

/// Instances of a network that write. Dropping it lets what waits be written, and then ends the threads.
pub struct Writers {
    shared: Arc<Shared>,
}

struct Shared {
    config: WritersConfig,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Never writes: instances are made from it.
    template: Mutex<Box<dyn Endpoint>>,
    slots: Mutex<Vec<Arc<Slot>>>,
    troubles: Troubles,
    listener: Listener,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Texts that are being written.
    busy: usize,
    is_closed: bool,
}

/// A text that was taken.
struct Waiting {
    request: Bytes,
    since: Instant,
    deadline: Option<Instant>,
    page: Arc<Page>,
}

/// How much is being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WritersLevel {
    /// Texts that are being written.
    pub busy: usize,
    /// Texts that wait to be begun.
    pub waiting: usize,
}

impl Writers {
    /// Starts the instances of an endpoint that [writes](Endpoint::is_writer); `listener` hears what became of each text that was begun.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(endpoint: Box<dyn Endpoint>, config: WritersConfig, listener: Listener) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            template: Mutex::new(endpoint),
            slots: Mutex::default(),
            troubles: Troubles::default(),
            listener,
            config,
        });
        for _ in 0..shared.config.at_once.max(1) {
            let slot = writer::start(&shared)?;
            held(&shared.slots).push(slot);
        }
        writer::watch(&shared)?;
        Ok(Self { shared })
    }

    /// Takes a text to be written, never waiting. Dropping the draft ends the writing at the next token.
    ///
    /// # Errors
    /// [`Failure::Full`], [`Failure::Closed`], or [`Failure::Expired`] if its time was over before it came.
    pub fn submit(&self, Order { request, deadline }: Order) -> Result<Draft, Failure> {
        let Shared { config, queue, arrived, .. } = self.shared.as_ref();
        let since = Instant::now();
        let default = config.deadline.and_then(|allowed| since.checked_add(allowed));
        let deadline = [deadline, default].into_iter().flatten().min();
        if deadline.is_some_and(|deadline| deadline <= since) {
            return Err(Failure::Expired);
        }
        let mut queue = held(queue);
        if queue.is_closed {
            return Err(Failure::Closed);
        }
        let most = config.at_once.max(1) + config.queue;
        if queue.waiting.len() + queue.busy >= most {
            // Places of readers that have gone are free.
            queue.waiting.retain(|waiting| !waiting.page.is_left());
            if queue.waiting.len() + queue.busy >= most {
                return Err(Failure::Full);
            }
        }
        let page = Arc::new(Page::default());
        queue.waiting.push_back(Waiting { request, since, deadline, page: Arc::clone(&page) });
        drop(queue);
        arrived.notify_one();
        Ok(Draft::new(page, deadline))
    }

    /// How texts are written.
    #[must_use]
    pub fn config(&self) -> &WritersConfig {
        &self.shared.config
    }

    /// How much is being written.
    #[must_use]
    pub fn level(&self) -> WritersLevel {
        let queue = held(&self.shared.queue);
        WritersLevel { busy: queue.busy, waiting: queue.waiting.len() }
    }

    /// How the instances are.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.troubles.health()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        held(&self.shared.queue).is_closed = true;
        self.shared.arrived.notify_all();
    }
}

impl fmt::Debug for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writers").field("config", self.config()).field("level", &self.level()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Waits for a text that somebody still wants; nothing where there will be none any more.
    fn next(&self) -> Option<Waiting> {
        let mut queue = held(&self.queue);
        loop {
            while let Some(first) = queue.waiting.pop_front() {
                if first.page.is_left() {
                    continue;
                }
                queue.busy += 1;
                return Some(first);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the listener know, and then the reader.
    fn finish(&self, page: &Page, finished: &Finished, end: Result<(), Failure>) {
        held(&self.queue).busy -= 1;
        (self.listener)(finished);
        page.end(end, *finished);
    }
}
