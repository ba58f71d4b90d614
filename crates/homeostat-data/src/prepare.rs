//! What is done to every picture before a network sees it, in training and in serving alike: deterministic, and stored with the
//! weights. It does not know randomness; see [`ImageAugment`](crate::ImageAugment) for that.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ChannelStats, DataError, Filter, Image, Shape, image::PIXEL_LIMIT, resize::resize};

/// What is done to every picture before the network sees it, in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ImagePrepare(pub Vec<PrepareStep>);

/// One step of the preparation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrepareStep {
    /// Changes the size of the picture, antialiased.
    Resize(Resize),
    /// Cuts out the middle; a picture that is smaller gets a border.
    CenterCrop(CenterCrop),
    /// Makes every picture grey (1) or coloured (3); transparency is dropped.
    Channels(usize),
    /// Subtracts a mean and divides by a standard deviation; has to be the last step.
    Normalize(Normalize),
    /// Like `normalize`, with the mean and the standard deviation of the training split, found when training starts.
    NormalizeFromTrain,
}

/// Two sides in pixels: one number for both, or `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// As high as wide.
    Square(usize),
    /// `[height, width]`.
    Rectangle([usize; 2]),
}

impl Size {
    /// `[height, width]`.
    #[must_use]
    pub fn sides(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side; 2],
            Self::Rectangle(sides) => sides,
        }
    }

    pub(crate) fn check(self, key: &str) -> Result<(), DataError> {
        let [height, width] = self.sides();
        let allowed = height > 0 && width > 0 && (height as u64).saturating_mul(width as u64) <= PIXEL_LIMIT;
        let why = format!("{height} x {width} pixels, but sides are at least 1 and have at most {PIXEL_LIMIT} pixels");
        if allowed { Ok(()) } else { Err(DataError::config(key, why)) }
    }
}

/// How the size of a picture is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resize {
    /// The new size in pixels: one number for both sides, or `[height, width]`.
    pub size: Size,
    /// Whether the picture is stretched to the size, or its shorter side gets the size and its proportions stay.
    pub mode: ResizeMode,
    /// How new pixels come from old ones.
    pub filter: Filter,
}

impl Default for Resize {
    fn default() -> Self {
        Self { size: Size::Square(224), mode: ResizeMode::Stretch, filter: Filter::Bilinear }
    }
}

/// What `size` means to a picture of other proportions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// Both sides get the size; the proportions may change.
    #[default]
    Stretch,
    /// The shorter side gets the size, which is one number; the proportions stay.
    ShorterSide,
}

/// How the middle is cut out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CenterCrop {
    /// The size of the middle in pixels: one number for both sides, or `[height, width]`.
    pub size: Size,
    /// The level of the border of a picture that is smaller, 0 (black) to 255.
    pub fill: u8,
}

impl Default for CenterCrop {
    fn default() -> Self {
        Self { size: Size::Square(224), fill: 0 }
    }
}

/// The line that maps levels to inputs: `(level / 255 - mean) / std`, for each channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Normalize {
    /// What is subtracted, in units where black is 0 and white is 1: one number for all channels, or one for each.
    pub mean: Vec<f64>,
    /// What it is then divided by, in the same units: one number for all channels, or one for each.
    pub std: Vec<f64>,
}

impl Default for Normalize {
    fn default() -> Self {
        Self { mean: vec![0.0], std: vec![1.0] }
    }
}

