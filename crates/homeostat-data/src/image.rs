//! A picture on the host, 8 bits a channel, and the door from encoded bytes to it. It does not know files or labels.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageReader};

use crate::conversion::Conversion;
use crate::guard::guarded;
use crate::{DataError, jpeg};

/// The most pixels that a picture may have: 2^26, which is 8192 x 8192. Checked from the header, before memory is taken.
pub const PIXEL_LIMIT: u64 = 1 << 26;

/// The most pixels on one side, that of JPEG; a strip that is longer would cost much memory when it is resized.
const SIDE_LIMIT: u32 = 65_535;

/// The size of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 (grey), 3 (red, green, blue) or 4 (and alpha).
    pub channels: usize,
}

impl Shape {
    /// The bytes of a picture of this shape.
    #[must_use]
    pub fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether there is no pixel at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A picture: 8-bit levels in the order `[height, width, channels]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    shape: Shape,
    pixels: Vec<u8>,
}

impl Image {
    /// A picture of pixels that are there already, in the order `[height, width, channels]`.
    ///
    /// # Panics
    /// If the number of bytes does not fit the shape, or the channels are not 1, 3 or 4.
    #[must_use]
    pub fn new(shape: Shape, pixels: Vec<u8>) -> Self {
        assert!(matches!(shape.channels, 1 | 3 | 4), "a picture has 1, 3 or 4 channels, not {}", shape.channels);
        assert_eq!(pixels.len(), shape.len(), "{} bytes do not make a picture of {shape:?}", pixels.len());
        Self { shape, pixels }
    }

    /// Decodes PNG, JPEG, WebP, BMP or the first frame of a GIF; the content decides, not a file name.
    ///
    /// The picture is turned as its EXIF orientation says. 16 bits a channel are rounded to 8, a palette is looked up, and an
    /// alpha channel that is opaque everywhere is dropped. Grey stays one channel; grey with alpha becomes four; CMYK becomes red,
    /// green and blue. A [`Source`](crate::Source) counts the pictures that are converted.
    ///
    /// # Errors
    /// [`DataError::Corrupt`] (under the name `image`, see [`DataError::named`]) for bytes that are no picture, are cut short,
    /// claim more than [`PIXEL_LIMIT`] pixels, or bring a decoder to panic.
    pub fn decode(bytes: &[u8]) -> Result<Self, DataError> {
        Self::decode_converted(bytes).map(|(image, _)| image)
    }

    /// The same, and what was lost on the way.
    pub(crate) fn decode_converted(bytes: &[u8]) -> Result<(Self, Option<Conversion>), DataError> {
        guarded("the decoder", || decode(bytes)).map_err(|why| DataError::Corrupt { name: "image".into(), why })
    }

    /// The picture as a PNG file.
    ///
    /// # Panics
    /// Never for a picture with pixels: writing to memory does not fail.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the pixel limit keeps both sides below 2^26")]
    pub fn encode_png(&self) -> Vec<u8> {
        let color = match self.shape.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        let mut bytes = Vec::new();
        let written = image::codecs::png::PngEncoder::new(&mut bytes).write_image(
            &self.pixels,
            self.shape.width as u32,
            self.shape.height as u32,
            color,
        );
        assert!(written.is_ok(), "cannot write a PNG of {:?}: {written:?}", self.shape);
        bytes
    }

    /// Height, width and channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.shape.height
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// 1, 3 or 4.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shape.channels
    }

    /// All levels, `[height, width, channels]`.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All levels, to be changed in place.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The levels alone.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The channels of the pixel in column `x` and row `y`.
    #[must_use]
    pub fn get(&self, x: usize, y: usize) -> &[u8] {
        let start = (y * self.shape.width + x) * self.shape.channels;
        &self.pixels[start..start + self.shape.channels]
    }

    /// The same picture in grey (1) or colour (3). Alpha is dropped, and grey is the luma of ITU-R 601-2, both as Pillow's `convert`
    /// does it.
    ///
    /// # Panics
    /// If `channels` is neither 1 nor 3.
    #[must_use]
    pub fn to_channels(self, channels: usize) -> Self {
        assert!(matches!(channels, 1 | 3), "pictures are converted to 1 or 3 channels, not {channels}");
        let shape = Shape { channels, ..self.shape };
        let pixels = match (self.shape.channels, channels) {
            (from, to) if from == to => self.pixels,
            (1, _) => self.pixels.iter().flat_map(|&level| [level; 3]).collect(),
            (from, 1) => self.pixels.chunks_exact(from).map(luma).collect(),
            (from, _) => self.pixels.chunks_exact(from).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        };
        Self { shape, pixels }
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shape { height, width, channels } = self.shape;
        write!(f, "Image({height} x {width} x {channels})")
    }
}

/// ITU-R 601-2 in 16-bit fixed point: 0.299 red, 0.587 green, 0.114 blue, rounded.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the weights sum to 2^16, so the result is at most 255")]
pub(crate) fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

fn decode(bytes: &[u8]) -> Result<(Image, Option<Conversion>), String> {
    if bytes.is_empty() {
        return Err("the file is empty (0 bytes)".into());
    }
    if bytes.starts_with(&jpeg::MAGIC) {
        return jpeg::decode(bytes);
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    reader.format().ok_or("this is no picture: neither PNG, JPEG, WebP, BMP nor GIF")?;
    let fault = |error: image::ImageError| one_line(&error.to_string());
    let mut decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    // A broken orientation is no reason to lose the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(fault)?;
    picture.apply_orientation(orientation);
    let color = picture.color();
    let is_deep = color.bytes_per_pixel() > color.channel_count();
    Ok((from_dynamic(picture), is_deep.then_some(Conversion::Deep)))
}

pub(crate) fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > PIXEL_LIMIT || width.max(height) > SIDE_LIMIT {
        let limits = format!("1 to {PIXEL_LIMIT}, and at most {SIDE_LIMIT} on a side");
        return Err(format!("{height} x {width} pixels, but a picture has {limits}"));
    }
    Ok(())
}

pub(crate) fn from_dynamic(picture: DynamicImage) -> Image {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let color = picture.color();
    let image = |channels, pixels| Image::new(Shape { height, width, channels }, pixels);
    if color.has_alpha() {
        let pixels = picture.to_rgba8().into_raw();
        if pixels.chunks_exact(4).any(|pixel| pixel[3] != u8::MAX) {
            return image(4, pixels);
        }
    }
    if color.has_color() { image(3, picture.into_rgb8().into_raw()) } else { image(1, picture.into_luma8().into_raw()) }
}

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
