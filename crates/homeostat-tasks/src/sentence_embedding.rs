//! A vector for a text, near to those of texts that mean the same. It does not know the loop, the server, or what looks for neighbours.

use std::hash::{DefaultHasher, Hash, Hasher};

use burn::tensor::{DType, Device, Tensor, TensorData, activation::log_softmax};
use homeostat_data::{TextPrepare, TextSample, Tokenizer, Tokens};
use homeostat_metrics::PairVectors;
use homeostat_models::{ModelError, Pooling, SequenceEncoder, SequenceInput, SequenceModelConfig};
use homeostat_task::{InputError, Outcome, Task, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{classification::reason, text_classification::text_batch};

/// A vector for a text, near to those of texts that mean the same. The tokenizer lies beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SentenceEmbeddingConfig {
    /// The number of tokens that the tokenizer knows; taken from it when absent.
    pub vocabulary: Option<usize>,
    /// How a text becomes tokens, in training and in serving.
    pub prepare: TextPrepare,
    /// The network.
    pub model: SequenceModelConfig,
    /// How the features of tokens become those of a text.
    pub pooling: Pooling,
    /// What the products of two vectors of length 1 are multiplied by before each text is told from the others of its batch
    /// (InfoNCE: van den Oord et al. 2018); one over the temperature.
    pub scale: f64,
    /// Whether second texts are to find their first ones, too, and not only first texts their second ones.
    pub symmetric: bool,
}

impl Default for SentenceEmbeddingConfig {
    fn default() -> Self {
        Self {
            vocabulary: None,
            prepare: TextPrepare::default(),
            model: SequenceModelConfig::default(),
            pooling: Pooling::Mean,
            scale: 20.0,
            symmetric: true,
        }
    }
}

const KEY: &str = "task.sentence-embedding";

impl SentenceEmbeddingConfig {
    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        self.prepare.check(&format!("{KEY}.prepare")).map_err(|error| TaskError::new(error.to_string()))?;
        self.model.check().map_err(|error| wrong(&error))?;
        crate::text_classification::check_length(KEY, &self.prepare, &self.model)?;
        if self.scale > 0.0 && self.scale.is_finite() {
            return Ok(());
        }
        Err(TaskError::new(format!("`{KEY}.scale` is {}, but must be above 0", self.scale)))
    }

    /// The living task; all that training chooses by itself must be there.
    ///
    /// # Errors
    /// Something is missing or does not fit together; names it.
    pub fn init(&self, tokenizer: Tokenizer) -> Result<SentenceEmbedding, TaskError> {
        self.check()?;
        let Some(vocabulary) = self.vocabulary else {
            return Err(TaskError::new(format!("{KEY}.vocabulary is not known yet: training fills it in")));
        };
        crate::text_classification::check_tokenizer(KEY, vocabulary, &self.prepare, &tokenizer)?;
        Ok(SentenceEmbedding { config: self.clone(), vocabulary, tokenizer })
    }
}

/// The living task.
#[derive(Clone, Debug)]
pub struct SentenceEmbedding {
    config: SentenceEmbeddingConfig,
    vocabulary: usize,
    tokenizer: Tokenizer,
}

impl SentenceEmbedding {
    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &SentenceEmbeddingConfig {
        &self.config
    }

    /// Vectors of length 1: `[batch, length] -> [batch, width]`
    fn vectors(&self, model: &SequenceEncoder, input: &SequenceInput) -> Tensor<2> {
        let pooled = model.forward(input, self.config.pooling);
        let length = (pooled.clone() * pooled.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
        pooled / length
    }

    /// The texts of a pair, ready; a text alone has no second.
    fn second(&self, sample: &TextSample) -> Result<Option<Tokens>, InputError> {
        let second = sample.pair.as_ref().map(|text| self.config.prepare.apply(&self.tokenizer, text, None));
        second.transpose().map_err(reason)
    }
}

fn wrong(error: &ModelError) -> TaskError {
    TaskError::new(error.to_string())
}

/// A text, or two that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct PairTokens {
    /// The text, or the first one.
    pub first: Tokens,
    /// The second one, in training.
    pub second: Option<Tokens>,
}

impl PairTokens {
    /// The texts, each by itself.
    pub fn texts(&self) -> impl Iterator<Item = &Tokens> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

/// Texts on the device, alone or in pairs.
#[derive(Clone, Debug)]
pub struct PairBatch {
    first: SequenceInput,
    /// Of each first text, whether its end was cut off.
    cut: Vec<bool>,
    /// The second texts, if all have one.
    second: Option<Partners>,
}

/// What the first texts of a batch belong to.
#[derive(Clone, Debug)]
struct Partners {
    input: SequenceInput,
    /// Of each pair, a number a text, the same for the same text.
    pairs: Vec<[u64; 2]>,
}

fn number(text: &Tokens) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.ids.hash(&mut hasher);
    hasher.finish()
}

