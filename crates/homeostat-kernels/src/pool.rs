//! Max-pooling 2-D, forward and backward, in `[batch, height, width, channels]` order: the channels of a window are
//! compared whole pixels at a time. As in Burn, NaN wins, and the last of several NaN gets the gradient; of equal values
//! the first does.

use crate::{
    buffer::by_chunks,
    simd::{Isa, Kernel, Vector},
};

/// The shape of one max-pooling.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) input: [usize; 2],
    pub(crate) out: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Pool {
    fn image(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    fn out_image(&self) -> usize {
        self.out[0] * self.out[1] * self.channels
    }

    /// Two by two without overlap or border, of one image.
    pub(crate) fn halving(channels: usize, input: [usize; 2]) -> Self {
        let out = input.map(|input| input / 2);
        let [kernel, stride, dilation] = [[2, 2], [2, 2], [1, 1]];
        Self { batch: 1, channels, input, out, kernel, stride, padding: [0, 0], dilation }
    }

    /// Two by two without overlap or border: each input pixel belongs to one window at most.
    fn halves(&self) -> bool {
        self.kernel == [2, 2] && self.stride == [2, 2] && self.padding == [0, 0] && self.dilation == [1, 1]
    }

    /// Where the pixels of a window start in an image, in Burn's order; those in the border are left out.
    #[inline(always)]
    fn window(&self, y: usize, x: usize) -> impl Iterator<Item = usize> {
        let inside = move |axis: usize, out: usize, tap: usize| {
            (out * self.stride[axis] + tap * self.dilation[axis])
                .checked_sub(self.padding[axis])
                .filter(|&at| at < self.input[axis])
        };
        (0..self.kernel[0]).filter_map(move |tap| inside(0, y, tap)).flat_map(move |row| {
            (0..self.kernel[1])
                .filter_map(move |tap| inside(1, x, tap))
                .map(move |column| (row * self.input[1] + column) * self.channels)
        })
    }

    /// `[batch, out height, out width, channels]`
    pub(crate) fn forward(&self, isa: Isa, x: &[f32]) -> Vec<f32> {
        by_chunks(self.batch * self.out_image(), self.out_image(), |image, out| {
            self.image_forward(isa, &x[image * self.image()..][..self.image()], out);
        })
    }

    /// `[out height, out width, channels]` of one image.
    pub(crate) fn image_forward(&self, isa: Isa, x: &[f32], out: &mut [f32]) {
        isa.run(Forward { pool: self, x, out });
    }

    /// The gradient of the input.
    pub(crate) fn input_gradient(&self, isa: Isa, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        by_chunks(self.batch * self.image(), self.image(), |image, out| {
            let x = &x[image * self.image()..][..self.image()];
            let gradient = &gradient[image * self.out_image()..][..self.out_image()];
            isa.run(Backward { pool: self, x, gradient, out });
        })
    }
}

/// Whether `new` takes the place of `old` in a window.
#[inline(always)]
fn wins(new: f32, old: f32) -> bool {
    new > old || new.is_nan()
}

#[inline(always)]
fn larger(old: f32, new: f32) -> f32 {
    if wins(new, old) { new } else { old }
}

struct Forward<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { pool, x, out } = self;
        let channels = pool.channels;
        for (index, out) in out.chunks_exact_mut(channels).enumerate() {
            let (row, column) = (index / pool.out[1], index % pool.out[1]);
            if pool.halves() {
                let at = 2 * (row * pool.input[1] + column) * channels;
                let (above, below) = (&x[at..][..2 * channels], &x[at + pool.input[1] * channels..][..2 * channels]);
                let (a, b) = above.split_at(channels);
                let (c, d) = below.split_at(channels);
                for ((out, (&a, &b)), (&c, &d)) in out.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
                    *out = larger(larger(larger(a, b), c), d);
                }
                continue;
            }
            let mut window = pool.window(row, column);
            match window.next() {
                Some(first) => out.copy_from_slice(&x[first..][..channels]),
                None => out.fill(f32::NEG_INFINITY),
            }
            for at in window {
                for (out, &x) in out.iter_mut().zip(&x[at..][..channels]) {
                    *out = larger(*out, x);
                }
            }
        }
    }
}

struct Backward<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { pool, x, gradient, out } = self;
        let channels = pool.channels;
        // The best value of the window so far, and which of the window's pixels it is.
        let (mut best, mut place) = (vec![0.0_f32; channels], vec![0_u32; channels]);
        for (index, gradient) in gradient.chunks_exact(channels).enumerate() {
            let (row, column) = (index / pool.out[1], index % pool.out[1]);
            if pool.halves() {
                let at = 2 * (row * pool.input[1] + column) * channels;
                let below = at + pool.input[1] * channels;
                halve(gradient, x, out, at, below);
                continue;
            }
            for (number, at) in (0_u32..).zip(pool.window(row, column)) {
                let pixel = &x[at..][..channels];
                for ((best, place), &x) in best.iter_mut().zip(&mut place).zip(pixel) {
                    let new = number == 0 || wins(x, *best);
                    *best = if new { x } else { *best };
                    *place = if new { number } else { *place };
                }
            }
            for (number, at) in (0_u32..).zip(pool.window(row, column)) {
                for ((out, &place), &gradient) in out[at..][..channels].iter_mut().zip(&place).zip(gradient) {
                    *out += if place == number { gradient } else { 0.0 };
                }
            }
        }
    }
}

/// The gradient of one two by two window, whose upper pixels start at `above` and whose lower ones at `below`.
#[inline(always)]
fn halve(gradient: &[f32], x: &[f32], out: &mut [f32], above: usize, below: usize) {
    let channels = gradient.len();
    let (a, b) = x[above..][..2 * channels].split_at(channels);
    let (c, d) = x[below..][..2 * channels].split_at(channels);
    let (head, tail) = out.split_at_mut(below);
    let (out_a, out_b) = head[above..][..2 * channels].split_at_mut(channels);
    let (out_c, out_d) = tail[..2 * channels].split_at_mut(channels);
    let values = gradient.iter().zip(a.iter().zip(b)).zip(c.iter().zip(d));
    let outs = out_a.iter_mut().zip(out_b).zip(out_c.iter_mut().zip(out_d));
    for (((&gradient, (&a, &b)), (&c, &d)), ((out_a, out_b), (out_c, out_d))) in values.zip(outs) {
        let second = wins(b, a);
        let upper = larger(a, b);
        let third = wins(c, upper);
        let three = larger(upper, c);
        let fourth = wins(d, three);
        *out_d = if fourth { gradient } else { 0.0 };
        *out_c = if third & !fourth { gradient } else { 0.0 };
        *out_b = if second & !third & !fourth { gradient } else { 0.0 };
        *out_a = if !second & !third & !fourth { gradient } else { 0.0 };
    }
}
