//! Which class a text belongs to, or a pair of texts. It does not know the loop, the server, or where texts come from.

use std::borrow::Cow;

use burn::{
    nn::Linear,
    tensor::{Bool, Device, Int, Tensor, TensorData},
};
use homeostat_data::{DataError, TextPrepare, TextSample, TokenBatch, Tokenizer, Tokens};
use homeostat_models::{ModelError, Pooling, SequenceClassifier, SequenceInput, SequenceModelConfig};
use homeostat_task::{
    Headed, HostTensor, InputError, Signature, Task, TaskError, TensorDoor, TensorRequest, TensorSpec, ValueKind,
    Values,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ClassWeights, LossConfig,
    classification::{
        ClassificationOutcome, ClassificationResponse, Target, check_temperature, probabilities, reason, table,
        tempered,
    },
};

/// Which class a text belongs to, or a pair of texts. The tokenizer lies beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextClassificationConfig {
    /// The names of the classes, in the order of the scores; taken from the data when empty.
    pub labels: Vec<String>,
    /// The number of tokens that the tokenizer knows; taken from it when absent.
    pub vocabulary: Option<usize>,
    /// How a text becomes tokens, in training and in serving.
    pub prepare: TextPrepare,
    /// The network.
    pub model: SequenceModelConfig,
    /// How the features of tokens become those of a text.
    pub pooling: Pooling,
    /// Share of the text's features dropped in training, before the last layer, in 0..1.
    pub dropout: f64,
    /// How wrong scores are.
    pub loss: LossConfig,
    /// What scores are divided by, above 0; `train.calibrate` finds it at the end of a training.
    pub temperature: f64,
}

impl Default for TextClassificationConfig {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            vocabulary: None,
            prepare: TextPrepare::default(),
            model: SequenceModelConfig::default(),
            pooling: Pooling::default(),
            dropout: 0.1,
            loss: LossConfig::default(),
            temperature: 1.0,
        }
    }
}

const KEY: &str = "task.text-classification";

impl TextClassificationConfig {
    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        self.prepare.check(&format!("{KEY}.prepare")).map_err(|error: DataError| TaskError::new(error.to_string()))?;
        self.model.check().map_err(|error| wrong(&error))?;
        check_length(KEY, &self.prepare, &self.model)?;
        if !(0.0..1.0).contains(&self.dropout) {
            let problem = format!("is {}, but must lie in 0..1 (1 excluded)", self.dropout);
            return Err(TaskError::new(format!("`{KEY}.dropout` {problem}")));
        }
        check_temperature(KEY, self.temperature)?;
        let classes = (!self.labels.is_empty()).then_some(self.labels.len());
        self.loss.problem(classes).map_or(Ok(()), |problem| Err(TaskError::new(format!("`{KEY}.loss`: {problem}"))))
    }

    /// The living task; all that training chooses by itself must be there.
    ///
    /// # Errors
    /// Something is missing or does not fit together; names it.
    pub fn init(&self, tokenizer: Tokenizer) -> Result<TextClassification, TaskError> {
        self.check()?;
        let missing = |what: &str| Err(TaskError::new(format!("{KEY}.{what} is not known yet: training fills it in")));
        if self.labels.len() < 2 {
            return missing("labels");
        }
        let Some(vocabulary) = self.vocabulary else { return missing("vocabulary") };
        if self.loss.class_weights() == Some(&ClassWeights::Balanced) {
            return missing("loss (balanced class-weights)");
        }
        check_tokenizer(KEY, vocabulary, &self.prepare, &tokenizer)?;
        Ok(TextClassification { config: self.clone(), vocabulary, tokenizer })
    }
}

/// Refuses texts that are longer than the network has places.
pub(crate) fn check_length(key: &str, prepare: &TextPrepare, model: &SequenceModelConfig) -> Result<(), TaskError> {
    let (length, positions) = (prepare.max_length, model.positions());
    let Some(positions) = positions.filter(|&positions| positions < length) else { return Ok(()) };
    let name = model.name();
    let problem = format!(
        "is {length}, but the network has places for {positions} tokens: lower it, or raise model.{name}.positions"
    );
    Err(TaskError::new(format!("`{key}.prepare.max-length` {problem}")))
}

