//! How the next token is drawn from the scores of all. It does not know the network, nor what tokens stand for.

use homeostat_data::{Rng, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a text is gone on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GenerationConfig {
    /// The most tokens that are written.
    pub max_tokens: usize,
    /// What scores are divided by before a token is drawn: the lower, the more likely the likeliest one; 0 always takes that.
    pub temperature: f64,
    /// Draws among so many of the likeliest tokens alone.
    pub top_k: Option<usize>,
    /// Draws among the fewest tokens alone that have this probability together, above 0 to 1 (Holtzman et al. 2020).
    pub top_p: Option<f64>,
    /// What the scores of tokens that are there already are divided by where above 0, and multiplied with where below (Keskar et al.
    /// 2019); 1 changes nothing, and more makes repetitions rarer.
    pub repetition_penalty: f64,
    /// Where one of these comes up, the text ends before it.
    pub stop: Vec<String>,
    /// The seed of the draws.
    pub seed: u64,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_tokens: 200,
            temperature: 0.8,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            seed: 1,
        }
    }
}

/// More than anybody waits for.
const LONGEST: usize = 1 << 20;

impl GenerationConfig {
    /// What is wrong with it, if anything: the key, a backquote, and the problem.
    pub(super) fn problem(&self) -> Option<String> {
        let outside = |key: &str, value: &dyn std::fmt::Display, range: &str| {
            Some(format!("{key}` is {value}, but must {range}"))
        };
        if !(1..=LONGEST).contains(&self.max_tokens) {
            return outside("max-tokens", &self.max_tokens, "lie in 1..=1048576");
        }
        if !(0.0..=1e3).contains(&self.temperature) {
            return outside("temperature", &self.temperature, "lie in 0..=1000");
        }
        if self.top_k == Some(0) {
            return outside("top-k", &0, "be at least 1");
        }
        if let Some(top_p) = self.top_p.filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
            return outside("top-p", &top_p, "be above 0 and at most 1");
        }
        if !(0.01..=100.0).contains(&self.repetition_penalty) {
            return outside("repetition-penalty", &self.repetition_penalty, "lie in 0.01..=100");
        }
        self.stop
            .iter()
            .any(String::is_empty)
            .then(|| "stop` has an empty string, which would end every text".to_owned())
    }

    /// The same with these settings in the place of its own.
    pub(super) fn with(&self, settings: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut all = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(all)) => all,
            other => return Err(format!("settings are no object: {other:?}")),
        };
        all.extend(settings);
        serde_json::from_value(serde_json::Value::Object(all)).map_err(|error| error.to_string())
    }
}

/// Draws tokens, each from numbers of its own: the same ones for the same seed.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    how: &'a GenerationConfig,
    drawn: u64,
}

impl<'a> Sampler<'a> {
    /// Before the first token.
    #[must_use]
    pub fn new(how: &'a GenerationConfig) -> Self {
        Self { how, drawn: 0 }
    }

    /// The next token, by the scores of all of them, of which at least one is finite. What is `there` already counts for the
    /// penalty on repetitions.
    pub fn draw(&mut self, scores: &[f32], there: &[u32]) -> u32 {
        let mut scores: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
        penalise(&mut scores, there, self.how.repetition_penalty);
        self.drawn += 1;
        let best = likeliest(&scores);
        if self.how.temperature <= 0.0 {
            return best;
        }
        let top = scores[best as usize];
        // The largest weight is 1, however low the temperature.
        let weight = |score: f64| ((score - top) / self.how.temperature).exp();
        let mut tokens: Vec<(u32, f64)> = (0..).zip(scores.iter().map(|&score| weight(score))).collect();
        tokens.retain(|(_, weight)| *weight > 0.0);
        if self.how.top_k.is_some() || self.how.top_p.is_some() {
            // The lower number is first among equals, so that an order is always the same.
            tokens.sort_by(|(a, first), (b, second)| second.total_cmp(first).then(a.cmp(b)));
            tokens.truncate(self.how.top_k.unwrap_or(tokens.len()));
            nucleus(&mut tokens, self.how.top_p.unwrap_or(1.0));
        }
        let all: f64 = tokens.iter().map(|(_, weight)| weight).sum();
        let mut rng = Rng::keyed(self.how.seed, [0, self.drawn, stream("generation", 0)]);
        let mut left = rng.uniform_f64() * all;
        for (token, weight) in &tokens {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        tokens.last().map_or(best, |(token, _)| *token)
    }
}

/// The token of the highest score, the first among equals.
fn likeliest(scores: &[f64]) -> u32 {
    let best = (0..).zip(scores).reduce(|best: (u32, &f64), next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(token, _)| token)
}

fn penalise(scores: &mut [f64], there: &[u32], penalty: f64) {
    if (penalty - 1.0).abs() < f64::EPSILON {
        return;
    }
    let mut there = there.to_vec();
    there.sort_unstable();
    there.dedup();
    for token in there {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
        }
    }
}

