//! Texts into tokens and back. It does not know how long a text may be, nor what a network makes of the numbers; see
//! [`TextPrepare`](crate::TextPrepare) for the former.

mod train;

use std::path::Path;
use std::sync::Arc;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{Encoding, Tokenizer as Inner};

pub use train::{TokenizerConfig, TokenizerKind};

use crate::error::told;
use crate::{DataError, guard};

/// What cuts a text into tokens, each with a number: any `tokenizer.json` of Hugging Face's `tokenizers`, BERT's `vocab.txt`, or one
/// that is learnt from a corpus. It is part of an artifact; a copy of it costs nothing.
///
/// ```
/// use homeostat_data::{Tokenizer, TokenizerConfig, TokenizerKind};
///
/// let config = TokenizerConfig { kind: TokenizerKind::Wordpiece, size: 60, ..TokenizerConfig::default() };
/// let tokenizer = Tokenizer::train(&config, ["The cat sat.", "The cat ate the rat."])?;
/// let ids = tokenizer.encode("the cat")?;
/// assert_eq!(tokenizer.decode(&ids)?, "the cat");
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

/// The name under which a tokenizer lies in an artifact.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`. What it says of truncation and padding is left out: that is the preparation's.
    ///
    /// # Errors
    /// [`DataError::Format`], under the path `tokenizer.json`, for anything else.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DataError> {
        let wrong =
            |why: String| DataError::format(Path::new(TOKENIZER_FILE), format!("is no tokenizer: {}", told(&why)));
        let mut inner = guarded(|| Inner::from_bytes(bytes)).map_err(wrong)?;
        inner.with_truncation(None).map_err(broken)?.with_padding(None);
        Ok(Self::new(inner))
    }

    /// Reads the text of BERT's `vocab.txt`, a token a line; the pieces are those of BERT, with or without its lower case.
    ///
    /// # Errors
    /// [`DataError::Format`], under the path `vocab.txt`, where BERT's special tokens are not all there.
    pub fn from_vocab(text: &str, lowercase: bool) -> Result<Self, DataError> {
        let wrong = |why: String| DataError::format(Path::new("vocab.txt"), told(&why));
        let vocabulary = guarded(|| WordPiece::read_bytes(text.as_bytes())).map_err(wrong)?;
        if let Some(missing) = train::SPECIAL.iter().find(|token| !vocabulary.contains_key(**token)) {
            return Err(wrong(format!("has no line `{missing}`, so it is no vocabulary of BERT")));
        }
        let model = WordPiece::builder().vocab(vocabulary).build().map_err(|error| wrong(error.to_string()))?;
        let mut inner = train::shell(TokenizerKind::Wordpiece, lowercase, model.into())?;
        train::add_special(&mut inner, TokenizerKind::Wordpiece)?;
        Ok(Self::new(inner))
    }

    /// Reads a file: a `vocab.txt` where the name ends in `.txt` (in lower case, as BERT's is that is most used), else a
    /// `tokenizer.json`.
    ///
    /// # Errors
    /// [`DataError::Read`] for what cannot be read, [`DataError::Format`] for what is no tokenizer.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|error| DataError::read(path, error))?;
        let read = if path.extension().is_some_and(|extension| extension == "txt") {
            Self::from_vocab(&String::from_utf8_lossy(&bytes), true)
        } else {
            Self::from_json(&bytes)
        };
        read.map_err(|error| match error {
            DataError::Format { why, .. } => DataError::format(path, why),
            other => other,
        })
    }

    /// Learns the tokens of a corpus: the same ones from the same texts, whatever their order and the number of threads.
    ///
    /// # Errors
    /// [`DataError::Config`] for a size that is too small for what every tokenizer of the kind has.
    pub fn train<S>(config: &TokenizerConfig, texts: impl IntoIterator<Item = S>) -> Result<Self, DataError>
    where
        S: AsRef<str>,
    {
        train::train(config, texts).map(Self::new)
    }

    fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The text of its `tokenizer.json`; the same text for the same tokenizer.
    ///
    /// # Panics
    /// Never: all that it holds can be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.inner.to_string(false).unwrap_or_else(|error| panic!("a tokenizer that was read or made: {error}"))
    }

    /// The number of tokens, special ones among them: numbers of tokens are below it.
    #[must_use]
    pub fn size(&self) -> usize {
        let largest = self.inner.get_vocab(true).into_values().max();
        largest.map_or(0, |largest| largest as usize + 1)
    }

    /// The number of a token, if there is such a token.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of a number.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether this is a token that stands for no text, such as `[CLS]`.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_vocabulary().is_special_token(&self.token(id).unwrap_or_default())
    }

    /// What fills up the shorter texts of a batch: `[PAD]`, `<pad>`, or 0 where there is neither. A network masks it, so that
    /// its number does not matter.
    #[must_use]
    pub fn pad(&self) -> u32 {
        ["[PAD]", "<pad>"].into_iter().find_map(|token| self.id(token)).unwrap_or(0)
    }

    /// What stands in place of a hidden token: `[MASK]` or `<mask>`, else `[UNK]` or `<unk>`.
    #[must_use]
    pub fn mask(&self) -> Option<u32> {
        ["[MASK]", "<mask>", "[UNK]", "<unk>"].into_iter().find_map(|token| self.id(token))
    }

    /// What stands for a part of a text that the tokenizer has no token for: `[UNK]` or `<unk>`.
    #[must_use]
    pub fn unknown(&self) -> Option<u32> {
        ["[UNK]", "<unk>"].into_iter().find_map(|token| self.id(token))
    }

    /// The tokens of a text, without special ones at its ends.
    ///
    /// # Errors
    /// [`DataError::Corrupt`], under the name `text`, where the tokenizer has no token for a part of it and none for what is unknown.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.encoding(text).map(|encoding| encoding.get_ids().to_vec())
    }

    /// The text of tokens; special ones are left out.
    ///
    /// # Errors
    /// [`DataError::Corrupt`], under the name `tokens`, where the decoder refuses them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        let refused = |why: String| DataError::Corrupt { name: "tokens".into(), why: told(&why) };
        guarded(|| self.inner.decode(ids, true)).map_err(refused)
    }

    /// The tokens of a long text, and of how many characters each is: together they are those of the text, for what the tokenizer
    /// leaves out counts with the token behind it.
    ///
    /// It is cut where a line begins, so that the memory does not grow with more than the tokens.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_counted(&self, text: &str) -> Result<(Vec<u32>, Vec<u32>), DataError> {
        let (mut ids, mut counts) = (Vec::new(), Vec::<u32>::new());
        // Characters that no token has counted yet.
        let mut waiting = 0;
        for block in blocks(text) {
            let encoding = guarded(|| self.inner.encode_char_offsets(block, false)).map_err(unencodable)?;
            ids.extend_from_slice(encoding.get_ids());
            let mut told = 0;
            for &(_, end) in encoding.get_offsets() {
                let end = end.max(told);
                counts.push(u32::try_from(waiting + end - told).unwrap_or(u32::MAX));
                (waiting, told) = (0, end);
            }
            waiting += block.chars().count() - told;
        }
        if let Some(last) = counts.last_mut() {
            *last = last.saturating_add(u32::try_from(waiting).unwrap_or(u32::MAX));
        }
        Ok((ids, counts))
    }

    /// Tokens to text, one after the other, as they come.
    #[must_use]
    pub fn stream(&self) -> TokenStream {
        TokenStream { inner: Arc::clone(&self.inner), ids: Vec::new(), prefix: String::new(), prefix_index: 0 }
    }

    pub(crate) fn encoding(&self, text: &str) -> Result<Encoding, DataError> {
        guarded(|| self.inner.encode_fast(text, false)).map_err(unencodable)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

/// Characters that are encoded at once, about.
const BLOCK: usize = 1 << 16;

/// A long text in pieces that begin with a line of its own.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let lines = rest.match_indices('\n').map(|(at, _)| at + 1).skip_while(|&at| at < BLOCK);
        let begins = |at: &usize| rest[*at..].chars().next().is_some_and(|next| !next.is_whitespace());
        let end = lines.take(BLOCK).find(begins).unwrap_or(rest.len());
        let (block, behind) = rest.split_at(end);
        rest = behind;
        Some(block)
    })
}

