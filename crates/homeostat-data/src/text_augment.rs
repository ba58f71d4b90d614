//! Random changes of the texts of the training split: keyed by seed, epoch and sample, and never part of an artifact. It does not
//! know what a network wants; see [`TextPrepare`](crate::TextPrepare) for that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DataError, Rng, SampleKey, Tokenizer, Tokens, stream};

/// Random changes of training texts, in this order; those of tokens come after those of words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TextAugment(pub Vec<TextAugmentStep>);

/// One random change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TextAugmentStep {
    /// Swaps two random words, a swap for each `share` of the words and at least one (Wei & Zou 2019, "EDA").
    RandomSwap(WordShare),
    /// Leaves out each word with a chance of `share`, but never all of them (Wei & Zou 2019, "EDA").
    RandomDeletion(WordShare),
    /// Puts the tokenizer's mask, or else its unknown token, in place of each token with a chance of `share` (Iyyer et al. 2015).
    TokenDropout(WordShare),
}

/// How many words or tokens a change takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WordShare {
    /// The share of the words or tokens, 0 to 1.
    pub share: f64,
}

impl Default for WordShare {
    fn default() -> Self {
        Self { share: 0.1 }
    }
}

impl TextAugment {
    /// Whether the steps can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the step and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        for (i, step) in self.0.iter().enumerate() {
            let (name, share) = step.parts();
            if !(0.0..=1.0).contains(&share) {
                let why = format!("{share} is not within 0 to 1");
                return Err(DataError::config(&format!("{key}.{i}.{name}.share"), why));
            }
        }
        Ok(())
    }

    /// The text with its words changed at random: the same for the same key, on any thread and in any order. Words are what spaces
    /// part; where a word was moved or left out, one space parts what is left.
    ///
    /// As for pictures, each step draws from a stream of its own, so that a change of one leaves the draws of the others alone.
    #[must_use]
    pub fn apply(&self, text: &str, key: SampleKey) -> String {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        for (step, mut rng) in self.drawn(key) {
            match step {
                TextAugmentStep::RandomSwap(WordShare { share }) => swap(&mut words, *share, &mut rng),
                TextAugmentStep::RandomDeletion(WordShare { share }) => delete(&mut words, *share, &mut rng),
                TextAugmentStep::TokenDropout(_) => {}
            }
        }
        let untouched = text.split_whitespace().eq(words.iter().copied());
        if untouched { text.to_owned() } else { words.join(" ") }
    }

    /// The prepared text with tokens hidden at random, special ones never.
    #[must_use]
    pub fn apply_to_tokens(&self, mut tokens: Tokens, tokenizer: &Tokenizer, key: SampleKey) -> Tokens {
        let Some(mask) = tokenizer.mask() else { return tokens };
        for (step, mut rng) in self.drawn(key) {
            if let TextAugmentStep::TokenDropout(WordShare { share }) = step {
                for id in &mut tokens.ids {
                    // Each place draws, so that what is special does not move the draws of the others.
                    if rng.chance(*share) && !tokenizer.is_special(*id) {
                        *id = mask;
                    }
                }
            }
        }
        tokens
    }

    /// The steps, each with the stream that it draws from.
    fn drawn(&self, key: SampleKey) -> impl Iterator<Item = (&TextAugmentStep, Rng)> {
        self.0.iter().enumerate().map(move |(i, step)| {
            let (name, _) = step.parts();
            let ordinal = self.0[..i].iter().filter(|before| before.parts().0 == name).count() as u64;
            (step, Rng::keyed(key.seed, [key.epoch, key.sample, stream(name, ordinal)]))
        })
    }
}

impl TextAugmentStep {
    fn parts(&self) -> (&'static str, f64) {
        match self {
            Self::RandomSwap(of) => ("random-swap", of.share),
            Self::RandomDeletion(of) => ("random-deletion", of.share),
            Self::TokenDropout(of) => ("token-dropout", of.share),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
fn swap(words: &mut [&str], share: f64, rng: &mut Rng) {
    if words.len() < 2 || share <= 0.0 {
        return;
    }
    let swaps = ((words.len() as f64 * share) as usize).max(1);
    for _ in 0..swaps {
        let (a, b) = (rng.range(0..words.len()), rng.range(0..words.len() - 1));
        words.swap(a, if b < a { b } else { b + 1 });
    }
}

fn delete(words: &mut Vec<&str>, share: f64, rng: &mut Rng) {
    if words.is_empty() {
        return;
    }
    let spared = rng.range(0..words.len());
    let kept: Vec<&str> = words.iter().filter(|_| !rng.chance(share)).copied().collect();
    *words = if kept.is_empty() { vec![words[spared]] } else { kept };
}