impl ImagePrepare {
    /// Whether the steps can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the step.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        let last = self.0.len().saturating_sub(1);
        self.0.iter().enumerate().try_for_each(|(i, step)| step.check(&format!("{key}.{i}"), i == last))?;
        self.channels().map_or(Ok(()), |channels| self.check_channels(key, channels))
    }

    /// Whether the normalisation fits pictures of so many channels, for the dotted `key` at which the steps stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the step.
    pub fn check_channels(&self, key: &str, channels: usize) -> Result<(), DataError> {
        let Some(Normalize { mean, .. }) = self.tail() else { return Ok(()) };
        if mean.len() == 1 || mean.len() == channels {
            return Ok(());
        }
        let key = format!("{key}.{}.normalize", self.0.len() - 1);
        let takes =
            if channels == 1 { "grey pictures take 1" } else { "colour pictures take 3, or 1 for all channels" };
        let why = format!("{} means and standard deviations, but {takes}", mean.len());
        Err(DataError::config(&key, why))
    }

    /// The number of channels that the last step about them makes.
    fn channels(&self) -> Option<usize> {
        self.0.iter().rev().find_map(|step| match step {
            PrepareStep::Channels(count) => Some(*count),
            _ => None,
        })
    }

    /// All steps but the normalisation, which runs on the device (see [`tail`](Self::tail)): 8 bits in, 8 bits out.
    ///
    /// ```
    /// use homeostat_data::{Image, ImagePrepare, Shape};
    ///
    /// # #[derive(serde::Deserialize)] struct Task { prepare: ImagePrepare }
    /// let text = r#"prepare = [
    ///     { resize = { size = 32, mode = "shorter-side" } },
    ///     { center-crop = { size = 28 } },
    ///     { channels = 1 },
    ///     { normalize = { mean = [0.5], std = [0.5] } },
    /// ]"#;
    /// # let Task { prepare } = toml::from_str(text)?;
    /// prepare.check("task.prepare")?;
    /// let photo = Image::new(Shape { height: 60, width: 80, channels: 3 }, vec![200; 60 * 80 * 3]);
    /// let input = prepare.host(photo)?;
    /// assert_eq!(input.shape(), Shape { height: 28, width: 28, channels: 1 });
    /// assert_eq!(prepare.input_shape(), Some(input.shape()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Corrupt`] (under the name `image`, see [`DataError::named`]) for a picture that is so narrow that its resized form would
    /// exceed the pixel limit.
    pub fn host(&self, image: Image) -> Result<Image, DataError> {
        self.0.iter().try_fold(image, |image, step| step.apply(image))
    }

    /// The normalisation, where there is one that is known.
    #[must_use]
    pub fn tail(&self) -> Option<&Normalize> {
        match self.0.last() {
            Some(PrepareStep::Normalize(normalize)) => Some(normalize),
            _ => None,
        }
    }

    /// The shape of the network's input, where the steps alone determine it; otherwise it is that of [`host`](Self::host) of any sample.
    #[must_use]
    pub fn input_shape(&self) -> Option<Shape> {
        let mut sides = None;
        for step in &self.0 {
            match step {
                PrepareStep::Resize(Resize { mode: ResizeMode::Stretch, size, .. })
                | PrepareStep::CenterCrop(CenterCrop { size, .. }) => sides = Some(size.sides()),
                PrepareStep::Resize(_) => sides = None,
                PrepareStep::Channels(_) | PrepareStep::Normalize(_) | PrepareStep::NormalizeFromTrain => {}
            }
        }
        let ([height, width], channels) = (sides?, self.channels()?);
        Some(Shape { height, width, channels })
    }

    /// Whether [`resolve`](Self::resolve) has something to do.
    #[must_use]
    pub fn wants_stats(&self) -> bool {
        self.0.contains(&PrepareStep::NormalizeFromTrain)
    }

    /// Replaces `normalize-from-train` by the `normalize` of these statistics, which are those of the training split after
    /// [`host`](Self::host). A channel that never varies gets the standard deviation 1.
    pub fn resolve(&mut self, stats: &ChannelStats) {
        let std = stats.std().into_iter().map(|std| if std > 0.0 { std } else { 1.0 }).collect();
        let found = PrepareStep::Normalize(Normalize { mean: stats.mean(), std });
        for step in self.0.iter_mut().filter(|step| **step == PrepareStep::NormalizeFromTrain) {
            *step = found.clone();
        }
    }
}

impl PrepareStep {
    fn check(&self, key: &str, is_last: bool) -> Result<(), DataError> {
        match self {
            Self::Resize(Resize { size: Size::Rectangle(_), mode: ResizeMode::ShorterSide, .. }) => {
                Err(DataError::config(&format!("{key}.resize.size"), "the mode `shorter-side` wants one number"))
            }
            Self::Resize(resize) => resize.size.check(&format!("{key}.resize.size")),
            Self::CenterCrop(crop) => crop.size.check(&format!("{key}.center-crop.size")),
            Self::Channels(1 | 3) => Ok(()),
            Self::Channels(count) => {
                Err(DataError::config(&format!("{key}.channels"), format!("{count} is neither 1 nor 3")))
            }
            Self::Normalize(_) | Self::NormalizeFromTrain if !is_last => {
                Err(DataError::config(key, "the normalisation has to be the last step"))
            }
            Self::Normalize(normalize) => normalize.check(&format!("{key}.normalize")),
            Self::NormalizeFromTrain => Ok(()),
        }
    }

