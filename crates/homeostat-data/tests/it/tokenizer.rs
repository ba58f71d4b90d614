use std::path::Path;

use homeostat_data::{DataError, TextPrepare, Tokenizer, TokenizerConfig, TokenizerKind, Tokens, TooLong};
use serde::Deserialize;

use crate::fixture_of;

/// What `tests/fixtures/texts.py` found.
#[derive(Deserialize)]
struct Expected {
    corpus: Vec<String>,
    answers: std::collections::BTreeMap<String, Vec<Answer>>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    pair: Option<String>,
    max_length: usize,
    ids: Vec<u32>,
    types: Vec<u32>,
    decoded: String,
}

fn expected() -> Expected {
    serde_json::from_slice(&fixture_of("texts", "expected.json")).unwrap()
}

fn trained(kind: TokenizerKind, size: usize, corpus: &[String]) -> Tokenizer {
    Tokenizer::train(&TokenizerConfig { kind, size, lowercase: true }, corpus).unwrap()
}

const KINDS: [(&str, TokenizerKind, usize); 3] = [
    ("wordpiece", TokenizerKind::Wordpiece, 150),
    ("bpe", TokenizerKind::Bpe, 340),
    ("unigram", TokenizerKind::Unigram, 120),
];

fn check(tokenizer: &Tokenizer, answers: &[Answer]) {
    for answer in answers {
        let prepare = TextPrepare { max_length: answer.max_length, ..TextPrepare::default() };
        let tokens = prepare.apply(tokenizer, &answer.text, answer.pair.as_deref());
        if answer.text.is_empty() {
            assert!(matches!(&tokens, Err(DataError::Corrupt { why, .. }) if why == "the text is empty"), "{tokens:?}");
            continue;
        }
        let Tokens { ids, types, .. } = tokens.unwrap();
        let what = format!("{:?} + {:?}, at most {}", answer.text, answer.pair, answer.max_length);
        assert_eq!(ids, answer.ids, "{what}");
        assert_eq!(types, answer.types, "{what}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), answer.decoded, "{what}");
    }
}

#[test]
fn tokenizers_made_by_python_cut_texts_as_they_do_there() {
    let expected = expected();
    for (name, _, _) in KINDS {
        check(&Tokenizer::from_json(&fixture_of("texts", &format!("{name}.json"))).unwrap(), &expected.answers[name]);
    }
}

#[test]
fn a_vocabulary_of_bert_cuts_texts_as_transformers_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/texts/vocab.txt");
    check(&Tokenizer::open(&path).unwrap(), &expected().answers["vocab"]);
}

/// Python's WordPiece and Unigram break ties by chance, so that two trainings there differ, too.
#[test]
fn what_is_learnt_here_is_what_python_learns() {
    let expected = expected();
    for (name, kind, size) in KINDS {
        let ours = trained(kind, size, &expected.corpus);
        let theirs = Tokenizer::from_json(&fixture_of("texts", &format!("{name}.json"))).unwrap();
        assert_eq!(ours.size(), theirs.size(), "{name}");
        let all = 0..u32::try_from(size).unwrap();
        let tokens = |tokenizer: &Tokenizer| all.clone().map(|id| tokenizer.token(id)).collect::<Vec<_>>();
        if kind == TokenizerKind::Bpe {
            assert_eq!(tokens(&ours), tokens(&theirs));
            check(&ours, &expected.answers[name]);
        }
        let needed = |tokenizer: &Tokenizer| {
            expected.corpus.iter().map(|text| tokenizer.encode(text).unwrap().len()).sum::<usize>()
        };
        let (ours, theirs) = (needed(&ours), needed(&theirs));
        assert!(ours.abs_diff(theirs) * 25 <= theirs, "{name}: {ours} tokens, theirs are {theirs}");
    }
}

#[test]
fn the_same_texts_give_the_same_tokenizer_in_any_order() {
    let mut corpus = expected().corpus;
    let kinds = KINDS.map(|(_, kind, size)| (kind, size));
    for (kind, size) in kinds.into_iter().chain([(TokenizerKind::Characters, 30)]) {
        let once = trained(kind, size, &corpus).to_json();
        corpus.reverse();
        assert_eq!(once, trained(kind, size, &corpus).to_json(), "{kind:?}");
        let read = Tokenizer::from_json(once.as_bytes()).unwrap();
        assert_eq!(read.to_json(), once, "{kind:?}");
    }
}

