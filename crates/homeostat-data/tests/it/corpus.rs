//! Texts in a row: nothing is lost between pieces, and what comes last is the last part.

use std::fs;

use homeostat_data::{
    Corpus, DataRoot, SequentialSplit, Source, SplitConfig, Splits, TextFolderConfig, TextSourceConfig,
    TextTableConfig, Tokenizer, TokenizerConfig, TokenizerKind,
};

/// The files of a folder of texts as a corpus.
fn corpus(files: &[(&str, &str)], between: &str) -> Source<Corpus> {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("plays");
    fs::create_dir(&folder).unwrap();
    files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    let config = TextFolderConfig { folder: "plays".into(), ..TextFolderConfig::default() };
    let texts = TextSourceConfig::TextFolder(config).open(&DataRoot::new([root.path()])).unwrap();
    Corpus::of(&texts, between).unwrap()
}

fn all(source: &Source<Corpus>) -> String {
    source.text(&(0..source.len()).collect::<Vec<_>>())
}

fn sequential(valid: f64, test: f64, source: &Source<Corpus>) -> Splits {
    SplitConfig::Sequential(SequentialSplit { valid, test }).split(source, 1).unwrap()
}

#[test]
fn pieces_make_up_the_texts() {
    let (long, short) = ("äb\nc ".repeat(1000), "the end\n");
    let source = corpus(&[("a.txt", &long), ("b.txt", short)], "\n--\n");
    assert_eq!(all(&source), format!("{long}\n--\n{short}"));
    assert!(source.len() > 10 && (0..source.len() - 1).all(|i| source.amount(i) == 256));
    assert_eq!(source.get(3).unwrap(), long.chars().skip(3 * 256).take(256).collect::<String>());
    assert_eq!(source.name(3), "plays, from character 768");
    assert_eq!(source.digest(5).unwrap(), corpus(&[("c.txt", &long)], "").digest(5).unwrap());
    assert_ne!(source.fingerprint().unwrap(), corpus(&[("a.txt", &long)], "").fingerprint().unwrap());
}

#[test]
fn the_last_characters_are_the_last_part() {
    let text: String = (0..20_000).map(|at| char::from(b'a' + u8::try_from(at / 1000 % 26).unwrap())).collect();
    let source = corpus(&[("a.txt", &text)], "");
    for (valid, test) in [(0.1, 0.1), (0.05, 0.2), (0.3, 0.0)] {
        let splits = sequential(valid, test, &source);
        let parts = [&splits.train, &splits.valid, &splits.test].map(|part| source.text(part));
        assert_eq!(parts.concat(), text, "in their order");
        for (part, share) in parts.iter().zip([1.0 - valid - test, valid, test]) {
            assert!((part.len() as f64 / 20_000.0 - share).abs() <= 0.013, "{share}: {}", part.len());
        }
    }
}

#[test]
fn samples_of_other_kinds_are_divided_by_their_number() {
    let digits = homeostat_data::SourceConfig::Digits.open(&DataRoot::default()).unwrap();
    let split = SplitConfig::Sequential(SequentialSplit { valid: 0.1, test: 0.2 });
    let Splits { train, valid, test } = split.split(&digits, 1).unwrap();
    assert_eq!([train.len(), valid.len(), test.len()], [1258, 180, 359]);
    assert_eq!([train, valid, test].concat(), (0..1797).collect::<Vec<_>>());
}

#[test]
fn files_that_are_parts_stay_apart() {
    let source = corpus(&[("train-1.txt", "one\n"), ("train-2.txt", "two\n"), ("valid.txt", "three\n")], "\n");
    assert_eq!((source.len(), all(&source)), (2, "one\n\ntwo\nthree\n".to_owned()));
    let splits = SplitConfig::Auto.split(&source, 1).unwrap();
    assert_eq!((source.text(&splits.train), source.text(&splits.valid)), ("one\n\ntwo\n".into(), "three\n".into()));
}

#[test]
fn what_is_no_corpus_or_too_small_is_refused_in_one_line() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("pairs")).unwrap();
    fs::write(root.path().join("pairs/a.csv"), "text,other\nHow?,So.\n").unwrap();
    let table = TextTableConfig {
        folder: "pairs".into(),
        pair: "other".into(),
        label: String::new(),
        ..TextTableConfig::default()
    };
    let texts = TextSourceConfig::Table(table).open(&DataRoot::new([root.path()])).unwrap();
    let error = Corpus::of(&texts, "\n").unwrap_err().to_string();
    assert!(error.contains("pairs of texts") && error.lines().count() == 1, "{error}");
    let small = corpus(&[("a.txt", "no more than this")], "");
    for (valid, test, words) in [
        (0.1, 0.1, "nothing of its 1 samples is left for the"),
        (0.6, 0.4, "both together below 1"),
        (0.0, 0.1, "above 0"),
    ] {
        let split = SplitConfig::Sequential(SequentialSplit { valid, test });
        let error = split.split(&small, 1).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn tokens_count_all_characters_and_come_back_one_by_one() {
    let text =
        "Who's there?\n\n  Nay, answer me: stand, and unfold yourself.\n\tLong live the king — ü!\n".repeat(1500);
    for kind in [TokenizerKind::Characters, TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Wordpiece] {
        let config = TokenizerConfig { kind, size: 300, lowercase: false };
        let tokenizer = Tokenizer::train(&config, [text.as_str()]).unwrap();
        let (ids, counts) = tokenizer.encode_counted(&text).unwrap();
        assert_eq!(ids.len(), counts.len());
        assert_eq!(counts.iter().map(|count| *count as usize).sum::<usize>(), text.chars().count(), "{kind:?}");
        if matches!(kind, TokenizerKind::Characters | TokenizerKind::Bpe) {
            assert_eq!(ids, tokenizer.encode(&text).unwrap(), "{kind:?}: cut into blocks or not");
            let mut stream = tokenizer.stream();
            let told: String = ids[..200].iter().map(|id| stream.push(*id).unwrap()).collect();
            assert!(!told.contains('\u{FFFD}') && text.starts_with(&told) && told.len() > 190, "{kind:?}: {told}");
        }
        if kind == TokenizerKind::Characters {
            assert!(counts.iter().all(|count| *count == 1));
        }
    }
    let config = TokenizerConfig { kind: TokenizerKind::Characters, size: 300, lowercase: false };
    let tokenizer = Tokenizer::train(&config, ["abc"]).unwrap();
    assert_eq!(tokenizer.encode_counted("").unwrap(), (vec![], vec![]));
}
