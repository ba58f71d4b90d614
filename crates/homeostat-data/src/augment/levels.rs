//! Changes of levels that look at one level at a time; alpha stays. Those with a factor or from a histogram are
//! Pillow's of the same name. It does not know chance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::within;
use crate::image::luma;
use crate::widest::widest;
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
    let pixels = image.pixels();
    let sum = match image.channels() {
        1 => pixels.iter().map(|&level| u64::from(level)).sum(),
        3 => sum_of_luma::<3>(pixels),
        _ => sum_of_luma::<4>(pixels),
    };
    let mean = sum as f64 / (image.height() * image.width()) as f64;
    blend(image, (mean + 0.5).floor(), factor)
}

widest! {
    fn sum_of_luma<'a, const CHANNELS: usize>(pixels: &'a [u8]) -> u64 {
        // So many pixels that their sum fits 32 bits.
        let parts = pixels.as_chunks::<CHANNELS>().0.chunks(1 << 16);
        parts.map(|part| u64::from(part.iter().map(|pixel| u32::from(luma(pixel))).sum::<u32>())).sum()
    }
}

/// In 16-bit fixed point; 32 bits are enough for factors up to 101, and larger ones make nothing brighter or darker.
#[expect(clippy::cast_possible_truncation, reason = "a factor of at most 101 and 16 bits")]
fn blend(mut image: Image, level: f64, factor: f64) -> Image {
    let factor = factor.clamp(-100.0, 101.0);
    let [factor, rest] = [factor, level * (1.0 - factor) + 0.5].map(|x| (x * 65_536.0).round() as i32);
    if image.channels() == 4 {
        for level in image.pixels_mut().as_chunks_mut::<4>().0.iter_mut().flat_map(|pixel| &mut pixel[..3]) {
            *level = weighed(*level, factor, rest);
        }
    } else {
        weigh_all(image.pixels_mut(), factor, rest);
    }
    image
}

widest! {
    fn weigh_all<'a>(levels: &'a mut [u8], factor: i32, rest: i32) -> () {
        for level in levels {
            *level = weighed(*level, factor, rest);
        }
    }
}

#[inline(always)]
fn weighed(level: u8, factor: i32, rest: i32) -> u8 {
    ((i32::from(level) * factor + rest) >> 16).clamp(0, 255) as u8
}

/// The upper `bits` of each level.
pub(super) fn posterize(image: Image, bits: u32) -> Image {
    let mask = !(0xFF_u8.checked_shr(bits).unwrap_or(0));
    map(image, |old| old & mask)
}

/// Levels from `threshold` on are inverted.
#[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes whole")]
pub(super) fn solarize(image: Image, threshold: f64) -> Image {
    let threshold = threshold.ceil() as u16;
    map(image, |old| if u16::from(old) < threshold { old } else { 255 - old })
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
    match image.channels() {
        4 => image.pixels_mut().as_chunks_mut::<4>().0.iter_mut().for_each(|[red, green, blue, _]| {
            [red, green, blue].into_iter().for_each(|level| *level = new(*level));
        }),
        _ => image.pixels_mut().iter_mut().for_each(|level| *level = new(*level)),
    }
    image
}

/// The levels of each channel but alpha, changed by a table that comes from how often each occurs.
fn map_by_histogram(mut image: Image, table: impl Fn(&[usize; 256]) -> [u8; 256]) -> Image {
    match image.channels() {
        1 => map_channels::<1>(image.pixels_mut(), table),
        3 => map_channels::<3>(image.pixels_mut(), table),
        _ => map_channels::<4>(image.pixels_mut(), table),
    }
    image
}

fn map_channels<const CHANNELS: usize>(pixels: &mut [u8], table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    let (pixels, _) = pixels.as_chunks_mut::<CHANNELS>();
    let mut counts = [[0; 256]; 3];
    for pixel in &*pixels {
        counts.iter_mut().zip(pixel).for_each(|(counts, &level)| counts[usize::from(level)] += 1);
    }
    let tables = counts.map(|counts| table(&counts));
    for pixel in pixels {
        tables.iter().zip(pixel).for_each(|(table, level)| *level = table[usize::from(*level)]);
    }
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
