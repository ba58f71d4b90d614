//! Steps that move pixels: each draws an affine map, a change of perspective or a field. It does not know how levels are looked up; see
//! `affine.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::detail::blur;
use super::within;
use crate::affine::{Affine, Projective, displace, project};
use crate::{DataError, Image, Rng, Shape};

/// How far a picture is turned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rotate {
    /// The largest angle in degrees, to either side, 0 to 180.
    pub degrees: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { degrees: 10.0, fill: 0 }
    }
}

/// How far the content of a picture is enlarged or shrunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scale {
    /// The smallest factor, above 0.
    pub min: f64,
    /// The largest factor.
    pub max: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Scale {
    fn default() -> Self {
        Self { min: 0.9, max: 1.1, fill: 0 }
    }
}

/// How far a picture is moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Translate {
    /// The longest way, as a fraction of the side, in each direction, 0 to 1.
    pub fraction: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Translate {
    fn default() -> Self {
        Self { fraction: 0.1, fill: 0 }
    }
}

/// How far a picture is sheared, as torchvision's `RandomAffine` does it: rows against each other, and then columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shear {
    /// The largest angle in degrees by which upright lines lean, to either side, 0 to 80.
    pub x: f64,
    /// The largest angle in degrees by which level lines lean, to either side, 0 to 80.
    pub y: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Shear {
    fn default() -> Self {
        Self { x: 10.0, y: 0.0, fill: 0 }
    }
}

/// How far the corners of a picture are drawn inwards, as torchvision's `RandomPerspective` does it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Perspective {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
    /// How far a corner moves at most, as a share of half the side, 0 to 0.9.
    pub distortion: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Perspective {
    fn default() -> Self {
        Self { probability: 0.5, distortion: 0.5, fill: 0 }
    }
}

/// How far pixels are moved by a smooth random field (Simard et al. 2003; torchvision's `ElasticTransform`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Elastic {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
    /// How strong the field is, 0 to 10000: half of it, in pixels, before the field is smoothed, which leaves about a tenth of that.
    pub alpha: f64,
    /// How smooth the field is: the standard deviation of its blur in pixels, 0.1 to 100.
    pub sigma: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { probability: 1.0, alpha: 50.0, sigma: 5.0, fill: 0 }
    }
}

impl Elastic {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        within(key, "alpha", self.alpha, [0.0, 10_000.0])?;
        within(key, "sigma", self.sigma, [0.1, 100.0])
    }

    #[expect(clippy::cast_possible_truncation, reason = "32 bits are enough for a shift in pixels")]
    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        if !rng.chance(self.probability) {
            return image;
        }
        let (height, width) = (image.height(), image.width());
        let mut field = || {
            let noise: Vec<f32> = (0..height * width).map(|_| rng.uniform() - 0.5).collect();
            let smooth = blur(&noise, Shape { height, width, channels: 1 }, self.sigma);
            smooth.into_iter().map(|shift| shift * self.alpha as f32).collect::<Vec<_>>()
        };
        let (across, down) = (field(), field());
        displace(&image, &across, &down, self.fill)
    }
}

impl Rotate {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "degrees", self.degrees, [0.0, 180.0])
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> Affine {
        Affine::rotate(rng.between(-self.degrees, self.degrees))
    }
}

impl Scale {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "min", self.min, [0.01, 100.0]).and(within(key, "max", self.max, [self.min, 100.0]))
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> Affine {
        Affine::scale(rng.between(self.min, self.max))
    }
}

impl Translate {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "fraction", self.fraction, [0.0, 1.0])
    }

    pub(super) fn draw(&self, image: &Image, rng: &mut Rng) -> Affine {
        let mut shift = |side: usize| {
            let reach = self.fraction * side as f64;
            rng.between(-reach, reach).round()
        };
        let (x, y) = (shift(image.width()), shift(image.height()));
        Affine::translate(x, y)
    }
}

impl Shear {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "x", self.x, [0.0, 80.0]).and(within(key, "y", self.y, [0.0, 80.0]))
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> Affine {
        let (x, y) = (rng.between(-self.x, self.x), rng.between(-self.y, self.y));
        Affine::shear_x(x.to_radians().tan()).then(Affine::shear_y(y.to_radians().tan()))
    }
}

impl Perspective {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        within(key, "distortion", self.distortion, [0.0, 0.9])
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        if !rng.chance(self.probability) {
            return image;
        }
        let (width, height) = (image.width() as f64, image.height() as f64);
        let corners = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]];
        let center = [width / 2.0, height / 2.0];
        let moved = corners.map(|[x, y]| {
            let [dx, dy] = [rng.between(0.0, self.distortion), rng.between(0.0, self.distortion)];
            [x + (center[0] - x) * dx, y + (center[1] - y) * dy]
        });
        // A very small picture may have corners that no perspective reaches.
        match Projective::between(moved, corners) {
            Some(back) => project(&image, back, self.fill),
            None => image,
        }
    }
}
