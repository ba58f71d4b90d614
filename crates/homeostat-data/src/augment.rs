//! Random changes of the pictures of the training split: keyed by seed, epoch and sample, and never part of an artifact. It does not
//! know what a network wants; see [`ImagePrepare`](crate::ImagePrepare) for that.

mod color;
mod crop;
mod detail;
mod erase;
mod flip;
mod levels;
mod motion;
mod operation;
mod policy;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use color::ColorJitter;
pub use crop::{RandomCrop, RandomResizedCrop};
pub use detail::{Blur, JpegArtefacts, Noise, Sharpness};
pub use erase::{Cutout, Erasing};
pub use flip::Flip;
pub(crate) use flip::mirror;
pub(crate) use levels::level_of;
pub use levels::{Chance, Jitter, Posterize, Solarize};
pub use motion::{Elastic, Perspective, Rotate, Scale, Shear, Translate};
pub use operation::Operation;
pub use policy::{AugMix, AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugment};

use crate::affine::{Affine, resample};
use crate::{DataError, Image, Rng, stream};
use erase::draw_box;

/// Random changes of training pictures, in this order. Steps in a row that move pixels (`rotate`, `scale`, `translate`, `shear`) with
/// the same `fill` are done in one resampling, so that three of them blur no more than one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ImageAugment(pub Vec<AugmentStep>);

