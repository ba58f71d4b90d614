use std::sync::{Arc, Mutex};

use homeostat_data::{Conversion, DataError, DataRoot, Image, ImageFolderConfig, Rng, Shape, SourceConfig};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

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
    for name in ["baseline.jpg", "progressive.jpg", "orientation-6.jpg", "cmyk.jpg", "lossy.webp"] {
        let far = differences(&decode(name), &decode("decoded.png"));
        let mean = far.iter().map(|&d| f64::from(d)).sum::<f64>() / far.len() as f64;
        assert!(mean < if name == "lossy.webp" { 25.0 } else { 6.0 }, "{name}: {mean}");
    }
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

/// 20,000 x 20,000 pixels, written into the headers of small files.
#[test]
fn a_picture_that_claims_too_much_is_refused_by_its_header() {
    let big = 20_000_u32;
    let place = |name: &str, at: usize, sizes: Vec<u8>| {
        let mut bytes = fixture(name);
        bytes[at..at + sizes.len()].copy_from_slice(&sizes);
        bytes
    };
    let mut png = place("decoded.png", 16, [big.to_be_bytes(), big.to_be_bytes()].concat());
    let crc = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&crc);
    let short = u16::try_from(big).unwrap();
    let frame = memchr::memmem::find(&fixture("baseline.jpg"), &[0xFF, 0xC0]).unwrap();
    let jpeg = place("baseline.jpg", frame + 5, [short.to_be_bytes(), short.to_be_bytes()].concat());
    let bmp = place("rgb.bmp", 18, [big.to_le_bytes(), big.to_le_bytes()].concat());
    let gif = place("animated.gif", 6, [short.to_le_bytes(), short.to_le_bytes()].concat());
    for bytes in [png, jpeg, bmp, gif] {
        assert!(why(&bytes).contains("20000 x 20000 pixels, but a picture has 1 to 67108864"), "{}", why(&bytes));
    }
}

/// A chunk of a PNG file that unpacks to 32 megabytes, in the pixels of a 1 x 1 picture and beside them: a decoder that unpacked
/// it for its own sake would take that much.
#[test]
fn a_png_that_unpacks_to_too_much_is_a_small_picture_all_the_same() {
    let chunk = |kind: &[u8], bytes: &[u8]| {
        let named = [kind, bytes].concat();
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &named, &crc32(&named).to_be_bytes()].concat()
    };
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..32).for_each(|_| std::io::Write::write_all(&mut packer, &vec![0; 1 << 20]).unwrap());
    let bomb = packer.finish().unwrap();
    let start = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])].concat();
    let beside = [&b"note\0\0"[..], &bomb].concat();
    for middle in
        [chunk(b"IDAT", &bomb), [chunk(b"zTXt", &beside), chunk(b"iCCP", &beside), chunk(b"IDAT", &bomb)].concat()]
    {
        let image = Image::decode(&[&start[..], &middle, &chunk(b"IEND", &[])].concat()).unwrap();
        assert_eq!((image.shape().len(), image.pixels()), (1, &[0][..]));
    }
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

/// What a source said while `read` ran, one line a warning.
fn warnings(read: impl FnOnce()) -> Vec<String> {
    /// Keeps warnings, and nothing else.
    #[derive(Clone, Default)]
    struct Listener(Arc<Mutex<Vec<String>>>);

    struct Line<'a>(&'a mut String);

    impl Visit for Line<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{}={value:?} ", field.name()));
        }
    }

    impl Subscriber for Listener {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = String::new();
            event.record(&mut Line(&mut line));
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), read);
    let lines = listener.0.lock().unwrap();
    lines.clone()
}

#[test]
fn pictures_that_are_converted_are_counted_once_and_told_of_once() {
    let root = tempfile::tempdir().unwrap();
    let files =
        [("a/1.jpg", "cmyk.jpg"), ("a/2.png", "grey-16.png"), ("b/1.jpg", "baseline.jpg"), ("b/2.png", "grey-16.png")];
    for (to, from) in files {
        let to = root.path().join("set").join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, fixture(from)).unwrap();
    }
    let said = warnings(|| {
        let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
        let source = config.open(&DataRoot::new([root.path()])).unwrap();
        assert!(source.converted().is_empty());
        // Three epochs.
        for _ in 0..3 {
            assert!((0..source.len()).all(|i| source.get(i).is_ok()));
        }
        assert_eq!(source.converted(), [(Conversion::Deep, 2), (Conversion::Print, 1)]);
    });
    let [deep, print] = said.as_slice() else { panic!("{said:?}") };
    assert!(deep.contains("8 bits a channel, and are rounded to 8: 2, the first is a/2.png"), "{deep}");
    assert!(print.contains("CMYK") && print.contains("colour profile: 1, the first is a/1.jpg"), "{print}");
}
