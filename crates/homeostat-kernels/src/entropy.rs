//! Softmax cross-entropy of rows with soft targets: `sum of target * (log of the sum of exponentials - score)`, or with one
//! class that is right, and its gradients. The softmax is computed anew on the way back.

use rayon::prelude::*;

use crate::{
    buffer::by_chunks,
    curves::exp,
    simd::{Isa, Kernel, Vector},
    sums::{largest, sum, total},
};

/// Rows of a task.
const ROWS: usize = 64;

/// The loss of each row of `classes`.
pub(crate) fn losses(isa: Isa, classes: usize, scores: &[f32], targets: &[f32]) -> Vec<f32> {
    let chunks = scores.par_chunks(ROWS * classes).zip(targets.par_chunks(ROWS * classes));
    chunks.flat_map_iter(|(scores, targets)| isa.run(Losses { classes, scores, targets })).collect()
}

/// The gradients of scores and targets, given those of the losses.
pub(crate) fn gradients(
    isa: Isa,
    classes: usize,
    [scores, targets]: [&[f32]; 2],
    upstream: &[f32],
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    let of = |scores_too: bool| {
        by_chunks(scores.len(), ROWS * classes, |index, to| {
            let first = index * ROWS * classes;
            let (scores, targets) = (&scores[first..][..to.len()], &targets[first..][..to.len()]);
            let upstream = &upstream[index * ROWS..];
            isa.run(Gradient { classes, scores, targets, upstream, to, of_scores: scores_too });
        })
    };
    [wanted[0].then(|| of(true)), wanted[1].then(|| of(false))]
}

/// The loss of each row of `classes` of which one is right.
pub(crate) fn class_losses(isa: Isa, classes: usize, scores: &[f32], right: &[usize]) -> Vec<f32> {
    let chunks = scores.par_chunks(ROWS * classes).zip(right.par_chunks(ROWS));
    chunks.flat_map_iter(|(scores, right)| isa.run(ClassLosses { classes, scores, right })).collect()
}

/// The gradients of the scores, given those of these losses.
pub(crate) fn class_gradients(isa: Isa, classes: usize, scores: &[f32], right: &[usize], upstream: &[f32]) -> Vec<f32> {
    by_chunks(scores.len(), ROWS * classes, |index, to| {
        let (first, rows) = (index * ROWS, to.len() / classes);
        let scores = &scores[first * classes..][..to.len()];
        let (right, upstream) = (&right[first..][..rows], &upstream[first..][..rows]);
        isa.run(ClassGradient { classes, scores, right, upstream, to });
    })
}

/// The largest score, and the logarithm of the sum of exponentials above it.
#[inline(always)]
fn spread(scores: &[f32]) -> (f32, f32) {
    let top = largest(scores);
    (top, sum(scores, scores, |score, _| exp(score - top)).ln())
}

struct Losses<'a> {
    classes: usize,
    scores: &'a [f32],
    targets: &'a [f32],
}

impl Kernel for Losses<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let mut losses = Vec::with_capacity(self.scores.len() / self.classes);
        for (scores, targets) in self.scores.chunks_exact(self.classes).zip(self.targets.chunks_exact(self.classes)) {
            let (top, rest) = spread(scores);
            losses.push(sum(scores, targets, |score, target| target * (rest - (score - top))));
        }
        losses
    }
}

struct Gradient<'a> {
    classes: usize,
    scores: &'a [f32],
    targets: &'a [f32],
    upstream: &'a [f32],
    to: &'a mut [f32],
    /// Of scores, and not of targets.
    of_scores: bool,
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { classes, scores, targets, upstream, to, of_scores } = self;
        let rows = scores.chunks_exact(classes).zip(targets.chunks_exact(classes));
        for (((scores, targets), to), &upstream) in rows.zip(to.chunks_exact_mut(classes)).zip(upstream) {
            let (top, rest) = spread(scores);
            let sum = total(targets);
            for (to, (&score, &target)) in to.iter_mut().zip(scores.iter().zip(targets)) {
                let log = score - top - rest;
                *to = upstream * if of_scores { sum * exp(log) - target } else { -log };
            }
        }
    }
}

struct ClassLosses<'a> {
    classes: usize,
    scores: &'a [f32],
    right: &'a [usize],
}

impl Kernel for ClassLosses<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let rows = self.scores.chunks_exact(self.classes).zip(self.right);
        let loss = |(scores, &right): (&[f32], &usize)| {
            let (top, rest) = spread(scores);
            rest - (scores[right] - top)
        };
        rows.map(loss).collect()
    }
}

struct ClassGradient<'a> {
    classes: usize,
    scores: &'a [f32],
    right: &'a [usize],
    upstream: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for ClassGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { classes, scores, right, upstream, to } = self;
        let rows = scores.chunks_exact(classes).zip(to.chunks_exact_mut(classes));
        for ((scores, to), (&right, &upstream)) in rows.zip(right.iter().zip(upstream)) {
            let (top, rest) = spread(scores);
            for (to, &score) in to.iter_mut().zip(scores) {
                *to = upstream * exp(score - top - rest);
            }
            to[right] -= upstream;
        }
    }
}
