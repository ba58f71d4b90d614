//! Changing the size of a picture, antialiased, with the arithmetic of Pillow's `resize`, so that a network that was trained behind
//! Pillow sees the same pixels here.

#[cfg(target_arch = "x86_64")]
mod avx2;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Image, Shape};

/// How new pixels come from old ones. All but `nearest` average over more pixels when a picture shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel alone.
    Nearest,
    /// A triangle two pixels wide: quick, a little soft.
    #[default]
    Bilinear,
    /// Cubic convolution (Keys 1981, a = -0.5), four pixels wide: sharper.
    Bicubic,
    /// A windowed sinc, six pixels wide: sharpest, with slight ringing.
    Lanczos,
}

impl Filter {
    /// Half the width of the filter, in pixels, and its height at `x`.
    fn kernel(self) -> (f64, fn(f64) -> f64) {
        match self {
            Self::Nearest | Self::Bilinear => (1.0, |x| (1.0 - x.abs()).max(0.0)),
            Self::Bicubic => (2.0, |x| match x.abs() {
                x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
                x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
                _ => 0.0,
            }),
            Self::Lanczos => (3.0, |x| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }),
        }
    }
}

/// `image` with `height` rows and `width` columns. Each channel by itself, alpha included.
///
/// # Panics
/// If a side is 0.
#[must_use]
pub fn resize(image: &Image, height: usize, width: usize, filter: Filter) -> Image {
    resize_part(image, [0..image.height(), 0..image.width()], [height, width], filter)
}

/// The part of `image` in these rows and columns, as [`resize`] would change its size after it was cut out.
pub(crate) fn resize_part(
    image: &Image,
    [rows, columns]: [Range<usize>; 2],
    [height, width]: [usize; 2],
    filter: Filter,
) -> Image {
    assert!(height > 0 && width > 0, "cannot resize to {height} x {width}");
    let old = Part { image, rows, columns };
    let pixels = match (filter, old.rows.len() == height, old.columns.len() == width) {
        (_, true, true) => old.lines().collect::<Vec<_>>().concat(),
        (Filter::Nearest, _, _) => nearest(&old, height, width),
        (_, true, false) => widen(&old, width, filter),
        (_, false, true) => heighten(&old.lines().collect::<Vec<_>>(), height, filter),
        (_, false, false) => {
            let wide = widen(&old, width, filter);
            heighten(&wide.chunks_exact(width * image.channels()).collect::<Vec<_>>(), height, filter)
        }
    };
    Image::new(Shape { height, width, channels: image.channels() }, pixels)
}

struct Part<'a> {
    image: &'a Image,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Part<'a> {
    /// The picture from the first pixel of the part in this row on: beyond the part, but what lies there has no weight.
    fn tail(&self, row: usize) -> &'a [u8] {
        &self.image.pixels()[(row * self.image.width() + self.columns.start) * self.image.channels()..]
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let bytes = self.columns.len() * self.image.channels();
        self.rows.clone().map(move |row| &self.tail(row)[..bytes])
    }
}

fn nearest(old: &Part<'_>, height: usize, width: usize) -> Vec<u8> {
    let source = |to: usize, from: &Range<usize>| {
        let scale = from.len() as f64 / to as f64;
        // Step by step, as Pillow does it: where a middle falls between two pixels, rounding decides.
        let middles = std::iter::successors(Some(0.5 * scale), |middle| Some(middle + scale));
        middles.take(to).map(|middle| from.start + floor(middle).min(from.len() - 1)).collect::<Vec<_>>()
    };
    let (rows, columns) = (source(height, &old.rows), source(width, &old.columns));
    let mut pixels = Vec::with_capacity(height * width * old.image.channels());
    for &y in &rows {
        for &x in &columns {
            pixels.extend_from_slice(old.image.get(x, y));
        }
    }
    pixels
}

