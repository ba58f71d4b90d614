//! Several views of one picture, whose answers are averaged (test-time augmentation). It does not know who averages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::augment::mirror;
use crate::prepare::cut;

/// In which views a prepared picture is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestViews {
    /// As it is, and with left and right swapped.
    Mirror,
    /// The four corners and the middle, each of 7/8 of its sides, enlarged to its size.
    FiveCrop,
}

/// The four corners and the middle, each of `[height, width]` (Krizhevsky et al. 2012; torchvision's `FiveCrop`): upper left, upper
/// right, lower left, lower right, middle. Nothing where the picture is smaller.
#[must_use]
pub fn five_crops(image: &Image, [height, width]: [usize; 2]) -> Option<[Image; 5]> {
    let part = |[top, left]: [usize; 2]| cut(image, top.cast_signed(), left.cast_signed(), [height, width], 0);
    Some(five_corners([image.height(), image.width()], [height, width])?.map(part))
}

/// The row and column at which each of the [`five_crops`] of `[height, width]` begins, of a picture of these rows and columns. Nothing
/// where the picture is smaller.
#[must_use]
pub fn five_corners([rows, columns]: [usize; 2], [height, width]: [usize; 2]) -> Option<[[usize; 2]; 5]> {
    let (bottom, right) = (rows.checked_sub(height)?, columns.checked_sub(width)?);
    Some([[0, 0], [0, right], [bottom, 0], [bottom, right], [bottom / 2, right / 2]])
}

/// Each view, and behind them all each once more with left and right swapped: one view makes two, five make torchvision's `TenCrop`.
///
/// ```
/// use homeostat_data::{Image, Shape, five_crops, with_mirrored};
///
/// let image = Image::new(Shape { height: 2, width: 3, channels: 1 }, (0..6).collect());
/// let crops = five_crops(&image, [1, 2]).expect("a picture that is large enough");
/// let views = with_mirrored(crops.into());
/// assert_eq!((views.len(), views[1].pixels(), views[6].pixels()), (10, [1, 2].as_slice(), [2, 1].as_slice()));
/// ```
#[must_use]
pub fn with_mirrored(views: Vec<Image>) -> Vec<Image> {
    let mirrored: Vec<Image> = views.iter().cloned().map(mirror).collect();
    [views, mirrored].concat()
}
