//! One change of a picture, all of whose numbers are known. It does not know chance.

use super::{color, detail, levels};
use crate::Image;
use crate::affine::{Affine, resample};

/// A change of a picture that random policies are made of: the same picture comes out each time. What has no colour has no saturation
/// nor hue; alpha is moved, but its levels stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Changes nothing.
    Identity,
    /// Rows move to the left by this many pixels a row, about the upper left corner.
    ShearX(f64),
    /// Columns move up by this many pixels a column, about the upper left corner.
    ShearY(f64),
    /// Moves to the right, by pixels.
    TranslateX(f64),
    /// Moves down, by pixels.
    TranslateY(f64),
    /// Turns about the centre, counter-clockwise, by degrees.
    Rotate(f64),
    /// Fades from black: 0 is black, 1 changes nothing, more is brighter.
    Brightness(f64),
    /// Fades from the picture's mean grey: 0 is grey, 1 changes nothing.
    Contrast(f64),
    /// Fades from the same picture in grey: 0 is grey, 1 changes nothing.
    Saturation(f64),
    /// Moves colours around the colour circle: 1 is once around.
    Hue(f64),
    /// Fades from a smoothed picture: 0 is smooth, 1 changes nothing, more is sharper.
    Sharpness(f64),
    /// Keeps this many upper bits of each level, 0 to 8.
    Posterize(u32),
    /// Inverts levels from this one on.
    Solarize(f64),
    /// Stretches the levels of each channel to all of 0 to 255.
    Autocontrast,
    /// Spreads the levels of each channel, so that about as many pixels have each.
    Equalize,
    /// Inverts all levels.
    Invert,
    /// Makes all channels the same grey.
    Grayscale,
    /// Blurs with a bell of this standard deviation in pixels.
    Blur(f64),
}

impl Operation {
    /// The picture, changed; what comes in from outside where pixels move has the level `fill`.
    ///
    /// ```
    /// use homeostat_data::{Image, Operation, Shape};
    ///
    /// let image = Image::new(Shape { height: 1, width: 3, channels: 1 }, vec![0, 100, 255]);
    /// assert_eq!(Operation::Invert.apply(image, 0).pixels(), [255, 155, 0]);
    /// ```
    #[must_use]
    pub fn apply(self, image: Image, fill: u8) -> Image {
        let half = |side: usize| side as f64 / 2.0;
        let motion = match self {
            Self::Identity => return image,
            Self::ShearX(slope) => Affine::shear_x(slope).then(Affine::translate(-slope * half(image.height()), 0.0)),
            Self::ShearY(slope) => Affine::shear_y(slope).then(Affine::translate(0.0, -slope * half(image.width()))),
            Self::TranslateX(pixels) => Affine::translate(pixels, 0.0),
            Self::TranslateY(pixels) => Affine::translate(0.0, pixels),
            Self::Rotate(degrees) => Affine::rotate(-degrees),
            Self::Brightness(factor) => return levels::brightness(image, factor),
            Self::Contrast(factor) => return levels::contrast(image, factor),
            Self::Saturation(factor) => return color::saturation(image, factor),
            Self::Hue(turn) => return color::hue(image, turn),
            Self::Sharpness(factor) => return detail::sharpness(image, factor),
            Self::Posterize(bits) => return levels::posterize(image, bits),
            Self::Solarize(threshold) => return levels::solarize(image, threshold),
            Self::Autocontrast => return levels::autocontrast(image),
            Self::Equalize => return levels::equalize(image),
            Self::Invert => return levels::map(image, |level| 255 - level),
            Self::Grayscale => return color::grayscale(image),
            Self::Blur(sigma) => return detail::gaussian_blur(&image, sigma),
        };
        resample(&image, motion, fill)
    }
}
