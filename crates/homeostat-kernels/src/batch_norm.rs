//! Batch normalisation (Ioffe & Szegedy 2015), forward and backward, on rows of channels: the pixels of images. What
//! follows it in a network, a residual and ReLU, is computed in the same pass. It does not know running statistics.

#![expect(clippy::cast_possible_truncation, reason = "statistics are summed in double precision, and kept in single")]

use rayon::prelude::*;

use crate::{
    buffer::by_chunks,
    simd::{Isa, Kernel, Vector},
};

/// Rows of a task; what tasks find is put together in order, so that the threads do not matter.
const ROWS: usize = 256;

/// What a channel is normalised with.
#[derive(Debug)]
pub(crate) struct Scales<'a> {
    pub(crate) mean: &'a [f32],
    /// `1 / sqrt(variance + epsilon)`
    pub(crate) deviation: Vec<f32>,
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
}

impl<'a> Scales<'a> {
    pub(crate) fn new(mean: &'a [f32], variance: &[f32], epsilon: f64, [gamma, beta]: [&'a [f32]; 2]) -> Self {
        let deviation =
            variance.iter().map(|&variance| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32).collect();
        Self { mean, deviation, gamma, beta }
    }
}

/// Mean and biased variance of each channel, one after the other.
pub(crate) fn moments(isa: Isa, channels: usize, x: &[f32]) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = x.par_chunks(ROWS * channels).map(|x| isa.run(Moments { channels, x })).collect();
    // Chan, Golub & LeVeque 1979: means and sums of squares about them, of two sets, give those of both.
    let mut total = vec![(0.0_f64, 0.0_f64); channels];
    let mut seen = 0;
    for (part, x) in parts.iter().zip(x.chunks(ROWS * channels)) {
        let rows = x.len() / channels;
        let share = rows as f64 / (seen + rows) as f64;
        for ((mean, squares), (&part_mean, &part_squares)) in total.iter_mut().zip(part.iter().zip(&part[channels..])) {
            let apart = f64::from(part_mean) - *mean;
            *mean += apart * share;
            *squares += f64::from(part_squares) + apart * apart * share * seen as f64;
        }
        seen += rows;
    }
    let variance = total.iter().map(|(_, squares)| (squares / seen as f64) as f32);
    total.iter().map(|(mean, _)| *mean as f32).chain(variance).collect()
}

/// `relu((x - mean) * deviation * gamma + beta + residual)`; residual and ReLU where asked for.
pub(crate) fn normalise(isa: Isa, x: &[f32], scales: &Scales<'_>, residual: Option<&[f32]>, relu: bool) -> Vec<f32> {
    let block = ROWS * scales.mean.len();
    by_chunks(x.len(), block, |index, out| {
        let part =
            |floats: &'_ [f32]| -> std::ops::Range<usize> { index * block..floats.len().min((index + 1) * block) };
        let residual = residual.map(|residual| &residual[part(residual)]);
        isa.run(Normalise { x: &x[part(x)], scales, residual, relu, out });
    })
}

/// Clears the gradient where ReLU did; gives the sum over rows of the gradient, and of the gradient times the normalised
/// input: the gradients of `beta` and `gamma`.
pub(crate) fn sums(isa: Isa, x: &[f32], scales: &Scales<'_>, y: Option<&[f32]>, gradient: &mut [f32]) -> [Vec<f32>; 2] {
    let channels = scales.mean.len();
    let block = ROWS * channels;
    let sum = |index: usize, gradient: &mut [f32]| {
        let range = index * block..index * block + gradient.len();
        isa.run(Sums { x: &x[range.clone()], scales, y: y.map(|y| &y[range]), gradient })
    };
    let parts: Vec<[Vec<f32>; 2]> =
        gradient.par_chunks_mut(block).enumerate().map(|(index, gradient)| sum(index, gradient)).collect();
    let mut total = [vec![0.0; channels], vec![0.0; channels]];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
    }
    total
}

/// The gradient of the input: `gamma * deviation * (gradient - its mean - normalised * mean of gradient * normalised)`. The means come
/// of the moments, which move with the batch: without [`sums`], the moments are constants.
pub(crate) fn input_gradient(
    isa: Isa,
    x: &[f32],
    scales: &Scales<'_>,
    gradient: &[f32],
    sums: Option<&[Vec<f32>; 2]>,
) -> Vec<f32> {
    let channels = scales.mean.len();
    let (block, rows) = (ROWS * channels, (x.len() / channels) as f32);
    let factor: Vec<f32> =
        scales.gamma.iter().zip(&scales.deviation).map(|(gamma, deviation)| gamma * deviation).collect();
    let (mean, slope): (Vec<f32>, Vec<f32>) = match sums {
        Some([beta, gamma]) => {
            let slope = gamma.iter().zip(&scales.deviation).map(|(gamma, deviation)| gamma / rows * deviation);
            (beta.iter().map(|beta| beta / rows).collect(), slope.collect())
        }
        None => (vec![0.0; channels], vec![0.0; channels]),
    };
    by_chunks(x.len(), block, |index, out| {
        let range = index * block..index * block + out.len();
        let (x, gradient) = (&x[range.clone()], &gradient[range]);
        isa.run(InputGradient { x, gradient, centre: scales.mean, factor: &factor, mean: &mean, slope: &slope, out });
    })
}

