//! Random changes of the pictures of the training split: keyed by seed, epoch and sample, and never part of an artifact. It does not
//! know what a network wants; see [`ImagePrepare`](crate::ImagePrepare) for that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::affine::{Affine, resample};
use crate::image::luma;
use crate::prepare::{Size, cut, middle};
use crate::{DataError, Image, Rng, stream};

/// Random changes of training pictures, in this order. Steps in a row that move pixels (`rotate`, `scale`, `translate`) with the same
/// `fill` are done in one resampling, so that three of them blur no more than one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ImageAugment(pub Vec<AugmentStep>);

/// One random change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentStep {
    /// Puts a border around the picture and cuts out a random part.
    RandomCrop(RandomCrop),
    /// Swaps left and right now and then.
    FlipHorizontal(Flip),
    /// Swaps top and bottom now and then.
    FlipVertical(Flip),
    /// Turns the picture around its centre.
    Rotate(Rotate),
    /// Enlarges or shrinks what is in the picture; its size stays.
    Scale(Scale),
    /// Moves the picture by whole pixels.
    Translate(Translate),
    /// Makes the picture brighter or darker.
    Brightness(Jitter),
    /// Moves all levels away from, or towards, the picture's mean grey.
    Contrast(Jitter),
}

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

/// How often a picture is mirrored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flip {
    /// The share of pictures that are mirrored, 0 to 1.
    pub probability: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

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

/// What the changes of one picture depend on, and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleKey {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The sample's number in its source.
    pub sample: u64,
}

impl ImageAugment {
    /// Whether the steps can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the step and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        self.0.iter().enumerate().try_for_each(|(i, step)| step.check(&format!("{key}.{i}.{}", step.name())))
    }

    /// The picture, changed at random: the same for the same key, on any thread and in any order.
    ///
    /// Each step draws from a stream of its own, named by its kind and by how many of that kind stand before it; so changing, adding
    /// or removing a step leaves the draws of the others as they were. The ranges are those of torchvision's `RandomCrop`,
    /// `RandomAffine` and `ColorJitter`.
    #[must_use]
    pub fn apply(&self, image: Image, key: SampleKey) -> Image {
        let mut image = image;
        let mut moves: Option<(Affine, u8)> = None;
        for (i, step) in self.0.iter().enumerate() {
            let ordinal = self.0[..i].iter().filter(|before| before.name() == step.name()).count() as u64;
            let mut rng = Rng::keyed(key.seed, [key.epoch, key.sample, stream(step.name(), ordinal)]);
            let Some((next, fill)) = step.motion(&image, &mut rng) else {
                image = step.apply(settle(image, moves.take()), &mut rng);
                continue;
            };
            let before = match moves {
                Some((before, same)) if same == fill => before,
                other => {
                    image = settle(image, other);
                    Affine::IDENTITY
                }
            };
            moves = Some((before.then(next), fill));
        }
        settle(image, moves)
    }
}

fn settle(image: Image, moves: Option<(Affine, u8)>) -> Image {
    match moves {
        Some((affine, fill)) => resample(&image, affine, fill),
        None => image,
    }
}

