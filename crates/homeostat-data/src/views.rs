//! Several views of one picture, whose answers are averaged when it is tested (test-time augmentation). It does not know who averages.

use crate::augment::mirror;
use crate::prepare::{cut, middle};
use crate::{Filter, Image, resize};

/// In which views a picture is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestViews {
    /// As it is, and with left and right swapped.
    Mirror,
    /// The four corners and the middle, each of 7/8 of its sides, enlarged to its size.
    FiveCrop,
}

impl TestViews {
    /// How many views there are.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Mirror => 2,
            Self::FiveCrop => 5,
        }
    }

    /// All views, of the size of the picture.
    #[must_use]
    pub fn of(self, image: Image) -> Vec<Image> {
        let [height, width] = [image.height(), image.width()];
        match self {
            Self::Mirror => with_mirrored(vec![image]),
            Self::FiveCrop => match five_crops(&image, [height, width].map(|side| (side * 7).div_ceil(8))) {
                Some(crops) => crops.iter().map(|crop| resize(crop, height, width, Filter::Bilinear)).collect(),
                None => unreachable!("a part is no larger than the whole"),
            },
        }
    }
}

/// The four corners and the middle, each of `[height, width]` (Krizhevsky et al. 2012; torchvision's `FiveCrop`): upper left, upper
/// right, lower left, lower right, middle. Nothing where the picture is smaller.
#[must_use]
pub fn five_crops(image: &Image, [height, width]: [usize; 2]) -> Option<[Image; 5]> {
    let bottom = image.height().checked_sub(height)?.cast_signed();
    let right = image.width().checked_sub(width)?.cast_signed();
    let center = [middle(image.height(), height), middle(image.width(), width)];
    let part = |[top, left]: [isize; 2]| cut(image, top, left, [height, width], 0);
    Some([[0, 0], [0, right], [bottom, 0], [bottom, right], center].map(part))
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
