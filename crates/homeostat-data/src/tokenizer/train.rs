//! Tokenizers that are learnt from a corpus. It does not know where texts come from.

use std::collections::{BTreeMap, BTreeSet};

use rayon::ThreadPoolBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, Lowercase, NFC, NFKC, NormalizerWrapper, Sequence};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Inner, Trainer,
};

use super::broken;
use crate::DataError;

/// BERT's special tokens; the number of each is its place here, in a tokenizer that was learnt.
pub(super) const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// How a text is cut into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Words, and pieces of rare ones, as BERT does it (Schuster & Nakajima 2012).
    #[default]
    Wordpiece,
    /// Pairs of bytes joined again and again, as GPT-2 does it (Sennrich et al. 2016); every text comes back as it was, its case
    /// aside.
    Bpe,
    /// The likeliest pieces, as SentencePiece does it (Kudo 2018).
    Unigram,
    /// A token a character, for language models; nothing is put around the text.
    Characters,
}

/// A tokenizer that is learnt from texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenizerConfig {
    /// How a text is cut.
    pub kind: TokenizerKind,
    /// The number of tokens, special ones among them. Fewer are learnt where the texts have no more, and a few more where they
    /// have more characters: each of them gets a token.
    pub size: usize,
    /// Whether upper and lower case are the same.
    pub lowercase: bool,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self { kind: TokenizerKind::Wordpiece, size: 8000, lowercase: true }
    }
}

impl TokenizerConfig {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        // All bytes are tokens of BPE; the others need a token for more than the unknown.
        let least = SPECIAL.len() + if self.kind == TokenizerKind::Bpe { 256 } else { 1 };
        let why = || format!("{} is not within {least} to {LARGEST}", self.size);
        if (least..=LARGEST).contains(&self.size) {
            Ok(())
        } else {
            Err(DataError::config(&format!("{key}.size"), why()))
        }
    }
}

/// More than any tokenizer in use has.
const LARGEST: usize = 10_000_000;

pub(super) fn train<S>(config: &TokenizerConfig, texts: impl IntoIterator<Item = S>) -> Result<Inner, DataError>
where
    S: AsRef<str>,
{
    config.check("tokenizer")?;
    let mut inner = shell(config.kind, config.lowercase, BPE::default().into())?;
    let words = words(&inner, texts)?;
    if words.is_empty() {
        return Err(DataError::config("tokenizer", "there is no text to learn from"));
    }
    // With one thread, sums of floats have one order; the crate counts words so fast that nobody waits for the others.
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| DataError::config("tokenizer", format!("no thread to learn on: {error}")))?;
    let model = pool.install(|| learn(config, words)).map_err(broken)?;
    inner.with_model(model);
    add_special(&mut inner, config.kind)?;
    Ok(inner)
}

/// How often each word occurs, in the order of the alphabet.
fn words<S>(inner: &Inner, texts: impl IntoIterator<Item = S>) -> Result<BTreeMap<String, u32>, DataError>
where
    S: AsRef<str>,
{
    let mut words: BTreeMap<String, u32> = BTreeMap::new();
    for text in texts {
        let mut text = NormalizedString::from(text.as_ref());
        if let Some(normalizer) = inner.get_normalizer() {
            normalizer.normalize(&mut text).map_err(broken)?;
        }
        let mut text = PreTokenizedString::from(text);
        if let Some(pre_tokenizer) = inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text).map_err(broken)?;
        }
        for (word, _, _) in text.get_splits(OffsetReferential::Original, OffsetType::None) {
            match words.get_mut(word) {
                Some(count) => *count = count.saturating_add(1),
                None => drop(words.insert(word.to_owned(), 1)),
            }
        }
    }
    Ok(words)
}