/// The text of tokens that come one by one. Some characters take several tokens: then nothing comes until the last of them.
///
/// ```
/// use homeostat_data::{Tokenizer, TokenizerConfig, TokenizerKind};
///
/// let config = TokenizerConfig { kind: TokenizerKind::Characters, size: 60, lowercase: false };
/// let tokenizer = Tokenizer::train(&config, ["To be, or not to be"])?;
/// let mut stream = tokenizer.stream();
/// let text = tokenizer.encode("not to be")?.into_iter().map(|id| stream.push(id)).collect::<Result<String, _>>()?;
/// assert_eq!(text, "not to be");
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct TokenStream {
    inner: Arc<Inner>,
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

impl TokenStream {
    /// What this token adds to the text; special ones add nothing.
    ///
    /// # Errors
    /// [`DataError::Corrupt`], under the name `tokens`, where the decoder refuses them.
    pub fn push(&mut self, id: u32) -> Result<String, DataError> {
        let Self { inner, ids, prefix, prefix_index } = self;
        let added = tokenizers::step_decode_stream(inner, vec![id], true, ids, prefix, prefix_index);
        let refused = |error: tokenizers::Error| DataError::Corrupt { name: "tokens".into(), why: error.to_string() };
        added.map(Option::unwrap_or_default).map_err(refused)
    }
}

impl std::fmt::Debug for TokenStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenStream({:?})", self.prefix)
    }
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.to_json() == other.to_json()
    }
}

/// What the library does with a stranger's file or text.
pub(crate) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    guard::guarded("the library", work)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn unencodable(why: String) -> DataError {
    DataError::Corrupt { name: "text".into(), why: format!("the tokenizer cannot cut it: {}", told(&why)) }
}

/// What the crate says of parts that we have put together ourselves.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn broken(error: tokenizers::Error) -> DataError {
    DataError::config("tokenizer", error.to_string())
}
