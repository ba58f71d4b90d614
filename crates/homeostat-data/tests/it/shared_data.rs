//! Real data sets, if the variable `HOMEOSTAT_DATA` names a folder that has them; skipped otherwise.

#![allow(
    clippy::print_stderr,
    reason = "who runs the tests should see what is skipped, and by how much decoders differ"
)]

use std::sync::Arc;

use homeostat_data::{
    Cifar10Config, DataRoot, Given, IdxConfig, ImageFolderConfig, LabelKind, LoaderOptions, Source, SourceConfig,
    SplitConfig, TableFormat, TableKind, TextFolderConfig, TextPrepare, TextSource, TextSourceConfig, TextTableConfig,
    TextUnit, TokenBatch, Tokenizer, Tokens, describe,
};

use crate::differences;

fn open(config: &SourceConfig) -> Option<Source> {
    let root = DataRoot::new(std::env::var_os("HOMEOSTAT_DATA"));
    let there = root.find(config.folder()?).is_ok();
    if !there {
        eprintln!("skipped: {:?} is not below HOMEOSTAT_DATA", config.folder());
    }
    there.then(|| config.open(&root).unwrap())
}

fn count<S>(source: &Source<S>, given: Given) -> usize {
    (0..source.len()).filter(|&i| source.given(i) == Some(given)).count()
}

#[test]
fn mnist() {
    let Some(source) = open(&SourceConfig::Idx(IdxConfig::default())) else { return };
    assert_eq!((count(&source, Given::Train), count(&source, Given::Test)), (60_000, 10_000));
    assert_eq!((source.label(0), source.label(60_000)), (5, 7));
}

#[test]
fn cifar10_without_loss() {
    let Some(source) = open(&SourceConfig::Cifar10(Cifar10Config { folder: "cifar10-lossless-4000".into() })) else {
        return;
    };
    assert_eq!((source.len(), source.label(0)), (4000, 6));
    assert_eq!(source.get(0).unwrap().get(0, 0), [59, 62, 63]);
}

/// JPEG decoders may differ by a few levels; the truth is Pillow's, the first 1,000 by number, then class.
#[test]
fn cifar10_as_jpeg_decodes_as_with_pillow() {
    let Some(jpeg) = open(&SourceConfig::ImageFolder(ImageFolderConfig { folder: "cifar10-jpeg".into() })) else {
        return;
    };
    let Some(truth) = open(&SourceConfig::Cifar10(Cifar10Config { folder: "cifar10-jpeg".into() })) else { return };
    assert_eq!((count(&jpeg, Given::Train), count(&jpeg, Given::Test)), (50_000, 10_000));
    let mut far = Vec::new();
    for i in 0..truth.len() {
        let own = 50_000 + 1000 * (i % 10) + i / 10;
        assert_eq!((jpeg.label(own), jpeg.name(own).contains(&format!("/{:04}.", i / 10))), (truth.label(i), true));
        far.extend(differences(&jpeg.get(own).unwrap(), &truth.get(i).unwrap()));
    }
    let mean = far.iter().map(|&d| f64::from(d)).sum::<f64>() / far.len() as f64;
    eprintln!("mean difference {mean:.3}, largest {:?}", far.iter().max());
    assert!(mean < 1.0, "{mean}");
}

#[test]
fn flowers() {
    let Some(source) = open(&SourceConfig::ImageFolder(ImageFolderConfig { folder: "flowers5-224".into() })) else {
        return;
    };
    assert_eq!((count(&source, Given::Train), count(&source, Given::Valid), source.len()), (750, 250, 1000));
    assert!((0..1000).step_by(50).all(|i| source.get(i).unwrap().height() == 224));
}

#[test]
fn mnist_is_described() {
    let Some(source) = open(&SourceConfig::Idx(IdxConfig::default())) else { return };
    let description = describe(&Arc::new(source), LoaderOptions::default(), &mut |_| ()).unwrap();
    assert_eq!((description.samples, description.repeated(), description.corrupt.len()), (70_000, 0, 0));
    eprintln!("MNIST: {} groups look the same", description.near_duplicates.len());
}

