//! The parsers of `homeostat-data` against bytes from anywhere: none may panic, hang, or say more than one line. It knows no results.

use std::path::Path;

use homeostat_data::{
    AnySource, DataRoot, Image, OnCorrupt, PackedConfig, Source, SourceConfig, Store, TextSourceConfig, Tokenizer,
};

/// Samples that are read of a source that opens.
const READ: usize = 16;

/// A tar file of class folders.
pub fn archive(bytes: &[u8]) {
    pictures("image-folder:set", &[("train.tar", bytes)]);
}

/// Records of CIFAR-10, and of CIFAR-100.
pub fn cifar(bytes: &[u8]) {
    pictures("cifar10:set", &[("data_batch_1.bin", bytes)]);
    pictures("cifar100:set", &[("train.bin", bytes)]);
}

/// MNIST's pictures and labels; the last 16 bytes are the labels' file.
pub fn idx(bytes: &[u8]) {
    let (images, labels) = bytes.split_at(bytes.len().saturating_sub(16));
    pictures("idx:set", &[("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)]);
}

/// A picture's file, JPEG above all.
pub fn image(bytes: &[u8]) {
    if let Err(error) = Image::decode(bytes) {
        one_line(&error.to_string());
    }
}

/// A NumPy array, as pictures and as labels.
pub fn npy(bytes: &[u8]) {
    pictures("numpy:set", &[("x.npy", bytes), ("y.npy", bytes)]);
}

/// A NumPy archive.
pub fn npz(bytes: &[u8]) {
    pictures("numpy:set", &[("set.npz", bytes)]);
}

/// A packed file, as it is, and with the check sums that its index should have: damage is to be found behind them, too.
pub fn packed(bytes: &[u8]) {
    let config = SourceConfig::Packed(PackedConfig { file: "set/a.pack".into() });
    for bytes in [bytes.to_vec(), sealed(bytes.to_vec())] {
        check(&[("a.pack", &bytes)], |root, on_corrupt| config.open_with(root, on_corrupt));
    }
}

/// The foot of 24 bytes has the start of the index, the number of pictures, and the index's check sum.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(foot) = bytes.len().checked_sub(24) else { return bytes };
    let start: [u8; 8] = bytes[foot..foot + 8].try_into().expect("eight bytes");
    if let Some(index) = usize::try_from(u64::from_le_bytes(start)).ok().and_then(|start| bytes.get(start..foot)) {
        let crc = crc32c::crc32c(index).to_le_bytes();
        bytes[foot + 16..foot + 20].copy_from_slice(&crc);
    }
    bytes
}

/// A Parquet file.
pub fn parquet(bytes: &[u8]) {
    pictures("image-table:set", &[("train.parquet", bytes)]);
    texts("table:set", &[("train.parquet", bytes)]);
}

/// A table in each of the other formats.
pub fn table(bytes: &[u8]) {
    for name in ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.csv.gz"] {
        texts("table:set", &[(name, bytes)]);
        texts("table:set,label-separator=|,format.encoding=latin-1", &[(name, bytes)]);
    }
    texts("text-folder:set,unit=paragraph", &[("a.txt", bytes)]);
}

/// A `tokenizer.json`, and BERT's `vocab.txt`.
pub fn tokenizer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for read in [Tokenizer::from_json(bytes), Tokenizer::from_vocab(&text, true), Tokenizer::from_vocab(&text, false)] {
        match read {
            Err(error) => one_line(&error.to_string()),
            Ok(tokenizer) => {
                let _ = (tokenizer.size(), tokenizer.pad(), tokenizer.mask(), tokenizer.to_json());
                for text in ["", "To be, or not to be?", "caf\u{e9} \u{1f600}\n\0"] {
                    match tokenizer.encode(text).and_then(|ids| tokenizer.decode(&ids)) {
                        Ok(_) => {}
                        Err(error) => one_line(&error.to_string()),
                    }
                }
            }
        }
    }
}

/// A shard of a WebDataset.
pub fn web_dataset(bytes: &[u8]) {
    pictures("web-dataset:set", &[("train-000.tar", bytes)]);
    pictures("web-dataset:set,label=json.label", &[("train-000.tar", bytes)]);
}

/// The word for a source on a command line.
pub fn word(bytes: &[u8]) {
    let word = String::from_utf8_lossy(bytes);
    let said = [word.parse::<SourceConfig>().err(), word.parse::<TextSourceConfig>().err()];
    said.into_iter().chain([word.parse::<AnySource>().err()]).flatten().for_each(|error| one_line(&error.to_string()));
}

fn pictures(word: &str, files: &[(&str, &[u8])]) {
    let config: SourceConfig = word.parse().expect("a known source");
    check(files, |root, on_corrupt| config.open_with(root, on_corrupt));
}

fn texts(word: &str, files: &[(&str, &[u8])]) {
    let config: TextSourceConfig = word.parse().expect("a known source");
    check(files, |root, on_corrupt| config.open_with(root, on_corrupt));
}

/// Opens a source of these files both ways, and reads some samples of it.
fn check<S: Store>(
    files: &[(&str, &[u8])],
    open: impl Fn(&DataRoot, OnCorrupt) -> Result<Source<S>, homeostat_data::DataError>,
) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("set")).expect("a folder");
    for (name, bytes) in files {
        std::fs::write(folder.path().join("set").join(Path::new(name)), bytes).expect("a file");
    }
    let root = DataRoot::new([folder.path()]);
    for on_corrupt in [OnCorrupt::Error, OnCorrupt::Skip] {
        match open(&root, on_corrupt) {
            Err(error) => one_line(&error.to_string()),
            Ok(source) => {
                assert!(!source.is_empty(), "a source without samples opened");
                assert!(on_corrupt == OnCorrupt::Skip || source.left_out().is_empty(), "left out without leave");
                source.left_out().iter().take(READ).for_each(|skipped| one_line(&skipped.reason));
                for i in 0..source.len().min(READ) {
                    one_line(&source.name(i));
                    if let Err(error) = source.get(i) {
                        one_line(&error.to_string());
                    }
                }
            }
        }
    }
}

fn one_line(text: &str) {
    assert!(!text.contains('\n') && text.len() < 2000, "not one line: {text:?}");
}
