use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use homeostat_data::{
    DataError, DataRoot, Given, Image, ImageFolderConfig, ImagePrepare, LoaderOptions, Normalize, OnCorrupt,
    PackSummary, PackedConfig, PrepareStep, Resize, Size, Source, SourceConfig, SplitConfig, StratifiedSplit,
};

use crate::picture;

/// A folder `set` with pictures of many sizes and channels, a training and a test part.
fn pictures() -> (tempfile::TempDir, Arc<Source>) {
    let root = tempfile::tempdir().unwrap();
    for i in 0..150_usize {
        let part = if i % 5 == 0 { "test" } else { "train" };
        let path = root.path().join(format!("set/{part}/{}/{i}.png", ["cat", "dog"][i % 2]));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let channels = [1, 3, 4][i % 3];
        let image = picture(3 + i % 7, 4 + i % 5, channels, |x, y, channel| (i + 31 * x + 17 * y + channel) as u8);
        fs::write(path, image.encode_png()).unwrap();
    }
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let source = Arc::new(config.open(&DataRoot::new([root.path()])).unwrap());
    (root, source)
}

fn pack(source: &Arc<Source>, steps: Vec<PrepareStep>, out: &Path, workers: usize) -> Result<PackSummary, DataError> {
    let options = LoaderOptions { workers, ..LoaderOptions::default() };
    source.pack(&ImagePrepare(steps), (out, options), OnCorrupt::Error, &mut |_| {})
}

fn open(path: &Path) -> Result<Source, DataError> {
    let file = path.file_name().unwrap().to_str().unwrap().to_owned();
    SourceConfig::Packed(PackedConfig { file }).open(&DataRoot::new([path.parent().unwrap()]))
}

fn images(source: &Source) -> Vec<Image> {
    (0..source.len()).map(|i| source.get(i).unwrap()).collect()
}

#[test]
fn a_pack_is_its_source_decoded() {
    let (root, source) = pictures();
    let out = root.path().join("all.pack");
    let mut seen = 0;
    let (steps, options) = (ImagePrepare(vec![]), LoaderOptions::default());
    let summary = source.pack(&steps, (&out, options), OnCorrupt::Error, &mut |done| seen = done).unwrap();
    assert_eq!((summary.samples, summary.bytes, seen), (150, fs::metadata(&out).unwrap().len(), 150));
    let packed = open(&out).unwrap();
    assert_eq!((packed.title(), packed.classes(), packed.len()), ("set", source.classes(), 150));
    for i in 0..150 {
        assert_eq!((packed.name(i), packed.label(i)), (source.name(i), source.label(i)));
        assert_eq!((packed.given(i), packed.digest(i).unwrap()), (source.given(i), source.digest(i).unwrap()));
    }
    assert!(packed.given(0) == Some(Given::Train) && packed.given(149) == Some(Given::Test));
    assert_eq!(images(&packed), images(&source));
    assert_eq!(packed.fingerprint().unwrap(), source.fingerprint().unwrap());
    let split = SplitConfig::Stratified(StratifiedSplit::default());
    assert_eq!(split.split(&packed, 1).unwrap(), split.split(&source, 1).unwrap());
    assert_eq!(Image::decode(&packed.bytes(3).unwrap()).unwrap(), source.get(3).unwrap());
    assert!(!root.path().join("all.pack.part").exists());
}

/// Written by another program after the description of the format; also what the fuzzer begins with.
#[test]
fn a_pack_that_another_program_wrote_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/packed");
    let three = open(&corpus.join("three.pack")).unwrap();
    let names = (0..3).map(|i| three.name(i)).collect::<Vec<_>>();
    assert_eq!(names, ["train/0.png", "train/1.png", "test/2.png"]);
    assert_eq!(
        ((0..3).map(|i| three.label(i)).collect::<Vec<_>>(), three.given(2)),
        (vec![0, 1, 0], Some(Given::Test))
    );
    let levels = |i: usize, count: usize| (0..count).map(|k| (37 * i + 11 * k) as u8).collect::<Vec<_>>();
    for (i, count) in [(0, 6), (1, 6), (2, 16)] {
        assert_eq!(three.get(i).unwrap().pixels(), levels(i, count));
    }
    let several = open(&corpus.join("several.pack")).unwrap();
    assert_eq!((0..3).map(|i| several.labels(i).to_vec()).collect::<Vec<_>>(), [vec![0, 1], vec![], vec![1]]);
    assert_eq!((several.group(0), several.group(2)), (Some(0), Some(1)));
}

#[test]
fn the_file_is_the_same_for_any_number_of_workers() {
    let (root, source) = pictures();
    let bytes = |workers| {
        let out = root.path().join(format!("{workers}.pack"));
        pack(&source, vec![], &out, workers).unwrap();
        fs::read(out).unwrap()
    };
    let first = bytes(0);
    assert!([1, 2, 4].into_iter().all(|workers| bytes(workers) == first));
}

