//! Moving the pixels of a picture by one map, with the arithmetic of Pillow's `transform`: the middle of a new pixel is looked up in
//! the old picture, bilinear; beyond the edge there is only the fill. It does not know chance.

use crate::prepare::cut;
use crate::{Image, Shape};

/// `[x, y] -> [a x + b y + c, d x + e y + f]`, with the origin in the centre of the picture, x to the right and y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine([f64; 6]);

impl Affine {
    pub(crate) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// Clockwise.
    pub(crate) fn rotate(degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self([cos, -sin, 0.0, sin, cos, 0.0])
    }

    pub(crate) fn scale(factor: f64) -> Self {
        Self([factor, 0.0, 0.0, 0.0, factor, 0.0])
    }

    pub(crate) fn translate(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, x, 0.0, 1.0, y])
    }

    /// Rows move to the left, the further the lower.
    pub(crate) fn shear_x(slope: f64) -> Self {
        Self([1.0, -slope, 0.0, 0.0, 1.0, 0.0])
    }

    /// Columns move up, the further the more to the right.
    pub(crate) fn shear_y(slope: f64) -> Self {
        Self([1.0, 0.0, 0.0, -slope, 1.0, 0.0])
    }

    /// First `self`, then `next`.
    pub(crate) fn then(self, next: Self) -> Self {
        let ([a, b, c, d, e, f], [p, q, r, s, t, u]) = (self.0, next.0);
        Self([p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u])
    }

    /// The shift, where the map is nothing but one by whole pixels.
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates when it becomes whole")]
    fn whole_shift(self) -> Option<[isize; 2]> {
        let Self([a, b, x, d, e, y]) = self;
        let is_shift = [a, b, d, e] == [1.0, 0.0, 0.0, 1.0] && x.fract() == 0.0 && y.fract() == 0.0;
        // Far beyond any picture is as good as farther.
        is_shift.then(|| [x, y].map(|far| far.clamp(-1e9, 1e9) as isize))
    }

    /// The map back; the map has to have one, as every product of rotations, shifts, shears and scales above 0 has.
    fn inverse(self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        let determinant = a * e - b * d;
        assert!(determinant != 0.0, "{self:?} has no inverse");
        let [a, b, d, e] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
        Self([a, b, -(a * c + b * f), d, e, -(d * c + e * f)])
    }
}

/// `[x, y] -> [(a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1)]`, with the origin in the upper left corner of the
/// picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Projective([f64; 8]);