fn learn(config: &TokenizerConfig, words: BTreeMap<String, u32>) -> tokenizers::Result<ModelWrapper> {
    let tokens =
        |names: &[&str]| -> Vec<AddedToken> { names.iter().map(|name| AddedToken::from(*name, true)).collect() };
    let (size, special) = (config.size, tokens(special(config.kind)));
    match config.kind {
        TokenizerKind::Wordpiece => {
            // WordPiece's own trainer numbers the characters within words in the order of a hash map, which differs from run to
            // run, and so do the pieces where counts are equal. Named beforehand, they have one order.
            let within: BTreeSet<char> = words.keys().flat_map(|word| word.chars().skip(1)).collect();
            let within: Vec<String> = within.into_iter().map(|character| format!("{WITHIN}{character}")).collect();
            let within: Vec<&str> = within.iter().map(String::as_str).collect();
            let trainer = BpeTrainer::builder().vocab_size(size).show_progress(false);
            let trainer = trainer.continuing_subword_prefix(WITHIN.to_owned());
            let mut pairs = BPE::default();
            let trainer = trainer.special_tokens([special, tokens(&within)].concat()).build();
            fit(trainer, &words, &mut pairs)?;
            Ok(WordPiece::from_bpe(&pairs).into())
        }
        TokenizerKind::Bpe => {
            let alphabet = ByteLevel::alphabet().into_iter().collect();
            let trainer = BpeTrainer::builder().vocab_size(size).show_progress(false).initial_alphabet(alphabet);
            let mut pairs = BPE::default();
            fit(trainer.special_tokens(special).build(), &words, &mut pairs)?;
            Ok(pairs.into())
        }
        TokenizerKind::Characters => {
            let mut trainer = WordLevelTrainer::builder();
            let mut characters = WordLevel::builder().unk_token("[UNK]".to_owned()).build()?;
            let trainer = trainer.vocab_size(size).show_progress(false).special_tokens(special).build()?;
            fit(trainer, &words, &mut characters)?;
            Ok(characters.into())
        }
        TokenizerKind::Unigram => unigram(size, special, words),
    }
}

/// What WordPiece writes before a piece that does not begin a word.
const WITHIN: &str = "##";

/// Feeds each word as often as it occurs, for the trainers count themselves.
fn fit<T: Trainer>(mut trainer: T, words: &BTreeMap<String, u32>, model: &mut T::Model) -> tokenizers::Result<()> {
    let all = words.iter().flat_map(|(word, &count)| std::iter::repeat_n(word, count as usize));
    trainer.feed(all, |word| Ok(vec![word.to_owned()]))?;
    trainer.train(model).map(drop)
}

#[expect(clippy::cast_possible_truncation, reason = "the size was checked")]
fn unigram(size: usize, special: Vec<AddedToken>, words: BTreeMap<String, u32>) -> tokenizers::Result<ModelWrapper> {
    let unknown = special.iter().position(|token| token.content == "[UNK]");
    let characters = words.keys().flat_map(|word| word.chars()).collect::<BTreeSet<_>>().len();
    // Every character gets a token; the trainer takes a size below that for an order to make none of the pieces.
    let least = special.len() + characters + 1;
    let mut trainer = UnigramTrainer::builder();
    let trainer = trainer.vocab_size(size.max(least) as u32).show_progress(false).special_tokens(special.clone());
    let mut model = Unigram::default();
    trainer.unk_token(Some("[UNK]".to_owned())).build()?.do_train(words.into_iter().collect(), &mut model)?;
    let pieces = settled(model.iter().skip(special.len()).cloned().collect());
    let special = special.into_iter().map(|token| (token.content, 0.0));
    Ok(Unigram::from(special.chain(pieces).collect(), unknown, false)?.into())
}

