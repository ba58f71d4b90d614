//! Many callers, few instances: queries wait in a bounded queue, and each instance of the network, which one thread owns,
//! answers as many of them together as there are. It does not know which task it is, nor how queries travel.

mod instance;
mod queue;
mod statistics;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use homeostat_task::{InputError, Signature};
use tokio::sync::oneshot;

pub use queue::{Pressure, QueueLevel};
pub use statistics::{BatchSpent, Spent, Statistics};

use crate::{Endpoint, Health, Phases, Query, Reply, health::Troubles};
use instance::Slot;
use queue::{Queue, Waiting};

/// How queries are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatcherConfig {
    /// Instances of the network, each with a thread of its own; the weights are there once.
    pub instances: usize,
    /// Threads that an instance computes on; 0 shares the cores among the instances.
    pub threads: usize,
    /// The most rows that are computed together.
    pub largest_batch: usize,
    /// Sizes that a batch is cut down to where more is there than the largest of them that it holds.
    pub preferred_batches: Vec<usize>,
    /// How long a query may wait for others. An instance that was idle waits for nobody: it takes what is there.
    pub longest_wait: Duration,
    /// The most queries that wait; the next one is refused.
    pub queue: usize,
    /// How many levels of priority there are: 1 is answered first.
    pub priorities: usize,
    /// How long a query may take that does not say so itself, from its arrival to its answer.
    pub deadline: Option<Duration>,
    /// An instance that takes longer than this for a batch is given up and replaced.
    pub stuck_after: Duration,
}

impl Default for BatcherConfig {
    fn default() -> Self {
        Self {
            instances: 1,
            threads: 0,
            largest_batch: 32,
            preferred_batches: Vec::new(),
            longest_wait: Duration::from_micros(500),
            queue: 1024,
            priorities: 3,
            deadline: None,
            stuck_after: Duration::from_secs(60),
        }
    }
}

impl BatcherConfig {
    /// The level of queries that do not name one: the middle.
    #[must_use]
    pub fn default_priority(&self) -> usize {
        self.priorities.max(1).div_ceil(2)
    }
}

/// A query with how urgent it is.
#[derive(Debug)]
pub struct Job {
    /// What is asked.
    pub query: Query,
    /// 1 is answered first; 0 leaves it to the batcher; a number above the last level is the last level.
    pub priority: usize,
    /// When the answer is of no use any more: work that has not begun by then never begins.
    pub deadline: Option<Instant>,
}

/// An answer, and what it took.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub reply: Reply,
    /// How long the query waited.
    pub queue: Duration,
    /// What the batch took.
    pub phases: Phases,
    /// How many rows were taken from the queue together.
    pub batch: usize,
}

/// Why a query was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Its input is at fault.
    #[error("{0}")]
    Input(String),
    /// The queue is full: try again later.
    #[error("the queue is full")]
    Full,
    /// Nothing is taken any more.
    #[error("the model is being unloaded")]
    Closed,
    /// Its time was over before it could begin.
    #[error("the time for an answer was over before it could be computed")]
    Expired,
    /// The instance that answered it failed, and is replaced.
    #[error("the model failed on this request or on one that was answered with it")]
    Crashed,
    /// The instance that answered it took too long, and is replaced.
    #[error("the model took too long")]
    Stuck,
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Input(error.reason)
    }
}

/// An answer to come. Dropping it takes the query out of the queue, if it still waits.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Answer, Failure>>);

impl Ticket {
    /// Waits for the answer, outside of any runtime.
    ///
    /// # Errors
    /// Why there is none.
    pub fn wait(self) -> Result<Answer, Failure> {
        self.0.blocking_recv().unwrap_or(Err(Failure::Closed))
    }
}

impl Future for Ticket {
    type Output = Result<Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Failure::Closed)))
    }
}

/// Instances of a network at work, and the queue before them. Dropping it answers what waits, and then ends the threads.
pub struct Batcher {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    config: BatcherConfig,
    signature: Option<Signature>,
    queue: Queue,
    /// Never answers: instances are made from it.
    template: Mutex<Box<dyn Endpoint>>,
    slots: Mutex<Vec<Arc<Slot>>>,
    statistics: Mutex<Statistics>,
    troubles: Troubles,
}

impl Batcher {
    /// Starts the instances of an endpoint.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(endpoint: Box<dyn Endpoint>, config: BatcherConfig) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            signature: endpoint.signature(),
            queue: Queue::new(&config),
            template: Mutex::new(endpoint),
            slots: Mutex::default(),
            statistics: Mutex::default(),
            troubles: Troubles::default(),
            config,
        });
        for _ in 0..shared.config.instances.max(1) {
            let slot = instance::start(&shared)?;
            held(&shared.slots).push(slot);
        }
        instance::watch(&shared)?;
        Ok(Self { shared })
    }

    /// Takes a query, never waiting.
    ///
    /// # Errors
    /// [`Failure::Full`], [`Failure::Closed`], or [`Failure::Expired`] if its time was over before it came.
    pub fn submit(&self, job: Job) -> Result<Ticket, Failure> {
        let since = Instant::now();
        let default = self.shared.config.deadline.map(|allowed| since + allowed);
        let deadline = [job.deadline, default].into_iter().flatten().min();
        if deadline.is_some_and(|deadline| deadline <= since) {
            return Err(Failure::Expired);
        }
        let (reply, ticket) = oneshot::channel();
        let level = match job.priority {
            0 => self.shared.config.default_priority(),
            level => level,
        };
        let rows = job.query.rows();
        self.shared.queue.push(level, Waiting { query: job.query, rows, since, deadline, reply })?;
        Ok(Ticket(ticket))
    }

    /// Refuses a query that would find no place now, before it is read.
    ///
    /// # Errors
    /// [`Failure::Full`]; it counts as refused.
    pub fn check_room(&self) -> Result<(), Failure> {
        if self.shared.queue.refuses() { Err(Failure::Full) } else { Ok(()) }
    }

    /// What goes through the tensor door; nothing where there is none.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.shared.signature.as_ref()
    }

    /// How queries are put together.
    #[must_use]
    pub fn config(&self) -> &BatcherConfig {
        &self.shared.config
    }

    /// Where time went so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        held(&self.shared.statistics).clone()
    }

    /// What waits now.
    #[must_use]
    pub fn level(&self) -> QueueLevel {
        self.shared.queue.level()
    }

    /// How much was asked of the queue since this was called last.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.shared.queue.pressure()
    }

    /// How long a query may wait for others now.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.shared.queue.wait()
    }

    /// How the instances are.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.troubles.health()
    }

    /// Changes how long a query may wait for others.
    pub fn set_longest_wait(&self, wait: Duration) {
        self.shared.queue.set_wait(wait);
    }

    /// Changes how many queries may wait.
    pub fn set_queue(&self, limit: usize) {
        self.shared.queue.set_limit(limit);
    }

    /// Takes nothing more; what waits is answered, and then the threads end.
    pub fn close(&self) {
        self.shared.queue.close();
    }

    /// Whether all has been answered that was taken.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.shared.queue.level().queries == 0 && held(&self.shared.slots).iter().all(|slot| slot.is_free())
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("config", &self.shared.config)
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves counters that are whole.
pub(crate) fn held<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