impl Projective {
    /// The map that takes four points to four others; nothing where no map does.
    pub(crate) fn between(from: [[f64; 2]; 4], to: [[f64; 2]; 4]) -> Option<Self> {
        let mut rows = [[0.0; 9]; 8];
        for (i, ([x, y], [u, v])) in from.into_iter().zip(to).enumerate() {
            rows[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
            rows[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
        }
        solve(rows).map(Self)
    }
}

/// Eight equations, each with its right side last, by elimination with pivots.
fn solve(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    for column in 0..8 {
        let pivot = (column..8).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let lead = rows[column].map(|value| value / rows[column][column]);
        rows[column] = lead;
        for row in (0..8).filter(|&row| row != column) {
            let factor = rows[row][column];
            rows[row].iter_mut().zip(lead).for_each(|(value, lead)| *value -= factor * lead);
        }
    }
    Some(rows.map(|row| row[8]))
}

/// Positions are in 32-bit fixed point, so that a row is walked in whole numbers.
const FRACTION: u32 = 32;

#[expect(clippy::cast_possible_truncation, reason = "a float saturates when it becomes whole")]
fn fixed(x: f64) -> i64 {
    (x * (1_i64 << FRACTION) as f64).round() as i64
}

/// The picture after `affine`, of the same size.
pub(crate) fn resample(image: &Image, affine: Affine, fill: u8) -> Image {
    if let Some([x, y]) = affine.whole_shift() {
        return cut(image, -y, -x, [image.height(), image.width()], fill);
    }
    let Affine([a, b, c, d, e, f]) = affine.inverse();
    let (middle_x, middle_y) = (image.width() as f64 / 2.0, image.height() as f64 / 2.0);
    // From the middle of the first pixel on.
    let (x, y) = (0.5 - middle_x, 0.5 - middle_y);
    let start = [a * x + b * y + c + middle_x, d * x + e * y + f + middle_y];
    // Far beyond any picture, and still no overflow at the end of a row.
    let start = start.map(|place| fixed(place.clamp(-1e9, 1e9)));
    let [a, b, d, e] = [a, b, d, e].map(|slope| fixed(slope.clamp(-4e3, 4e3)));
    look_up(image, fill, move |column, row| {
        let (column, row) = (column as i64, row as i64);
        [start[0] + a * column + b * row, start[1] + d * column + e * row]
    })
}

/// The picture, of the same size, whose pixels are found where `back` says.
pub(crate) fn project(image: &Image, back: Projective, fill: u8) -> Image {
    let Projective([a, b, c, d, e, f, g, h]) = back;
    look_up(image, fill, move |column, row| {
        let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
        let depth = g * x + h * y + 1.0;
        [fixed((a * x + b * y + c) / depth), fixed((d * x + e * y + f) / depth)]
    })
}

/// The picture, of the same size, each of whose pixels is found so many pixels to the right of its own place, and so many below.
pub(crate) fn displace(image: &Image, across: &[f32], down: &[f32], fill: u8) -> Image {
    let width = image.width();
    look_up(image, fill, |column, row| {
        let shift = |field: &[f32]| f64::from(field[row * width + column]) + 0.5;
        [fixed(column as f64 + shift(across)), fixed(row as f64 + shift(down))]
    })
}

fn look_up(image: &Image, fill: u8, back: impl Fn(usize, usize) -> [i64; 2]) -> Image {
    let mut pixels = vec![fill; image.shape().len()];
    #[cfg(target_arch = "x86_64")]
    if let (3 | 4, 2.., Some(simd)) = (image.channels(), image.width(), pulp::x86::V3::try_new()) {
        match image.channels() {
            3 => simd.vectorize(avx2::LookUp::<3, _> { simd, image, new: &mut pixels, back }),
            _ => simd.vectorize(avx2::LookUp::<4, _> { simd, image, new: &mut pixels, back }),
        }
        return Image::new(image.shape(), pixels);
    }
    match image.channels() {
        1 => look_up_in::<1>(image, &mut pixels, back),
        3 => look_up_in::<3>(image, &mut pixels, back),
        _ => look_up_in::<4>(image, &mut pixels, back),
    }
    Image::new(image.shape(), pixels)
}

/// Shares of a pixel are in 11-bit fixed point, so that the product of two of them and a level fits 32 bits.
const SHARE: u32 = 11;
const ONE: u32 = 1 << SHARE;

#[expect(clippy::cast_possible_truncation, reason = "a weighted mean of levels is a level")]
fn look_up_in<const CHANNELS: usize>(image: &Image, out: &mut [u8], back: impl Fn(usize, usize) -> [i64; 2]) {
    let Shape { height, width, .. } = image.shape();
    let (old, _) = image.pixels().as_chunks::<CHANNELS>();
    let (new, _) = out.as_chunks_mut::<CHANNELS>();
    for (row, pixels) in new.chunks_exact_mut(width).enumerate() {
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let Some([(x, x_share), (y, y_share)]) = place(back(column, row), [width, height]) else { continue };
            let (right, below) = ((x + 1).min(width - 1), (y + 1).min(height - 1));
            let [upper, lower] = [&old[y * width..][..width], &old[below * width..][..width]];
            let [a, b, c, d] = [upper[x], upper[right], lower[x], lower[right]];
            for channel in 0..CHANNELS {
                let [a, b, c, d] = [a, b, c, d].map(|corner| u32::from(corner[channel]));
                let above = a * (ONE - x_share) + b * x_share;
                let below = c * (ONE - x_share) + d * x_share;
                let sum = above * (ONE - y_share) + below * y_share;
                pixel[channel] = ((sum + ONE * ONE / 2) >> (2 * SHARE)) as u8;
            }
        }
    }
}

/// For x and y: the pixel whose middle is before this position, and the share of the one behind it; nothing outside the picture.
#[inline(always)]
fn place([x, y]: [i64; 2], [width, height]: [usize; 2]) -> Option<[(usize, u32); 2]> {
    // What is below 0 becomes very large.
    let inside = x.cast_unsigned() < (width as u64) << FRACTION && y.cast_unsigned() < (height as u64) << FRACTION;
    inside.then(|| [neighbour(x), neighbour(y)])
}

/// The edge goes on beyond itself: before the middle of the first pixel there is nothing but the first.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a position inside a picture, and a few bits of it")]
fn neighbour(x: i64) -> (usize, u32) {
    const HALF: i64 = 1 << (FRACTION - 1);
    let x = (x - HALF).max(0).cast_unsigned() + (1 << (FRACTION - SHARE - 1));
    ((x >> FRACTION) as usize, (x >> (FRACTION - SHARE)) as u32 & (ONE - 1))
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m128i, __m256i};

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    use super::{ONE, SHARE, place};
    use crate::{Image, Shape};

