//! The text that a network writes, as it comes: where it ends, and what of it can be shown. It does not know who reads it.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use homeostat_data::{TokenStream, Tokenizer};
use homeostat_models::{LanguageNetwork, Writer};
use homeostat_task::Say;
use serde::{Deserialize, Serialize};

use super::{LanguageInput, LanguageModel, Sampler};

/// Tokens behind which a text is over, where a tokenizer has them.
const LAST: [&str; 4] = ["<|endoftext|>", "</s>", "<eos>", "[SEP]"];
/// Tokens that are no part of a text.
const NO_TEXT: [&str; 7] = ["[PAD]", "<pad>", "[UNK]", "<unk>", "[CLS]", "[MASK]", "<mask>"];
/// Tokens of the prompt that the first written one may depend on in how it is spelt.
const CONTEXT: usize = 8;

/// What a network has written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LanguageResponse {
    /// The text behind the prompt.
    pub text: String,
    /// The numbers of its tokens; those of a stop string are among them.
    pub tokens: Vec<u32>,
    /// The probability that the network gave each of them, whatever else had a say in the draw.
    pub probabilities: Vec<f32>,
    /// Why it ends.
    pub ended: Ended,
    /// Whether the beginning of the prompt was cut off, for it was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Why a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All tokens that were asked for are written.
    Length,
    /// A stop string came up.
    Stop,
    /// The network said that it is over.
    End,
    /// Nobody wanted to read on.
    Interrupted,
}

impl LanguageResponse {
    /// Whether two answers to one request are the same but for rounding; `tolerance` is absolute, on probabilities.
    pub(super) fn agrees(&self, found: &Self, tolerance: f64) -> bool {
        let steps = |response: &Self| {
            let probabilities = response.probabilities.iter().map(|p| f64::from(*p));
            response.tokens.iter().copied().zip(probabilities).collect::<Vec<_>>()
        };
        for ((token, p), (other, q)) in steps(self).into_iter().zip(steps(found)) {
            if token != other {
                // Where two tokens tie but for rounding, either may come, and then the texts go their own ways.
                return (p - q).abs() <= 2.0 * tolerance;
            }
            if (p - q).abs() > tolerance {
                return false;
            }
        }
        self.tokens.len() == found.tokens.len() && self.text == found.text && self.ended == found.ended
    }
}

impl LanguageModel {
    /// Goes on with a prompt; `say` gets the text piece by piece as it is certain, and may break off. It is called behind each token,
    /// also with nothing.
    ///
    /// A text longer than the network has places is read again from the middle of what it saw last.
    ///
    /// # Panics
    /// If the prompt has no token, or more than there are places: [`prepare`](homeostat_task::Task::prepare) refuses both.
    pub fn go_on(&self, model: &LanguageNetwork, prompt: &LanguageInput, say: Say<'_>) -> LanguageResponse {
        let how = prompt.how.as_ref().unwrap_or(&self.config.generation);
        let (ends, barred) = (numbers(&self.tokenizer, &LAST), numbers(&self.tokenizer, &NO_TEXT));
        let mut reading = Reading { writer: model.writer(), all: Vec::new() };
        let mut scores = reading.read(&prompt.ids);
        let mut sampler = Sampler::new(how);
        let mut spelling = Spelling::new(self.tokenizer.stream(), &prompt.ids, &how.stop);
        let mut response = LanguageResponse {
            text: String::new(),
            tokens: Vec::new(),
            probabilities: Vec::new(),
            ended: Ended::Length,
            cut: prompt.is_cut,
        };
        loop {
            barred.iter().for_each(|&token| scores[token as usize] = f32::NEG_INFINITY);
            let token = sampler.draw(&scores, &reading.all);
            if ends.contains(&token) {
                response.ended = Ended::End;
                break;
            }
            response.tokens.push(token);
            response.probabilities.push(probability(&scores, token));
            let (piece, is_over) = spelling.push(token);
            response.text.push_str(&piece);
            if is_over {
                response.ended = Ended::Stop;
            }
            if say(&piece).is_break() {
                response.ended = Ended::Interrupted;
            }
            if response.ended != Ended::Length || response.tokens.len() == how.max_tokens {
                break;
            }
            scores = reading.read(&[token]);
        }
        if matches!(response.ended, Ended::Length | Ended::End) {
            let rest = spelling.rest();
            response.text.push_str(&rest);
            if !rest.is_empty() && say(&rest).is_break() {
                response.ended = Ended::Interrupted;
            }
        }
        response
    }
}