/// `tokenizer.json` and `vocab.txt` come with `get-minilm.sh`, into the folder of the reference.
#[test]
fn minilm_cuts_texts_as_transformers_does() {
    let root = DataRoot::new(std::env::var_os("HOMEOSTAT_DATA"));
    let found = root.find("models/all-minilm-l6-v2").ok().filter(|folder| folder.join("tokenizer.json").exists());
    let Some(folder) = found else { return eprintln!("skipped: MiniLM's tokenizer is not below HOMEOSTAT_DATA") };
    let bytes = std::fs::read(folder.join("reference.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Vec<i64> {
        let (numbers, _) = tensors.tensor(name).unwrap().data().as_chunks::<8>();
        numbers.iter().map(|number| i64::from_le_bytes(*number)).collect()
    };
    let sentences: Vec<String> = serde_json::from_str(&header.metadata().as_ref().unwrap()["sentences"]).unwrap();
    for name in ["tokenizer.json", "vocab.txt"] {
        let tokenizer = Tokenizer::open(&folder.join(name)).unwrap();
        assert_eq!(tokenizer.size(), 30_522);
        let texts = sentences.iter().map(|text| TextPrepare::default().apply(&tokenizer, text, None).unwrap());
        let texts: Vec<Tokens> = texts.collect();
        let batch = TokenBatch::new(&texts, tokenizer.pad(), 1);
        assert_eq!(batch.ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>(), numbers("input_ids"), "{name}");
        let mask: Vec<i64> = batch.is_padding.iter().map(|&padding| i64::from(!padding)).collect();
        assert_eq!(mask, numbers("attention_mask"), "{name}");
    }
}

fn open_text(config: &TextSourceConfig) -> Option<TextSource> {
    let root = DataRoot::new(std::env::var_os("HOMEOSTAT_DATA"));
    let there = root.find(config.folder()).is_ok();
    if !there {
        eprintln!("skipped: {} is not below HOMEOSTAT_DATA", config.folder());
    }
    there.then(|| config.open(&root).unwrap())
}

fn table(folder: &str) -> TextTableConfig {
    TextTableConfig { folder: folder.into(), ..TextTableConfig::default() }
}

fn without_header(files: &[&str], kind: TableKind, columns: [&str; 2]) -> TextTableConfig {
    let columns = columns.map(str::to_owned).to_vec();
    let files = files.iter().map(|&file| file.to_owned()).collect();
    TextTableConfig { files, format: TableFormat { kind, columns, ..TableFormat::default() }, ..table("") }
}

#[test]
fn banking77() {
    let config = TextTableConfig { label: "category".into(), ..table("banking77") };
    let Some(source) = open_text(&TextSourceConfig::Table(config)) else { return };
    assert_eq!(
        (count(&source, Given::Train), count(&source, Given::Test), source.classes().len()),
        (10_003, 3_080, 77)
    );
    assert_eq!(
        (source.get(0).unwrap().text.as_str(), source.classes()[source.label(0)].as_str()),
        ("I am still waiting on my card?", "card_arrival")
    );
    let splits = SplitConfig::Auto.split(&source, 1).unwrap();
    assert_eq!(splits.test.len(), 3_080);
}

#[test]
fn clinc150_with_what_is_out_of_scope() {
    let config = without_header(&["data_full.json.gz"], TableKind::Auto, ["text", "label"]);
    let config = TextTableConfig { folder: "clinc150".into(), ..config };
    let Some(source) = open_text(&TextSourceConfig::Table(config)) else { return };
    let counts = [Given::Train, Given::Valid, Given::Test].map(|given| count(&source, given));
    assert_eq!((counts, source.classes().len()), ([15_100, 3_100, 5_500], 151));
}

#[test]
fn twitter_financial_news() {
    let classes = ["bearish", "bullish", "neutral"].map(str::to_owned).to_vec();
    let config = TextTableConfig { classes, ..table("twitter-financial-news-sentiment") };
    let Some(source) = open_text(&TextSourceConfig::Table(config)) else { return };
    assert_eq!((count(&source, Given::Train), count(&source, Given::Valid)), (9_543, 2_388));
    let mut counts = [0; 3];
    (0..9_543).for_each(|i| counts[source.label(i)] += 1);
    assert_eq!(counts, [1_442, 1_923, 6_178]);
}

#[test]
fn sms_spam() {
    let config = without_header(&[], TableKind::Auto, ["label", "text"]);
    let Some(source) = open_text(&TextSourceConfig::Table(TextTableConfig { folder: "sms-spam".into(), ..config }))
    else {
        return;
    };
    assert_eq!(
        (source.len(), (0..source.len()).filter(|&i| source.classes()[source.label(i)] == "spam").count()),
        (5_574, 747)
    );
}

#[test]
fn sentiment_labelled_sentences() {
    let files = ["amazon_cells_labelled.txt", "imdb_labelled.txt", "yelp_labelled.txt"];
    let config = without_header(&files, TableKind::Tsv, ["text", "label"]);
    let config = TextTableConfig { folder: "sentiment-labelled-sentences".into(), ..config };
    let Some(source) = open_text(&TextSourceConfig::Table(config)) else { return };
    assert_eq!((source.len(), (0..source.len()).filter(|&i| source.label(i) == 1).count()), (3_000, 1_500));
}

#[test]
fn tinyshakespeare() {
    let config = |unit| {
        TextSourceConfig::TextFolder(TextFolderConfig {
            folder: "tinyshakespeare".into(),
            unit,
            ..TextFolderConfig::default()
        })
    };
    let Some(source) = open_text(&config(TextUnit::File)) else { return };
    assert_eq!((source.len(), source.get(0).unwrap().text.len(), source.label_kind()), (1, 1_115_394, LabelKind::None));
    assert_eq!(open_text(&config(TextUnit::Paragraph)).unwrap().len(), 7_222);
}

/// Some columns of a table of numbers and names. The test part has a dot behind each class: other labels than those of the first part.
#[test]
fn adult() {
    let files = ["adult.data.gz", "adult.test.gz"].map(str::to_owned).to_vec();
    let format = TableFormat { kind: TableKind::Csv, ..TableFormat::default() };
    let config = TextTableConfig {
        files,
        text: "occupation".into(),
        label: "classification".into(),
        group: "sex".into(),
        format,
        ..table("adult")
    };
    let Some(source) = open_text(&TextSourceConfig::Table(config)) else { return };
    assert_eq!((source.len(), count(&source, Given::Test), source.classes().len()), (48_842, 16_281, 4));
    assert!((0..source.len()).all(|i| source.group(i).is_some_and(|group| group < 2)));
}