    fn apply(&self, image: Image) -> Result<Image, DataError> {
        Ok(match self {
            Self::Resize(options) => {
                let [height, width] = options.target(image.shape())?;
                resize(&image, height, width, options.filter)
            }
            Self::CenterCrop(crop) => {
                let [height, width] = crop.size.sides();
                let (top, left) = (middle(image.height(), height), middle(image.width(), width));
                cut(&image, top, left, [height, width], crop.fill)
            }
            Self::Channels(count) => image.to_channels(*count),
            Self::Normalize(_) | Self::NormalizeFromTrain => image,
        })
    }
}

impl Resize {
    /// `[height, width]` for a picture of this shape; the longer side is rounded down, as torchvision does it.
    fn target(&self, from: Shape) -> Result<[usize; 2], DataError> {
        let [height, width] = self.size.sides();
        if self.mode == ResizeMode::Stretch {
            return Ok([height, width]);
        }
        let shorter = from.height.min(from.width);
        let scaled = |side: usize| side.saturating_mul(height) / shorter;
        let sides = [scaled(from.height), scaled(from.width)];
        if sides[0].saturating_mul(sides[1]) as u64 > PIXEL_LIMIT {
            let why = format!(
                "{} x {} pixels are too narrow to resize the shorter side to {height}",
                from.height, from.width
            );
            return Err(DataError::Corrupt { name: "image".into(), why });
        }
        Ok(sides)
    }
}

impl Normalize {
    #[expect(clippy::cast_possible_truncation, reason = "whether something is lost is what is asked")]
    fn check(&self, key: &str) -> Result<(), DataError> {
        if self.mean.len() != self.std.len() || !matches!(self.mean.len(), 1 | 3) {
            let why = format!(
                "{} means and {} standard deviations, but there is one of each for all channels, or for each of 3",
                self.mean.len(),
                self.std.len()
            );
            return Err(DataError::config(key, why));
        }
        // Networks compute with 32 bits: what is 0 or infinite there would make every input so.
        let usable = |(mean, std): (&f64, &f64)| {
            let (scale, shift) = ((1.0 / (255.0 * std)) as f32, (mean / std) as f32);
            *std > 0.0 && scale.is_normal() && shift.is_finite()
        };
        if self.mean.iter().zip(&self.std).all(usable) {
            return Ok(());
        }
        let why = "means have to be finite, standard deviations above 0, and both in the range of 32-bit floats";
        Err(DataError::config(key, why))
    }
}

/// Where the middle begins: before the picture, and so below 0, where the picture is smaller.
pub(crate) fn middle(from: usize, to: usize) -> isize {
    (from.cast_signed() - to.cast_signed()) / 2
}

/// The rectangle whose upper left corner is at row `top` and column `left`; what lies outside the picture is `fill`.
pub(crate) fn cut(image: &Image, top: isize, left: isize, [height, width]: [usize; 2], fill: u8) -> Image {
    let shape = Shape { height, width, channels: image.channels() };
    let mut pixels = vec![fill; shape.len()];
    let columns = overlap(left, width, image.width());
    if !columns.is_empty() {
        let bytes = columns.len() * shape.channels;
        for row in overlap(top, height, image.height()) {
            let to = (row * width + columns.start) * shape.channels;
            let (y, x) = (top.saturating_add_unsigned(row), left.saturating_add_unsigned(columns.start));
            let from = (y.cast_unsigned() * image.width() + x.cast_unsigned()) * shape.channels;
            pixels[to..to + bytes].copy_from_slice(&image.pixels()[from..from + bytes]);
        }
    }
    Image::new(shape, pixels)
}

/// The part of `0..length` that lies inside `0..limit` once it is moved by `offset`.
fn overlap(offset: isize, length: usize, limit: usize) -> Range<usize> {
    let length = length.cast_signed();
    let start = (-offset).clamp(0, length);
    let end = (limit.cast_signed() - offset).clamp(start, length);
    start.cast_unsigned()..end.cast_unsigned()
}
