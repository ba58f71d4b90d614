//! The mean and the standard deviation of each channel over many pictures. It does not know which pictures, or what for.

use crate::{DataError, Image};

/// Streaming statistics of the levels of each channel, in whole numbers: the order of the pictures makes no difference at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelStats {
    pixels: u64,
    sums: Vec<u64>,
    squares: Vec<u64>,
}

impl ChannelStats {
    /// The statistics of all these pictures.
    ///
    /// # Errors
    /// The first error among the pictures, and [`DataError::Corrupt`] where the number of channels changes.
    pub fn of(images: impl IntoIterator<Item = Result<Image, DataError>>) -> Result<Self, DataError> {
        let mut stats = Self::default();
        images.into_iter().try_for_each(|image| stats.add(&image?))?;
        Ok(stats)
    }

    /// Counts one picture in.
    ///
    /// # Errors
    /// [`DataError::Corrupt`] if it has another number of channels than those before.
    pub fn add(&mut self, image: &Image) -> Result<(), DataError> {
        let channels = image.channels();
        if self.sums.is_empty() {
            (self.sums, self.squares) = (vec![0; channels], vec![0; channels]);
        }
        if self.sums.len() != channels {
            let why = format!(
                "{channels} channels where others have {}; put `{{ channels = 3 }}` or 1 into `prepare`",
                self.sums.len()
            );
            return Err(DataError::Corrupt { name: "image".into(), why });
        }
        for pixel in image.pixels().chunks_exact(channels) {
            for (channel, &level) in pixel.iter().enumerate() {
                self.sums[channel] += u64::from(level);
                self.squares[channel] += u64::from(level) * u64::from(level);
            }
        }
        self.pixels += (image.height() * image.width()) as u64;
        Ok(())
    }

    /// These statistics and those of other pictures of as many channels.
    ///
    /// # Panics
    /// If both have pictures, of different numbers of channels.
    #[must_use]
    pub fn merge(self, other: &Self) -> Self {
        if self.sums.is_empty() || other.sums.is_empty() {
            return if self.sums.is_empty() { other.clone() } else { self };
        }
        assert_eq!(self.sums.len(), other.sums.len(), "statistics of as many channels");
        let add = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        Self {
            pixels: self.pixels + other.pixels,
            sums: add(&self.sums, &other.sums),
            squares: add(&self.squares, &other.squares),
        }
    }

    /// The mean of each channel, where white is 1.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        self.sums.iter().map(|&sum| sum as f64 / self.pixels as f64 / 255.0).collect()
    }

    /// The standard deviation of each channel (of the population), where white is 1.
    #[must_use]
    pub fn std(&self) -> Vec<f64> {
        let pixels = u128::from(self.pixels);
        let spread = |(&sum, &square): (&u64, &u64)| {
            // n^2 times the variance is a whole number, so nothing cancels.
            let scaled = pixels * u128::from(square) - u128::from(sum) * u128::from(sum);
            (scaled as f64).sqrt() / self.pixels as f64 / 255.0
        };
        self.sums.iter().zip(&self.squares).map(spread).collect()
    }
}
