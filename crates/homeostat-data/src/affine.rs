//! Moving the pixels of a picture by one affine map around its centre. It does not know chance.

use crate::augment::level_of;
use crate::{Image, Shape};

/// `[x, y] -> [a x + b y + c, d x + e y + f]`, with the origin in the centre of the picture, x to the right and y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine([f64; 6]);

impl Affine {
    pub(crate) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

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

    /// First `self`, then `next`.
    pub(crate) fn then(self, next: Self) -> Self {
        let ([a, b, c, d, e, f], [p, q, r, s, t, u]) = (self.0, next.0);
        Self([p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u])
    }

    /// The map back; the map has to have one, as every product of rotations, shifts and scales above 0 has.
    fn inverse(self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        let determinant = a * e - b * d;
        assert!(determinant != 0.0, "{self:?} has no inverse");
        let [a, b, d, e] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
        Self([a, b, -(a * c + b * f), d, e, -(d * c + e * f)])
    }

    fn at(self, x: f64, y: f64) -> [f64; 2] {
        let [a, b, c, d, e, f] = self.0;
        [a * x + b * y + c, d * x + e * y + f]
    }
}

/// The picture after `affine`, of the same size, bilinear; what lies outside the old picture has the level `fill`.
pub(crate) fn resample(image: &Image, affine: Affine, fill: u8) -> Image {
    if affine == Affine::IDENTITY {
        return image.clone();
    }
    let Shape { height, width, channels } = image.shape();
    let back = affine.inverse();
    let (middle_x, middle_y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    let outside = [fill; 4];
    let pixel = |x: f64, y: f64| {
        let inside = x >= 0.0 && y >= 0.0 && x < width as f64 && y < height as f64;
        if inside { image.get(whole(x), whole(y)) } else { &outside[..channels] }
    };
    let mut pixels = Vec::with_capacity(image.shape().len());
    for row in 0..height {
        for column in 0..width {
            let [x, y] = back.at(column as f64 - middle_x, row as f64 - middle_y);
            let (x, y) = (x + middle_x, y + middle_y);
            let (left, top) = (x.floor(), y.floor());
            let (right_share, bottom_share) = (x - left, y - top);
            let corners =
                [pixel(left, top), pixel(left + 1.0, top), pixel(left, top + 1.0), pixel(left + 1.0, top + 1.0)];
            for channel in 0..channels {
                let [a, b, c, d] = corners.map(|corner| f64::from(corner[channel]));
                let upper = a + (b - a) * right_share;
                let lower = c + (d - c) * right_share;
                pixels.push(level_of(upper + (lower - upper) * bottom_share));
            }
        }
    }
    Image::new(image.shape(), pixels)
}

#[expect(clippy::cast_possible_truncation, reason = "a position inside a picture")]
fn whole(x: f64) -> usize {
    x as usize
}