/// The numbers of those of the tokens that the tokenizer has.
fn numbers(tokenizer: &Tokenizer, tokens: &[&str]) -> Vec<u32> {
    tokens.iter().filter_map(|token| tokenizer.id(token)).collect()
}

/// The probability of a token among all.
fn probability(scores: &[f32], token: u32) -> f32 {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: f64 = scores.iter().map(|score| f64::from(score - top).exp()).sum();
    #[expect(clippy::cast_possible_truncation, reason = "computed in f64, told in f32")]
    let probability = (f64::from(scores[token as usize] - top).exp() / all) as f32;
    probability
}

/// A network in the midst of a text.
struct Reading<'a> {
    writer: Writer<'a>,
    all: Vec<u32>,
}

impl Reading<'_> {
    /// Reads on, and gives the scores of the next token.
    fn read(&mut self, more: &[u32]) -> Vec<f32> {
        self.all.extend_from_slice(more);
        let room = self.writer.room();
        let unread = if more.len() <= room {
            more
        } else {
            self.writer.forget();
            let kept = self.writer.room().div_ceil(2).max(more.len());
            &self.all[self.all.len().saturating_sub(kept)..]
        };
        let scores = self.writer.read(tensor(unread, &self.writer.device()));
        scores.into_data_dtype(DType::F32).as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
    }
}

fn tensor(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    let length = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, length]), device)
}

/// Tokens become text, of which so much is told as cannot be the beginning of a stop string.
struct Spelling<'a> {
    stream: TokenStream,
    stop: &'a [String],
    /// Not told yet.
    held: String,
}

impl<'a> Spelling<'a> {
    fn new(mut stream: TokenStream, prompt: &[u32], stop: &'a [String]) -> Self {
        for id in &prompt[prompt.len().saturating_sub(CONTEXT)..] {
            drop(stream.push(*id));
        }
        Self { stream, stop, held: String::new() }
    }

    /// What can be told now, and whether a stop string came up behind it.
    fn push(&mut self, token: u32) -> (String, bool) {
        // A tokenizer spells all of its tokens.
        self.held.push_str(&self.stream.push(token).unwrap_or_default());
        if let Some(at) = self.stop.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let may_begin = |rest: &str| self.stop.iter().any(|stop| stop.starts_with(rest));
        let open = self.held.char_indices().map(|(at, _)| at).find(|&at| may_begin(&self.held[at..]));
        let held = self.held.split_off(open.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, held), false)
    }

    /// What was held back for a stop string that did not come.
    fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use homeostat_data::{TokenizerConfig, TokenizerKind};

    use super::*;

    #[test]
    fn nothing_of_a_stop_string_is_told_and_nothing_else_is_held_back_for_long() {
        let config = TokenizerConfig { kind: TokenizerKind::Characters, size: 60, lowercase: false };
        let tokenizer = Tokenizer::train(&config, ["abcd\nxy"]).unwrap();
        let stop = ["bcd".to_owned(), "\n\n".to_owned()];
        for (text, told, is_over) in [
            ("abxbc", vec!["a", "", "bx", "", ""], false),
            ("abcd", vec!["a", "", "", ""], true),
            ("a\n\nb", vec!["a", "", ""], true),
            ("bbcd", vec!["", "b", "", ""], true),
        ] {
            let mut spelling = Spelling::new(tokenizer.stream(), &[], &stop);
            let mut over = false;
            let mut found = Vec::new();
            for id in tokenizer.encode(text).unwrap() {
                let (piece, now) = spelling.push(id);
                found.push(piece);
                over = now;
                if now {
                    break;
                }
            }
            assert_eq!((found, over), (told.into_iter().map(str::to_owned).collect::<Vec<_>>(), is_over), "{text:?}");
        }
    }
}
