//! Convolutions that see each channel by itself: pixels are multiplied with weights channel by channel, so vectors run
//! along the channels of a pixel, and nothing is copied or filled up. It does not know which way [`Gather`] is used.
#![expect(unsafe_code, reason = "vector loads and stores, whose ends are checked once a line")]

use rayon::prelude::*;

use crate::{
    conv::Conv,
    gather::{Finish, Gather},
    simd::{Isa, Kernel, Vector},
};

/// Vectors of channels computed side by side, so that sums do not wait for each other.
const ABREAST: usize = 4;

/// Pieces that the gradient of the weights is summed in: they depend on the shape alone, and are added up in order.
const PIECES: usize = 16;

/// Weights `[channel, tap]` as `[tap, channel]`.
pub(crate) fn transposed(weight: &[f32], channels: usize, taps: usize) -> Vec<f32> {
    (0..taps * channels).map(|at| weight[at % channels * taps + at / channels]).collect()
}

/// A line of the result: `[columns, channels]`, onto the residual where there is one.
pub(crate) struct Line<'a> {
    pub(crate) gather: &'a Gather,
    /// In the result, of all images.
    pub(crate) number: usize,
    /// `[tap, channel]`
    pub(crate) weight: &'a [f32],
    pub(crate) source: &'a [f32],
    pub(crate) finish: Finish<'a>,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let [rows, columns] = &self.gather.axes;
        let channels = self.gather.groups;
        let (image, y) = (self.number / rows.len(), self.number % rows.len());
        // Where each row of taps begins in the weights, and the row of pixels that it sees.
        let seen: Vec<[usize; 2]> = rows
            .seen(y)
            .map(|(tap, at)| {
                let row = image * self.gather.source[0] + at;
                [tap * self.gather.columns * channels, row * self.gather.source[1] * channels]
            })
            .collect();
        assert_eq!(self.out.len(), columns.len() * channels, "a line of {} columns", columns.len());
        assert_eq!(self.weight.len(), rows.taps * columns.taps * channels, "weights of {channels} channels");
        assert_eq!(self.source.len(), self.gather.batch * self.gather.source.iter().product::<usize>() * channels);
        for at in (0..channels).step_by(ABREAST * V::LANES) {
            let left = channels - at;
            match left.div_ceil(V::LANES) {
                1 => self.channels::<V, 1>(at, left, &seen),
                2 => self.channels::<V, 2>(at, left, &seen),
                3 => self.channels::<V, 3>(at, left, &seen),
                _ => self.channels::<V, ABREAST>(at, left.min(ABREAST * V::LANES), &seen),
            }
        }
    }
}

impl Line<'_> {
    /// `count` channels from `at` on: `N` vectors, the last one perhaps not full.
    #[inline(always)]
    fn channels<V: Vector, const N: usize>(&mut self, at: usize, count: usize, rows: &[[usize; 2]]) {
        let channels = self.gather.groups;
        let last = count - (N - 1) * V::LANES;
        for x in 0..self.gather.axes[1].len() {
            let out = x * channels + at;
            // SAFETY (all blocks): `run` has checked that source, weights and line are whole; a tap and what it sees
            // lie inside of them, and `at + count` is at most the number of channels.
            let mut sums = unsafe {
                if self.finish.residual.is_some() { load::<V, N>(self.out, out, last) } else { [V::splat(0.0); N] }
            };
            for &[weight, source] in rows {
                for (tap, seen) in self.gather.axes[1].seen(x) {
                    unsafe {
                        let weight = load::<V, N>(self.weight, weight + tap * channels + at, last);
                        let source = load::<V, N>(self.source, source + seen * channels + at, last);
                        for n in 0..N {
                            sums[n] = source[n].mul_add(weight[n], sums[n]);
                        }
                    }
                }
            }
            unsafe {
                if let Some(bias) = self.finish.bias {
                    let bias = load::<V, N>(bias, at, last);
                    (0..N).for_each(|n| sums[n] = sums[n].add(bias[n]));
                }
                if self.finish.relu {
                    sums = sums.map(|sum| sum.relu());
                }
                store(sums, self.out, out, last);
            }
        }
    }
}

/// `N` neighbouring vectors, of the last one the first `last` lanes.
///
/// # Safety
/// They lie in the slice.
#[inline(always)]
unsafe fn load<V: Vector, const N: usize>(from: &[f32], at: usize, last: usize) -> [V; N] {
    // SAFETY: passed on.
    unsafe {
        let mut vectors = [V::splat(0.0); N];
        for (n, vector) in vectors.iter_mut().enumerate() {
            let at = at + n * V::LANES;
            *vector = if n + 1 < N || last == V::LANES { V::load(from, at) } else { V::load_first(from, at, last) };
        }
        vectors
    }
}

