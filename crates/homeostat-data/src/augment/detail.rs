//! Changes of detail: sharpness and blur, which look at a pixel's neighbours, and noise; alpha stays. It does not know colours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crop::rounded;
use super::within;
use crate::widest::widest;
use crate::{DataError, Image, Rng, Shape, jpeg};

/// How sharpness is changed (torchvision's `RandomAdjustSharpness`, Pillow's `ImageEnhance.Sharpness`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sharpness {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
    /// 0 smooths, 1 changes nothing, more sharpens; up to 100.
    pub factor: f64,
}

impl Default for Sharpness {
    fn default() -> Self {
        Self { probability: 0.5, factor: 2.0 }
    }
}

impl Sharpness {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        within(key, "factor", self.factor, [0.0, 100.0])
    }
}

/// How far a picture is blurred (torchvision's `GaussianBlur`, with a kernel that reaches three standard deviations). The ranges are
/// those of SimCLR (Chen et al. 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blur {
    /// The share of pictures that are blurred, 0 to 1.
    pub probability: f64,
    /// The standard deviation in pixels: `[least, most]`, 0.01 to 100.
    pub sigma: [f64; 2],
}

impl Default for Blur {
    fn default() -> Self {
        Self { probability: 0.5, sigma: [0.1, 2.0] }
    }
}

impl Blur {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        within(key, "sigma.0", self.sigma[0], [0.01, 100.0])?;
        within(key, "sigma.1", self.sigma[1], [self.sigma[0], 100.0])
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let (blurred, sigma) = (rng.chance(self.probability), rng.between(self.sigma[0], self.sigma[1]));
        if blurred { gaussian_blur(&image, sigma) } else { image }
    }
}

/// `factor` parts of each level and `1 - factor` parts of the mean of its 3 x 3 neighbours, in which it counts five times itself. The
/// border stays.
#[expect(clippy::cast_possible_truncation, reason = "32 bits are enough for a factor")]
pub(super) fn sharpness(image: Image, factor: f64) -> Image {
    let (height, width, channels) = (image.height(), image.width(), image.channels());
    if height < 3 || width < 3 {
        return image;
    }
    let mut new = image.pixels().to_vec();
    sharpen(image.pixels(), &mut new, width * channels, channels, factor as f32);
    with_alpha_of(&image, new)
}

widest! {
    #[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes a byte")]
    fn sharpen<'a>(old: &'a [u8], new: &'a mut [u8], stride: usize, channels: usize, factor: f32) -> () {
        let mut sums = vec![0_u16; stride];
        let inside = stride - 2 * channels;
        let rows = old.windows(3 * stride).step_by(stride).zip(new.chunks_exact_mut(stride).skip(1));
        for (old, new) in rows {
            let (above, here, below) = (&old[..stride], &old[stride..2 * stride], &old[2 * stride..]);
            for (((sum, &a), &b), &c) in sums.iter_mut().zip(above).zip(here).zip(below) {
                *sum = u16::from(a) + u16::from(b) + u16::from(c);
            }
            let (left, middle, right) = (&sums[..inside], &sums[channels..][..inside], &sums[2 * channels..]);
            let old = &here[channels..][..inside];
            for ((((new, &old), &a), &b), &c) in new[channels..].iter_mut().zip(old).zip(left).zip(middle).zip(right) {
                let smooth = (2 * (a + b + c + 4 * u16::from(old)) + 13) / 26;
                *new = (f32::from(old) * factor + f32::from(smooth) * (1.0 - factor) + 0.5) as u8;
            }
        }
    }
}

/// The mean of the neighbours, weighted by a bell of standard deviation `sigma` pixels; beyond the border the picture is mirrored.
#[expect(clippy::cast_possible_truncation, reason = "a mean of levels is a level")]
pub(super) fn gaussian_blur(image: &Image, sigma: f64) -> Image {
    let smooth = blur(image.pixels(), image.shape(), sigma);
    with_alpha_of(image, smooth.into_iter().map(|level| (level + 0.5) as u8).collect())
}

