//! Where the loop gets its batches: rows by position, in an order that depends on the seed and the epoch alone. It does
//! not know files or images.

use std::sync::Arc;

use homeostat_data::{Buckets, DataError, Loader, LoaderOptions, SamplingConfig, Skipped, Weigh};
use homeostat_task::Task;

/// A part of the data, as the loop sees it: prepared rows by position.
pub trait Examples<T: Task>: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The order in which an epoch goes through the samples, by seed and epoch alone: as many positions as there are samples, by default
    /// every one once. A position at or above [`len`](Self::len) is the sample `position % len` once more.
    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        SamplingConfig::Shuffle.order(&vec![0; self.len()], &[], (seed, epoch))
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

/// Where `repeats` epochs share an order: the part of it that is this epoch's, every sample so many times in a row.
fn repeated(order: &[usize], epoch: usize, repeats: usize) -> Vec<usize> {
    let samples = order.len();
    let part = order.iter().cycle().skip(epoch % repeats * samples.div_ceil(repeats));
    let copies = |position: &usize| {
        let (sample, again) = (position % samples, position / samples);
        (0..repeats).map(move |copy| sample + (again * repeats + copy) * samples)
    };
    part.flat_map(copies).take(samples).collect()
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
    let order = repeated(&examples.order(seed, (epoch / repeats) as u64), epoch, repeats);
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
    use std::collections::BTreeSet;

    use super::repeated;

    #[test]
    fn repeated_samples_stand_together_and_as_many_epochs_meet_all() {
        for samples in [12, 13, 14] {
            let order: Vec<usize> = (0..samples).rev().collect();
            assert_eq!(repeated(&order, 5, 1), order);
            let epochs: Vec<Vec<usize>> = (0..3).map(|epoch| repeated(&order, epoch, 3)).collect();
            for epoch in &epochs {
                assert_eq!(epoch.len(), samples, "an epoch stays as long");
                assert!(epoch.chunks(3).all(|run| run.iter().all(|at| at % samples == run[0] % samples)), "{epoch:?}");
                assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), samples, "every copy is another: {epoch:?}");
            }
            let met: BTreeSet<usize> = epochs.concat().into_iter().map(|at| at % samples).collect();
            assert_eq!(met.len(), samples, "{epochs:?}");
        }
    }

    #[test]
    fn what_is_drawn_again_and_what_is_repeated_stay_apart() {
        // The sample 1 of three is drawn twice.
        assert_eq!(repeated(&[1, 1 + 3, 0], 0, 2), [1, 1 + 3, 1 + 2 * 3]);
    }
}