/// The pieces in one order. The trainer hands the lowest scores to the characters that it has no piece for in the order of a hash
/// map, which differs from run to run: they are dealt anew, in the order of the alphabet.
fn settled(mut pieces: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let lowest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let is_character = |piece: &str| piece.chars().nth(1).is_none();
    let mut penalty = 0.0;
    let dealt: Vec<f64> = std::iter::repeat_with(|| {
        let score = lowest + penalty;
        penalty += 0.0001;
        score
    })
    .take(pieces.len())
    .collect();
    let of_hash_map = |(piece, score): &(String, f64)| is_character(piece) && dealt.contains(score);
    let mut characters: Vec<String> =
        pieces.iter().filter(|piece| of_hash_map(piece)).map(|(piece, _)| piece.clone()).collect();
    characters.sort_unstable();
    pieces.retain(|piece| !of_hash_map(piece));
    pieces.extend(characters.into_iter().zip(dealt));
    pieces.sort_by(|(a, first), (b, second)| second.total_cmp(first).then_with(|| a.cmp(b)));
    pieces
}

fn special(kind: TokenizerKind) -> &'static [&'static str] {
    match kind {
        TokenizerKind::Characters => &SPECIAL[..2],
        _ => &SPECIAL,
    }
}

/// All but the model and the special tokens.
pub(super) fn shell(kind: TokenizerKind, lowercase: bool, model: ModelWrapper) -> Result<Inner, DataError> {
    let lower = |form: NormalizerWrapper| -> NormalizerWrapper {
        if lowercase { Sequence::new(vec![form, Lowercase.into()]).into() } else { form }
    };
    let normalizer: NormalizerWrapper = match kind {
        TokenizerKind::Wordpiece => BertNormalizer::new(true, true, None, lowercase).into(),
        TokenizerKind::Bpe | TokenizerKind::Characters => lower(NFC.into()),
        TokenizerKind::Unigram => lower(NFKC.into()),
    };
    let spaces = || Metaspace::new('▁', PrependScheme::Always, true);
    let bytes = || ByteLevel::new(false, false, true);
    let pre_tokenizer: PreTokenizerWrapper = match kind {
        TokenizerKind::Wordpiece => BertPreTokenizer.into(),
        TokenizerKind::Bpe => bytes().into(),
        TokenizerKind::Unigram => spaces().into(),
        TokenizerKind::Characters => {
            let one = SplitPattern::Regex("(?s:.)".to_owned());
            Split::new(one, SplitDelimiterBehavior::Isolated, false).map_err(broken)?.into()
        }
    };
    let decoder: DecoderWrapper = match kind {
        TokenizerKind::Wordpiece => tokenizers::decoders::wordpiece::WordPiece::default().into(),
        TokenizerKind::Bpe => bytes().into(),
        TokenizerKind::Unigram => spaces().into(),
        TokenizerKind::Characters => tokenizers::decoders::fuse::Fuse::new().into(),
    };
    let mut inner = Inner::new(model);
    inner.with_normalizer(Some(normalizer)).map_err(broken)?;
    inner.with_pre_tokenizer(Some(pre_tokenizer)).with_decoder(Some(decoder));
    Ok(inner)
}

/// The special tokens, once the model knows them, and where they stand around a text.
pub(super) fn add_special(inner: &mut Inner, kind: TokenizerKind) -> Result<(), DataError> {
    inner.add_special_tokens(special(kind).iter().map(|token| AddedToken::from(*token, true))).map_err(broken)?;
    if kind == TokenizerKind::Characters {
        return Ok(());
    }
    let numbered = |token: &str| (token.to_owned(), inner.token_to_id(token).unwrap_or_default());
    let around = TemplateProcessing::builder()
        .try_single("[CLS] $A [SEP]")
        .and_then(|template| template.try_pair("[CLS] $A [SEP] $B:1 [SEP]:1"))
        .map(|template| template.special_tokens(vec![numbered("[CLS]"), numbered("[SEP]")]).build());
    let around = around.map_err(|why| DataError::config("tokenizer", why))?;
    inner.with_post_processor(Some(around.map_err(|error| DataError::config("tokenizer", error.to_string()))?));
    Ok(())
}
