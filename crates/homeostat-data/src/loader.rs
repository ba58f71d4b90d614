//! Batches made by several threads, handed out in order. It does not know what a batch is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::error::message;
use crate::{DataError, Image};

/// What a batch occupies, so that the loader can keep its bound.
pub trait Weigh {
    /// The bytes of memory that this takes.
    fn bytes(&self) -> usize;
}

impl Weigh for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Weigh for Image {
    fn bytes(&self) -> usize {
        self.pixels().len()
    }
}

impl Weigh for Vec<Image> {
    fn bytes(&self) -> usize {
        self.iter().map(Image::bytes).sum()
    }
}

/// How a [`Loader`] works; it does not change what comes out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// The number of threads; with 0, each batch is made when it is asked for, on the thread that asks.
    pub workers: usize,
    /// The bytes that finished batches and those in the making may take together. The next batch in order is made in any case.
    pub prefetch_bytes: usize,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self { workers: 2, prefetch_bytes: 256 << 20 }
    }
}

/// Makes the batches `range` and gives them in that order, the same ones for any number of workers.
///
/// An error, or a panic of the code that makes a batch, comes out at its place in the order and is the last item. Dropping the loader
/// stops its threads as soon as each has finished the batch that it is at.
///
/// ```
/// use std::sync::Arc;
/// use homeostat_data::{Loader, LoaderOptions};
///
/// let options = LoaderOptions { workers: 2, prefetch_bytes: 1 << 20 };
/// let batches = Loader::start(0..4, options, Arc::new(|batch| Ok(vec![batch as u8; 3])));
/// let batches: Vec<Vec<u8>> = batches.collect::<Result<_, _>>()?;
/// assert_eq!(batches, [[0; 3], [1; 3], [2; 3], [3; 3]]);
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
pub struct Loader<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

type Make<T> = dyn Fn(usize) -> Result<T, DataError> + Send + Sync;

struct Shared<T> {
    make: Arc<Make<T>>,
    state: Mutex<State<T>>,
    /// A worker may claim a batch now, or has to go.
    room: Condvar,
    /// The next batch in order is there.
    ready: Condvar,
    prefetch_bytes: usize,
}

struct State<T> {
    /// The next batch that no worker has begun.
    next_to_make: usize,
    /// The next batch that the iterator gives.
    next_to_give: usize,
    /// Where the batches end: at the end of the range, or behind the first error.
    end: usize,
    /// Each batch with its bytes.
    finished: BTreeMap<usize, Result<(usize, T), DataError>>,
    finished_bytes: usize,
    in_the_making: usize,
    /// The largest batch so far: the estimate for those in the making.
    largest: usize,
}

impl<T: Weigh + Send + 'static> Loader<T> {
    /// Starts making the batches `range` with `make`, which depends on the number of the batch alone.
    #[must_use]
    pub fn start(range: Range<usize>, options: LoaderOptions, make: Arc<Make<T>>) -> Self {
        let state = State {
            next_to_make: range.start,
            next_to_give: range.start,
            end: range.end,
            finished: BTreeMap::new(),
            finished_bytes: 0,
            in_the_making: 0,
            largest: 0,
        };
        let (room, ready, prefetch_bytes) = (Condvar::new(), Condvar::new(), options.prefetch_bytes);
        let shared = Arc::new(Shared { make, state: Mutex::new(state), room, ready, prefetch_bytes });
        let spawn = |i| {
            let shared = Arc::clone(&shared);
            let thread = Builder::new().name(format!("loader-{i}")).spawn(move || shared.work());
            thread.inspect_err(|error| tracing::warn!(%error, "a loader goes on with fewer threads")).ok()
        };
        let workers = (0..options.workers.min(range.len())).filter_map(spawn).collect();
        Self { shared, workers }
    }
}

impl<T: Weigh> Shared<T> {
    fn work(&self) {
        while let Some(batch) = self.claim() {
            self.finish(batch, self.make_or_catch(batch));
        }
    }

    /// Waits until there is room for a batch, and claims it; nothing when there is no more to do.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.next_to_make >= state.end {
                return None;
            }
            // The batch that everybody waits for always has room, hence no deadlock. Before the first is done no size is known.
            let expected = state.finished_bytes.saturating_add(state.largest.saturating_mul(state.in_the_making + 1));
            let fits = state.largest > 0 && expected <= self.prefetch_bytes;
            if fits || state.next_to_make == state.next_to_give {
                state.next_to_make += 1;
                state.in_the_making += 1;
                return Some(state.next_to_make - 1);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The batch and its bytes; all code of others runs here.
    fn make_or_catch(&self, batch: usize) -> Result<(usize, T), DataError> {
        let weigh = |made: T| (made.bytes(), made);
        let make = || (self.make)(batch).map(weigh);
        catch_unwind(AssertUnwindSafe(make))
            .unwrap_or_else(|panic| Err(DataError::Panicked { batch, message: message(&*panic) }))
    }

    fn finish(&self, batch: usize, result: Result<(usize, T), DataError>) {
        let bytes = result.as_ref().map_or(0, |(bytes, _)| *bytes);
        let mut state = self.lock();
        if result.is_err() {
            state.end = state.end.min(batch + 1);
        }
        state.in_the_making -= 1;
        state.largest = state.largest.max(bytes).max(1);
        state.finished_bytes += bytes;
        state.finished.insert(batch, result);
        drop(state);
        self.ready.notify_one();
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of others runs under the lock, so the state is whole even then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Weigh> Iterator for Loader<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.workers.is_empty() {
            let batch = self.shared.claim()?;
            self.shared.finish(batch, self.shared.make_or_catch(batch));
        }
        let mut state = self.shared.lock();
        loop {
            let next = state.next_to_give;
            if next >= state.end {
                return None;
            }
            if let Some(result) = state.finished.remove(&next) {
                state.next_to_give += 1;
                state.finished_bytes -= result.as_ref().map_or(0, |(bytes, _)| *bytes);
                drop(state);
                self.shared.room.notify_all();
                return Some(result.map(|(_, made)| made));
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Loader<T> {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).end = 0;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // What a worker could panic with was caught and handed out.
            drop(worker.join());
        }
    }
}

impl<T> std::fmt::Debug for Loader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loader({} workers)", self.workers.len())
    }
}
