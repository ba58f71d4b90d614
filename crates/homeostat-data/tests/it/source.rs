use std::io::Write;

use homeostat_data::{
    Cifar10Config, DataError, DataRoot, Given, IdxConfig, Image, ImageFolderConfig, KnownData, Shape, Source,
    SourceConfig,
};

use crate::{fixture, picture};

/// Writes files into a fresh folder `set` and opens that.
fn open(files: &[(&str, Vec<u8>)], config: &SourceConfig) -> Result<Source, DataError> {
    opened(files, config).1
}

fn opened(files: &[(&str, Vec<u8>)], config: &SourceConfig) -> (tempfile::TempDir, Result<Source, DataError>) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("set")).unwrap();
    for (name, bytes) in files {
        let path = root.path().join("set").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let source = config.open(&DataRoot::new([root.path()]));
    (root, source)
}

#[track_caller]
fn check_error(result: Result<Source, DataError>, expected: &str) {
    let error = result.expect_err(expected).to_string();
    assert!(error.contains(expected) && !error.contains('\n'), "{error}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn idx_config(classes: &[&str]) -> SourceConfig {
    SourceConfig::Idx(IdxConfig { folder: "set".into(), classes: classes.iter().map(|&class| class.into()).collect() })
}

fn cifar_config() -> SourceConfig {
    SourceConfig::Cifar10(Cifar10Config { folder: "set".into() })
}

fn folder_config() -> SourceConfig {
    SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() })
}

/// An IDX file: the magic number, the sizes, the bytes.
fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let magic = 0x0800 + u32::try_from(sizes.len()).unwrap();
    let header = std::iter::once(&magic).chain(sizes).flat_map(|number| number.to_be_bytes());
    header.chain(bytes.iter().copied()).collect()
}

/// Three pictures of 2 x 2 with levels from 0 to 11 and the labels 1, 0, 1.
fn idx_pair() -> [Vec<u8>; 2] {
    [idx(&[3, 2, 2], &(0..12).collect::<Vec<u8>>()), idx(&[3], &[1, 0, 1])]
}

#[test]
fn digits_are_those_of_scikit_learn() {
    let source = SourceConfig::Digits.open(&DataRoot::default()).unwrap();
    assert_eq!((source.len(), source.title(), source.given(0)), (1797, "digits", None));
    let mut counts = [0; 10];
    (0..source.len()).for_each(|i| counts[source.label(i)] += 1);
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    // The first row of the first picture is 0 0 5 13 9 1 0 0 of 16.
    assert_eq!(source.get(0).unwrap().pixels()[..8], [0, 0, 80, 207, 143, 16, 0, 0]);
    assert_eq!(
        source.fingerprint().unwrap(),
        SourceConfig::Digits.open(&DataRoot::default()).unwrap().fingerprint().unwrap()
    );
}

#[test]
fn what_is_not_there_says_where_it_was_looked_for_and_how_to_mend_it() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = DataRoot::new([a.path(), b.path()]);
    let error = idx_config(&[]).open(&root).unwrap_err().to_string();
    for part in ["`set`", a.path().to_str().unwrap(), b.path().to_str().unwrap(), "--data-root", "HOMEOSTAT_DATA"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(!error.contains("fetch"), "{error}");
    let known = IdxConfig { folder: "mnist".into(), ..IdxConfig::default() };
    let error = SourceConfig::Idx(known).open(&root).unwrap_err().to_string();
    assert!(error.ends_with("or fetch it: homeostat data fetch mnist"), "{error}");
    std::fs::create_dir(b.path().join("set")).unwrap();
    assert_eq!(root.find("set").unwrap(), b.path().join("set"), "the second root counts, too");
    assert_eq!(DataRoot::default().find(b.path().to_str().unwrap()).unwrap(), b.path(), "an absolute path");
    assert!(matches!(root.find(""), Err(DataError::Config { .. })));
}

#[test]
fn idx_reads_both_spellings_packed_or_not() {
    let [images, labels] = idx_pair();
    for files in [
        [("train-images-idx3-ubyte", images.clone()), ("train-labels-idx1-ubyte", labels.clone())],
        [("train-images.idx3-ubyte", images.clone()), ("train-labels-idx1-ubyte.gz", gzip(&labels))],
        [("train-images-idx3-ubyte.gz", gzip(&images)), ("train-labels.idx1-ubyte.gz", gzip(&labels))],
    ] {
        let source = open(&files, &idx_config(&[])).unwrap();
        assert_eq!((source.len(), source.classes().len(), source.given(2)), (3, 10, Some(Given::Train)));
        assert_eq!((source.label(0), source.label(1), source.name(1).as_str()), (1, 0, "train-images[1]"));
        assert_eq!(source.get(1).unwrap(), picture(2, 2, 1, |x, y, _| u8::try_from(4 + 2 * y + x).unwrap()));
        assert_eq!(Image::decode(&source.bytes(1).unwrap()).unwrap(), source.get(1).unwrap());
    }
}