/// For each new pixel of a side, which old ones make it.
pub(crate) struct Windows {
    /// The first old pixel of each.
    pub(crate) starts: Vec<usize>,
    /// How many old pixels make a new one; an even number, and the last ones may lie outside and have no weight.
    pub(crate) taps: usize,
    /// The weights of each, in fixed point; they sum to about 1.
    pub(crate) weights: Vec<i16>,
    /// The bits behind the point: as many as 16 bits have room for.
    pub(crate) bits: u32,
}

impl Windows {
    #[expect(clippy::cast_possible_truncation, reason = "so many bits that the largest weight fits")]
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let (half_width, kernel) = filter.kernel();
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let (reach, inverse) = (half_width * stretch, 1.0 / stretch);
        let taps = floor((2.0 * reach).ceil()).min(from).next_multiple_of(2);
        let (mut starts, mut all) = (Vec::with_capacity(to), vec![0.0; to * taps]);
        for (i, weights) in all.chunks_exact_mut(taps).enumerate() {
            let center = (i as f64 + 0.5) * scale;
            let (start, end) = (floor(center - reach + 0.5), floor(center + reach + 0.5).min(from));
            let weights = &mut weights[..end - start];
            let mut sum = 0.0;
            for (weight, x) in weights.iter_mut().zip(start..) {
                *weight = kernel((x as f64 - center + 0.5) * inverse);
                sum += *weight;
            }
            let share = 1.0 / sum;
            weights.iter_mut().for_each(|weight| *weight *= share);
            starts.push(start);
        }
        let largest = all.iter().fold(0.0_f64, |most, weight| most.max(weight.abs()));
        let one = |bits: u32| f64::from(1_u32 << bits);
        let bits = (0..MOST_BITS).rev().find(|&bits| largest * one(bits) + 0.5 < f64::from(i16::MAX)).unwrap_or(0);
        let weights = all.into_iter().map(|weight| (weight * one(bits) + 0.5f64.copysign(weight)) as i16).collect();
        Self { starts, taps, weights, bits }
    }

    /// A weighted sum of levels as a level.
    #[inline(always)]
    pub(crate) fn level(sum: i32, bits: u32) -> u8 {
        (sum >> bits).clamp(0, 255) as u8
    }

    /// What a sum begins with, so that it is rounded.
    #[inline(always)]
    pub(crate) fn half(&self) -> i32 {
        (1 << self.bits) / 2
    }
}

/// So that a sum of weighted levels fits 32 bits.
const MOST_BITS: u32 = 22;

fn widen(old: &Part<'_>, width: usize, filter: Filter) -> Vec<u8> {
    match old.image.channels() {
        1 => widen_in::<1>(old, width, filter),
        3 => widen_in::<3>(old, width, filter),
        _ => widen_in::<4>(old, width, filter),
    }
}

fn widen_in<const CHANNELS: usize>(old: &Part<'_>, width: usize, filter: Filter) -> Vec<u8> {
    let windows = Windows::new(old.columns.len(), width, filter);
    let mut pixels = vec![0; old.rows.len() * width * CHANNELS];
    #[cfg(target_arch = "x86_64")]
    if let (3 | 4, Some(simd)) = (CHANNELS, pulp::x86::V3::try_new()) {
        let stride = old.image.width() * CHANNELS;
        avx2::widen::<CHANNELS>(simd, &windows, old.tail(old.rows.start), stride, &mut pixels);
        return pixels;
    }
    let rows = old.rows.clone().map(|row| old.tail(row));
    rows.zip(pixels.chunks_exact_mut(width * CHANNELS))
        .for_each(|(old, new)| widen_row::<CHANNELS>(&windows, old, new));
    pixels
}

fn widen_row<const CHANNELS: usize>(windows: &Windows, old: &[u8], new: &mut [u8]) {
    let (old, _) = old.as_chunks::<CHANNELS>();
    let (new, _) = new.as_chunks_mut::<CHANNELS>();
    let taps = windows.starts.iter().zip(windows.weights.chunks_exact(windows.taps));
    for (pixel, (&start, weights)) in new.iter_mut().zip(taps) {
        let mut sums = [windows.half(); CHANNELS];
        for (old, &weight) in old[start..].iter().zip(weights) {
            sums.iter_mut().zip(old).for_each(|(sum, &level)| *sum += i32::from(level) * i32::from(weight));
        }
        *pixel = sums.map(|sum| Windows::level(sum, windows.bits));
    }
}