/// Refuses a tokenizer of another size than the network was made for, or whose special tokens leave a text no room.
pub(crate) fn check_tokenizer(
    key: &str,
    vocabulary: usize,
    prepare: &TextPrepare,
    tokenizer: &Tokenizer,
) -> Result<(), TaskError> {
    let room = prepare.check_room(&format!("{key}.prepare"), tokenizer);
    room.map_err(|error: DataError| TaskError::new(error.to_string()))?;
    if tokenizer.size() == vocabulary {
        return Ok(());
    }
    let problem = format!("is {vocabulary}, but the tokenizer knows {} tokens", tokenizer.size());
    Err(TaskError::new(format!("`{key}.vocabulary` {problem}: they do not belong together")))
}

/// Texts on the device, filled up to the longest by the token `pad`.
pub(crate) fn text_batch(inputs: &[Tokens], pad: u32, device: &Device) -> SequenceInput {
    let batch = TokenBatch::new(inputs, pad, 1);
    let shape = [batch.texts(), batch.length()];
    let numbers = |values: &[u32]| -> Tensor<2, Int> {
        let values: Vec<i32> = values.iter().map(|&value| value.cast_signed()).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    };
    let has_pairs = batch.types.iter().any(|&kind| kind > 0);
    let types = has_pairs.then(|| numbers(&batch.types));
    let (ids, is_filled_up) = (numbers(&batch.ids), batch.is_padding.contains(&true));
    let padding = || -> Tensor<2, Bool> { Tensor::from_data(TensorData::new(batch.is_padding, shape), device) };
    SequenceInput { ids, types, padding: is_filled_up.then(padding) }
}

/// The living task.
#[derive(Clone, Debug)]
pub struct TextClassification {
    config: TextClassificationConfig,
    vocabulary: usize,
    tokenizer: Tokenizer,
}

/// Texts on the device.
#[derive(Clone, Debug)]
pub struct TextBatch {
    input: SequenceInput,
    /// Of each, whether its end was cut off.
    cut: Vec<bool>,
}

impl TextClassification {
    /// The names of the classes, in the order of the scores.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.config.labels
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The same task, whose scores are divided by this.
    #[must_use]
    pub fn at_temperature(mut self, temperature: f64) -> Self {
        self.config.temperature = temperature;
        self
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &TextClassificationConfig {
        &self.config
    }
}

fn wrong(error: &ModelError) -> TaskError {
    TaskError::new(error.to_string())
}

/// One text or two, as a request has them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextRequest<'a> {
    text: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pair: Option<Cow<'a, str>>,
}

impl TextRequest<'_> {
    /// Whether these characters are meant as such a request: an object whose keys are about these. A line of a log is none.
    fn is_meant(text: &str) -> bool {
        let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
        let is_near = |key: &String| ["text", "pair"].iter().any(|known| key.to_ascii_lowercase().starts_with(known));
        object.is_ok_and(|object| !object.is_empty() && object.keys().all(is_near))
    }
}

/// The request that [`TextClassification`] reads this sample from: the text itself, or the JSON object
/// `{"text": .., "pair": ..}` of a pair, and `{"text": ..}` of a text that looks like one of these.
#[must_use]
pub fn text_request(sample: &TextSample) -> Vec<u8> {
    if sample.pair.is_none() && !TextRequest::is_meant(&sample.text) {
        return sample.text.clone().into_bytes();
    }
    let request = TextRequest { text: sample.text.as_str().into(), pair: sample.pair.as_deref().map(Cow::from) };
    serde_json::to_vec(&request).unwrap_or_else(|error| panic!("strings as JSON: {error}"))
}

impl Task for TextClassification {
    type Sample = TextSample;
    type Truth = Target;
    type Input = Tokens;
    type Batch = TextBatch;
    type Model = SequenceClassifier;
    type Outcome = ClassificationOutcome;
    type Response = ClassificationResponse;