impl AugmentStep {
    fn name(&self) -> &'static str {
        match self {
            Self::RandomCrop(_) => "random-crop",
            Self::FlipHorizontal(_) => "flip-horizontal",
            Self::FlipVertical(_) => "flip-vertical",
            Self::Rotate(_) => "rotate",
            Self::Scale(_) => "scale",
            Self::Translate(_) => "translate",
            Self::Brightness(_) => "brightness",
            Self::Contrast(_) => "contrast",
        }
    }

    fn check(&self, key: &str) -> Result<(), DataError> {
        let within = |field: &str, value: f64, low: f64, high: f64| {
            let why = || format!("{value} is not within {low} to {high}");
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(DataError::config(&format!("{key}.{field}"), why()))
            }
        };
        match self {
            Self::RandomCrop(RandomCrop { size, padding, .. }) => {
                size.map_or(Ok(()), |size| size.check(&format!("{key}.size")))?;
                within("padding", *padding as f64, 0.0, 4096.0)
            }
            Self::FlipHorizontal(flip) | Self::FlipVertical(flip) => within("probability", flip.probability, 0.0, 1.0),
            Self::Rotate(rotate) => within("degrees", rotate.degrees, 0.0, 180.0),
            Self::Scale(scale) => within("min", scale.min, 0.01, 100.0).and(within("max", scale.max, scale.min, 100.0)),
            Self::Translate(translate) => within("fraction", translate.fraction, 0.0, 1.0),
            Self::Brightness(jitter) | Self::Contrast(jitter) => within("strength", jitter.strength, 0.0, 100.0),
        }
    }

    /// Where this step moves pixels, and the level of what comes in; nothing for a step of another kind.
    fn motion(&self, image: &Image, rng: &mut Rng) -> Option<(Affine, u8)> {
        match self {
            Self::Rotate(rotate) => Some((Affine::rotate(rng.between(-rotate.degrees, rotate.degrees)), rotate.fill)),
            Self::Scale(scale) => Some((Affine::scale(rng.between(scale.min, scale.max)), scale.fill)),
            Self::Translate(translate) => {
                let mut shift = |side: usize| {
                    let reach = translate.fraction * side as f64;
                    rng.between(-reach, reach).round()
                };
                let (x, y) = (shift(image.width()), shift(image.height()));
                Some((Affine::translate(x, y), translate.fill))
            }
            _ => None,
        }
    }

    fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        match self {
            Self::RandomCrop(crop) => crop.apply(&image, rng),
            Self::FlipHorizontal(flip) if rng.chance(flip.probability) => mirror(&image),
            Self::FlipVertical(flip) if rng.chance(flip.probability) => upside_down(&image),
            Self::Brightness(jitter) => blend(image, |_| 0.0, jitter.factor(rng)),
            Self::Contrast(jitter) => blend(image, mean_grey, jitter.factor(rng)),
            Self::FlipHorizontal(_) | Self::FlipVertical(_) => image,
            Self::Rotate(_) | Self::Scale(_) | Self::Translate(_) => unreachable!("{} is a motion", self.name()),
        }
    }
}

impl RandomCrop {
    fn apply(&self, image: &Image, rng: &mut Rng) -> Image {
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

impl Jitter {
    fn factor(&self, rng: &mut Rng) -> f64 {
        rng.between((1.0 - self.strength).max(0.0), 1.0 + self.strength)
    }
}

fn mirror(image: &Image) -> Image {
    let channels = image.channels();
    let rows = image.pixels().chunks_exact(image.width() * channels);
    let pixels = rows.flat_map(|row| row.chunks_exact(channels).rev().flatten()).copied().collect();
    Image::new(image.shape(), pixels)
}

fn upside_down(image: &Image) -> Image {
    let rows = image.pixels().chunks_exact(image.width() * image.channels());
    Image::new(image.shape(), rows.rev().flatten().copied().collect())
}

/// `factor` parts of the picture and `1 - factor` parts of a grey level that comes from it; alpha stays.
fn blend(mut image: Image, level: impl Fn(&Image) -> f64, factor: f64) -> Image {
    let rest = level(&image) * (1.0 - factor);
    let channels = image.channels();
    let table: [u8; 256] = std::array::from_fn(|old| level_of(old as f64 * factor + rest));
    for pixel in image.pixels_mut().chunks_exact_mut(channels) {
        pixel[..channels.min(3)].iter_mut().for_each(|level| *level = table[usize::from(*level)]);
    }
    image
}

fn mean_grey(image: &Image) -> f64 {
    let grey = |pixel: &[u8]| u64::from(if pixel.len() == 1 { pixel[0] } else { luma(pixel) });
    let sum: u64 = image.pixels().chunks_exact(image.channels()).map(grey).sum();
    sum as f64 / (image.height() * image.width()) as f64
}

/// The nearest 8-bit level.
#[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes a byte")]
pub(crate) fn level_of(x: f64) -> u8 {
    x.round() as u8
}