/// One random change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentStep {
    /// Puts a border around the picture and cuts out a random part.
    RandomCrop(RandomCrop),
    /// Cuts out a part of random area and proportions, and resizes it.
    RandomResizedCrop(RandomResizedCrop),
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
    /// Makes upright or level lines lean.
    Shear(Shear),
    /// Shows the picture from the side now and then.
    Perspective(Perspective),
    /// Moves pixels by a smooth random field now and then.
    Elastic(Elastic),
    /// Makes the picture brighter or darker.
    Brightness(Jitter),
    /// Moves all levels away from, or towards, the picture's mean grey.
    Contrast(Jitter),
    /// Changes brightness, contrast, saturation and hue in a random order.
    ColorJitter(ColorJitter),
    /// Takes the colour out now and then; the number of channels stays.
    Grayscale(Chance),
    /// Stretches the levels of each channel to all of 0 to 255 now and then.
    Autocontrast(Chance),
    /// Spreads the levels of each channel now and then, so that about as many pixels have each.
    Equalize(Chance),
    /// Inverts all levels now and then.
    Invert(Chance),
    /// Makes levels coarse now and then.
    Posterize(Posterize),
    /// Inverts bright levels now and then.
    Solarize(Solarize),
    /// Makes the picture sharper or smoother now and then.
    Sharpness(Sharpness),
    /// Blurs the picture now and then.
    GaussianBlur(Blur),
    /// Adds noise to each level.
    GaussianNoise(Noise),
    /// Stores the picture as a JPEG of poor quality now and then.
    JpegArtefacts(JpegArtefacts),
    /// Wipes out a random rectangle now and then.
    RandomErasing(Erasing),
    /// Wipes out a square around a random pixel.
    Cutout(Cutout),
    /// A few random operations, all of one magnitude.
    RandAugment(RandAugment),
    /// One random operation of random magnitude.
    TrivialAugment(TrivialAugment),
    /// A random pair of operations that was found by search.
    AutoAugment(AutoAugment),
    /// The picture mixed with random changes of itself.
    AugMix(AugMix),
    /// Grey, bright levels inverted, or blurred by 0.1 to 2 pixels: one of them, each as often (3-Augment, Touvron et al. 2022). Its
    /// authors flip before it, and follow it by `color-jitter` with strengths of 0.3.
    ThreeAugment,
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
    /// or removing a step leaves the draws of the others as they were. The ranges are those of torchvision, unless a step's
    /// options say otherwise.
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
            Self::RandomResizedCrop(_) => "random-resized-crop",
            Self::FlipHorizontal(_) => "flip-horizontal",
            Self::FlipVertical(_) => "flip-vertical",
            Self::Rotate(_) => "rotate",
            Self::Scale(_) => "scale",
            Self::Translate(_) => "translate",
            Self::Shear(_) => "shear",
            Self::Perspective(_) => "perspective",
            Self::Elastic(_) => "elastic",
            Self::Brightness(_) => "brightness",
            Self::Contrast(_) => "contrast",
            Self::ColorJitter(_) => "color-jitter",
            Self::Grayscale(_) => "grayscale",
            Self::Autocontrast(_) => "autocontrast",
            Self::Equalize(_) => "equalize",
            Self::Invert(_) => "invert",
            Self::Posterize(_) => "posterize",
            Self::Solarize(_) => "solarize",
            Self::Sharpness(_) => "sharpness",
            Self::GaussianBlur(_) => "gaussian-blur",
            Self::GaussianNoise(_) => "gaussian-noise",
            Self::JpegArtefacts(_) => "jpeg-artefacts",
            Self::RandomErasing(_) => "random-erasing",
            Self::Cutout(_) => "cutout",
            Self::RandAugment(_) => "rand-augment",
            Self::TrivialAugment(_) => "trivial-augment",
            Self::AutoAugment(_) => "auto-augment",
            Self::AugMix(_) => "aug-mix",
            Self::ThreeAugment => "three-augment",
        }
    }

    fn check(&self, key: &str) -> Result<(), DataError> {
        let share = |probability| within(key, "probability", probability, [0.0, 1.0]);
        match self {
            Self::RandomCrop(crop) => crop.check(key),
            Self::RandomResizedCrop(crop) => crop.check(key),
            Self::FlipHorizontal(flip) | Self::FlipVertical(flip) => share(flip.probability),
            Self::Rotate(rotate) => rotate.check(key),
            Self::Scale(scale) => scale.check(key),
            Self::Translate(translate) => translate.check(key),
            Self::Shear(shear) => shear.check(key),
            Self::Perspective(perspective) => perspective.check(key),
            Self::Elastic(elastic) => elastic.check(key),
            Self::Brightness(jitter) | Self::Contrast(jitter) => jitter.check(key),
            Self::ColorJitter(jitter) => jitter.check(key),
            Self::Grayscale(chance) | Self::Autocontrast(chance) | Self::Equalize(chance) | Self::Invert(chance) => {
                share(chance.probability)
            }
            Self::Posterize(posterize) => {
                share(posterize.probability).and(within(key, "bits", f64::from(posterize.bits), [1.0, 8.0]))
            }
            Self::Solarize(solarize) => share(solarize.probability),
            Self::Sharpness(sharpness) => sharpness.check(key),
            Self::GaussianBlur(blur) => blur.check(key),
            Self::GaussianNoise(noise) => noise.check(key),
            Self::JpegArtefacts(artefacts) => artefacts.check(key),
            Self::RandomErasing(erasing) => erasing.check(key),
            Self::Cutout(cutout) => cutout.check(key),
            Self::RandAugment(policy) => policy.check(key),
            Self::AugMix(policy) => policy.check(key),
            Self::TrivialAugment(_) | Self::AutoAugment(_) | Self::ThreeAugment => Ok(()),
        }
    }

    /// Where this step moves pixels, and the level of what comes in; nothing for a step of another kind.
    fn motion(&self, image: &Image, rng: &mut Rng) -> Option<(Affine, u8)> {
        match self {
            Self::Rotate(rotate) => Some((rotate.draw(rng), rotate.fill)),
            Self::Scale(scale) => Some((scale.draw(rng), scale.fill)),
            Self::Translate(translate) => Some((translate.draw(image, rng), translate.fill)),
            Self::Shear(shear) => Some((shear.draw(rng), shear.fill)),
            _ => None,
        }
    }

    fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let mut now_and_then = |probability: f64, operation: Operation| {
            if rng.chance(probability) { operation } else { Operation::Identity }
        };
        let operation = match self {
            Self::Grayscale(chance) => now_and_then(chance.probability, Operation::Grayscale),
            Self::Autocontrast(chance) => now_and_then(chance.probability, Operation::Autocontrast),
            Self::Equalize(chance) => now_and_then(chance.probability, Operation::Equalize),
            Self::Invert(chance) => now_and_then(chance.probability, Operation::Invert),
            Self::Posterize(options) => now_and_then(options.probability, Operation::Posterize(options.bits)),
            Self::Solarize(options) => now_and_then(options.probability, Operation::Solarize(options.threshold.into())),
            Self::Sharpness(options) => now_and_then(options.probability, Operation::Sharpness(options.factor)),
            Self::Brightness(jitter) => Operation::Brightness(jitter.factor(rng)),
            Self::Contrast(jitter) => Operation::Contrast(jitter.factor(rng)),
            Self::RandomCrop(crop) => return crop.apply(&image, rng),
            Self::RandomResizedCrop(crop) => return crop.apply(&image, rng),
            Self::FlipHorizontal(flip) if rng.chance(flip.probability) => return mirror(image),
            Self::FlipVertical(flip) if rng.chance(flip.probability) => return flip::upside_down(&image),
            Self::FlipHorizontal(_) | Self::FlipVertical(_) => return image,
            Self::Perspective(perspective) => return perspective.apply(image, rng),
            Self::Elastic(elastic) => return elastic.apply(image, rng),
            Self::ColorJitter(jitter) => return jitter.apply(image, rng),
            Self::GaussianBlur(blur) => return blur.apply(image, rng),
            Self::GaussianNoise(noise) => return noise.apply(image, rng),
            Self::JpegArtefacts(artefacts) => return artefacts.apply(image, rng),
            Self::RandomErasing(erasing) => return erasing.apply(image, rng),
            Self::Cutout(cutout) => return cutout.apply(image, rng),
            Self::RandAugment(policy) => return policy.apply(image, rng),
            Self::TrivialAugment(policy) => return policy.apply(image, rng),
            Self::AutoAugment(policy) => return policy.apply(image, rng),
            Self::AugMix(policy) => return policy.apply(&image, rng),
            Self::ThreeAugment => policy::three_augment(rng),
            Self::Rotate(_) | Self::Scale(_) | Self::Translate(_) | Self::Shear(_) => {
                unreachable!("{} is a motion", self.name())
            }
        };
        operation.apply(image, 0)
    }
}

fn within(key: &str, field: &str, value: f64, [low, high]: [f64; 2]) -> Result<(), DataError> {
    let why = || format!("{value} is not within {low} to {high}");
    if (low..=high).contains(&value) { Ok(()) } else { Err(DataError::config(&format!("{key}.{field}"), why())) }
}