fn heighten(old: &[&[u8]], height: usize, filter: Filter) -> Vec<u8> {
    let windows = Windows::new(old.len(), height, filter);
    let stride = old[0].len();
    let mut pixels = vec![0; height * stride];
    // Rows that lie outside have no weight, but there have to be some.
    let mut rows = old.to_vec();
    rows.resize(old.len() + windows.taps, old[0]);
    let taps = windows.starts.iter().zip(windows.weights.chunks_exact(windows.taps));
    for (new, (&start, weights)) in pixels.chunks_exact_mut(stride).zip(taps) {
        let old = &rows[start..start + windows.taps];
        #[cfg(target_arch = "x86_64")]
        if let (32.., Some(simd)) = (stride, pulp::x86::V3::try_new()) {
            let (half, bits) = (windows.half(), windows.bits);
            simd.vectorize(avx2::Column { simd, old, weights, half, bits, new });
            continue;
        }
        heighten_row(&windows, old, weights, new);
    }
    pixels
}

fn heighten_row(windows: &Windows, old: &[&[u8]], weights: &[i16], new: &mut [u8]) {
    let mut sums = vec![windows.half(); new.len()];
    for (old, &weight) in old.iter().zip(weights) {
        sums.iter_mut().zip(*old).for_each(|(sum, &level)| *sum += i32::from(level) * i32::from(weight));
    }
    new.iter_mut().zip(sums).for_each(|(level, sum)| *level = Windows::level(sum, windows.bits));
}

/// The whole part of a number; 0 for a negative one.
#[expect(clippy::cast_possible_truncation, reason = "positions in a picture are below 2^26")]
fn floor(x: f64) -> usize {
    x.max(0.0) as usize
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One level at a time, whatever the machine can do: what it makes of many at a time has to be the same.
    #[test]
    fn vectors_give_the_levels_of_single_sums() {
        let mut rng = crate::Rng::keyed(1, [0; 3]);
        for (channels, from, to) in
            [(3, 7, 40), (3, 40, 7), (3, 33, 34), (3, 90, 1), (4, 20, 31), (4, 61, 9), (3, 1, 12)]
        {
            for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
                let shape = Shape { height: 5, width: from, channels };
                let image = Image::new(shape, (0..shape.len()).map(|_| rng.next_u32().to_le_bytes()[0]).collect());
                let windows = Windows::new(from, to, filter);
                let row = |row: &[u8]| -> Vec<u8> {
                    let mut new = vec![0; to * channels];
                    if channels == 3 {
                        widen_row::<3>(&windows, row, &mut new);
                    } else {
                        widen_row::<4>(&windows, row, &mut new);
                    }
                    new
                };
                let rows: Vec<u8> = image.pixels().chunks_exact(from * channels).flat_map(row).collect();
                assert_eq!(
                    resize(&image, 5, to, filter).pixels(),
                    rows,
                    "{channels} channels, {from} to {to}, {filter:?}"
                );

                let rows: Vec<&[u8]> = image.pixels().chunks_exact(from * channels).collect();
                let windows = Windows::new(5, 8, filter);
                let mut padded = rows.clone();
                padded.resize(5 + windows.taps, rows[0]);
                let columns = windows.starts.iter().zip(windows.weights.chunks_exact(windows.taps)).flat_map(
                    |(&start, weights)| {
                        let mut new = vec![0; from * channels];
                        heighten_row(&windows, &padded[start..], weights, &mut new);
                        new
                    },
                );
                assert_eq!(resize(&image, 8, from, filter).pixels(), columns.collect::<Vec<u8>>(), "{filter:?}");
            }
        }
    }
}
