//! Moving the pixels of a picture by one map, with the arithmetic of Pillow's `transform`: the middle of a new pixel is looked up in
//! the old picture, bilinear; beyond the edge there is only the fill. It does not know chance.

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
    if affine == Affine::IDENTITY {
        return image.clone();
    }
    let Affine([a, b, c, d, e, f]) = affine.inverse();
    let (middle_x, middle_y) = (image.width() as f64 / 2.0, image.height() as f64 / 2.0);
    // From the middle of the first pixel on.
    let (x, y) = (0.5 - middle_x, 0.5 - middle_y);
    let start = [a * x + b * y + c + middle_x, d * x + e * y + f + middle_y];
    // Far beyond any picture, and still no overflow at the end of a row.
    let start = start.map(|place| fixed(place.clamp(-1e9, 1e9)));
    let [a, b, d, e] = [a, b, d, e].map(|slope| fixed(slope.clamp(-4e3, 4e3)));
    look_up(image, fill, |column, row| {
        let (column, row) = (column as i64, row as i64);
        [start[0] + a * column + b * row, start[1] + d * column + e * row]
    })
}

/// The picture, of the same size, whose pixels are found where `back` says.
pub(crate) fn project(image: &Image, back: Projective, fill: u8) -> Image {
    let Projective([a, b, c, d, e, f, g, h]) = back;
    look_up(image, fill, |column, row| {
        let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
        let depth = g * x + h * y + 1.0;
        [fixed((a * x + b * y + c) / depth), fixed((d * x + e * y + f) / depth)]
    })
}

fn look_up(image: &Image, fill: u8, back: impl Fn(usize, usize) -> [i64; 2]) -> Image {
    let mut pixels = vec![fill; image.shape().len()];
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
    let [wide, high] = [width, height].map(|side| (side as u64) << FRACTION);
    for (row, pixels) in new.chunks_exact_mut(width).enumerate() {
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let [x, y] = back(column, row);
            // What is below 0 becomes very large.
            if x.cast_unsigned() >= wide || y.cast_unsigned() >= high {
                continue;
            }
            let ([left, right], x_share) = neighbours(x, width);
            let ([top, bottom], y_share) = neighbours(y, height);
            let [upper, lower] = [&old[top * width..][..width], &old[bottom * width..][..width]];
            let [a, b, c, d] = [upper[left], upper[right], lower[left], lower[right]];
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

/// The two pixels of a side of `length` whose middles are around `x`, and the share of the second; the edge goes on beyond itself.
#[expect(clippy::cast_possible_truncation, reason = "a position inside a picture, and a few bits of it")]
fn neighbours(x: i64, length: usize) -> ([usize; 2], u32) {
    const HALF: i64 = 1 << (FRACTION - 1);
    let x = (x - HALF).max(0).cast_unsigned() + (1 << (FRACTION - SHARE - 1));
    let first = (x >> FRACTION) as usize;
    ([first, (first + 1).min(length - 1)], (x >> (FRACTION - SHARE)) as u32 & (ONE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn points_on_one_line_have_no_perspective() {
        let line = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]];
        assert_eq!(Projective::between(line, [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), None);
    }
}
