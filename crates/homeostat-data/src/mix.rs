//! Mixing the pictures of a batch with one another. It does not know labels: it says which share of which partner went in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::augment::level_of;
use crate::{DataError, Image, Rng, Shape, stream};

/// Mixing the pictures of a training batch pairwise, and their labels with them. Off while both strengths are 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MixConfig {
    /// The strength of mixup (Zhang et al. 2018), which fades two pictures into each other: their shares are drawn from
    /// Beta(mixup, mixup). 0 is off; 0.1 to 1 is usual.
    pub mixup: f64,
    /// The strength of CutMix (Yun et al. 2019), which pastes a rectangle of one picture into another: its area is drawn from
    /// Beta(cutmix, cutmix). 0 is off; 1 is usual.
    pub cutmix: f64,
    /// The share of batches that are mixed at all, 0 to 1.
    pub probability: f64,
    /// The share of mixed batches that get CutMix where both are on, 0 to 1.
    pub switch_probability: f64,
    /// The epoch, counted from 0, from which on nothing is mixed any more. Without it, mixing never ends.
    pub off_epoch: Option<usize>,
}

impl Default for MixConfig {
    fn default() -> Self {
        Self { mixup: 0.0, cutmix: 0.0, probability: 1.0, switch_probability: 0.5, off_epoch: None }
    }
}

/// What the mixing of one batch depends on, and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchKey {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch within the epoch, from 0.
    pub batch: u64,
}

/// What became of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixed {
    /// The place in the batch of the picture that was mixed in; its own place where none was.
    pub partner: usize,
    /// The share of the picture's own label; `1 - weight` is that of the partner's.
    pub weight: f32,
}

impl MixConfig {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        for (name, value, limit) in [
            ("mixup", self.mixup, 100.0),
            ("cutmix", self.cutmix, 100.0),
            ("probability", self.probability, 1.0),
            ("switch-probability", self.switch_probability, 1.0),
        ] {
            if !(0.0..=limit).contains(&value) {
                let why = format!("{value} is not within 0 to {limit}");
                return Err(DataError::config(&format!("{key}.{name}"), why));
            }
        }
        Ok(())
    }

    /// Whether no batch is ever mixed.
    #[must_use]
    pub fn is_off(&self) -> bool {
        (self.mixup <= 0.0 && self.cutmix <= 0.0) || self.probability <= 0.0 || self.off_epoch == Some(0)
    }

    /// Mixes prepared pictures of one shape in place, each with a partner, all in the same proportion (as timm does a batch), and says
    /// who got what. The label share of CutMix is that of the area that was pasted in truth, the border cut off.
    ///
    /// # Panics
    /// If the pictures differ in shape.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a share, computed in f64")]
    pub fn mix(&self, images: &mut [Image], key: BatchKey) -> Vec<Mixed> {
        let unmixed = || (0..images.len()).map(|partner| Mixed { partner, weight: 1.0 }).collect();
        let mut rng = Rng::keyed(key.seed, [key.epoch, key.batch, stream("mix", 0)]);
        let over = self.off_epoch.is_some_and(|epoch| key.epoch >= epoch as u64);
        if self.is_off() || over || images.is_empty() || !rng.chance(self.probability) {
            return unmixed();
        }
        let shape = images[0].shape();
        for image in images.iter() {
            assert_eq!(image.shape(), shape, "only pictures of one shape can be mixed");
        }
        let partners = rng.permutation(images.len());
        let both = self.mixup > 0.0 && self.cutmix > 0.0;
        let cut = if both { rng.chance(self.switch_probability) } else { self.cutmix > 0.0 };
        let share = rng.beta(if cut { self.cutmix } else { self.mixup });
        let weight =
            if cut { paste(images, &partners, hole(shape, share, &mut rng)) } else { fade(images, &partners, share) };
        partners.into_iter().map(|partner| Mixed { partner, weight: weight as f32 }).collect()
    }
}

/// Rows and columns, each from (included) to (excluded).
type Hole = [[usize; 2]; 2];

/// A rectangle of `1 - share` of the area around a random point, cut off at the border.
#[expect(clippy::cast_possible_truncation, reason = "a length of at most one side")]
fn hole(shape: Shape, share: f64, rng: &mut Rng) -> Hole {
    let ratio = (1.0 - share).max(0.0).sqrt();
    [shape.height, shape.width].map(|side| {
        let length = (side as f64 * ratio) as usize;
        let center = rng.range(0..side);
        [center.saturating_sub(length / 2), (center + length - length / 2).min(side)]
    })
}

fn paste(images: &mut [Image], partners: &[usize], [rows, columns]: Hole) -> f64 {
    let Shape { height, width, channels } = images[0].shape();
    let old: Vec<Image> = images.to_vec();
    for (image, &partner) in images.iter_mut().zip(partners) {
        for row in rows[0]..rows[1] {
            let bytes = (row * width + columns[0]) * channels..(row * width + columns[1]) * channels;
            image.pixels_mut()[bytes.clone()].copy_from_slice(&old[partner].pixels()[bytes]);
        }
    }
    let area = (rows[1] - rows[0]) * (columns[1] - columns[0]);
    1.0 - area as f64 / (height * width) as f64
}

fn fade(images: &mut [Image], partners: &[usize], share: f64) -> f64 {
    let old: Vec<Image> = images.to_vec();
    for (image, &partner) in images.iter_mut().zip(partners) {
        for (level, &other) in image.pixels_mut().iter_mut().zip(old[partner].pixels()) {
            *level = level_of(f64::from(*level) * share + f64::from(other) * (1.0 - share));
        }
    }
    share
}