#[test]
fn pictures_are_prepared_before_they_are_packed() {
    let (root, source) = pictures();
    let resize = PrepareStep::Resize(Resize { size: Size::Square(5), ..Resize::default() });
    let out = root.path().join("small.pack");
    pack(&source, vec![resize.clone()], &out, 2).unwrap();
    let packed = open(&out).unwrap();
    let resized = ImagePrepare(vec![resize]);
    let expected: Vec<Image> = images(&source).into_iter().map(|image| resized.host(image).unwrap()).collect();
    assert_eq!(images(&packed), expected);
    assert_eq!(packed.digests().unwrap(), source.digests().unwrap(), "so that leaks are found");
    assert_ne!(packed.fingerprint().unwrap(), source.fingerprint().unwrap(), "other levels are other data");
    let tail = PrepareStep::Normalize(Normalize { mean: vec![0.5], std: vec![0.5] });
    assert!(matches!(pack(&source, vec![tail], &out, 1), Err(DataError::Config { .. })));
}

#[test]
fn broken_pictures_are_named_or_left_out() {
    let (root, source) = pictures();
    let lost = fs::read_dir(root.path().join("set/test/cat")).unwrap().map(|entry| entry.unwrap().path());
    let lost: Vec<PathBuf> = lost.collect();
    fs::write(&lost[0], b"no picture").unwrap();
    let out = root.path().join("all.pack");
    let error = pack(&source, vec![], &out, 2).unwrap_err().to_string();
    assert!(error.contains(lost[0].file_name().unwrap().to_str().unwrap()), "{error}");
    assert!(!out.exists() && !root.path().join("all.pack.part").exists(), "nothing half-made is left");
    let options = LoaderOptions::default();
    let skip = |out: &Path| source.pack(&ImagePrepare(vec![]), (out, options), OnCorrupt::Skip, &mut |_| {});
    let summary = skip(&out).unwrap();
    assert_eq!((summary.samples, summary.skipped.len(), open(&out).unwrap().len()), (149, 1, 149));
    // A whole part may be broken: it is none then.
    for part in ["cat", "dog"] {
        for entry in fs::read_dir(root.path().join("set/test").join(part)).unwrap() {
            fs::write(entry.unwrap().path(), b"no picture").unwrap();
        }
    }
    skip(&out).unwrap();
    let packed = open(&out).unwrap();
    assert!((0..packed.len()).all(|i| packed.given(i) == Some(Given::Train)));
    let error = pack(&source, vec![], Path::new("/nowhere/all.pack"), 1).unwrap_err().to_string();
    assert!(error.starts_with("cannot write /nowhere/all.pack: "), "{error}");
}

#[test]
fn damage_is_found_out() {
    let (root, source) = pictures();
    let out = root.path().join("all.pack");
    pack(&source, vec![], &out, 2).unwrap();
    let whole = fs::read(&out).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&out, bytes).unwrap();
        let error = open(&out).unwrap_err();
        assert!(matches!(error, DataError::Format { .. }), "{error}");
        error.to_string()
    };
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        refused(&whole[..length]);
    }
    let index = u64::from_le_bytes(whole[whole.len() - 24..whole.len() - 16].try_into().unwrap()) as usize;
    for at in (0..12).chain((index..whole.len()).step_by(11)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        refused(&bytes);
    }
    let mut bytes = whole.clone();
    bytes[8] = 9;
    assert!(refused(&bytes).contains("it has version 9, but this program reads 1"));
    // The levels are looked at when they are read.
    bytes.clone_from(&whole);
    bytes[16] ^= 1;
    fs::write(&out, bytes).unwrap();
    let packed = open(&out).unwrap();
    let error = packed.get(0).unwrap_err();
    assert!(matches!(&error, DataError::Corrupt { name, .. } if *name == packed.name(0)), "{error}");
    assert!(packed.get(1).is_ok());
    let missing = SourceConfig::Packed(PackedConfig { file: "other.pack".into() });
    let error = missing.open(&DataRoot::new([root.path()])).unwrap_err().to_string();
    assert!(error.starts_with("cannot find the file `other.pack`, looked in "), "{error}");
}

#[test]
fn an_index_that_lies_is_refused_before_memory_is_taken() {
    let (root, source) = pictures();
    let out = root.path().join("all.pack");
    pack(&source, vec![], &out, 2).unwrap();
    let whole = fs::read(&out).unwrap();
    let index = u64::from_le_bytes(whole[whole.len() - 24..whole.len() - 16].try_into().unwrap()) as usize;
    let head = u64::from_le_bytes(whole[index..index + 8].try_into().unwrap()) as usize;
    let first = index + 8 + head;
    // Start, height, width, channels, the end of its labels, the end of its name; each with a checksum that fits.
    for (at, value) in [(0, u32::MAX), (8, u32::MAX), (12, 0), (16, 2), (36, 7), (40, u32::MAX)] {
        let mut bytes = whole.clone();
        bytes[first + at..first + at + 4].copy_from_slice(&value.to_le_bytes());
        let (end, crc) = (bytes.len() - 24, bytes.len() - 8);
        let sum = crc32c::crc32c(&bytes[index..end]).to_le_bytes();
        bytes[crc..crc + 4].copy_from_slice(&sum);
        fs::write(&out, bytes).unwrap();
        let error = open(&out).unwrap_err().to_string();
        assert!(error.contains("its index contradicts itself"), "{at}: {error}");
    }
}
