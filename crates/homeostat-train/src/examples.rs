//! Where the loop gets its batches: rows by position, in an order that depends on the seed and the epoch alone. It does
//! not know files or images.

use std::sync::Arc;

use homeostat_data::{DataError, Loader, LoaderOptions, Rng, Skipped, Weigh};
use homeostat_task::Task;

/// A part of the data, as the loop sees it: prepared rows by position.
pub trait Examples<T: Task>: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads and prepares these samples; with a `draw` they are augmented and mixed for training, else never. A position that stands
    /// there several times in a row is augmented otherwise each time.
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

/// The order of an epoch's samples: a permutation keyed by seed and epoch. With `repeats`, as many epochs share a permutation; each
/// takes its part of it, every sample so many times in a row.
#[must_use]
pub(crate) fn order(seed: u64, epoch: usize, samples: usize, repeats: usize) -> Vec<usize> {
    let shuffled = Rng::keyed(seed, [(epoch / repeats) as u64, SHUFFLE, SHUFFLE]).permutation(samples);
    let part = shuffled.iter().cycle().skip(epoch % repeats * samples.div_ceil(repeats));
    part.flat_map(|&position| std::iter::repeat_n(position, repeats)).take(samples).collect()
}

/// The batches of one epoch, in order, from the batch `from` on.
pub(crate) fn training_batches<T: Task>(
    examples: &Arc<dyn Examples<T>>,
    (batch_size, repeats): (usize, usize),
    seed: u64,
    place: (usize, usize),
    workers: Workers,
) -> Loader<Rows<T>> {
    let (epoch, from) = place;
    let order = order(seed, epoch, examples.len(), repeats);
    let draw = move |batch| Some(Draw { seed, epoch: epoch as u64, batch });
    load(examples, order, batch_size, from, workers, draw)
}

/// All samples in their own order, without augmentation.
pub(crate) fn evaluation_batches<T: Task>(
    examples: &Arc<dyn Examples<T>>,
    batch_size: usize,
    workers: Workers,
) -> Loader<Rows<T>> {
    load(examples, (0..examples.len()).collect(), batch_size, 0, workers, |_| None)
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
    #[test]
    fn every_epoch_has_an_order_of_its_own_and_every_sample_once() {
        let order = |seed, epoch, samples| super::order(seed, epoch, samples, 1);
        let first = order(1, 0, 100);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, order(1, 0, 100));
        assert_ne!(first, order(1, 1, 100));
        assert_ne!(first, order(2, 0, 100));
    }

    #[test]
    fn repeated_samples_stand_together_and_as_many_epochs_meet_all() {
        for samples in [12, 13, 14] {
            let epochs: Vec<Vec<usize>> = (0..3).map(|epoch| super::order(1, epoch, samples, 3)).collect();
            assert!(epochs.iter().all(|order| order.len() == samples), "an epoch stays as long");
            assert!(epochs.iter().flat_map(|order| order.chunks(3)).all(|run| run.iter().all(|at| *at == run[0])));
            let met: std::collections::BTreeSet<usize> = epochs.concat().into_iter().collect();
            assert_eq!(met.len(), samples, "{epochs:?}");
            assert_ne!(super::order(1, 3, samples, 3), epochs[0], "the next round has another order");
        }
    }
}
