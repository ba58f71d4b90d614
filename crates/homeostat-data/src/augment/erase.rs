//! Wiping out rectangles, so that a network does not lean on one part alone. It does not know what was in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crop::rounded;
use super::within;
use crate::{DataError, Image, Rng};

/// How a rectangle is wiped out (random erasing, Zhong et al. 2020; torchvision's `RandomErasing`). A picture in which none fits in
/// ten tries stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Erasing {
    /// The share of pictures that lose a rectangle, 0 to 1.
    pub probability: f64,
    /// The area of the rectangle as a share of the picture's: `[least, most]`, above 0 and up to 1.
    pub scale: [f64; 2],
    /// Its width over its height: `[least, most]`, drawn evenly on a logarithmic scale.
    pub ratio: [f64; 2],
    /// The level of the rectangle, 0 (black) to 255. Without it, each level is drawn at random, which is the paper's choice.
    pub fill: Option<u8>,
}

impl Default for Erasing {
    fn default() -> Self {
        Self { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], fill: None }
    }
}

impl Erasing {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        let ([smallest, largest], [narrow, wide]) = (self.scale, self.ratio);
        within(key, "scale.0", smallest, [1e-6, 1.0])?;
        within(key, "scale.1", largest, [smallest, 1.0])?;
        within(key, "ratio.0", narrow, [0.001, 1000.0])?;
        within(key, "ratio.1", wide, [narrow, 1000.0])
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let (height, width) = (image.height(), image.width());
        if !rng.chance(self.probability) {
            return image;
        }
        for _ in 0..10 {
            let [w, h] = draw_box(height * width, self.scale, self.ratio, rng);
            if (1..width).contains(&w) && (1..height).contains(&h) {
                let (top, left) = (rng.range(0..height - h + 1), rng.range(0..width - w + 1));
                let hole = [[top, top + h], [left, left + w]];
                return match self.fill {
                    Some(level) => wipe(image, hole, |levels| levels.fill(level)),
                    None => wipe(image, hole, |levels| {
                        for levels in levels.chunks_mut(4) {
                            levels.copy_from_slice(&rng.next_u32().to_le_bytes()[..levels.len()]);
                        }
                    }),
                };
            }
        }
        image
    }
}

/// How a square is wiped out (CutOut, DeVries and Taylor 2017): around a random pixel, and so partly outside now and then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cutout {
    /// The side of the square in pixels. The paper takes 16 for CIFAR-10, 8 for CIFAR-100 and 20 for SVHN, each 32 x 32.
    pub size: usize,
    /// The level of the square, 0 (black) to 255.
    pub fill: u8,
}

impl Default for Cutout {
    fn default() -> Self {
        Self { size: 16, fill: 0 }
    }
}

impl Cutout {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "size", self.size as f64, [1.0, 65_535.0])
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let square = [image.height(), image.width()].map(|side| {
            let center = rng.range(0..side);
            [center.saturating_sub(self.size / 2), (center + self.size - self.size / 2).min(side)]
        });
        wipe(image, square, |levels| levels.fill(self.fill))
    }
}

/// `[width, height]` of a rectangle with a share of `area` within `scale`, and proportions within `ratio`; 0 where it is thinner than
/// half a pixel.
pub(super) fn draw_box(area: usize, scale: [f64; 2], ratio: [f64; 2], rng: &mut Rng) -> [usize; 2] {
    let area = area as f64 * rng.between(scale[0], scale[1]);
    let ratio = rng.between(ratio[0].ln(), ratio[1].ln()).exp();
    [rounded((area * ratio).sqrt()), rounded((area / ratio).sqrt())]
}

/// Paints rows and columns, each from (included) to (excluded); alpha stays.
fn wipe(mut image: Image, [rows, columns]: [[usize; 2]; 2], mut paint: impl FnMut(&mut [u8])) -> Image {
    let (width, channels) = (image.width(), image.channels());
    for row in rows[0]..rows[1] {
        let bytes = (row * width + columns[0]) * channels..(row * width + columns[1]) * channels;
        let levels = &mut image.pixels_mut()[bytes];
        if channels == 4 {
            levels.chunks_exact_mut(4).for_each(|pixel| paint(&mut pixel[..3]));
        } else {
            paint(levels);
        }
    }
    image
}
