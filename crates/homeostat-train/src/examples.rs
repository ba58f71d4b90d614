//! Where the loop gets its batches: rows by position, in an order that depends on the seed and the epoch alone. It does
//! not know files or images.

use std::sync::Arc;

use homeostat_data::{Buckets, DataError, Loader, LoaderOptions, Rng, Skipped, Weigh};
use homeostat_task::Task;

/// A part of the data, as the loop sees it: prepared rows by position.
pub trait Examples<T: Task>: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lengths of the samples, where batches of like length cost less.
    fn buckets(&self) -> Option<&Buckets> {
        None
    }

    /// Reads and prepares these samples; with a `draw` they are augmented and mixed for training, else never.
    ///
    /// # Errors
    /// A sample cannot be read, and the experiment does not say to skip such.
    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<T>, DataError>;
}

/// What a batch's randomness is keyed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The experiment's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch in the epoch, from 0.
    pub batch: u64,
}

/// A batch on the host.
#[derive(Debug)]
pub struct Rows<T: Task> {
    /// Prepared samples.
    pub inputs: Vec<T::Input>,
    /// What is true of each.
    pub truths: Vec<T::Truth>,
    /// Where each stood in the part.
    pub positions: Vec<usize>,
    /// Samples that could not be read.
    pub skipped: Vec<Skipped>,
    /// Memory taken, in bytes.
    pub bytes: usize,
}

impl<T: Task> Weigh for Rows<T> {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How many threads prepare batches, and how far ahead.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// Threads; 0 prepares in the loop's own thread.
    pub threads: usize,
    /// The most memory that prepared batches may take, in bytes.
    pub prefetch_bytes: usize,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            prefetch_bytes: 256 << 20,
        }
    }
}

const SHUFFLE: u64 = u64::MAX;

/// The order of an epoch's samples: a permutation keyed by seed and epoch.
#[must_use]
pub(crate) fn order(seed: u64, epoch: usize, samples: usize) -> Vec<usize> {
    Rng::keyed(seed, [epoch as u64, SHUFFLE, SHUFFLE]).permutation(samples)
}

/// The batches of one epoch, in order, from the batch `from` on.
pub(crate) fn training_batches<T: Task>(
    examples: &Arc<dyn Examples<T>>,
    batch_size: usize,
    seed: u64,
    place: (usize, usize),
    workers: Workers,
) -> Loader<Rows<T>> {
    let (epoch, from) = place;
    let order = order(seed, epoch, examples.len());
    let order = match examples.buckets() {
        Some(buckets) => buckets.arrange(&order, batch_size, (seed, epoch as u64)),
        None => order,
    };
    let draw = move |batch| Some(Draw { seed, epoch: epoch as u64, batch });
    load(examples, order, batch_size, from, workers, draw)
}

/// All samples in their own order, or from the shortest to the longest, without augmentation.
pub(crate) fn evaluation_batches<T: Task>(
    examples: &Arc<dyn Examples<T>>,
    batch_size: usize,
    workers: Workers,
) -> Loader<Rows<T>> {
    let order = examples.buckets().map_or_else(|| (0..examples.len()).collect(), Buckets::sorted);
    load(examples, order, batch_size, 0, workers, |_| None)
}

fn load<T: Task>(
    examples: &Arc<dyn Examples<T>>,
    order: Vec<usize>,
    batch_size: usize,
    from: usize,
    workers: Workers,
    draw: impl Fn(u64) -> Option<Draw> + Send + Sync + 'static,
) -> Loader<Rows<T>> {
    let batches = order.len().div_ceil(batch_size);
    let examples = Arc::clone(examples);
    let make = move |batch: usize| {
        let end = order.len().min((batch + 1) * batch_size);
        examples.rows(&order[batch * batch_size..end], draw(batch as u64))
    };
    let options = LoaderOptions { workers: workers.threads, prefetch_bytes: workers.prefetch_bytes };
    Loader::start(from..batches, options, Arc::new(make))
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn every_epoch_has_an_order_of_its_own_and_every_sample_once() {
        let first = order(1, 0, 100);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, order(1, 0, 100));
        assert_ne!(first, order(1, 1, 100));
        assert_ne!(first, order(2, 0, 100));
    }
}
