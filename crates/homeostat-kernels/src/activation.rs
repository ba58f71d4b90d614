//! The way back through ReLU and bias, for rows of channels: pixels of an image, or rows of a batch.

use rayon::prelude::*;

use crate::simd::{Isa, Kernel, Vector};

/// Rows of a task; their sums are added up in order, so that the threads do not matter.
const ROWS: usize = 512;

/// Keeps the gradient where `y`, the result of ReLU, is positive or NaN, and clears it elsewhere.
/// Gives the sum over rows: the gradient of the bias.
pub(crate) fn through_relu(isa: Isa, channels: usize, y: &[f32], gradient: &mut [f32]) -> Vec<f32> {
    assert_eq!(y.len(), gradient.len(), "a gradient for each value");
    let block = ROWS * channels;
    let sums: Vec<Vec<f32>> = gradient
        .par_chunks_mut(block)
        .zip(y.par_chunks(block))
        .map(|(gradient, y)| isa.run(Relu { channels, y, gradient }))
        .collect();
    total(channels, &sums)
}

/// The sum over rows.
pub(crate) fn sum_rows(isa: Isa, channels: usize, gradient: &[f32]) -> Vec<f32> {
    let sums: Vec<Vec<f32>> =
        gradient.par_chunks(ROWS * channels).map(|gradient| isa.run(Sum { channels, gradient })).collect();
    total(channels, &sums)
}

fn total(channels: usize, parts: &[Vec<f32>]) -> Vec<f32> {
    let mut total = vec![0.0; channels];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

struct Relu<'a> {
    channels: usize,
    y: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Relu<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let mut sums = vec![0.0; self.channels];
        for (gradient, y) in self.gradient.chunks_exact_mut(self.channels).zip(self.y.chunks_exact(self.channels)) {
            for ((sum, gradient), &y) in sums.iter_mut().zip(gradient).zip(y) {
                // A select, not a branch: the signs of activations are as good as random.
                *gradient = if y > 0.0 || y.is_nan() { *gradient } else { 0.0 };
                *sum += *gradient;
            }
        }
        sums
    }
}

struct Sum<'a> {
    channels: usize,
    gradient: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let mut sums = vec![0.0; self.channels];
        for row in self.gradient.chunks_exact(self.channels) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        sums
    }
}