#[test]
fn what_was_learnt_comes_back_as_text() {
    let corpus = expected().corpus;
    for (kind, size) in [(TokenizerKind::Bpe, 300), (TokenizerKind::Characters, 200), (TokenizerKind::Unigram, 200)] {
        let config = TokenizerConfig { kind, size, lowercase: false };
        let tokenizer = Tokenizer::train(&config, &corpus).unwrap();
        assert!(tokenizer.size() <= size, "{kind:?}");
        for text in &corpus {
            assert_eq!(&tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text, "{kind:?}");
        }
    }
    let bytes = trained(TokenizerKind::Bpe, 300, &corpus);
    for text in ["\u{1f642} \u{0} \u{7}", "  two  spaces\r\n", "\u{6e29}\u{5ea6}"] {
        assert_eq!(bytes.decode(&bytes.encode(text).unwrap()).unwrap(), text, "bytes spell all texts");
    }
}

#[test]
fn a_line_break_is_a_character() {
    let config = TokenizerConfig { kind: TokenizerKind::Characters, size: 100, lowercase: false };
    let tokenizer = Tokenizer::train(&config, ["ab\nc"]).unwrap();
    let ids = tokenizer.encode("c\n\nx").unwrap();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[3], tokenizer.id("[UNK]").unwrap());
    assert_eq!(tokenizer.decode(&ids[..3]).unwrap(), "c\n\n");
}

#[test]
fn texts_that_are_too_long_are_cut_or_refused() {
    let tokenizer = trained(TokenizerKind::Wordpiece, 150, &expected().corpus);
    let cut = TextPrepare { max_length: 4, ..TextPrepare::default() };
    let tokens = cut.apply(&tokenizer, "the the the", None).unwrap();
    assert_eq!((tokens.ids.len(), tokens.is_cut), (4, true));
    assert!(!cut.apply(&tokenizer, "the the", None).unwrap().is_cut);
    let refuse = TextPrepare { too_long: TooLong::Refuse, ..cut.clone() };
    let error = refuse.apply(&tokenizer, "the the the", None).unwrap_err().to_string();
    assert_eq!(error, "text: has 5 tokens, but at most 4 are taken");
    let bare = TextPrepare { special_tokens: false, ..refuse };
    assert_eq!(bare.apply(&tokenizer, "the the the", None).unwrap().ids.len(), 3);
    let tiny = TextPrepare { max_length: 2, ..cut };
    assert!(tiny.apply(&tokenizer, "the", None).unwrap_err().to_string().contains("no room"));
    let error = tiny.check_room("prepare", &tokenizer).unwrap_err().to_string();
    assert!(error.contains("prepare.max-length") && error.contains("beside 2 special tokens"), "{error}");
    assert!(TextPrepare { max_length: 3, ..tiny }.check_room("prepare", &tokenizer).is_ok());
}

#[test]
fn what_is_no_tokenizer_is_refused_in_one_line() {
    for bytes in [&b"{}"[..], b"", b"\xff\xfe", b"[1, 2]", br#"{"version": "1.0", "model": {"type": "Magic"}}"#] {
        let error = Tokenizer::from_json(bytes).unwrap_err().to_string();
        assert!(error.starts_with("tokenizer.json: is no tokenizer") && !error.contains('\n'), "{error}");
    }
    let error = Tokenizer::from_vocab("a\nb\n", true).unwrap_err().to_string();
    assert!(error.contains("`[PAD]`"), "{error}");
    for (kind, size) in [(TokenizerKind::Bpe, 260), (TokenizerKind::Wordpiece, 3), (TokenizerKind::Unigram, 0)] {
        let config = TokenizerConfig { kind, size, lowercase: true };
        assert!(matches!(Tokenizer::train(&config, ["a"]), Err(DataError::Config { .. })), "{kind:?}");
    }
}

#[test]
fn a_corpus_of_nothing_is_refused_and_a_small_one_is_not() {
    for kind in [TokenizerKind::Wordpiece, TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Characters] {
        let config = TokenizerConfig { kind, size: 400, lowercase: true };
        for texts in [&[][..], &[""]] {
            let error = Tokenizer::train(&config, texts).unwrap_err().to_string();
            assert_eq!(error, "`tokenizer`: there is no text to learn from", "{kind:?}");
        }
        for text in ["a", "ab", "\u{1f642}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let tokenizer = Tokenizer::train(&config, [text]).unwrap();
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text, "{kind:?}");
        }
    }
}
