//! Batches of texts of like length, which need less filling up. It does not know batches' content, nor what shuffles.

use crate::{Rng, stream};

/// The lengths of all samples of a part, and how far a sample may move in the order for the sake of its length.
///
/// The shuffled order is cut into windows of some batches each, each window is sorted by length and cut into batches, and the
/// batches are shuffled again. So each sample is met once an epoch, with other neighbours each time, and how long it is says
/// nothing about when: the order stays fair. It depends on the seed and the epoch alone.
///
/// ```
/// use homeostat_data::{Buckets, Rng};
///
/// let buckets = Buckets { lengths: vec![9, 2, 8, 1, 9, 2, 7, 3], window: 4 };
/// let order = buckets.arrange(&Rng::keyed(1, [0, 0, 0]).permutation(8), 2, (1, 0));
/// let spread = |batch: &[usize]| buckets.lengths[batch[0]].abs_diff(buckets.lengths[batch[1]]);
/// assert!(order.chunks(2).all(|batch| spread(batch) <= 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// The length of each sample.
    pub lengths: Vec<usize>,
    /// The number of batches that are sorted together; 1 leaves the order within batches alone.
    pub window: usize,
}

impl Buckets {
    /// The order with samples of like length side by side: every `batch_size` of them, in a row, are a batch.
    ///
    /// A position at or above the number of samples is the sample `position % samples` once more. Where the last batch is not full, samples that chance put last are in it, of whatever length.
    ///
    /// # Panics
    /// If the batch size is 0, or there is an order of no samples.
    #[must_use]
    pub fn arrange(&self, order: &[usize], batch_size: usize, (seed, epoch): (u64, u64)) -> Vec<usize> {
        let (full, rest) = order.split_at(order.len() - order.len() % batch_size);
        let window = batch_size.saturating_mul(self.window.max(1));
        let mut sorted = full.to_vec();
        for window in sorted.chunks_mut(window) {
            // Stable: chance decides among equals.
            window.sort_by_key(|&position| self.lengths[position % self.lengths.len()]);
        }
        let batches: Vec<&[usize]> = sorted.chunks(batch_size).collect();
        let mut rng = Rng::keyed(seed, [epoch, 0, stream("buckets", 0)]);
        let shuffled = rng.permutation(batches.len()).into_iter().flat_map(|batch| batches[batch]);
        shuffled.chain(rest).copied().collect()
    }

    /// All samples from the shortest to the longest, for measuring.
    #[must_use]
    pub fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.sort_by_key(|&sample| self.lengths[sample]);
        order
    }
}
