//! Average pooling 2-D, forward and backward, in `[batch, height, width, channels]` order. Plain, adaptive and global
//! pooling differ only in the windows along each axis.

use std::ops::Range;

use crate::{
    buffer::by_chunks,
    simd::{Isa, Kernel, Vector},
};

/// Which part of the image each pixel of the result averages.
#[derive(Clone, Debug)]
pub(crate) struct MeanPool {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) input: [usize; 2],
    /// Along height and width, for each position of the result: the window, inside of the image.
    pub(crate) windows: [Vec<Range<usize>>; 2],
    /// What sums are divided by: the pixels of a window, or always so many.
    pub(crate) divisor: Option<usize>,
}

impl MeanPool {
    fn image(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    fn out_image(&self) -> usize {
        self.windows[0].len() * self.windows[1].len() * self.channels
    }

    /// `[batch, out height, out width, channels]`
    pub(crate) fn forward(&self, isa: Isa, x: &[f32]) -> Vec<f32> {
        by_chunks(self.batch * self.out_image(), self.out_image(), |image, out| {
            isa.run(Forward { pool: self, x: &x[image * self.image()..][..self.image()], out });
        })
    }

    /// The gradient of the input.
    pub(crate) fn input_gradient(&self, isa: Isa, gradient: &[f32]) -> Vec<f32> {
        by_chunks(self.batch * self.image(), self.image(), |image, out| {
            let gradient = &gradient[image * self.out_image()..][..self.out_image()];
            isa.run(Backward { pool: self, gradient, out });
        })
    }

    /// For each pixel of the result: where its window's rows start, floats of a row, and one over the divisor.
    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (impl Iterator<Item = Range<usize>>, f32)> {
        let row = self.input[1] * self.channels;
        self.windows[0].iter().flat_map(move |rows| {
            self.windows[1].iter().map(move |columns| {
                let (first, last) = (columns.start * self.channels, columns.end * self.channels);
                let divisor = self.divisor.unwrap_or(rows.len() * columns.len());
                (rows.clone().map(move |y| y * row + first..y * row + last), 1.0 / divisor as f32)
            })
        })
    }
}

struct Forward<'a> {
    pool: &'a MeanPool,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let channels = self.pool.channels;
        for (out, (rows, factor)) in self.out.chunks_exact_mut(channels).zip(self.pool.each()) {
            for pixel in rows.flat_map(|row| self.x[row].chunks_exact(channels)) {
                out.iter_mut().zip(pixel).for_each(|(out, x)| *out += x);
            }
            out.iter_mut().for_each(|out| *out *= factor);
        }
    }
}

struct Backward<'a> {
    pool: &'a MeanPool,
    gradient: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let channels = self.pool.channels;
        for (gradient, (rows, factor)) in self.gradient.chunks_exact(channels).zip(self.pool.each()) {
            for row in rows {
                for pixel in self.out[row].chunks_exact_mut(channels) {
                    pixel.iter_mut().zip(gradient).for_each(|(out, gradient)| *out += gradient * factor);
                }
            }
        }
    }
}