/// What `gaussian_blur` does to levels, done to the values of any shape.
#[expect(clippy::cast_possible_truncation, reason = "weights, computed in f64")]
pub(super) fn blur<T: Copy + Into<f32>>(values: &[T], shape: Shape, sigma: f64) -> Vec<f32> {
    let reach = rounded((3.0 * sigma).ceil());
    let bell: Vec<f64> = (0..=2 * reach).map(|i| (-0.5 * ((i as f64 - reach as f64) / sigma).powi(2)).exp()).collect();
    let sum: f64 = bell.iter().sum();
    let bell: Vec<f32> = bell.into_iter().map(|weight| (weight / sum) as f32).collect();
    let Shape { height, width, channels } = shape;
    let stride = width * channels;
    let columns: Vec<usize> = (0..width + 2 * reach).map(|i| mirrored(i, reach, width)).collect();
    // Rows first: one row, with its mirrored ends, after the other.
    let mut wide = vec![0.0_f32; (width + 2 * reach) * channels];
    let mut across = vec![0.0_f32; height * stride];
    for (row, out) in values.chunks_exact(stride).zip(across.chunks_exact_mut(stride)) {
        for (to, &column) in wide.chunks_exact_mut(channels).zip(&columns) {
            to.iter_mut().zip(&row[column * channels..]).for_each(|(to, &value)| *to = value.into());
        }
        for (i, &weight) in bell.iter().enumerate() {
            add(out, &wide[i * channels..], weight);
        }
    }
    let mut smooth = vec![0.0_f32; height * stride];
    for (row, out) in smooth.chunks_exact_mut(stride).enumerate() {
        for (i, &weight) in bell.iter().enumerate() {
            add(out, &across[mirrored(row + i, reach, height) * stride..], weight);
        }
    }
    smooth
}

fn add(sums: &mut [f32], values: &[f32], weight: f32) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight);
}

/// The place in `0..length` of the `i`-th place of a side with a border of `reach`, where the picture is mirrored at its last pixels,
/// as often as it takes.
fn mirrored(i: usize, reach: usize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length - 1);
    let place = (i + reach.div_ceil(period) * period - reach) % period;
    place.min(period - place)
}

fn with_alpha_of(image: &Image, mut pixels: Vec<u8>) -> Image {
    if image.channels() == 4 {
        for (new, old) in pixels.chunks_exact_mut(4).zip(image.pixels().chunks_exact(4)) {
            new[3] = old[3];
        }
    }
    Image::new(image.shape(), pixels)
}

/// How much noise is added (torchvision's `GaussianNoise`): to each level by itself, normally distributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Noise {
    /// The share of pictures that get noise, 0 to 1.
    pub probability: f64,
    /// The standard deviation, where black is 0 and white is 1; 0 to 1.
    pub sigma: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self { probability: 1.0, sigma: 0.1 }
    }
}

impl Noise {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        within(key, "sigma", self.sigma, [0.0, 1.0])
    }

    #[expect(clippy::cast_possible_truncation, reason = "a float is clamped when it becomes a byte")]
    pub(super) fn apply(&self, mut image: Image, rng: &mut Rng) -> Image {
        if !rng.chance(self.probability) {
            return image;
        }
        let channels = image.channels();
        let deviation = 255.0 * self.sigma as f32;
        let mut spare = None;
        for pixel in image.pixels_mut().chunks_exact_mut(channels) {
            for level in &mut pixel[..channels.min(3)] {
                let noise = spare.take().unwrap_or_else(|| {
                    let [now, later] = normal_pair(rng);
                    spare = Some(later);
                    now
                });
                *level = (f32::from(*level) + deviation * noise + 0.5) as u8;
            }
        }
        image
    }
}

/// Two independent normal numbers (Box and Muller 1958); in 32 bits, for a picture takes many.
fn normal_pair(rng: &mut Rng) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - rng.uniform()).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * rng.uniform()).sin_cos();
    [radius * cos, radius * sin]
}

/// How a picture is worn by storing it as JPEG (torchvision's `JPEG`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JpegArtefacts {
    /// The share of pictures that are changed, 0 to 1.
    pub probability: f64,
    /// The quality: `[least, most]`, 1 (coarse) to 100.
    pub quality: [u8; 2],
}

impl Default for JpegArtefacts {
    fn default() -> Self {
        Self { probability: 0.5, quality: [50, 100] }
    }
}

impl JpegArtefacts {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "probability", self.probability, [0.0, 1.0])?;
        within(key, "quality.0", self.quality[0].into(), [1.0, 100.0])?;
        within(key, "quality.1", self.quality[1].into(), [self.quality[0].into(), 100.0])
    }

    #[expect(clippy::cast_possible_truncation, reason = "a quality of at most 100")]
    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let (worn, [least, most]) = (rng.chance(self.probability), self.quality.map(usize::from));
        let quality = rng.range(least..most + 1) as u8;
        if worn { jpeg::wear(image, quality) } else { image }
    }
}