    fn init(&self, device: &Device) -> Result<SequenceClassifier, TaskError> {
        let TextClassificationConfig { model, dropout, labels, .. } = &self.config;
        SequenceClassifier::init(model, *dropout, [self.vocabulary, labels.len()], device)
            .map_err(|error| wrong(&error))
    }

    fn read(&self, bytes: &[u8]) -> Result<TextSample, InputError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| InputError::new(format!("the text is no UTF-8: byte {} is wrong", error.valid_up_to())))?;
        if !TextRequest::is_meant(text) {
            return Ok(TextSample { text: text.to_owned(), pair: None });
        }
        let TextRequest { text, pair } = serde_json::from_str(text).map_err(|error| {
            let form = r#"a request of JSON is {"text": TEXT}, perhaps with "pair": TEXT"#;
            InputError::new(format!("{form}; here: {error}"))
        })?;
        Ok(TextSample { text: text.into_owned(), pair: pair.map(Cow::into_owned) })
    }

    fn prepare(&self, sample: TextSample) -> Result<Tokens, InputError> {
        let TextSample { text, pair } = sample;
        let tokens = self.config.prepare.apply(&self.tokenizer, &text, pair.as_deref()).map_err(reason)?;
        let highest = tokens.types.iter().copied().max().unwrap_or_default();
        match self.config.model.types().filter(|&types| highest as usize >= types) {
            None => Ok(tokens),
            Some(types) => {
                let found = format!("has tokens of the kind {highest}, as the second of two texts has");
                Err(InputError::new(format!("{found}, but model.{}.types is {types}", self.config.model.name())))
            }
        }
    }

    fn collate(&self, inputs: &[Tokens], device: &Device) -> TextBatch {
        let cut = inputs.iter().map(|tokens| tokens.is_cut).collect();
        TextBatch { input: text_batch(inputs, self.tokenizer.pad(), device), cut }
    }

    fn loss(&self, model: &SequenceClassifier, batch: TextBatch, truths: &[Target]) -> ClassificationOutcome {
        self.loss_of_features(model, self.features(model, batch), truths)
    }

    fn respond(&self, model: &SequenceClassifier, mut batch: TextBatch) -> Vec<ClassificationResponse> {
        let cut = std::mem::take(&mut batch.cut);
        let answers = self.respond_to_features(model, self.features(model, batch));
        answers.into_iter().zip(cut).map(|(answer, cut)| ClassificationResponse { cut, ..answer }).collect()
    }

    fn agree(&self, expected: &ClassificationResponse, found: &ClassificationResponse, tolerance: f64) -> bool {
        expected.agrees(found, tolerance)
    }

    fn length(&self, input: &Tokens) -> usize {
        input.ids.len()
    }

    fn tensor_door(&self) -> Option<&dyn TensorDoor<Self>> {
        Some(self)
    }
}

/// The places of the tensors in a request.
const IDS: usize = 0;
const MASK: usize = 1;
const TYPES: usize = 2;

/// `input_ids`, the numbers of the tokens; `attention_mask`, 1 for a token and 0 where filled up, which must come after all
/// tokens (without it, all are tokens); `token_type_ids`, 0 for the first text and 1 for the second (without it, 0). Each is
/// INT64 `[batch, length]`; they have the names that Hugging Face's tokenizers give. Out come `probabilities`, and `cut`, INT64
/// `[batch, 1]`: 1 where the end of a text was cut off, for it was too long.
impl TensorDoor<Self> for TextClassification {
    fn signature(&self) -> Signature {
        let tokens =
            |name, is_optional| TensorSpec { name, kind: ValueKind::I64, shape: vec![None, None], is_optional };
        Signature {
            raw: "text",
            inputs: vec![tokens("input_ids", false), tokens("attention_mask", true), tokens("token_type_ids", true)],
            outputs: vec![
                probabilities(self.labels().len()),
                TensorSpec { name: "cut", kind: ValueKind::I64, shape: vec![None, Some(1)], is_optional: false },
            ],
            labels: self.labels().to_vec(),
        }
    }

