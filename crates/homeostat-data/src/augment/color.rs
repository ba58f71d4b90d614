//! Changes of colour that look at one pixel at a time; grey pictures and alpha stay. It does not know chance, but for the order of a
//! jitter's parts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::levels::{Jitter, brightness, contrast};
use super::within;
use crate::widest::widest;
use crate::{DataError, Image, Rng};

/// How strongly brightness, contrast, saturation and hue are changed, in an order that is drawn as well (torchvision's `ColorJitter`).
/// Each of the first three has a factor from `1 - strength` (at least 0) to `1 + strength`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ColorJitter {
    /// The strength for brightness; 0 is off.
    pub brightness: f64,
    /// The strength for contrast; 0 is off.
    pub contrast: f64,
    /// The strength for saturation; 0 is off.
    pub saturation: f64,
    /// How far colours go around the colour circle at most, to either side, as a share of the circle, 0 to 0.5; 0 is off.
    pub hue: f64,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.0 }
    }
}

impl ColorJitter {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "brightness", self.brightness, [0.0, 100.0])?;
        within(key, "contrast", self.contrast, [0.0, 100.0])?;
        within(key, "saturation", self.saturation, [0.0, 100.0])?;
        within(key, "hue", self.hue, [0.0, 0.5])
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let order = rng.permutation(4);
        let mut factor = |strength| Jitter { strength }.factor(rng);
        let [light, spread, color] = [factor(self.brightness), factor(self.contrast), factor(self.saturation)];
        let turn = rng.between(-self.hue, self.hue);
        order.into_iter().fold(image, |image, part| match part {
            0 if self.brightness > 0.0 => brightness(image, light),
            1 if self.contrast > 0.0 => contrast(image, spread),
            2 if self.saturation > 0.0 => saturation(image, color),
            3 if self.hue > 0.0 => hue(image, turn),
            _ => image,
        })
    }
}

/// Every channel becomes the luma of ITU-R 601-2; there are as many channels as before.
pub(super) fn grayscale(mut image: Image) -> Image {
    match image.channels() {
        3 => saturate::<3>(image.pixels_mut(), 0.0),
        4 => saturate::<4>(image.pixels_mut(), 0.0),
        _ => {}
    }
    image
}

/// `factor` parts of each pixel and `1 - factor` parts of its luma.
#[expect(clippy::cast_possible_truncation, reason = "32 bits are enough for a factor")]
pub(super) fn saturation(mut image: Image, factor: f64) -> Image {
    match image.channels() {
        3 => saturate::<3>(image.pixels_mut(), factor as f32),
        4 => saturate::<4>(image.pixels_mut(), factor as f32),
        _ => {}
    }
    image
}

/// Pixels that are changed at a time, each channel by itself: the compiler makes no vectors of what is mixed.
const BLOCK: usize = 64;

widest! {
    fn saturate<'a, const CHANNELS: usize>(pixels: &'a mut [u8], factor: f32) -> () {
        let (blocks, rest) = pixels.as_chunks_mut::<CHANNELS>().0.as_chunks_mut::<BLOCK>();
        for block in blocks {
            saturate_block(block, factor);
        }
        saturate_block(rest, factor);
    }
}

#[inline(always)]
fn saturate_block<const CHANNELS: usize>(block: &mut [[u8; CHANNELS]], factor: f32) {
    let (mut red, mut green, mut blue) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
    for (i, pixel) in block.iter().enumerate() {
        (red[i], green[i], blue[i]) = (pixel[0], pixel[1], pixel[2]);
    }
    for ((red, green), blue) in red.iter_mut().zip(&mut green).zip(&mut blue) {
        let (r, g, b) = (f32::from(*red), f32::from(*green), f32::from(*blue));
        // That of `luma`, to the bit: all parts are whole, and 24 bits hold their sum.
        let grey = ((r * 19_595.0 + g * 38_470.0 + b * 7_471.0 + 32_768.0) / 65_536.0).floor();
        let level = |old: f32| nearest(((old - grey) * factor + grey).clamp(0.0, 255.0));
        (*red, *green, *blue) = (level(r), level(g), level(b));
    }
    for (i, pixel) in block.iter_mut().enumerate() {
        (pixel[0], pixel[1], pixel[2]) = (red[i], green[i], blue[i]);
    }
}

/// Colours go around the circle by `turn` (1 is once around); the largest and the smallest level of a pixel stay, and so do value and
/// saturation (Smith 1978, "Color gamut transform pairs").
#[expect(clippy::cast_possible_truncation, reason = "32 bits are enough for an angle")]
pub(super) fn hue(mut image: Image, turn: f64) -> Image {
    let turn = (turn.rem_euclid(1.0) * 6.0) as f32;
    match image.channels() {
        3 => turn_colors::<3>(image.pixels_mut(), turn),
        4 => turn_colors::<4>(image.pixels_mut(), turn),
        _ => {}
    }
    image
}

widest! {
    /// By so many sixths of the circle. Without a branch, so that many pixels are turned at a time.
    fn turn_colors<'a, const CHANNELS: usize>(pixels: &'a mut [u8], turn: f32) -> () {
        for pixel in pixels.as_chunks_mut::<CHANNELS>().0 {
            let (red, green, blue) = (f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2]));
            let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
            let range = high - low;
            let (is_red, is_green) = (high == red, high == green);
            let difference = if is_red { green - blue } else if is_green { blue - red } else { red - green };
            let place = if is_red { 6.0 } else if is_green { 2.0 } else { 4.0 };
            // Levels are whole: a range below 1 is 0, and then nothing depends on the place.
            let sextant = around(around(difference / range.max(1.0) + place) + turn);
            // Each channel is highest around its own place on the circle, and lowest on the other side.
            let level = |place: f32| {
                let away = (around(sextant + place) - 3.0).abs() - 1.0;
                nearest(low + range * away.clamp(0.0, 1.0))
            };
            (pixel[0], pixel[1], pixel[2]) = (level(0.0), level(4.0), level(2.0));
        }
    }
}

#[inline(always)]
fn around(place: f32) -> f32 {
    if place >= 6.0 { place - 6.0 } else { place }
}

/// The nearest whole number of one from 0 to 255: the last bits of a float that is so large that it has none behind the point.
#[inline(always)]
fn nearest(level: f32) -> u8 {
    (level + 8_388_608.0).to_bits().to_le_bytes()[0]
}