#[test]
fn idx_keeps_the_given_test_part_and_the_names_of_the_classes() {
    let [images, labels] = idx_pair();
    let files = [
        ("train-images-idx3-ubyte", images.clone()),
        ("train-labels-idx1-ubyte", labels),
        ("t10k-images-idx3-ubyte", idx(&[1, 2, 2], &[9; 4])),
        ("t10k-labels-idx1-ubyte", idx(&[1], &[0])),
    ];
    let source = open(&files, &idx_config(&["shirt", "shoe"])).unwrap();
    assert_eq!((source.len(), source.given(3), source.name(3).as_str()), (4, Some(Given::Test), "t10k-images[0]"));
    assert_eq!(source.classes()[source.label(0)], "shoe");
}

#[test]
fn idx_files_that_lie_are_refused() {
    let [images, labels] = idx_pair();
    let check = |images: Vec<u8>, labels: Vec<u8>, expected: &str| {
        let plain = [("train-images-idx3-ubyte", images.clone()), ("train-labels-idx1-ubyte", labels.clone())];
        check_error(open(&plain, &idx_config(&[])), expected);
        let packed = [("train-images-idx3-ubyte.gz", gzip(&images)), ("train-labels-idx1-ubyte.gz", gzip(&labels))];
        check_error(open(&packed, &idx_config(&[])), expected);
    };
    check(
        labels.clone(),
        labels.clone(),
        "magic number at byte 0 is 0x00000801, but an IDX file of bytes in 3 dimensions has 0x00000803",
    );
    check(images[..9].to_vec(), labels.clone(), "the header should take 12 bytes from byte 4 on, but");
    check(images[..20].to_vec(), labels.clone(), "3 x 2 x 2 should take 12 bytes from byte 16 on");
    check([&images[..], b"x"].concat(), labels.clone(), "more bytes follow after the 3 x 2 x 2 bytes");
    check(idx(&[u32::MAX; 3], &[0; 99]), labels.clone(), "should take 18446744073709551615 bytes");
    check(idx(&[60_000, 28, 28], &[0; 99]), labels.clone(), "60000 x 28 x 28 should take 47040000 bytes");
    check(idx(&[0, 28, 28], &[]), labels.clone(), "0 pictures of 28 x 28 pixels are no data");
    check(images.clone(), idx(&[2], &[0, 1]), "2 labels for 3 pictures");
    check(images.clone(), idx(&[3], &[0, 10, 1]), "label 10 at index 1 is out of range, for there are 10 classes");

    let broken = gzip(&images);
    let files = [
        ("train-images-idx3-ubyte.gz", broken[..broken.len() - 6].to_vec()),
        ("train-labels-idx1-ubyte", labels.clone()),
    ];
    check_error(open(&files, &idx_config(&[])), "the gzip stream is broken or cut short");
    check_error(open(&[("train-images-idx3-ubyte", images.clone())], &idx_config(&[])), "no train-labels-idx1-ubyte");
    check_error(open(&[], &idx_config(&[])), "no train-images-idx3-ubyte");
    let files = [
        ("train-images-idx3-ubyte", images),
        ("train-labels-idx1-ubyte", labels.clone()),
        ("t10k-images-idx3-ubyte", idx(&[3, 1, 2], &[0; 6])),
        ("t10k-labels-idx1-ubyte", labels),
    ];
    check_error(open(&files, &idx_config(&[])), "the test pictures have 1 x 2 pixels");
}

/// A megabyte in a kilobyte: what the size of the packed file rules out is refused without unpacking it.
#[test]
fn a_claim_that_a_packed_file_cannot_keep_is_refused_before_it_is_unpacked() {
    let [_, labels] = idx_pair();
    let bomb = gzip(&idx(&[u32::MAX, 1000, 1000], &[0; 1 << 20]));
    let files = [("train-images-idx3-ubyte.gz", bomb), ("train-labels-idx1-ubyte", labels)];
    let error = open(&files, &idx_config(&[])).unwrap_err().to_string();
    assert!(error.contains("should take 4294967295000000 bytes") && !error.contains("1048576"), "{error}");
}

/// CIFAR records: red is the record's number, green counts up, blue is 7.
fn cifar(labels: &[u8]) -> Vec<u8> {
    let record = |(i, &label): (usize, &u8)| {
        let green = (0..1024).map(|at: u32| u8::try_from(at % 256).unwrap());
        let red = vec![u8::try_from(i).unwrap(); 1024];
        [vec![label], red, green.collect(), vec![7; 1024]].concat()
    };
    labels.iter().enumerate().flat_map(record).collect()
}

