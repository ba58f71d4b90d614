//! How well a text was foretold: nats a token and a character, and perplexity. It does not know what foretold it.

use serde::{Deserialize, Serialize};

/// What was said of the tokens of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLosses {
    /// The mean of minus the logarithm of the probability that each token was given.
    pub mean: f64,
    /// Tokens that were foretold.
    pub tokens: u64,
    /// The characters of the text that they stand for.
    pub characters: u64,
}

/// The figures of a text that was foretold token by token. Written to JSON and read again, it goes on exactly.
///
/// ```
/// use homeostat_metrics::{LanguageFigures, TokenLosses};
///
/// let mut figures = LanguageFigures::default();
/// figures.update(&TokenLosses { mean: 2.0_f64.ln(), tokens: 3, characters: 6 });
/// let figures = figures.figures().map(|(name, value)| (name, (1e6 * value).round() / 1e6));
/// assert_eq!(figures[1], ("perplexity", 2.0)); // as many tokens were equally likely
/// assert_eq!(figures[3], ("bits-per-character", 0.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LanguageFigures {
    nats: f64,
    tokens: u64,
    characters: u64,
    broken: bool,
}

impl LanguageFigures {
    /// Takes in a batch.
    pub fn update(&mut self, losses: &TokenLosses) {
        if losses.tokens == 0 {
            return; // Nothing was foretold, and the mean is 0 / 0.
        }
        let nats = losses.mean * losses.tokens as f64;
        // Kept as a flag and out of the sum: a NaN does not survive JSON.
        self.broken |= !nats.is_finite();
        if !self.broken {
            self.nats += nats;
            self.tokens += losses.tokens;
            self.characters += losses.characters;
        }
    }

    /// Names and values: the loss is in nats a token; NaN over nothing, and once the loss of a batch was not finite.
    #[must_use]
    pub fn figures(&self) -> [(&'static str, f64); 4] {
        let nats = if self.broken { f64::NAN } else { self.nats };
        let loss = nats / self.tokens as f64;
        let per_character = nats / self.characters as f64;
        [
            ("loss", loss),
            ("perplexity", loss.exp()),
            ("nats-per-character", per_character),
            ("bits-per-character", per_character / std::f64::consts::LN_2),
        ]
    }

    /// Whether a larger value of this figure is a better one: of none; nothing where there is no such figure.
    #[must_use]
    pub fn higher_is_better(&self, figure: &str) -> Option<bool> {
        self.figures().iter().any(|(name, _)| *name == figure).then_some(false)
    }
}
