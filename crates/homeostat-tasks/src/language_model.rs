//! Going on with a text. It does not know the loop, the server, or where texts come from.

mod generation;
mod sampler;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use homeostat_data::{DataError, TokenBatch, Tokenizer, Tokens, TooLong};
use homeostat_kernels::{Kernels, class_entropy};
use homeostat_metrics::TokenLosses;
use homeostat_models::{LanguageNetwork, LanguageNetworkConfig, ModelError, NameTable, SequenceInput};
use homeostat_task::{InputError, Outcome, Say, Task, TaskError, TextDoor, Told};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use generation::{Ended, LanguageResponse};
pub use sampler::{GenerationConfig, Sampler};

use crate::classification::reason;

/// Going on with a text, token by token. The tokenizer lies beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LanguageModelConfig {
    /// The number of tokens that the tokenizer knows; taken from it when absent.
    pub vocabulary: Option<usize>,
    /// Tokens of a window: so many are read at once in training and in measuring.
    pub length: usize,
    /// What becomes of a prompt that has more tokens than the network has places: with `truncate` its beginning is cut off.
    pub too_long: TooLong,
    /// The network.
    pub model: LanguageNetworkConfig,
    /// Whether a token is scored by the vector that it is looked up by.
    pub tied: bool,
    /// How it writes where a request does not say.
    pub generation: GenerationConfig,
}

impl Default for LanguageModelConfig {
    fn default() -> Self {
        Self {
            vocabulary: None,
            length: 128,
            too_long: TooLong::default(),
            model: LanguageNetworkConfig::default(),
            tied: true,
            generation: GenerationConfig::default(),
        }
    }
}

const KEY: &str = "task.language-model";

impl LanguageModelConfig {
    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        self.model.check().map_err(|error| wrong(&error))?;
        let (length, positions) = (self.length, self.model.positions());
        if !(1..=positions).contains(&length) {
            let name = self.model.name();
            let problem = format!(
                "is {length}, but must lie in 1..={positions}, the places of the network: change it, or model.{name}.positions"
            );
            return Err(TaskError::new(format!("`{KEY}.length` {problem}")));
        }
        self.generation.problem().map_or(Ok(()), |problem| Err(TaskError::new(format!("`{KEY}.generation.{problem}"))))
    }

    /// The living task; all that training chooses by itself must be there.
    ///
    /// # Errors
    /// Something is missing or does not fit together; names it.
    pub fn init(&self, tokenizer: Tokenizer) -> Result<LanguageModel, TaskError> {
        self.check()?;
        let Some(vocabulary) = self.vocabulary else {
            return Err(TaskError::new(format!("{KEY}.vocabulary is not known yet: training fills it in")));
        };
        if tokenizer.size() != vocabulary {
            let problem = format!("is {vocabulary}, but the tokenizer knows {} tokens", tokenizer.size());
            return Err(TaskError::new(format!("`{KEY}.vocabulary` {problem}: they do not belong together")));
        }
        Ok(LanguageModel { config: self.clone(), vocabulary, tokenizer })
    }

    /// How well-known implementations call the layers of the network.
    #[must_use]
    pub fn names(&self) -> Vec<NameTable> {
        self.model.names(self.tied)
    }
}

/// The living task.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    config: LanguageModelConfig,
    vocabulary: usize,
    tokenizer: Tokenizer,
}

/// What is to be gone on with.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// How it is gone on with.
    pub how: GenerationConfig,
}

/// A piece of text as the network takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LanguageInput {
    /// The numbers of the tokens.
    pub ids: Vec<u32>,
    /// How it is gone on with; nothing for a window that is learnt from.
    pub how: Option<GenerationConfig>,
    /// Whether the beginning was cut off.
    pub is_cut: bool,
}

/// Pieces of text on the device.
#[derive(Clone, Debug)]
pub struct LanguageBatch {
    /// `[batch, length]`
    ids: Tensor<2, Int>,
    /// Of each: its tokens, how it is gone on with, and whether it was cut.
    asked: Vec<(usize, Option<GenerationConfig>, bool)>,
}

/// What comes behind each token of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextTokens {
    /// The token behind each.
    pub ids: Vec<u32>,
    /// The first of them that counts; those before it were foretold by another window.
    pub from: usize,
    /// The characters of those that count.
    pub characters: u64,
}

impl LanguageModel {
    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &LanguageModelConfig {
        &self.config
    }
}

fn wrong(error: &ModelError) -> TaskError {
    TaskError::new(error.to_string())
}

impl Task for LanguageModel {
    type Sample = Prompt;
    type Truth = NextTokens;
    type Input = LanguageInput;
    type Batch = LanguageBatch;
    type Model = LanguageNetwork;
    type Outcome = LanguageOutcome;
    type Response = LanguageResponse;

    fn init(&self, device: &Device) -> Result<LanguageNetwork, TaskError> {
        self.config.model.init(self.vocabulary, self.config.tied, device).map_err(|error| wrong(&error))
    }

