//! Pictures that grow with the epoch: small ones at first, which cost less (progressive resizing; Howard 2018, Karras et al. 2018). It
//! does not know networks, nor whether one takes pictures of several sizes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DataError, Filter, Image, resize};

/// Training pictures grow from a size to their full one, evenly over the first epochs. What is measured has always its full size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Progressive {
    /// The shorter side in the first epoch, in pixels.
    pub from: usize,
    /// The first epoch, counted from 0, in which pictures have their full size; at least 1.
    pub until_epoch: u64,
}

/// Sides on the way are multiples of this, so that only a few sizes come about.
const STEP: usize = 8;

impl Progressive {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        for (name, value) in [("from", self.from as u64), ("until-epoch", self.until_epoch)] {
            if value == 0 {
                return Err(DataError::config(&format!("{key}.{name}"), "is 0, but must be at least 1"));
            }
        }
        Ok(())
    }

    /// The sides in this epoch of pictures that have `[height, width]` in the end.
    ///
    /// ```
    /// use homeostat_data::Progressive;
    ///
    /// let progressive = Progressive { from: 64, until_epoch: 4 };
    /// let sides = (0..5).map(|epoch| progressive.sides(epoch, [128, 128])[0]).collect::<Vec<_>>();
    /// assert_eq!(sides, [64, 80, 96, 112, 128]);
    /// ```
    #[must_use]
    pub fn sides(&self, epoch: u64, [height, width]: [usize; 2]) -> [usize; 2] {
        let full = height.min(width);
        if epoch >= self.until_epoch || self.from >= full {
            return [height, width];
        }
        let grown = (full - self.from) as u128 * u128::from(epoch) / u128::from(self.until_epoch);
        let grown = self.from + grown as usize;
        let shorter = if epoch == 0 { self.from } else { grown.next_multiple_of(STEP).min(full) };
        [height, width].map(|side| (side * shorter).div_ceil(full))
    }

    /// The picture in its size of this epoch.
    #[must_use]
    pub fn apply(&self, image: &Image, epoch: u64) -> Image {
        let [height, width] = self.sides(epoch, [image.height(), image.width()]);
        resize(image, height, width, Filter::Bilinear)
    }
}
