//! Changes of colour that look at one pixel at a time; grey pictures and alpha stay. It does not know chance, but for the order of a
//! jitter's parts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::levels::{Jitter, brightness, contrast};
use super::within;
use crate::image::luma;
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
    for_each_color(&mut image, |pixel| [luma(&pixel); 3]);
    image
}

/// `factor` parts of each pixel and `1 - factor` parts of its luma.
#[expect(clippy::cast_possible_truncation, reason = "a factor, in 16-bit fixed point")]
pub(super) fn saturation(mut image: Image, factor: f64) -> Image {
    let factor = (factor * 65_536.0).round() as i64;
    for_each_color(&mut image, |pixel| {
        let grey = i64::from(luma(&pixel));
        pixel.map(|level| ((((i64::from(level) - grey) * factor + 32_768) >> 16) + grey).clamp(0, 255) as u8)
    });
    image
}

/// Colours go around the circle by `turn` (1 is once around); the largest and the smallest level of a pixel stay, and so do value and
/// saturation (Smith 1978, "Color gamut transform pairs").
#[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes a byte")]
pub(super) fn hue(mut image: Image, turn: f64) -> Image {
    let turn = (turn.rem_euclid(1.0) * 6.0) as f32;
    let around = |place: f32| if place >= 6.0 { place - 6.0 } else { place };
    for_each_color(&mut image, |pixel| {
        let [red, green, blue] = pixel.map(f32::from);
        let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
        let range = high - low;
        if range == 0.0 {
            return pixel;
        }
        let sextant = if high == red {
            (green - blue) / range + if green < blue { 6.0 } else { 0.0 }
        } else if high == green {
            (blue - red) / range + 2.0
        } else {
            (red - green) / range + 4.0
        };
        let sextant = around(sextant + turn);
        // Each channel is highest around its own place on the circle, and lowest on the other side.
        [0.0, 4.0, 2.0].map(|place| {
            let away = (around(sextant + place) - 3.0).abs() - 1.0;
            (low + range * away.clamp(0.0, 1.0) + 0.5) as u8
        })
    });
    image
}

fn for_each_color(image: &mut Image, new: impl Fn([u8; 3]) -> [u8; 3]) {
    match image.channels() {
        3 => image.pixels_mut().as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = new(*pixel)),
        4 => image.pixels_mut().as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| {
            let [red, green, blue, alpha] = *pixel;
            let [red, green, blue] = new([red, green, blue]);
            *pixel = [red, green, blue, alpha];
        }),
        _ => {}
    }
}