struct Moments<'a> {
    channels: usize,
    x: &'a [f32],
}

impl Kernel for Moments<'_> {
    type Output = Vec<f32>;

    /// Means, then sums of squares about them.
    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let mut out = vec![0.0; 2 * self.channels];
        let (mean, squares) = out.split_at_mut(self.channels);
        for x in self.x.chunks_exact(self.channels) {
            mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += x);
        }
        let rows = (self.x.len() / self.channels) as f32;
        mean.iter_mut().for_each(|mean| *mean /= rows);
        for x in self.x.chunks_exact(self.channels) {
            for ((squares, mean), x) in squares.iter_mut().zip(&*mean).zip(x) {
                *squares += (x - mean) * (x - mean);
            }
        }
        out
    }
}

struct Normalise<'a> {
    x: &'a [f32],
    scales: &'a Scales<'a>,
    residual: Option<&'a [f32]>,
    relu: bool,
    out: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { x, scales, residual, relu, out } = self;
        let channels = scales.mean.len();
        let factor: Vec<f32> =
            scales.gamma.iter().zip(&scales.deviation).map(|(gamma, deviation)| gamma * deviation).collect();
        for (row, (out, x)) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).enumerate() {
            let channel = scales.mean.iter().zip(&factor).zip(scales.beta);
            for ((out, x), ((mean, factor), beta)) in out.iter_mut().zip(x).zip(channel) {
                *out = (x - mean) * factor + beta;
            }
            if let Some(residual) = residual {
                let residual = &residual[row * channels..][..channels];
                out.iter_mut().zip(residual).for_each(|(out, residual)| *out += residual);
            }
            if relu {
                out.iter_mut().for_each(|out| *out = if *out > 0.0 || out.is_nan() { *out } else { 0.0 });
            }
        }
    }
}

struct Sums<'a> {
    x: &'a [f32],
    scales: &'a Scales<'a>,
    y: Option<&'a [f32]>,
    gradient: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn run<V: Vector>(self) -> [Vec<f32>; 2] {
        let Self { x, scales, y, gradient } = self;
        let channels = scales.mean.len();
        let (mut plain, mut weighted) = (vec![0.0_f32; channels], vec![0.0_f32; channels]);
        for (row, (gradient, x)) in gradient.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).enumerate() {
            if let Some(y) = y {
                for (gradient, y) in gradient.iter_mut().zip(&y[row * channels..][..channels]) {
                    *gradient = if *y > 0.0 || y.is_nan() { *gradient } else { 0.0 };
                }
            }
            let sums = plain.iter_mut().zip(&mut weighted);
            for (((plain, weighted), (gradient, x)), mean) in sums.zip(gradient.iter().zip(x)).zip(scales.mean) {
                *plain += gradient;
                *weighted += gradient * (x - mean);
            }
        }
        weighted.iter_mut().zip(&scales.deviation).for_each(|(weighted, deviation)| *weighted *= deviation);
        [plain, weighted]
    }
}

struct InputGradient<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    centre: &'a [f32],
    factor: &'a [f32],
    mean: &'a [f32],
    slope: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { x, gradient, centre, factor, mean, slope, out } = self;
        let channels = centre.len();
        let rows = x.chunks_exact(channels).zip(gradient.chunks_exact(channels));
        for (out, (x, gradient)) in out.chunks_exact_mut(channels).zip(rows) {
            let channel = centre.iter().zip(factor).zip(mean.iter().zip(slope));
            for ((out, (x, gradient)), ((centre, factor), (mean, slope))) in
                out.iter_mut().zip(x.iter().zip(gradient)).zip(channel)
            {
                *out = factor * (gradient - mean - (x - centre) * slope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_agrees_with_double_precision() {
        for [rows, channels] in [[1, 1], [3, 5], [700, 33], [257, 64]] {
            let numbers = |count: usize, seed: usize| -> Vec<f32> {
                (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 + seed as f32).collect()
            };
            let x = numbers(rows * channels, 7);
            let column = |channel: usize| x.iter().skip(channel).step_by(channels).map(|&x| f64::from(x));
            for isa in Isa::supported() {
                let moments = moments(isa, channels, &x);
                let (mean, variance) = moments.split_at(channels);
                let (gamma, beta) = (numbers(channels, 1), numbers(channels, 2));
                let scales = Scales::new(mean, variance, 1e-5, [&gamma, &beta]);
                let y = normalise(isa, &x, &scales, None, false);
                for channel in 0..channels {
                    let exact_mean = column(channel).sum::<f64>() / rows as f64;
                    let exact = column(channel).map(|x| (x - exact_mean).powi(2)).sum::<f64>() / rows as f64;
                    assert!((f64::from(mean[channel]) - exact_mean).abs() < 1e-6 * exact_mean.abs(), "{isa:?}");
                    assert!((f64::from(variance[channel]) - exact).abs() < 1e-5 * (exact + 1e-3), "{isa:?}");
                    for (row, x) in column(channel).enumerate() {
                        let exact = (x - exact_mean) / (exact + 1e-5).sqrt() * f64::from(gamma[channel])
                            + f64::from(beta[channel]);
                        assert!((f64::from(y[row * channels + channel]) - exact).abs() < 2e-4, "{isa:?}, row {row}");
                    }
                }
            }
        }
    }
}
