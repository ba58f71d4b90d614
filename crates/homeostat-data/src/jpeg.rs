//! JPEG files as pictures, by `zune-jpeg`, which reads the header once where the `image` crate has it read three times. It does not
//! know the other formats.

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::Image;
use crate::conversion::Conversion;
use crate::image::{check_size, from_dynamic, one_line};

/// What a JPEG file begins with.
pub(crate) const MAGIC: [u8; 3] = [0xFF, 0xD8, 0xFF];

pub(crate) fn decode(bytes: &[u8]) -> Result<(Image, Option<Conversion>), String> {
    let fault = |error: zune_jpeg::errors::DecodeErrors| one_line(&error.to_string());
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(fault)?;
    let info = decoder.info().ok_or("a JPEG without a header")?;
    let [width, height] = [u32::from(info.width), u32::from(info.height)];
    check_size(width, height)?;
    if !is_whole(bytes) {
        return Err(format!("the JPEG is cut short: {} bytes and no end marker", bytes.len()));
    }
    let stored = decoder.input_colorspace();
    let is_grey = stored == Some(ColorSpace::Luma);
    let is_print = matches!(stored, Some(ColorSpace::CMYK | ColorSpace::YCCK));
    let color = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(color));
    let pixels = decoder.decode().map_err(fault)?;
    let picture = if is_grey {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    let mut picture = picture.ok_or("a JPEG with more or fewer pixels than its header says")?;
    // A broken orientation is no reason to lose the picture.
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok((from_dynamic(picture), is_print.then_some(Conversion::Print)))
}

/// The picture as it looks once it was stored as a JPEG of this quality, 1 to 100; alpha stays. One that is too large for a JPEG stays as
/// it is.
#[expect(clippy::cast_possible_truncation, reason = "a picture has fewer than 2^26 columns and rows")]
pub(crate) fn wear(image: Image, quality: u8) -> Image {
    let (width, height, channels) = (image.width() as u32, image.height() as u32, image.channels());
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let opaque = if channels == 4 { image.clone().to_channels(3) } else { image.clone() };
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    let worn = match encoder.write_image(opaque.pixels(), width, height, color) {
        Ok(()) => decode(&bytes).map_or(opaque, |(worn, _)| worn),
        Err(_) => opaque,
    };
    if channels < 4 {
        return worn;
    }
    let mut image = image;
    for (pixel, worn) in image.pixels_mut().chunks_exact_mut(4).zip(worn.pixels().chunks_exact(3)) {
        pixel[..3].copy_from_slice(worn);
    }
    image
}

/// Whether a JPEG reaches its end-of-image marker. Decoders paint what is missing grey and say nothing, hence this walk over the
/// segments (ITU-T T.81, annex B); an end marker inside a segment, such as that of an embedded thumbnail, does not count.
fn is_whole(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Between segments and inside a scan alike, the next marker is an FF that is followed by neither 00 nor FF.
        let is_marker = |&at: &usize| rest.get(at + 1).is_some_and(|next| !matches!(next, 0x00 | 0xFF));
        let Some(at) = memchr::memchr_iter(0xFF, rest).find(is_marker) else { return false };
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            END_OF_IMAGE => return true,
            0x01 | 0xD0..=0xD8 => {}
            _ => {
                let &[high, low, ..] = rest else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(after) = rest.get(length.max(2)..) else { return false };
                rest = after;
            }
        }
    }
}