#[test]
fn cifar_reads_planes_as_pixels_and_knows_the_test_batch() {
    let names = "plane\ncar\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    let files = [
        ("test_batch.bin", cifar(&[9])),
        ("data_batch_1.bin", cifar(&[6, 0])),
        ("batches.meta.txt", names.into()),
        ("readme.html", b"no record".to_vec()),
    ];
    let source = open(&files, &cifar_config()).unwrap();
    assert_eq!(
        (source.len(), source.name(1).as_str(), source.name(2).as_str()),
        (3, "data_batch_1[1]", "test_batch[0]")
    );
    assert_eq!((source.given(1), source.given(2)), (Some(Given::Train), Some(Given::Test)));
    assert_eq!((source.classes()[source.label(1)].as_str(), source.label(2)), ("plane", 9));
    let image = source.get(1).unwrap();
    assert_eq!(image.shape(), Shape { height: 32, width: 32, channels: 3 });
    assert_eq!((image.get(0, 0), image.get(3, 2)), (&[1, 0, 7][..], &[1, 67, 7][..]));

    let packed = open(&[("first.bin.gz", gzip(&cifar(&[3, 4])))], &cifar_config()).unwrap();
    assert_eq!((packed.len(), packed.given(0), packed.classes()[3].as_str()), (2, None, "cat"));
}

#[test]
fn cifar_files_that_are_broken_are_refused() {
    let records = cifar(&[1, 2]);
    check_error(
        open(&[("data_batch_1.bin", records[..5000].to_vec())], &cifar_config()),
        "5000 bytes are not a whole number of records of 3073",
    );
    check_error(open(&[("data_batch_1.bin", Vec::new())], &cifar_config()), "0 bytes are not a whole number");
    check_error(
        open(&[("data_batch_1.bin", cifar(&[1, 10]))], &cifar_config()),
        "label 10 of record 1 (byte 3073) is out of range",
    );
    check_error(open(&[], &cifar_config()), "no data_batch_1.bin in it");
    let names = [("a.bin", cifar(&[1])), ("batches.meta.txt", b"one\ntwo".to_vec())];
    check_error(open(&names, &cifar_config()), "2 names for 10 classes");
}

#[test]
fn a_folder_of_classes_is_read_in_the_order_of_names() {
    let png = || fixture("decoded.png");
    let files = [
        ("dog/b.PNG", png()),
        ("dog/a.jpg", fixture("baseline.jpg")),
        ("dog/more/c.webp", fixture("lossless.webp")),
        ("cat-2/x.bmp", fixture("rgb.bmp")),
        ("cat/z.gif", fixture("animated.gif")),
        ("cat/.hidden.png", png()),
        ("cat/notes.txt", b"not a picture".to_vec()),
        (".cache/d.png", png()),
        ("README.md", b"not a class".to_vec()),
    ];
    let (_root, source) = opened(&files, &folder_config());
    let source = source.unwrap();
    assert_eq!(source.classes(), ["cat", "cat-2", "dog"]);
    let names: Vec<String> = (0..source.len()).map(|i| source.name(i)).collect();
    assert_eq!(names, ["cat/z.gif", "cat-2/x.bmp", "dog/a.jpg", "dog/b.PNG", "dog/more/c.webp"]);
    let labels: Vec<usize> = (0..source.len()).map(|i| source.label(i)).collect();
    assert_eq!((labels, source.given(0)), (vec![0, 1, 2, 2, 2], None));
    assert_eq!(source.bytes(3).unwrap(), png());
    assert!((0..5).all(|i| source.get(i).unwrap().width() == 24));
    assert_eq!(source.digest(1).unwrap(), source.digests().unwrap()[1]);
}