/// Keeps the fewest tokens that have this probability together; the likeliest come first.
fn nucleus(tokens: &mut Vec<(u32, f64)>, share: f64) {
    let all: f64 = tokens.iter().map(|(_, weight)| weight).sum();
    let mut before = 0.0;
    let kept = tokens.iter().take_while(|(_, weight)| {
        let is_needed = before < share * all;
        before += weight;
        is_needed
    });
    let kept = kept.count().max(1);
    tokens.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 4] = [0.0, 2.0, 1.0, -1.0];

    /// How often each token is drawn, of 4000 draws.
    fn shares(how: &GenerationConfig, there: &[u32]) -> [f64; 4] {
        let mut sampler = Sampler::new(how);
        let mut counts = [0.0; 4];
        (0..4000).for_each(|_| counts[sampler.draw(&SCORES, there) as usize] += 1.0 / 4000.0);
        counts
    }

    fn softmax(scores: [f64; 4]) -> [f64; 4] {
        let all: f64 = scores.iter().map(|score| score.exp()).sum();
        scores.map(|score| score.exp() / all)
    }

    fn assert_near(found: [f64; 4], expected: [f64; 4]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.03), "{found:?} {expected:?}");
    }

    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        let plain = GenerationConfig { temperature: 1.0, ..GenerationConfig::default() };
        assert_near(shares(&plain, &[]), softmax([0.0, 2.0, 1.0, -1.0]));
        let hot = GenerationConfig { temperature: 2.0, ..plain.clone() };
        assert_near(shares(&hot, &[]), softmax([0.0, 1.0, 0.5, -0.5]));
        let cold = GenerationConfig { temperature: 0.0, ..plain.clone() };
        assert_near(shares(&cold, &[]), [0.0, 1.0, 0.0, 0.0]);
        let none = f64::NEG_INFINITY;
        let two = GenerationConfig { top_k: Some(2), ..plain.clone() };
        assert_near(shares(&two, &[]), softmax([none, 2.0, 1.0, none]));
        // The first has 0.64, the first two 0.88.
        for (top_p, scores) in
            [(0.6, [none, 2.0, none, none]), (0.7, [none, 2.0, 1.0, none]), (0.9, [0.0, 2.0, 1.0, none])]
        {
            let nucleus = GenerationConfig { top_p: Some(top_p), ..plain.clone() };
            assert_near(shares(&nucleus, &[]), softmax(scores));
        }
        let penalty = GenerationConfig { repetition_penalty: 2.0, ..plain };
        assert_near(shares(&penalty, &[1, 3, 1]), softmax([0.0, 1.0, 1.0, -2.0]));
    }

    #[test]
    fn a_seed_gives_the_same_tokens_and_another_seed_gives_others() {
        let how = |seed| GenerationConfig { seed, temperature: 1.0, ..GenerationConfig::default() };
        let draws = |how: &GenerationConfig| {
            let mut sampler = Sampler::new(how);
            (0..50).map(|_| sampler.draw(&SCORES, &[])).collect::<Vec<_>>()
        };
        assert_eq!(draws(&how(1)), draws(&how(1)));
        assert_ne!(draws(&how(1)), draws(&how(2)));
    }
}
