use homeostat_data::{DataError, Image, Rng, Shape};

use crate::{differences, fixture, picture};

fn decode(name: &str) -> Image {
    Image::decode(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn why(bytes: &[u8]) -> String {
    match Image::decode(bytes) {
        Err(DataError::Corrupt { why, .. }) => why,
        other => panic!("{} bytes gave {other:?}", bytes.len()),
    }
}

const FORMATS: [&str; 9] = [
    "decoded.png",
    "rgb.bmp",
    "lossless.webp",
    "lossy.webp",
    "baseline.jpg",
    "progressive.jpg",
    "grey.jpg",
    "still.gif",
    "palette.png",
];

#[test]
fn formats_without_loss_decode_to_the_pixels_of_pillow() {
    for (name, truth) in [
        ("rgb.bmp", "decoded.png"),
        ("lossless.webp", "decoded.png"),
        ("opaque.png", "decoded.png"),
        ("orientation-6.png", "decoded.png"),
        ("palette.png", "palette-decoded.png"),
        ("animated.gif", "palette-decoded.png"),
    ] {
        assert_eq!(decode(name).shape(), Shape { height: 16, width: 24, channels: 3 }, "{name}");
        assert_eq!(decode(name).pixels(), decode(truth).pixels(), "{name}");
    }
}

#[test]
fn formats_with_loss_decode_to_nearly_the_pixels_of_pillow() {
    for name in ["baseline.jpg", "progressive.jpg", "orientation-6.jpg", "lossy.webp"] {
        let far = differences(&decode(name), &decode("decoded.png"));
        let mean = far.iter().map(|&d| f64::from(d)).sum::<f64>() / far.len() as f64;
        assert!(mean < if name == "lossy.webp" { 25.0 } else { 6.0 }, "{name}: {mean}");
    }
    assert_eq!(decode("cmyk.jpg").channels(), 3);
}

#[test]
fn grey_stays_grey_and_alpha_stays_where_it_says_something() {
    for name in ["grey-16.png", "grey.jpg", "one-bit.png", "grey-opaque.png"] {
        assert_eq!(decode(name).channels(), 1, "{name}");
    }
    assert_eq!(decode("grey-16.png"), decode("decoded.png").to_channels(1), "16 bits are rounded to 8");
    let alpha = decode("alpha.png");
    assert_eq!((alpha.channels(), alpha.get(3, 0)[3]), (4, 30));
    assert_eq!(alpha.to_channels(3), decode("decoded.png"), "transparency is dropped");
}

#[test]
fn luma_is_that_of_pillow() {
    assert_eq!(decode("source.png").to_channels(1), decode("source-luma.png"));
    assert_eq!(decode("source-luma.png").to_channels(3).to_channels(1), decode("source-luma.png"));
}

#[test]
fn png_gives_back_what_went_in() {
    for channels in [1, 3, 4] {
        let image = picture(5, 7, channels, |x, y, channel| u8::try_from(x * 30 + y * 7 + channel).unwrap());
        assert_eq!(Image::decode(&image.encode_png()).unwrap(), image);
    }
}

#[test]
fn what_is_no_picture_says_so() {
    assert_eq!(why(b""), "the file is empty (0 bytes)");
    assert!(why(b"hello").contains("neither PNG"));
    assert!(why(&[0; 4096]).contains("neither PNG"));
}

/// Also where decoders would fill in grey: JPEG without its end.
#[test]
fn a_picture_cut_short_anywhere_in_its_pixels_is_an_error() {
    for name in FORMATS {
        let bytes = fixture(name);
        for keep in [bytes.len() / 2, bytes.len() * 3 / 4, bytes.len() * 9 / 10] {
            let why = why(&bytes[..keep]);
            assert!(!why.is_empty() && !why.contains('\n'), "{name} cut to {keep}: {why:?}");
        }
    }
    let jpeg = fixture("baseline.jpg");
    assert!(why(&jpeg[..jpeg.len() - 2]).contains("cut short"), "only the end marker is gone");
}

#[test]
fn an_end_marker_inside_a_thumbnail_does_not_hide_that_a_jpeg_is_cut_short() {
    let jpeg = fixture("baseline.jpg");
    let thumbnail = [0xFF, 0xE2, 0x00, 0x06, 0xFF, 0xD8, 0xFF, 0xD9];
    let with_thumbnail = [&jpeg[..2], &thumbnail, &jpeg[2..]].concat();
    assert_eq!(Image::decode(&with_thumbnail).unwrap(), decode("baseline.jpg"));
    assert!(why(&with_thumbnail[..jpeg.len() / 2]).contains("cut short"));
    let with_tail = [&jpeg[..], b"what a camera appends"].concat();
    assert_eq!(Image::decode(&with_tail).unwrap(), decode("baseline.jpg"));
}

/// A PNG header of 100,000 x 100,000 pixels in 33 bytes.
#[test]
fn a_picture_that_claims_too_much_is_refused_by_its_header() {
    let mut bytes = fixture("decoded.png");
    bytes[16..24].copy_from_slice(&[0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0]);
    let crc = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&crc);
    assert!(why(&bytes).contains("100000 x 100000 pixels"), "{}", why(&bytes));
}

/// The checksum of PNG, bit by bit (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

/// Whatever the bytes: a picture or an error.
#[test]
fn damaged_bytes_never_panic() {
    for name in FORMATS {
        let bytes = fixture(name);
        for round in 0..200 {
            let mut rng = Rng::keyed(1, [0, round, 0]);
            let mut damaged = bytes.clone();
            for _ in 0..rng.range(1..8) {
                let at = rng.range(0..damaged.len());
                damaged[at] = u8::try_from(rng.range(0..256)).unwrap();
            }
            if let Ok(image) = Image::decode(&damaged) {
                assert!(!image.shape().is_empty(), "{name}");
            }
        }
    }
}
