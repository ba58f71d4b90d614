//! Changes of levels that look at one level at a time, by a table of all 256; alpha stays. Those with a factor or from a histogram are
//! Pillow's of the same name. It does not know chance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::within;
use crate::image::luma;
use crate::{DataError, Image, Rng};

/// How strongly levels are changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Jitter {
    /// The factor is drawn from `1 - strength` (at least 0) to `1 + strength`.
    pub strength: f64,
}

impl Default for Jitter {
    fn default() -> Self {
        Self { strength: 0.2 }
    }
}

impl Jitter {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "strength", self.strength, [0.0, 100.0])
    }

    pub(super) fn factor(&self, rng: &mut Rng) -> f64 {
        rng.between((1.0 - self.strength).max(0.0), 1.0 + self.strength)
    }
}

/// How often a change is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Chance {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
}

impl Default for Chance {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

/// How coarse levels become (torchvision's `RandomPosterize`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Posterize {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
    /// The bits that are left of each level, 1 to 8.
    pub bits: u32,
}

impl Default for Posterize {
    fn default() -> Self {
        Self { probability: 0.5, bits: 4 }
    }
}

/// Which levels are inverted (torchvision's `RandomSolarize`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Solarize {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
    /// The lowest level that is inverted, 0 to 255.
    pub threshold: u8,
}

impl Default for Solarize {
    fn default() -> Self {
        Self { probability: 0.5, threshold: 128 }
    }
}

/// `factor` parts of each level and `1 - factor` parts of black.
pub(super) fn brightness(image: Image, factor: f64) -> Image {
    blend(image, 0.0, factor)
}

/// `factor` parts of each level and `1 - factor` parts of the picture's mean grey.
pub(super) fn contrast(image: Image, factor: f64) -> Image {
    let grey = |pixel: &[u8]| u64::from(if pixel.len() == 1 { pixel[0] } else { luma(pixel) });
    let sum: u64 = image.pixels().chunks_exact(image.channels()).map(grey).sum();
    let mean = sum as f64 / (image.height() * image.width()) as f64;
    blend(image, (mean + 0.5).floor(), factor)
}

fn blend(image: Image, level: f64, factor: f64) -> Image {
    let rest = level * (1.0 - factor);
    map(image, |old| level_of(f64::from(old) * factor + rest))
}

/// The upper `bits` of each level.
pub(super) fn posterize(image: Image, bits: u32) -> Image {
    let mask = !(0xFF_u8.checked_shr(bits).unwrap_or(0));
    map(image, |old| old & mask)
}

/// Levels from `threshold` on are inverted.
pub(super) fn solarize(image: Image, threshold: f64) -> Image {
    map(image, |old| if f64::from(old) < threshold { old } else { 255 - old })
}

/// Each channel is stretched, so that its darkest level becomes 0 and its brightest 255.
pub(super) fn autocontrast(image: Image) -> Image {
    map_by_histogram(image, |counts| {
        let (lowest, highest) = ends(counts);
        let scale = if lowest < highest { 255.0 / (highest - lowest) as f64 } else { 1.0 };
        let offset = if lowest < highest { lowest as f64 * scale } else { 0.0 };
        std::array::from_fn(|old| truncated(old as f64 * scale - offset))
    })
}

/// Each channel's levels are spread, so that about as many pixels have each.
pub(super) fn equalize(image: Image) -> Image {
    map_by_histogram(image, |counts| {
        let (lowest, highest) = ends(counts);
        let step = (counts.iter().sum::<usize>() - counts[highest]) / 255;
        if lowest == highest || step == 0 {
            return std::array::from_fn(|old| truncated(old as f64));
        }
        let mut below = step / 2;
        std::array::from_fn(|old| {
            let level = below / step;
            below += counts[old];
            u8::try_from(level).unwrap_or(u8::MAX)
        })
    })
}

/// The first and the last level that occurs.
fn ends(counts: &[usize; 256]) -> (usize, usize) {
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    (first, counts.iter().rposition(|&count| count > 0).unwrap_or(0))
}

/// Every level but alpha, changed by one rule.
pub(super) fn map(mut image: Image, new: impl Fn(u8) -> u8) -> Image {
    let mut table = [0; 256];
    table.iter_mut().zip(0..=u8::MAX).for_each(|(to, old)| *to = new(old));
    match image.channels() {
        4 => image.pixels_mut().as_chunks_mut::<4>().0.iter_mut().for_each(|[red, green, blue, _]| {
            [red, green, blue].into_iter().for_each(|level| *level = table[usize::from(*level)]);
        }),
        _ => image.pixels_mut().iter_mut().for_each(|level| *level = table[usize::from(*level)]),
    }
    image
}

/// The levels of each channel but alpha, changed by a table that comes from how often each occurs.
fn map_by_histogram(mut image: Image, table: impl Fn(&[usize; 256]) -> [u8; 256]) -> Image {
    let channels = image.channels();
    let mut counts = [[0; 256]; 3];
    for pixel in image.pixels().chunks_exact(channels) {
        counts.iter_mut().zip(pixel).for_each(|(counts, &level)| counts[usize::from(level)] += 1);
    }
    let tables = counts.map(|counts| table(&counts));
    for pixel in image.pixels_mut().chunks_exact_mut(channels) {
        tables.iter().zip(pixel).for_each(|(table, level)| *level = table[usize::from(*level)]);
    }
    image
}

/// The nearest 8-bit level.
#[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes a byte")]
pub(crate) fn level_of(x: f64) -> u8 {
    x.round() as u8
}

#[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes a byte")]
fn truncated(x: f64) -> u8 {
    x as u8
}