/// The loss of a batch of pairs, and their vectors.
#[derive(Debug)]
pub struct EmbeddingOutcome {
    loss: Tensor<1>,
    first: Tensor<2>,
    second: Tensor<2>,
    /// A number a second text.
    texts: Vec<u64>,
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingResponse {
    /// The vector, of length 1; the product of two is the cosine of their angle.
    pub embedding: Vec<f32>,
    /// Whether the end of the text was cut off, for it was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Outcome for EmbeddingOutcome {
    type Record = PairVectors;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.first.dims()[0] as f64
    }

    fn record(self) -> PairVectors {
        let [_, width] = self.first.dims();
        let loss = self.loss.into_scalar::<f64>();
        PairVectors { width, first: host(self.first), second: host(self.second), texts: self.texts, loss }
    }
}

/// The mean cross-entropy of each row's own column, that of the same place, among the others: `[pairs, pairs]` to `[1]`. Pairs that have
/// one of their texts in common are no negatives of each other: both second texts answer the first one.
fn own_among_others(scores: Tensor<2>, pairs: &[[u64; 2]]) -> Tensor<1> {
    let count = pairs.len();
    let cells = |value: fn(bool, bool) -> f32| {
        let akin = |row: usize, column: usize| pairs[row].iter().zip(&pairs[column]).any(|(a, b)| a == b);
        let of = |row: usize| (0..count).map(move |column| value(row == column, akin(row, column)));
        let values = (0..count).flat_map(of).collect::<Vec<f32>>();
        Tensor::<2>::from_data(TensorData::new(values, [count, count]), &scores.device())
    };
    let own = cells(|own, _| f32::from(u8::from(own)));
    let hidden = cells(|own, akin| if akin && !own { -1e9 } else { 0.0 });
    (log_softmax(scores + hidden, 1) * own).sum().mul_scalar(-1.0 / count as f64)
}

fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
}

impl Task for SentenceEmbedding {
    type Sample = TextSample;
    /// A pair is its own truth.
    type Truth = ();
    type Input = PairTokens;
    type Batch = PairBatch;
    type Model = SequenceEncoder;
    type Outcome = EmbeddingOutcome;
    type Response = EmbeddingResponse;

    fn init(&self, device: &Device) -> Result<SequenceEncoder, TaskError> {
        SequenceEncoder::init(&self.config.model, self.vocabulary, device).map_err(|error| wrong(&error))
    }

    fn read(&self, bytes: &[u8]) -> Result<TextSample, InputError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| InputError::new(format!("the text is no UTF-8: byte {} is wrong", error.valid_up_to())))?;
        Ok(TextSample { text: text.to_owned(), pair: None })
    }

    fn prepare(&self, sample: TextSample) -> Result<PairTokens, InputError> {
        let first = self.config.prepare.apply(&self.tokenizer, &sample.text, None).map_err(reason)?;
        Ok(PairTokens { first, second: self.second(&sample)? })
    }

    fn collate(&self, inputs: &[PairTokens], device: &Device) -> PairBatch {
        let pad = self.tokenizer.pad();
        let first: Vec<Tokens> = inputs.iter().map(|input| input.first.clone()).collect();
        let second: Option<Vec<Tokens>> = inputs.iter().map(|input| input.second.clone()).collect();
        let partners = |second: Vec<Tokens>| Partners {
            input: text_batch(&second, pad, device),
            pairs: first.iter().zip(&second).map(|(first, second)| [first, second].map(number)).collect(),
        };
        PairBatch {
            first: text_batch(&first, pad, device),
            cut: first.iter().map(|text| text.is_cut).collect(),
            second: second.map(partners),
        }
    }

    /// Each first text against all second texts of the batch, which are its negatives but for its own and those of pairs with the same text;
    /// and the other way round, if the loss is symmetric.
    ///
    /// # Panics
    /// If a text has no second one: who gives samples to learn from sees to it.
    fn loss(&self, model: &SequenceEncoder, batch: PairBatch, _: &[()]) -> EmbeddingOutcome {
        let Some(Partners { input, pairs }) = batch.second else { panic!("samples to learn from are pairs") };
        let (first, second) = (self.vectors(model, &batch.first), self.vectors(model, &input));
        let scores = first.clone().matmul(second.clone().transpose()).mul_scalar(self.config.scale);
        let there = own_among_others(scores.clone(), &pairs);
        let loss = if self.config.symmetric {
            (there + own_among_others(scores.transpose(), &pairs)).mul_scalar(0.5)
        } else {
            there
        };
        let texts = pairs.into_iter().map(|[_, second]| second).collect();
        EmbeddingOutcome { loss, first: first.inner(), second: second.inner(), texts }
    }

    fn respond(&self, model: &SequenceEncoder, batch: PairBatch) -> Vec<EmbeddingResponse> {
        let vectors = self.vectors(model, &batch.first);
        let [_, width] = vectors.dims();
        let rows = host(vectors);
        let answers = rows.chunks_exact(width).zip(batch.cut);
        answers.map(|(row, cut)| EmbeddingResponse { embedding: row.to_vec(), cut }).collect()
    }

    fn agree(&self, expected: &EmbeddingResponse, found: &EmbeddingResponse, tolerance: f64) -> bool {
        expected.embedding.len() == found.embedding.len()
            && expected.embedding.iter().zip(&found.embedding).all(|(&a, &b)| f64::from((a - b).abs()) <= tolerance)
    }
}
