//! Cutting out random parts. It does not know what the parts are filled with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Erasing, draw_box, within};
use crate::prepare::{Size, cut, middle};
use crate::resize::{Filter, resize_part};
use crate::{DataError, Image, Rng};

/// How a random part is cut out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RandomCrop {
    /// The size of the part in pixels: one number for both sides, or `[height, width]`. Without it, that of the picture.
    pub size: Option<Size>,
    /// The width of the border on each side in pixels.
    pub padding: usize,
    /// The level of the border, 0 (black) to 255.
    pub fill: u8,
}

impl RandomCrop {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        self.size.map_or(Ok(()), |size| size.check(&format!("{key}.size")))?;
        within(key, "padding", self.padding as f64, [0.0, 4096.0])
    }

    pub(super) fn apply(&self, image: &Image, rng: &mut Rng) -> Image {
        let [height, width] = self.size.map_or([image.height(), image.width()], Size::sides);
        // A picture that is too small even with its border is centred in a wider one.
        let mut offset = |from: usize, to: usize| match (from + 2 * self.padding).checked_sub(to) {
            Some(room) => rng.range(0..room + 1).cast_signed() - self.padding.cast_signed(),
            None => middle(from, to),
        };
        let (top, left) = (offset(image.height(), height), offset(image.width(), width));
        cut(image, top, left, [height, width], self.fill)
    }
}

/// How a part of random area and proportions is cut out and brought to one size (Szegedy et al. 2015, "Going deeper with
/// convolutions"; torchvision's `RandomResizedCrop`). Where no part fits in ten tries, the largest in the middle is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RandomResizedCrop {
    /// The size that the part gets, in pixels: one number for both sides, or `[height, width]`.
    pub size: Size,
    /// The area of the part as a share of the picture's: `[least, most]`, above 0 and up to 1.
    pub scale: [f64; 2],
    /// Its width over its height: `[least, most]`, drawn evenly on a logarithmic scale.
    pub ratio: [f64; 2],
    /// How new pixels come from old ones.
    pub filter: Filter,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { size: Size::Square(224), scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0], filter: Filter::Bilinear }
    }
}

impl RandomResizedCrop {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        self.size.check(&format!("{key}.size"))?;
        Erasing { scale: self.scale, ratio: self.ratio, ..Erasing::default() }.check(key)
    }

    pub(super) fn apply(&self, image: &Image, rng: &mut Rng) -> Image {
        let [[top, height], [left, width]] = self.part(image, rng);
        resize_part(image, [top..top + height, left..left + width], self.size.sides(), self.filter)
    }

    /// Where rows and columns begin, and how many there are.
    fn part(&self, image: &Image, rng: &mut Rng) -> [[usize; 2]; 2] {
        let (height, width) = (image.height(), image.width());
        let drawn = (0..10).find_map(|_| {
            let [w, h] = draw_box(height * width, self.scale, self.ratio, rng);
            let fits = (1..=width).contains(&w) && (1..=height).contains(&h);
            fits.then(|| [[rng.range(0..height - h + 1), h], [rng.range(0..width - w + 1), w]])
        });
        drawn.unwrap_or_else(|| {
            let [least, most] = self.ratio;
            let shape = width as f64 / height as f64;
            let [w, h] = if shape < least {
                [width, rounded(width as f64 / least).clamp(1, height)]
            } else if shape > most {
                [rounded(height as f64 * most).clamp(1, width), height]
            } else {
                [width, height]
            };
            [[(height - h) / 2, h], [(width - w) / 2, w]]
        })
    }
}

/// The nearest whole number that is not negative.
#[expect(clippy::cast_possible_truncation, reason = "a float saturates when it becomes whole")]
pub(super) fn rounded(x: f64) -> usize {
    x.round() as usize
}
