//! Layer normalisation (Ba, Kiros & Hinton 2016) of rows, forward and backward. Mean and variance are computed anew on the
//! way back: a row is in the cache, and there is nothing to keep.

use rayon::prelude::*;

use crate::{
    blocks::Blocks,
    buffer::by_chunks,
    simd::{Isa, Kernel, Vector},
    sums::{sum, total},
};

/// Rows of a task; the sums of tasks are added up in order, so that the threads do not matter.
const ROWS: usize = 32;

/// Normalisation of rows of `width` floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowNorm {
    pub(crate) width: usize,
    pub(crate) epsilon: f32,
}

impl RowNorm {
    /// Mean, and one over the standard deviation.
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "rows are far shorter than 2^24")]
    fn moments(&self, x: &[f32]) -> (f32, f32) {
        let count = self.width as f32;
        let mean = total(x) / count;
        let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
        (mean, 1.0 / (variance + self.epsilon).sqrt())
    }

    /// `(x - mean) / deviation * scale + shift`, each row by itself.
    pub(crate) fn forward(self, isa: Isa, x: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
        by_chunks(x.len(), ROWS * self.width, |index, to| {
            let x = &x[index * ROWS * self.width..][..to.len()];
            isa.run(Forward { norm: self, x, scale, shift, to });
        })
    }

    /// The gradients of `x`, scale and shift.
    pub(crate) fn gradients(self, isa: Isa, x: &[f32], scale: &[f32], gradient: &[f32]) -> [Vec<f32>; 3] {
        let mut out = Blocks::new(x.len() / self.width, self.width);
        let parts: Vec<[Vec<f32>; 2]> = out
            .cut(ROWS, self.width)
            .into_par_iter()
            .map(|block| {
                let first = block.first_row * self.width;
                let mut to = block.take();
                let len = to.len() * self.width;
                let (x, gradient) = (&x[first..][..len], &gradient[first..][..len]);
                isa.run(Backward { norm: self, x, scale, gradient, to: &mut to })
            })
            .collect();
        let mut sums = [vec![0.0; self.width], vec![0.0; self.width]];
        for part in &parts {
            for (sum, part) in sums.iter_mut().zip(part) {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        let [scale, shift] = sums;
        [out.filled(), scale, shift]
    }
}

struct Forward<'a> {
    norm: RowNorm,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let width = self.norm.width;
        let (scale, shift) = (&self.scale[..width], &self.shift[..width]);
        for (x, to) in self.x.chunks_exact(width).zip(self.to.chunks_exact_mut(width)) {
            let (mean, factor) = self.norm.moments(x);
            for ((to, &x), (&scale, &shift)) in to.iter_mut().zip(x).zip(scale.iter().zip(shift)) {
                *to = (x - mean) * factor * scale + shift;
            }
        }
    }
}

struct Backward<'a, 'b> {
    norm: RowNorm,
    x: &'a [f32],
    scale: &'a [f32],
    gradient: &'a [f32],
    to: &'a mut [&'b mut [f32]],
}

impl Kernel for Backward<'_, '_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn run<V: Vector>(self) -> [Vec<f32>; 2] {
        let width = self.norm.width;
        let scale = &self.scale[..width];
        let (mut scales, mut shifts) = (vec![0.0; width], vec![0.0; width]);
        let rows = self.x.chunks_exact(width).zip(self.gradient.chunks_exact(width));
        for ((x, gradient), to) in rows.zip(self.to) {
            let (mean, factor) = self.norm.moments(x);
            for (to, (&gradient, &scale)) in to.iter_mut().zip(gradient.iter().zip(scale)) {
                *to = gradient * scale;
            }
            let slope = total(to) / width as f32;
            let turn = sum(to, x, |to, x| to * (x - mean)) * factor / width as f32;
            let sums = scales.iter_mut().zip(&mut shifts);
            for ((to, &x), (&gradient, (scale, shift))) in to.iter_mut().zip(x).zip(gradient.iter().zip(sums)) {
                let normal = (x - mean) * factor;
                *to = (*to - slope - normal * turn) * factor;
                *scale += gradient * normal;
                *shift += gradient;
            }
        }
        [scales, shifts]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_agrees_with_double_precision_and_gradients_are_slopes() {
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
        };
        for [rows, width] in [[1, 1], [3, 5], [40, 19], [2, 64]] {
            let (x, upstream) = (numbers(rows * width, 1), numbers(rows * width, 2));
            let (scale, shift) = (numbers(width, 3), numbers(width, 4));
            let exact = |x: &[f64], scale: &[f64]| -> Vec<f64> {
                let row = |x: &[f64]| -> Vec<f64> {
                    let mean = x.iter().sum::<f64>() / width as f64;
                    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                    let normal = |at: usize| (x[at] - mean) / (variance + 0.01).sqrt();
                    (0..width).map(|at| normal(at) * scale[at] + f64::from(shift[at])).collect()
                };
                x.chunks(width).flat_map(row).collect()
            };
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let loss = |x: &[f64], scale: &[f64]| -> f64 {
                exact(x, scale).iter().zip(&upstream).map(|(y, &g)| y * f64::from(g)).sum()
            };
            let moved = |from: &[f32], at: usize, by: f64| {
                let mut moved = wide(from);
                moved[at] += by;
                moved
            };
            let norm = RowNorm { width, epsilon: 0.01 };
            for isa in Isa::supported() {
                for (found, exact) in norm.forward(isa, &x, &scale, &shift).iter().zip(exact(&wide(&x), &wide(&scale)))
                {
                    assert!((f64::from(*found) - exact).abs() < 1e-5, "{isa:?}, {rows} x {width}");
                }
                let [to_x, to_scale, to_shift] = norm.gradients(isa, &x, &scale, &upstream);
                for (at, &found) in to_x.iter().enumerate() {
                    let by = |by: f64| loss(&moved(&x, at, by), &wide(&scale));
                    let slope = (by(1e-4) - by(-1e-4)) / 2e-4;
                    assert!((f64::from(found) - slope).abs() < 1e-4, "{isa:?}, {rows} x {width}, {at}");
                }
                for at in 0..width {
                    let by = |by: f64| loss(&wide(&x), &moved(&scale, at, by));
                    assert!((f64::from(to_scale[at]) - (by(1.0) - by(0.0))).abs() < 1e-4, "{isa:?}, scale {at}");
                    let sum: f64 = upstream.iter().skip(at).step_by(width).map(|&g| f64::from(g)).sum();
                    assert!((f64::from(to_shift[at]) - sum).abs() < 1e-4, "{isa:?}, shift {at}");
                }
            }
        }
    }
}