#[test]
fn parts_above_the_classes_are_the_given_parts() {
    let png = || fixture("decoded.png");
    let files = [
        ("test/a/1.png", png()),
        ("train/a/2.png", png()),
        ("train/b/3.png", png()),
        ("validation/b/4.png", png()),
        ("LICENSE.txt", Vec::new()),
    ];
    let (_root, source) = opened(&files, &folder_config());
    let source = source.unwrap();
    let found: Vec<_> = (0..4).map(|i| (source.name(i), source.given(i), source.label(i))).collect();
    let expected = [
        ("train/a/2.png", Given::Train, 0),
        ("train/b/3.png", Given::Train, 1),
        ("validation/b/4.png", Given::Valid, 1),
        ("test/a/1.png", Given::Test, 0),
    ];
    assert_eq!(found, expected.map(|(name, given, label)| (name.to_owned(), Some(given), label)));
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn archives_are_read_like_folders() {
    let train = tar(&[
        ("./dog/2.png", fixture("decoded.png")),
        ("./cat/1.png", fixture("source.png")),
        ("./cat/._1.png", vec![0]),
        ("./README.md", vec![0]),
    ]);
    let test = tar(&[("test/dog/3.png", fixture("source.png"))]);
    for (train_name, train_bytes) in
        [("train.tar", train.clone()), ("train.tar.gz", gzip(&train)), ("train.tgz", gzip(&train))]
    {
        let (_root, source) = opened(&[(train_name, train_bytes), ("test.tar", test.clone())], &folder_config());
        let source = source.unwrap();
        assert_eq!((source.len(), source.classes()), (3, &["cat".to_owned(), "dog".to_owned()][..]));
        assert_eq!(source.name(0), format!("{train_name}/cat/1.png"));
        assert_eq!(source.name(2), "test.tar/dog/3.png");
        assert_eq!(source.bytes(1).unwrap(), fixture("decoded.png"));
        assert_eq!(source.get(2).unwrap(), Image::decode(&fixture("source.png")).unwrap());
        assert_eq!((source.label(2), source.given(2)), (1, Some(Given::Test)));
    }
}

#[test]
fn folders_and_archives_that_are_no_data_set_are_refused() {
    let png = || fixture("decoded.png");
    let whole = tar(&[("a/1.png", png()), ("b/2.png", png())]);
    for (files, expected) in [
        (vec![], "no pictures in set; it should hold a folder for each class"),
        (vec![("a/notes.txt", vec![0])], "no pictures in set"),
        (vec![("1.png", png())], "1.png lies directly in it; put the pictures of each class into a folder of its own"),
        (vec![("train/a/1.png", png()), ("test/b/1.png", png())], "test has the class `b`, which train has not"),
        (vec![("train/a/1.png", png()), ("test/notes.txt", vec![])], "no pictures in test"),
        (vec![("val/a/1.png", png()), ("valid/a/1.png", png())], "both val and valid are there"),
        (vec![("train.tar", whole[..600].to_vec())], "cut short"),
        (vec![("train.tar.gz", gzip(&whole)[..900].to_vec())], "cut short"),
        (vec![("train.tar.gz", whole.clone())], "the archive is broken"),
    ] {
        check_error(open(&files, &folder_config()), expected);
    }
}

#[test]
fn the_fingerprint_sees_content_labels_and_parts_but_not_places() {
    let (a, b) = (|| fixture("decoded.png"), || fixture("source.png"));
    let of = |files: &[(&str, Vec<u8>)]| {
        let (root, source) = opened(files, &folder_config());
        let text = source.unwrap().fingerprint().unwrap();
        drop(root);
        text
    };
    let base = of(&[("x/1.png", a()), ("y/2.png", b())]);
    assert_eq!(base.len(), 64);
    assert_eq!(base, of(&[("x/one.png", a()), ("y/two.png", b())]), "names of files do not matter");
    assert_ne!(base, of(&[("x/1.png", b()), ("y/2.png", a())]));
    assert_ne!(base, of(&[("x/1.png", a()), ("z/2.png", b())]));
    assert_ne!(base, of(&[("train/x/1.png", a()), ("train/y/2.png", b())]));
}

#[test]
fn the_form_in_a_file_is_kept() {
    #[derive(serde::Deserialize)]
    struct Data {
        source: SourceConfig,
    }
    for (text, expected) in [
        ("source = 'digits'", SourceConfig::Digits),
        ("source = { idx = { folder = 'set' } }", idx_config(&[])),
        ("source = { cifar10 = { folder = 'set' } }", cifar_config()),
        ("source = { image-folder = { folder = 'set' } }", folder_config()),
    ] {
        assert_eq!(toml::from_str::<Data>(text).unwrap().source, expected);
    }
    assert_eq!((SourceConfig::Digits.folder(), cifar_config().folder()), (None, Some("set")));
}

/// Sources are shared by threads.
#[test]
fn a_source_may_be_shared() {
    fn check<T: Send + Sync>(_: &T) {}
    check(&SourceConfig::Digits.open(&DataRoot::default()).unwrap());
}

#[test]
fn what_can_be_fetched_has_two_places() {
    for data in KnownData::ALL {
        for file in data.files {
            let places: std::collections::BTreeSet<String> = file.urls().collect();
            // No other copy of AG News with the same bytes is known; the documentation says so.
            assert_eq!(places.len(), if data.name == "ag-news" { 1 } else { 2 }, "{}: {places:?}", data.name);
            assert!(places.iter().all(|place| place.ends_with(file.name)), "{places:?}");
        }
    }
}
