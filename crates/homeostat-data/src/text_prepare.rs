//! What is done to every text before a network sees it, in training and in serving alike: deterministic, and stored with the
//! weights. It does not know randomness, nor where the tokenizer lies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenizers::utils::truncation::truncate_encodings;
use tokenizers::{PostProcessor, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::tokenizer::{guarded, unencodable};
use crate::{DataError, Tokenizer};

/// How a text becomes tokens. Lower case, accents and the like are the tokenizer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextPrepare {
    /// The most tokens of a text, or of two together, special ones among them.
    pub max_length: usize,
    /// What becomes of a text that is longer.
    pub too_long: TooLong,
    /// Whether the tokenizer's special tokens are put around the text, as `[CLS]` and `[SEP]` of BERT.
    pub special_tokens: bool,
}

/// What becomes of a text that is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// Its end is cut off; of two texts, that of the longer one first.
    #[default]
    Truncate,
    /// It is refused.
    Refuse,
}

impl Default for TextPrepare {
    fn default() -> Self {
        Self { max_length: 128, too_long: TooLong::Truncate, special_tokens: true }
    }
}

/// A text as a network takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The numbers of the tokens.
    pub ids: Vec<u32>,
    /// For each, whether it is of the first text (0) or of the second (1).
    pub types: Vec<u32>,
    /// Whether the end was cut off.
    pub is_cut: bool,
}

/// The longest text that a setting may ask for.
const LONGEST: usize = 1 << 20;

impl TextPrepare {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        let why = || format!("{} is not within 1 to {LONGEST}", self.max_length);
        let is_right = (1..=LONGEST).contains(&self.max_length);
        if is_right { Ok(()) } else { Err(DataError::config(&format!("{key}.max-length"), why())) }
    }

    /// Whether a text has room beside the special tokens of this tokenizer, for the dotted `key` at which the values stand.
    ///
    /// # Errors
    /// [`DataError::Config`] says how many there are.
    pub fn check_room(&self, key: &str, tokenizer: &Tokenizer) -> Result<(), DataError> {
        let around = self.around(tokenizer, false);
        if self.max_length > around {
            return Ok(());
        }
        let why = format!("{} leaves no room for a text beside {around} special tokens: raise it", self.max_length);
        Err(DataError::config(&format!("{key}.max-length"), why))
    }

    /// The special tokens around a text, or around two.
    fn around(&self, tokenizer: &Tokenizer, is_pair: bool) -> usize {
        match tokenizer.inner().get_post_processor() {
            Some(processor) if self.special_tokens => processor.added_tokens(is_pair),
            _ => 0,
        }
    }

    /// The tokens of a text, or of two.
    ///
    /// ```
    /// use homeostat_data::{TextPrepare, Tokenizer, TokenizerConfig};
    ///
    /// let tokenizer = Tokenizer::train(&TokenizerConfig::default(), ["is it so", "so it is"])?;
    /// let prepare = TextPrepare { max_length: 5, ..TextPrepare::default() };
    /// let tokens = prepare.apply(&tokenizer, "so it is so", None)?;
    /// assert_eq!(tokenizer.decode(&tokens.ids)?, "so it is");
    /// assert_eq!((tokens.ids.len(), tokens.is_cut), (5, true)); // with [CLS] and [SEP]
    /// # Ok::<(), homeostat_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Corrupt`], under the name `text` (see [`DataError::named`]), for a text that leaves no token, that is too
    /// long and not to be cut, or that the tokenizer refuses.
    pub fn apply(&self, tokenizer: &Tokenizer, text: &str, pair: Option<&str>) -> Result<Tokens, DataError> {
        let corrupt = |why: String| DataError::Corrupt { name: "text".into(), why };
        let first = tokenizer.encoding(text)?;
        let second = pair.map(|pair| tokenizer.encoding(pair)).transpose()?;
        let around = self.around(tokenizer, second.is_some());
        let of_second = second.as_ref().map(|second| second.len());
        let found = first.len() + of_second.unwrap_or(0);
        if first.is_empty() {
            return Err(corrupt("the text is empty".into()));
        }
        if of_second == Some(0) {
            return Err(corrupt("the second text is empty".into()));
        }
        let is_cut = found + around > self.max_length;
        if is_cut && self.too_long == TooLong::Refuse {
            return Err(corrupt(format!("has {} tokens, but at most {} are taken", found + around, self.max_length)));
        }
        let room = self.max_length.saturating_sub(around);
        if room == 0 {
            return Err(corrupt(format!(
                "max-length = {} leaves no room beside {around} special tokens",
                self.max_length
            )));
        }
        let params = TruncationParams {
            max_length: room,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
            direction: TruncationDirection::Right,
        };
        let (first, second) = guarded(|| truncate_encodings(first, second, &params)).map_err(unencodable)?;
        let joined = || tokenizer.inner().post_process(first, second, self.special_tokens);
        let encoding = guarded(joined).map_err(unencodable)?;
        Ok(Tokens { ids: encoding.get_ids().to_vec(), types: encoding.get_type_ids().to_vec(), is_cut })
    }
}
