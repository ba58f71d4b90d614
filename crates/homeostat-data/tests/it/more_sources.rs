//! Pictures in tables, shards, archives and arrays.

use std::io::Write;

use homeostat_data::{
    Cifar100Config, Cifar100Labels, DataError, DataRoot, Given, Image, ImageFolderConfig, ImageTableConfig, LabelKind,
    NumpyConfig, OnCorrupt, Source, SourceConfig, TextSourceConfig, TextTableConfig, WebDatasetConfig,
};

use crate::{fixture, fixture_of};

type Files<'a> = &'a [(&'a str, Vec<u8>)];

fn folder(files: Files<'_>) -> (tempfile::TempDir, DataRoot) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("set")).unwrap();
    for (name, bytes) in files {
        let path = root.path().join("set").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let data = DataRoot::new([root.path()]);
    (root, data)
}

#[track_caller]
fn check_error(files: Files<'_>, config: &SourceConfig, expected: &str) {
    let (_root, data) = folder(files);
    let error = config.open(&data).expect_err(expected).to_string();
    assert!(error.contains(expected) && !error.contains('\n'), "{error}");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn table() -> ImageTableConfig {
    ImageTableConfig { folder: "set".into(), ..ImageTableConfig::default() }
}

fn shards() -> WebDatasetConfig {
    WebDatasetConfig { folder: "set".into(), ..WebDatasetConfig::default() }
}

fn labels(source: &Source) -> Vec<usize> {
    (0..source.len()).map(|i| source.label(i)).collect()
}

fn names(source: &Source) -> Vec<String> {
    (0..source.len()).map(|i| source.name(i)).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        builder.append_data(&mut header(bytes.len()), name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn header(size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header
}

#[test]
fn a_table_names_the_files_of_pictures() {
    let rows = "id,diagnosis,patient\n1,sick,anna\n2,well,anna\n";
    let files =
        [("train.csv", rows.into()), ("images/1.png", fixture("decoded.png")), ("images/2.png", fixture("source.png"))];
    let config = ImageTableConfig {
        image: "id".into(),
        path: "images/{}.png".into(),
        label: "diagnosis".into(),
        group: "patient".into(),
        ..table()
    };
    let (_root, data) = folder(&files);
    let source = SourceConfig::ImageTable(config.clone()).open(&data).unwrap();
    assert_eq!((names(&source), labels(&source)), (words(&["images/1.png", "images/2.png"]), vec![0, 1]));
    assert_eq!((source.group(0), source.group(1), source.given(1)), (Some(0), Some(0), Some(Given::Train)));
    assert_eq!(source.get(1).unwrap(), Image::decode(&fixture("source.png")).unwrap());

    for (row, expected) in [
        ("../x,sick,b", "train.csv, line 4: the file `images/../x.png` is not below the folder"),
        ("3,sick,b", "train.csv, line 4: there is no file `images/3.png` below the folder"),
        (",sick,b", "train.csv, line 4: there is no picture in `id`"),
        ("1,sick,", "train.csv, line 4: there is no group in `patient`"),
    ] {
        let mut files = files.clone();
        files[0].1 = format!("{rows}{row}\n").into();
        check_error(&files, &SourceConfig::ImageTable(config.clone()), expected);
        let (_root, data) = folder(&files);
        let source = SourceConfig::ImageTable(config.clone()).open_with(&data, OnCorrupt::Skip).unwrap();
        assert_eq!((source.len(), source.left_out().len()), (2, 1));
    }
}

/// As Hugging Face writes it: a structure of bytes and path, and the names of the classes in the metadata.
#[test]
fn a_parquet_file_holds_pictures_and_the_names_of_their_classes() {
    let name = "train-00000-of-00001.parquet";
    let whole = fixture_of("parquet", name);
    let (_root, data) = folder(&[(name, whole.clone())]);
    let source = SourceConfig::ImageTable(table()).open(&data).unwrap();
    assert_eq!((source.classes(), labels(&source)), (&words(&["zebra", "ant"])[..], vec![0, 1, 0]));
    assert_eq!((source.name(2), source.given(2)), (format!("{name}, row 3"), Some(Given::Train)));
    assert_eq!(source.bytes(1).unwrap(), fixture("source.png"));
    assert_eq!(source.get(2).unwrap(), Image::decode(&fixture("decoded.png")).unwrap());
    for length in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        check_error(
            &[(name, whole[..length].to_vec())],
            &SourceConfig::ImageTable(table()),
            "the Parquet file is broken or cut short",
        );
    }
    let config = ImageTableConfig { label: "labels".into(), ..table() };
    let expected = "has no column `labels` (did you mean `label`?); there are `image.bytes`, `image.path`, `label`";
    check_error(&[(name, whole)], &SourceConfig::ImageTable(config), expected);
}

#[test]
fn parquet_is_read_however_it_is_packed() {
    for codec in ["snappy", "zstd", "gzip", "none"] {
        let name = format!("{codec}.parquet");
        let (_root, data) = folder(&[(&name, fixture_of("parquet", &name))]);
        let config = TextTableConfig { folder: "set".into(), label: "tags".into(), ..TextTableConfig::default() };
        let source = TextSourceConfig::Table(config.clone()).open(&data).unwrap();
        let found: Vec<_> = (0..4).map(|i| (source.get(i).unwrap().text, source.labels(i).to_vec())).collect();
        let expected = [("one", vec![0, 1]), ("two", vec![]), ("three", vec![0]), ("four", vec![1])];
        assert_eq!(found, expected.map(|(text, labels)| (text.to_owned(), labels)));
        assert_eq!((source.label_kind(), source.name(3)), (LabelKind::Several, format!("{name}, row 4")));
        let config = TextSourceConfig::Table(TextTableConfig { label: "label".into(), ..config });
        let error = config.open(&data).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}, row 4: the label is empty in `label`")), "{error}");
        let source = config.open_with(&data, OnCorrupt::Skip).unwrap();
        assert_eq!((source.len(), source.classes()), (3, &words(&["0", "1", "2"])[..]));
    }
}

#[test]
fn shards_are_read_in_their_order() {
    let png = || fixture("decoded.png");
    let first = tar(&[
        ("b.png", png()),
        ("b.cls", b"1\n".to_vec()),
        ("b.json", br#"{"of": {"who": "anna"}, "kinds": ["x", "y"]}"#.to_vec()),
        ("./more/a.cls", b"0".to_vec()),
        ("./more/a.PNG", fixture("source.png")),
        ("./more/a.json", br#"{"of": {"who": "berta"}, "kinds": []}"#.to_vec()),
    ]);
    let second = tar(&[
        ("c.jpg", fixture("grey.jpg")),
        ("c.cls", b"0".to_vec()),
        ("c.json", br#"{"of": {"who": "anna"}}"#.to_vec()),
    ]);
    let files = [("train-000.tar", first), ("train-001.tar.gz", gzip(&second)), ("notes.txt", Vec::new())];
    let (_root, data) = folder(&files);
    let config = WebDatasetConfig { group: "json.of.who".into(), classes: words(&["no", "yes"]), ..shards() };
    let source = SourceConfig::WebDataset(config.clone()).open(&data).unwrap();
    assert_eq!(names(&source), ["train-000.tar/b.png", "train-000.tar/more/a.png", "train-001.tar.gz/c.jpg"]);
    assert_eq!(
        (labels(&source), source.classes(), source.given(2)),
        (vec![1, 0, 0], &words(&["no", "yes"])[..], Some(Given::Train))
    );
    assert_eq!([0, 1, 2].map(|i| source.group(i)), [Some(0), Some(1), Some(0)]);
    assert_eq!((source.bytes(0).unwrap(), source.bytes(1).unwrap()), (png(), fixture("source.png")));
    assert_eq!(source.get(2).unwrap().channels(), 1);

    let range = WebDatasetConfig { shards: words(&["train-{000..000}.tar"]), ..shards() };
    assert_eq!(SourceConfig::WebDataset(range).open(&data).unwrap().len(), 2);
    let several = WebDatasetConfig { shards: words(&["train-000.tar"]), label: "json.kinds".into(), ..shards() };
    assert_eq!(SourceConfig::WebDataset(several).open(&data).unwrap().labels(0), [0, 1]);
    for (config, expected) in [
        (WebDatasetConfig { shards: words(&["train-{000..002}.tar"]), ..shards() }, "cannot read "),
        (
            WebDatasetConfig { shards: words(&["train-{0}.tar"]), ..shards() },
            "has no range like {000..012} in its braces",
        ),
        (WebDatasetConfig { shards: words(&["../x.tar"]), ..shards() }, "is not the name of a file below the folder"),
        (WebDatasetConfig { label: "txt".into(), ..shards() }, "train-000.tar/b: has no file that ends in .txt"),
        (
            WebDatasetConfig { label: "json.kind".into(), ..shards() },
            "train-000.tar/b: the label is empty in `json.kind`",
        ),
        (WebDatasetConfig { label: "json.kinds".into(), ..shards() }, "train-001.tar.gz/c: the label is empty"),
        (WebDatasetConfig { label: "png.x".into(), ..shards() }, "train-000.tar/b: .png: is not UTF-8"),
        (WebDatasetConfig { label: "cls.x".into(), ..shards() }, "train-000.tar/b: .cls: is no JSON object"),
    ] {
        check_error(&files, &SourceConfig::WebDataset(config), expected);
    }
    let lone = tar(&[("a.cls", b"0".to_vec()), ("b.png", png()), ("b.cls", b"0".to_vec())]);
    let (_root, data) = folder(&[("a.tar", lone.clone())]);
    let source = SourceConfig::WebDataset(shards()).open_with(&data, OnCorrupt::Skip).unwrap();
    assert_eq!((names(&source), source.bytes(0).unwrap()), (words(&["a.tar/b.png"]), png()));
    assert_eq!(source.left_out()[0].name, "a.tar/a");
    check_error(
        &[("a.tar", lone)],
        &SourceConfig::WebDataset(shards()),
        "a.tar/a: has 0 pictures, but should have one",
    );
    check_error(&[("a.tar", Vec::new())], &SourceConfig::WebDataset(shards()), "a.tar: has no files");
}

#[test]
fn one_archive_may_be_the_whole_image_folder() {
    let png = || fixture("decoded.png");
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let classes = tar(&[("pets/cat/1.png", png()), ("pets/dog/2.png", png())]);
    let (_root, data) = folder(&[("pets.tar.gz", gzip(&classes)), ("README.md", Vec::new())]);
    let source = config.open(&data).unwrap();
    assert_eq!(names(&source), ["pets.tar.gz/cat/1.png", "pets.tar.gz/dog/2.png"]);
    assert_eq!((labels(&source), source.given(0)), (vec![0, 1], None));

    let parts =
        tar(&[("test/dog/2.png", png()), ("train/cat/1.png", png()), ("./train/dog/3.png", fixture("source.png"))]);
    let (_root, data) = folder(&[("pets.tar", parts)]);
    let source = config.open(&data).unwrap();
    assert_eq!(names(&source), ["pets.tar/train/cat/1.png", "pets.tar/train/dog/3.png", "pets.tar/test/dog/2.png"]);
    assert_eq!(
        (labels(&source), source.given(0), source.given(2)),
        (vec![0, 1, 1], Some(Given::Train), Some(Given::Test))
    );
    assert_eq!(source.bytes(1).unwrap(), fixture("source.png"));
}

#[test]
fn archives_that_lead_elsewhere_or_change_are_refused() {
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let png = fixture("decoded.png");
    let mut builder = tar::Builder::new(Vec::new());
    // The builder refuses such names, so it is written into the header's bytes.
    let mut out = header(png.len());
    out.as_old_mut().name[..15].copy_from_slice(b"../cat/evil.png");
    out.set_cksum();
    builder.append(&out, &png[..]).unwrap();
    check_error(
        &[("train.tar", builder.into_inner().unwrap())],
        &config,
        "train.tar: the name ../cat/evil.png inside leads out of the archive",
    );
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header(png.len()), "cat/a.png", &png[..]).unwrap();
        let mut link = header(0);
        link.set_entry_type(kind);
        builder.append_link(&mut link, "cat/b.png", "/etc/passwd").unwrap();
        check_error(
            &[("train.tar", builder.into_inner().unwrap())],
            &config,
            "cat/b.png inside is a link, which is not followed",
        );
    }

    let whole = tar(&[("a/1.png", png.clone()), ("b/2.png", png.clone())]);
    let (root, data) = folder(&[("train.tar", whole.clone())]);
    let source = config.open(&data).unwrap();
    std::fs::write(root.path().join("set/train.tar"), &whole[..whole.len() - 512]).unwrap();
    let error = source.get(0).unwrap_err();
    assert!(
        matches!(&error, DataError::Format { why, .. } if why.starts_with("has changed since it was opened")),
        "{error}"
    );
}

/// A link to the folder above would never end.
#[cfg(unix)]
#[test]
fn folders_that_turn_back_on_themselves_are_refused() {
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let (root, data) = folder(&[("cat/1.png", fixture("decoded.png")), ("dog/2.png", fixture("decoded.png"))]);
    std::os::unix::fs::symlink("..", root.path().join("set/cat/again")).unwrap();
    let error = config.open(&data).unwrap_err().to_string();
    assert!(error.contains("loop") && !error.contains('\n'), "{error}");
}

#[test]
fn cifar100_has_two_labels_of_which_one_counts() {
    let record = |coarse: u8, fine: u8| [vec![coarse, fine], vec![9; 1024], vec![8; 1024], vec![7; 1024]].concat();
    let files = [("test.bin", record(19, 99)), ("train.bin", [record(4, 0), record(1, 1)].concat())];
    let (_root, data) = folder(&files);
    let config = |labels| SourceConfig::Cifar100(Cifar100Config { folder: "set".into(), labels });
    let fine = config(Cifar100Labels::Fine).open(&data).unwrap();
    let coarse = config(Cifar100Labels::Coarse).open(&data).unwrap();
    assert_eq!((labels(&fine), fine.classes().len(), fine.classes()[99].as_str()), (vec![0, 1, 99], 100, "worm"));
    assert_eq!(
        (labels(&coarse), coarse.classes().len(), coarse.classes()[4].as_str()),
        (vec![4, 1, 19], 20, "fruit_and_vegetables")
    );
    assert_eq!((names(&fine), fine.given(2)), (words(&["train[0]", "train[1]", "test[0]"]), Some(Given::Test)));
    assert_eq!(fine.get(1).unwrap().get(3, 4), [9, 8, 7]);
    check_error(
        &[("train.bin", record(20, 0))],
        &config(Cifar100Labels::Coarse),
        "label 20 of record 0 (byte 0) is out of range",
    );
    check_error(
        &[("train.bin", vec![0; 3073])],
        &config(Cifar100Labels::Fine),
        "3073 bytes are not a whole number of records of 3074",
    );
}

/// A file as `numpy.save` writes it.
fn npy(descr: &str, by_column: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {by_column}, 'shape': ({shape}), }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
}

fn npz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn numpy() -> SourceConfig {
    SourceConfig::Numpy(NumpyConfig { folder: "set".into(), ..NumpyConfig::default() })
}

#[test]
fn numpy_arrays_are_paired_by_their_names() {
    let grey = || npy("|u1", "False", "3, 1, 2", &[0, 1, 2, 3, 4, 5]);
    let (_root, data) = folder(&[
        ("X_train.npy", grey()),
        (
            "y_train.npy",
            npy("<i8", "False", "3,", &[[2, 0, 0, 0, 0, 0, 0, 0], [0; 8], [1, 0, 0, 0, 0, 0, 0, 0]].concat()),
        ),
    ]);
    let source = numpy().open(&data).unwrap();
    assert_eq!(
        (labels(&source), source.classes(), source.name(1).as_str()),
        (vec![2, 0, 1], &words(&["0", "1", "2"])[..], "X_train[1]")
    );
    assert_eq!((source.get(1).unwrap().pixels(), source.given(0)), (&[2, 3][..], Some(Given::Train)));

    let colour = |n: u8| npy("|u1", "False", &format!("{n}, 1, 1, 3"), &vec![n; 3 * usize::from(n)]);
    let members = [
        ("test_labels.npy", npy(">i2", "True", "1, 1", &[0, 1])),
        ("train_labels.npy", npy("|b1", "False", "2,", &[1, 0])),
        ("test_images.npy", colour(1)),
        ("train_images.npy", colour(2)),
        ("readme.npy", b"nothing".to_vec()),
    ];
    let (_root, data) = folder(&[("set.npz", npz(&members))]);
    let config = NumpyConfig { folder: "set".into(), classes: words(&["a", "b"]), ..NumpyConfig::default() };
    let source = SourceConfig::Numpy(config).open(&data).unwrap();
    assert_eq!((labels(&source), source.classes()), (vec![1, 0, 1], &words(&["a", "b"])[..]));
    assert_eq!((source.get(2).unwrap().pixels(), source.given(2)), (&[1, 1, 1][..], Some(Given::Test)));
}

#[test]
fn numpy_files_that_lie_are_refused() {
    let images = |bytes| [("x.npy", bytes), ("y.npy", npy("|u1", "False", "2,", &[0, 1]))];
    let two = |descr, order, shape: &str| npy(descr, order, shape, &[0; 8]);
    for (bytes, expected) in [
        (
            Vec::new(),
            "x.npy: the magic string and the version should take 8 bytes from byte 0 on, but at most 0 are there",
        ),
        (b"GIF89a...........".to_vec(), "x.npy: does not begin as NumPy's files do"),
        (b"\x93NUMPY\x09\x00aaaa".to_vec(), "has version 9 of NumPy's format"),
        (b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(), "says that its header has 4294967295 bytes"),
        (b"\x93NUMPY\x01\x00\x04\x00{{{{".to_vec(), "the header is none that is known: {{{{"),
        (two("|O", "False", "2, 2, 2"), "the header is none that is known"),
        (two("|u1", "False", "2, 2, 2")[..60].to_vec(), "x.npy: the header should take"),
        (npy("|u1", "False", "2, 2, 2", &[0; 7]), "an array of [2, 2, 2] should take 8 bytes from byte"),
        (npy("|u1", "False", "2, 2, 2", &[0; 9]), "more bytes follow after an array of [2, 2, 2]"),
        (two("|u1", "False", "99999999999, 99999999999, 9"), "has more than 8 GiB"),
        (two("|u1", "False", "60000, 28, 28"), "should take 47040000 bytes"),
        (two("|u1", "False", "2, 4"), "has the shape [2, 4], but pictures are [count, height, width]"),
        (two("|u1", "True", "2, 2, 2"), "holds `u1` by rows or columns, but pictures are uint8 by rows"),
        (two("<f4", "False", "2, 1, 1"), "holds `f4` by rows or columns"),
        (two("|u1", "False", "8, 1, 1"), "y.npy: has the shape [2] for 8 pictures"),
        (npy("|u1", "False", "0, 1, 1", &[]), "0 pictures of 1 x 1 pixels are no data"),
    ] {
        check_error(&images(bytes), &numpy(), expected);
    }
    let labels = |bytes| [("x.npy", two("|u1", "False", "8, 1, 1")), ("y.npy", bytes)];
    check_error(
        &labels(npy("<f4", "False", "8,", &[0; 32])),
        &numpy(),
        "y.npy: holds `f4`, but labels are whole numbers",
    );
    check_error(
        &labels(npy("|i1", "False", "8,", &[255; 8])),
        &numpy(),
        "y.npy: the label -1 at index 0 is not from 0",
    );
    check_error(
        &[("x.npy", two("|u1", "False", "8, 1, 1"))],
        &numpy(),
        "1 arrays of pictures and 0 of labels for one part",
    );
    check_error(&[("a.npz", b"PK no zip".to_vec())], &numpy(), "a.npz: is no whole .npz file");
    let whole = npz(&[("x.npy", two("|u1", "False", "8, 1, 1")), ("y.npy", npy("|i1", "False", "8,", &[0; 8]))]);
    check_error(&[("a.npz", whole[..whole.len() - 30].to_vec())], &numpy(), "a.npz: is no whole .npz file");
    check_error(&[], &numpy(), "no arrays in it whose names tell");
}

#[test]
fn a_word_may_say_all_of_a_source() {
    let config = |word: &str| word.parse::<SourceConfig>().map_err(|error| error.to_string());
    assert_eq!(config("digits"), Ok(SourceConfig::Digits));
    assert_eq!(config("image-folder:a/b"), Ok(SourceConfig::ImageFolder(ImageFolderConfig { folder: "a/b".into() })));
    let table = ImageTableConfig {
        folder: "a".into(),
        files: words(&["x.tsv"]),
        label: "a,b".into(),
        classes: words(&["p", "q"]),
        group: "7".into(),
        ..ImageTableConfig::default()
    };
    assert_eq!(
        config("image-table:a/x.tsv,label=a,b,classes=['p', 'q'],group='7'"),
        Ok(SourceConfig::ImageTable(table))
    );
    let text: TextSourceConfig = "table:x.csv.gz,format.separator=;,format.encoding=latin-1".parse().unwrap();
    let TextSourceConfig::Table(text) = text else { panic!("{text:?}") };
    assert_eq!((text.folder.as_str(), text.files, text.format.separator), (".", words(&["x.csv.gz"]), ';'));
    for (word, expected) in [
        ("zip:x", "unknown variant `zip`, expected one of `digits`"),
        ("image-table:a,labels=x", "unknown field `labels`, expected one of `folder`, `files`"),
        ("image-table:a,files=x", "invalid type: string \"x\", expected a sequence"),
        ("idx", "invalid type: unit variant, expected newtype variant"),
    ] {
        let error = config(word).unwrap_err();
        assert!(error.contains(expected) && error.contains(word) && !error.contains('\n'), "{error}");
    }
}