    fn check(&self, request: &TensorRequest) -> Result<(), InputError> {
        let Some(ids) = request.get(IDS) else { return Err(InputError::new("`input_ids` is missing")) };
        let (length, most) = (ids.shape()[1], self.config.prepare.max_length);
        if length > most {
            let problem = format!("{length} places, but a text has at most {most}: cut it");
            return Err(InputError::new(format!("`input_ids` has {problem}")));
        }
        let below = |name: &str, place: usize, limit: usize| {
            let values = request.get(place).map_or(&[][..], |tensor| tensor.integers());
            match values.iter().find(|&&value| !usize::try_from(value).is_ok_and(|value| value < limit)) {
                None => Ok(()),
                Some(value) => {
                    Err(InputError::new(format!("`{name}` has {value}, but only 0 to {} are known", limit - 1)))
                }
            }
        };
        below("input_ids", IDS, self.vocabulary)?;
        below("attention_mask", MASK, 2)?;
        // A network that does not look at the kinds takes those of a pair.
        below("token_type_ids", TYPES, self.config.model.types().unwrap_or(2))?;
        let mask = request.get(MASK).map_or(&[][..], |tensor| tensor.integers());
        if mask.chunks_exact(length).any(|row| row[0] == 0 || !row.is_sorted_by(|a, b| a >= b)) {
            let wanted = "1 for each token and then 0 to the end of the row, and at least one token";
            return Err(InputError::new(format!("`attention_mask` must have {wanted}")));
        }
        Ok(())
    }

    fn collate(&self, requests: &[&TensorRequest], device: &Device) -> TextBatch {
        let length = requests.first().map_or(1, |request| request.row_shape()[0]);
        let rows: usize = requests.iter().map(|request| request.rows()).sum();
        // What was left out of one request may be in another.
        let joined = |place: usize, missing: i64| -> Vec<i64> {
            let of = |request: &&TensorRequest| match request.get(place) {
                Some(tensor) => tensor.integers().to_vec(),
                None => vec![missing; request.rows() * length],
            };
            requests.iter().flat_map(of).collect()
        };
        let numbers = |values: Vec<i64>| -> Tensor<2, Int> {
            #[expect(clippy::cast_possible_truncation, reason = "`check` has let through what is below the vocabulary")]
            let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
            Tensor::from_data(TensorData::new(values, [rows, length]), device)
        };
        let is_padding: Vec<bool> = joined(MASK, 1).into_iter().map(|mask| mask == 0).collect();
        let is_filled_up = is_padding.contains(&true);
        let padding = || -> Tensor<2, Bool> { Tensor::from_data(TensorData::new(is_padding, [rows, length]), device) };
        let types = joined(TYPES, 0);
        let has_pairs = types.iter().any(|&kind| kind > 0);
        let input = SequenceInput {
            ids: numbers(joined(IDS, 0)),
            types: has_pairs.then(|| numbers(types)),
            padding: is_filled_up.then(padding),
        };
        // What is too long was refused.
        TextBatch { input, cut: vec![false; rows] }
    }

    fn outputs(&self, responses: &[ClassificationResponse]) -> Vec<HostTensor> {
        let cut = responses.iter().map(|response| i64::from(response.cut)).collect();
        let cut = HostTensor::new([responses.len(), 1], Values::I64(cut));
        vec![table(responses, self.labels().len()), cut]
    }
}

impl Headed for TextClassification {
    fn head<'a>(&self, model: &'a SequenceClassifier) -> &'a Linear {
        model.head()
    }

    fn features(&self, model: &SequenceClassifier, batch: TextBatch) -> Tensor<2> {
        model.pooled(&batch.input, self.config.pooling)
    }

    fn loss_of_features(
        &self,
        model: &SequenceClassifier,
        features: Tensor<2>,
        truths: &[Target],
    ) -> ClassificationOutcome {
        let scores = tempered(model.decide(features), self.config.temperature);
        ClassificationOutcome::of(scores, truths, &self.config.loss)
    }

    fn respond_to_features(&self, model: &SequenceClassifier, features: Tensor<2>) -> Vec<ClassificationResponse> {
        let scores = tempered(model.decide(features), self.config.temperature);
        ClassificationResponse::of(scores, self.labels(), &self.config.loss)
    }
}