/// The way back.
///
/// # Safety
/// They lie in the slice.
#[inline(always)]
unsafe fn store<V: Vector, const N: usize>(vectors: [V; N], to: &mut [f32], at: usize, last: usize) {
    // SAFETY: passed on.
    unsafe {
        for (n, vector) in vectors.into_iter().enumerate() {
            let at = at + n * V::LANES;
            if n + 1 < N || last == V::LANES { vector.store(to, at) } else { vector.store_first(to, at, last) }
        }
    }
}

/// The gradient of the weights, `[channel, tap]`.
pub(crate) fn weight_gradient(isa: Isa, conv: &Conv, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let [channels, taps, lines] = [conv.channels[0], conv.taps(), conv.batch * conv.out[0]];
    assert_eq!(x.len(), conv.batch * conv.input.iter().product::<usize>() * channels, "{conv:?}");
    assert_eq!(gradient.len(), lines * conv.out[1] * channels, "{conv:?}");
    let seen: Vec<(usize, std::ops::Range<usize>)> =
        (0..conv.kernel[1]).map(|tap| (tap, conv.columns_seen(tap, 0, conv.out[1]))).collect();
    let piece = lines.div_ceil(PIECES);
    let part = |first: usize| {
        let mut sums = vec![0.0; taps * channels];
        for line in first..lines.min(first + piece) {
            isa.run(LineGradient { conv, line, columns: &seen, x, gradient, sums: &mut sums });
        }
        sums
    };
    let starts: Vec<usize> = (0..lines).step_by(piece).collect();
    let parts: Vec<Vec<f32>> = starts.into_par_iter().map(part).collect();
    let mut sums = vec![0.0; taps * channels];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    transposed(&sums, taps, channels)
}

/// What a line of the gradient adds to the gradient of the weights.
struct LineGradient<'a> {
    conv: &'a Conv,
    /// In the result, of all images.
    line: usize,
    /// Columns of the kernel, and columns of the result that see the image through them.
    columns: &'a [(usize, std::ops::Range<usize>)],
    x: &'a [f32],
    gradient: &'a [f32],
    /// `[tap, channel]`
    sums: &'a mut [f32],
}

impl Kernel for LineGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let channels = self.conv.channels[0];
        for at in (0..channels).step_by(ABREAST * V::LANES) {
            let left = channels - at;
            match left.div_ceil(V::LANES) {
                1 => self.channels::<V, 1>(at, left),
                2 => self.channels::<V, 2>(at, left),
                3 => self.channels::<V, 3>(at, left),
                _ => self.channels::<V, ABREAST>(at, left.min(ABREAST * V::LANES)),
            }
        }
    }
}

impl LineGradient<'_> {
    #[inline(always)]
    fn channels<V: Vector, const N: usize>(&mut self, at: usize, count: usize) {
        let Self { conv, columns, .. } = *self;
        let (channels, last) = (conv.channels[0], count - (N - 1) * V::LANES);
        let (image, y) = (self.line / conv.out[0], self.line % conv.out[0]);
        let line = self.line * conv.out[1] * channels + at;
        for row in 0..conv.kernel[0] {
            let Some(seen) = conv.seen(0, y, row) else { continue };
            let seen = (image * conv.input[0] + seen) * conv.input[1] * channels + at;
            for (column, range) in columns.iter().filter(|(_, range)| !range.is_empty()) {
                let first = range.start * conv.stride[1] + column * conv.dilation[1] - conv.padding[1];
                let sums_at = (row * conv.kernel[1] + column) * channels + at;
                // SAFETY: `weight_gradient` has checked that both images and the sums are whole; `range` holds the
                // columns whose pixel is inside, and `at + count` is at most the number of channels.
                unsafe {
                    let mut sums = load::<V, N>(self.sums, sums_at, last);
                    for (index, x) in range.clone().enumerate() {
                        let gradient = load::<V, N>(self.gradient, line + x * channels, last);
                        let pixel = seen + (first + index * conv.stride[1]) * channels;
                        let pixel = load::<V, N>(self.x, pixel, last);
                        for n in 0..N {
                            sums[n] = pixel[n].mul_add(gradient[n], sums[n]);
                        }
                    }
                    store(sums, self.sums, sums_at, last);
                }
            }
        }
    }
}