    /// A text, or a JSON object with a `prompt` and any settings of [`GenerationConfig`] beside it.
    fn read(&self, bytes: &[u8]) -> Result<Prompt, InputError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| InputError::new(format!("the text is no UTF-8: byte {} is wrong", error.valid_up_to())))?;
        let plain = || Prompt { text: text.to_owned(), how: self.config.generation.clone() };
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(mut settings)) => match settings.shift_remove("prompt") {
                Some(serde_json::Value::String(text)) => {
                    Ok(Prompt { text, how: self.config.generation.with(settings).map_err(InputError::new)? })
                }
                Some(_) => Err(InputError::new("`prompt` is no string")),
                None => match settings.keys().find(|key| key.eq_ignore_ascii_case("prompt")) {
                    Some(key) => {
                        Err(InputError::new(format!("`{key}` is unknown: the text to go on with is `prompt`")))
                    }
                    None => Ok(plain()),
                },
            },
            _ => Ok(plain()),
        }
    }

    fn prepare(&self, Prompt { text, how }: Prompt) -> Result<LanguageInput, InputError> {
        if let Some(problem) = how.problem() {
            return Err(InputError::new(format!("`{problem}")));
        }
        let mut ids = self.tokenizer.encode(&text).map_err(reason)?;
        if ids.is_empty() {
            return Err(InputError::new("the prompt is empty, but there has to be something to go on with"));
        }
        let (found, most) = (ids.len(), self.config.model.positions());
        let is_cut = found > most;
        if is_cut && self.config.too_long == TooLong::Refuse {
            return Err(InputError::new(format!("has {found} tokens, but at most {most} are taken")));
        }
        ids.drain(..found.saturating_sub(most));
        Ok(LanguageInput { ids, how: Some(how), is_cut })
    }

    fn collate(&self, inputs: &[LanguageInput], device: &Device) -> LanguageBatch {
        let tokens = |input: &LanguageInput| Tokens { ids: input.ids.clone(), types: Vec::new(), is_cut: false };
        let tokens: Vec<Tokens> = inputs.iter().map(tokens).collect();
        let batch = TokenBatch::new(&tokens, self.tokenizer.pad(), 1);
        let shape = [batch.texts(), batch.length()];
        let ids: Vec<i32> = batch.ids.iter().map(|id| id.cast_signed()).collect();
        let asked = inputs.iter().map(|input| (input.ids.len(), input.how.clone(), input.is_cut)).collect();
        LanguageBatch { ids: Tensor::from_data(TensorData::new(ids, shape), device), asked }
    }

    fn loss(&self, model: &LanguageNetwork, batch: LanguageBatch, truths: &[NextTokens]) -> LanguageOutcome {
        let ([batch_size, length], device) = (batch.ids.dims(), batch.ids.device());
        let rows = batch_size * length;
        let scores = model.scores(&SequenceInput::full(batch.ids)).reshape([rows, self.vocabulary]);
        let next: Vec<i32> = truths.iter().flat_map(|truth| &truth.ids).map(|id| id.cast_signed()).collect();
        let counts = |truth: &NextTokens| -> Vec<f32> {
            (0..truth.ids.len()).map(|at| f32::from(u8::from(at >= truth.from))).collect()
        };
        let counts: Vec<f32> = truths.iter().flat_map(counts).collect();
        let tokens = truths.iter().map(|truth| (truth.ids.len() - truth.from) as u64).sum::<u64>();
        let next = Tensor::<1, Int>::from_data(TensorData::new(next, [rows]), &device);
        let all_count = counts.iter().all(|count| *count > 0.0);
        let losses = class_entropy(scores, next, Kernels::selected());
        let losses =
            if all_count { losses } else { losses * Tensor::<1>::from_data(TensorData::new(counts, [rows]), &device) };
        LanguageOutcome {
            loss: losses.sum().mul_scalar(1.0 / tokens as f64),
            tokens,
            characters: truths.iter().map(|truth| truth.characters).sum(),
        }
    }

    fn respond(&self, model: &LanguageNetwork, batch: LanguageBatch) -> Vec<LanguageResponse> {
        let rows: Vec<i64> =
            batch.ids.into_data_dtype(DType::I64).as_slice::<i64>().map(<[i64]>::to_vec).unwrap_or_default();
        let length = rows.len() / batch.asked.len().max(1);
        let prompts = rows.chunks(length.max(1)).zip(batch.asked);
        prompts
            .map(|(row, (count, how, is_cut))| {
                let ids: Vec<u32> = row[..count].iter().map(|&id| u32::try_from(id).unwrap_or_default()).collect();
                let how = how.unwrap_or_else(|| self.config.generation.clone());
                self.go_on(model, &LanguageInput { ids, how: Some(how), is_cut }, &mut |_| {
                    std::ops::ControlFlow::Continue(())
                })
            })
            .collect()
    }

    fn agree(&self, expected: &LanguageResponse, found: &LanguageResponse, tolerance: f64) -> bool {
        expected.agrees(found, tolerance)
    }

    fn text_door(&self) -> Option<&dyn TextDoor<Self>> {
        Some(self)
    }
}

impl TextDoor<Self> for LanguageModel {
    fn write(&self, model: &LanguageNetwork, input: &LanguageInput, say: Say<'_>) -> Told {
        let LanguageResponse { tokens, cut, .. } = self.go_on(model, input, say);
        Told { tokens: tokens.len(), cut }
    }
}

/// The loss of a batch, and what metrics need.
#[derive(Debug)]
pub struct LanguageOutcome {
    loss: Tensor<1>,
    tokens: u64,
    characters: u64,
}

impl Outcome for LanguageOutcome {
    type Record = TokenLosses;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.tokens as f64
    }

    fn record(self) -> TokenLosses {
        TokenLosses { mean: self.loss.into_scalar::<f64>(), tokens: self.tokens, characters: self.characters }
    }
}

/// The request that [`LanguageModel`] reads this prompt from, with settings beside it.
///
/// # Errors
/// [`DataError::Config`] for settings that are no JSON object.
pub fn prompt_request(text: &str, settings: &serde_json::Value) -> Result<Vec<u8>, DataError> {
    let serde_json::Value::Object(settings) = settings else {
        return Err(DataError::Config { key: "generation".to_owned(), why: "is no JSON object".to_owned() });
    };
    let mut request = serde_json::Map::from_iter([("prompt".to_owned(), text.into())]);
    request.extend(settings.clone());
    Ok(serde_json::Value::Object(request).to_string().into_bytes())
}