    /// `look_up_in` with the channels of a pixel, and the rows above and below, side by side: the same levels. For 3 or 4 channels and
    /// at least two columns.
    pub(super) struct LookUp<'a, const CHANNELS: usize, F> {
        pub(super) simd: V3,
        pub(super) image: &'a Image,
        pub(super) new: &'a mut [u8],
        pub(super) back: F,
    }

    impl<const CHANNELS: usize, F: Fn(usize, usize) -> [i64; 2]> NullaryFnOnce for LookUp<'_, CHANNELS, F> {
        type Output = ();

        #[inline(always)]
        #[expect(clippy::cast_possible_wrap, reason = "shares have 12 bits")]
        fn call(self) {
            const NONE: u8 = 0x80;
            let Self { simd, image, new, back } = self;
            let (avx2, avx, sse2) = (simd.avx2, simd.avx, simd.sse2);
            let Shape { height, width, .. } = image.shape();
            let old = image.pixels();
            let (new, _) = new.as_chunks_mut::<CHANNELS>();
            // Both pixels of each channel side by side, as 16 bits each.
            let pairs: [u8; 16] = match CHANNELS {
                3 => [0, NONE, 3, NONE, 1, NONE, 4, NONE, 2, NONE, 5, NONE, NONE, NONE, NONE, NONE],
                _ => [0, NONE, 4, NONE, 1, NONE, 5, NONE, 2, NONE, 6, NONE, 3, NONE, 7, NONE],
            };
            let pairs: __m256i = cast([pairs; 2]);
            let half = sse2._mm_set1_epi32((ONE * ONE / 2) as i32);
            let load = |pixel: usize| -> __m128i {
                let rest = &old[pixel * CHANNELS..];
                let both = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
                    let mut both = [0; 8];
                    both[..rest.len()].copy_from_slice(rest);
                    both
                });
                cast([u64::from_le_bytes(both), 0])
            };
            for (row, pixels) in new.chunks_exact_mut(width).enumerate() {
                for (column, pixel) in pixels.iter_mut().enumerate() {
                    let Some([(mut x, mut x_share), (y, y_share)]) = place(back(column, row), [width, height]) else {
                        continue;
                    };
                    // Behind the last column there is nothing but it.
                    if x + 1 >= width {
                        (x, x_share) = (width - 2, ONE);
                    }
                    let below = (y + 1).min(height - 1);
                    let rows = avx._mm256_castsi128_si256(load(y * width + x));
                    let rows = avx2._mm256_inserti128_si256::<1>(rows, load(below * width + x));
                    let rows = avx2._mm256_shuffle_epi8(rows, pairs);
                    let across = avx._mm256_set1_epi32(((ONE - x_share) | (x_share << 16)) as i32);
                    let rows = avx2._mm256_madd_epi16(rows, across);
                    let above = sse2._mm_set1_epi32((ONE - y_share) as i32);
                    let down = avx._mm256_castsi128_si256(above);
                    let down = avx2._mm256_inserti128_si256::<1>(down, sse2._mm_set1_epi32(y_share as i32));
                    let rows = avx2._mm256_mullo_epi32(rows, down);
                    let [above, below] = [avx._mm256_castsi256_si128(rows), avx2._mm256_extracti128_si256::<1>(rows)];
                    let sum = sse2._mm_add_epi32(sse2._mm_add_epi32(above, below), half);
                    let levels = sse2._mm_srli_epi32::<{ 2 * SHARE as i32 }>(sum);
                    let words = sse2._mm_packs_epi32(levels, levels);
                    let levels: [u8; 16] = cast(sse2._mm_packus_epi16(words, words));
                    pixel.copy_from_slice(&levels[..CHANNELS]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field as in `tests/fixtures/torchvision_v2.py`.
    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "a field of floats")]
    fn a_displacement_is_that_of_torchvision() -> Result<(), crate::DataError> {
        let old = Image::decode(include_bytes!("../tests/fixtures/pillow/source.png"))?;
        let truth = Image::decode(include_bytes!("../tests/fixtures/torchvision/elastic.png"))?;
        let (height, width) = (old.height(), old.width());
        // Nothing moves at the border, where theirs fades to the fill.
        let waves = |most: f64| {
            let wave = |i: usize, length: usize| (std::f64::consts::PI * (i as f64 + 0.5) / length as f64).sin();
            let at = |i: usize| most * (wave(i % width, width) * wave(i / width, height) - 0.3).max(0.0);
            (0..height * width).map(|i| at(i) as f32).collect::<Vec<_>>()
        };
        let new = displace(&old, &waves(4.0), &waves(-3.0), 0);
        let far: Vec<u8> = new.pixels().iter().zip(truth.pixels()).map(|(a, b)| a.abs_diff(*b)).collect();
        let (most, beyond_one) = (far.iter().max(), far.iter().filter(|&&d| d > 1).count());
        assert!(most <= Some(&3) && beyond_one * 100 <= far.len(), "{most:?}, {beyond_one} of {}", far.len());
        Ok(())
    }

    /// The points as in `tests/fixtures/torchvision_v2.py`.
    #[test]
    fn a_perspective_is_that_of_torchvision() -> Result<(), crate::DataError> {
        let old = Image::decode(include_bytes!("../tests/fixtures/pillow/source.png"))?;
        let truth = Image::decode(include_bytes!("../tests/fixtures/torchvision/perspective.png"))?;
        let corners = [[0.0, 0.0], [40.0, 0.0], [40.0, 32.0], [0.0, 32.0]];
        let moved = [[6.0, 3.0], [35.0, 7.0], [38.0, 30.0], [2.0, 25.0]];
        let back = Projective::between(moved, corners).expect("a perspective");
        let new = project(&old, back, 9);
        let far: Vec<u8> = new.pixels().iter().zip(truth.pixels()).map(|(a, b)| a.abs_diff(*b)).collect();
        let (most, beyond_one) = (far.iter().max(), far.iter().filter(|&&d| d > 1).count());
        assert!(most <= Some(&3) && beyond_one * 100 <= far.len(), "{most:?}, {beyond_one} of {}", far.len());
        Ok(())
    }

    #[test]
    fn vectors_give_the_levels_of_single_sums() {
        let mut rng = crate::Rng::keyed(2, [0; 3]);
        for (channels, height, width) in [(3, 9, 13), (4, 8, 5), (3, 2, 2), (4, 1, 7), (3, 6, 1)] {
            let shape = Shape { height, width, channels };
            let image = Image::new(shape, (0..shape.len()).map(|_| rng.next_u32().to_le_bytes()[0]).collect());
            for degrees in [1.0, 20.0, 90.0, 200.0] {
                let (sin, cos) = f64::to_radians(degrees).sin_cos();
                let back = |column: usize, row: usize| {
                    let (x, y) = (column as f64 - 0.3 * width as f64, row as f64 - 0.4 * height as f64);
                    [fixed(cos * x - sin * y + 0.4 * width as f64), fixed(sin * x + cos * y + 0.4 * height as f64)]
                };
                let mut new = vec![7; shape.len()];
                if channels == 3 {
                    look_up_in::<3>(&image, &mut new, back);
                } else {
                    look_up_in::<4>(&image, &mut new, back);
                }
                assert_eq!(look_up(&image, 7, back).pixels(), new, "{shape:?}, {degrees} degrees");
            }
        }
    }

    #[test]
    fn points_on_one_line_have_no_perspective() {
        let line = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]];
        assert_eq!(Projective::between(line, [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), None);
    }
}
