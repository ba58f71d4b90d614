//! The lengths and the words of texts. It does not know tokens.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Distribution;

/// The lengths and the words of texts. A word is a run of letters and digits, in small letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextFacts {
    /// Characters in a text.
    pub characters: Distribution,
    /// Words in a text.
    pub words: Distribution,
    /// Different words in all texts.
    pub vocabulary: usize,
    /// How many of these stand in a single place.
    pub once: usize,
    /// The most frequent words with how often each stands there.
    pub frequent: Vec<(String, usize)>,
}

const FREQUENT: usize = 20;

/// The words of a text, in their order.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// What was counted so far.
#[derive(Default)]
pub(super) struct Words {
    characters: BTreeMap<usize, usize>,
    words: BTreeMap<usize, usize>,
    vocabulary: HashMap<String, usize>,
}

impl Words {
    pub(super) fn add(&mut self, characters: usize, words: Vec<String>) {
        *self.characters.entry(characters).or_default() += 1;
        *self.words.entry(words.len()).or_default() += 1;
        words.into_iter().for_each(|word| *self.vocabulary.entry(word).or_default() += 1);
    }

    pub(super) fn facts(&self) -> TextFacts {
        let spread = |counts: &BTreeMap<usize, usize>| {
            Distribution::of(counts.iter().map(|(&value, &count)| (value as f64, count)).collect())
        };
        let mut frequent: Vec<(String, usize)> =
            self.vocabulary.iter().map(|(word, &count)| (word.clone(), count)).collect();
        // The alphabet decides among equals.
        frequent.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let once = frequent.iter().filter(|(_, count)| *count == 1).count();
        frequent.truncate(FREQUENT);
        TextFacts {
            characters: spread(&self.characters),
            words: spread(&self.words),
            vocabulary: self.vocabulary.len(),
            once,
            frequent,
        }
    }
}
