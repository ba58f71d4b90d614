//! What all tasks share that choose a class: targets, the outcome of a batch, and the answer. It does not know what was classified.

use burn::tensor::{
    DType, Device, Tensor, TensorData,
    activation::{log_sigmoid, log_softmax},
};
use homeostat_data::DataError;
use homeostat_metrics::{Loss, Predictions, Truth};
use homeostat_models::TrainingScores;
use homeostat_task::{HostTensor, InputError, Outcome, TaskError, TensorRequest, TensorSpec, ValueKind, Values};
use serde::{Deserialize, Serialize};

use crate::{LossConfig, Probabilities};

/// What is true of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// This class.
    Class(u32),
    /// Each class with this probability, `[classes]`.
    Soft(Vec<f32>),
    /// Each of these classes, perhaps none: every class is a question of its own.
    Several(Vec<u32>),
}

impl Target {
    /// The class, the most probable one, or the first of several.
    #[must_use]
    pub fn label(&self) -> u32 {
        match self {
            Self::Class(class) => *class,
            Self::Several(classes) => classes.first().copied().unwrap_or(u32::MAX),
            Self::Soft(probabilities) => u32::try_from(largest(probabilities)).unwrap_or(u32::MAX),
        }
    }

    /// This target with the weight `share`, and `other` with the rest, over so many classes.
    #[must_use]
    pub fn mix(&self, other: &Self, share: f32, classes: usize) -> Self {
        let mut mixed = vec![0.0; classes];
        for (target, weight) in [(self, share), (other, 1.0 - share)] {
            match target {
                Self::Class(class) => mixed[*class as usize] += weight,
                Self::Several(classes) => classes.iter().for_each(|class| mixed[*class as usize] += weight),
                Self::Soft(probabilities) => {
                    mixed.iter_mut().zip(probabilities).for_each(|(sum, probability)| *sum += weight * probability);
                }
            }
        }
        Self::Soft(mixed)
    }
}

/// The position of the largest value, the first among equals; 0 if there is none.
fn largest(row: &[f32]) -> usize {
    let first = row.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    first.map_or(0, |(at, _)| at)
}

/// The targets as probabilities, `[batch, classes]`.
fn targets(truths: &[Target], classes: usize, device: &Device) -> Tensor<2> {
    let mut rows = vec![0.0_f32; truths.len() * classes];
    for (row, truth) in rows.chunks_exact_mut(classes).zip(truths) {
        match truth {
            Target::Class(class) => row[*class as usize] = 1.0,
            Target::Several(classes) => classes.iter().for_each(|class| row[*class as usize] = 1.0),
            Target::Soft(probabilities) => row.copy_from_slice(probabilities),
        }
    }
    Tensor::from_data(TensorData::new(rows, [truths.len(), classes]), device)
}

/// What metrics are told: one class a sample, or where a sample has several, whether each class is right.
fn truth(truths: &[Target], classes: usize) -> Truth {
    if !truths.iter().any(|truth| matches!(truth, Target::Several(_))) {
        return Truth::OneOf(truths.iter().map(Target::label).collect());
    }
    let mut right = vec![false; truths.len() * classes];
    for (row, truth) in right.chunks_exact_mut(classes).zip(truths) {
        match truth {
            Target::Several(labels) => labels.iter().for_each(|label| row[*label as usize] = true),
            one => row[one.label() as usize] = true,
        }
    }
    Truth::AnyOf(right)
}

/// Scores divided by the temperature.
pub(crate) fn tempered(scores: Tensor<2>, temperature: f64) -> Tensor<2> {
    // What is not calibrated stays the same to the bit.
    if (temperature - 1.0).abs() < f64::EPSILON { scores } else { scores.mul_scalar(1.0 / temperature) }
}

/// Scores whose probabilities are the mean of those of several scores, each `[batch, classes]`.
pub(crate) fn mean_scores(scores: &[Tensor<2>], probabilities: Probabilities) -> Tensor<2> {
    // A sum does in the place of the mean: softmax, and the difference, take no notice of a factor.
    let summed = |log: fn(Tensor<2>) -> Tensor<2>| log_sum_exp(scores.iter().cloned().map(log).collect());
    match probabilities {
        Probabilities::OneOf => summed(|scores| log_softmax(scores, 1)),
        Probabilities::AnyOf => summed(log_sigmoid) - summed(|scores| log_sigmoid(scores.neg())),
    }
}

/// The logarithm of the sum of what these are logarithms of.
fn log_sum_exp(logs: Vec<Tensor<2>>) -> Tensor<2> {
    let logs = Tensor::stack::<3>(logs, 0);
    let largest = logs.clone().max_dim(0);
    ((logs - largest.clone()).exp().sum_dim(0).log() + largest).squeeze_dim(0)
}

/// Refuses a temperature that makes no probabilities.
pub(crate) fn check_temperature(key: &str, temperature: f64) -> Result<(), TaskError> {
    if (1e-3..=1e3).contains(&temperature) {
        return Ok(());
    }
    Err(TaskError::new(format!("`{key}.temperature` is {temperature}, but must lie in 0.001..=1000")))
}

/// The loss of a batch, and what metrics need.
#[derive(Debug)]
pub struct ClassificationOutcome {
    loss: Tensor<1>,
    weight: f64,
    scores: Tensor<2>,
    probabilities: Probabilities,
    truth: Truth,
}

impl ClassificationOutcome {
    /// Scores `[batch, classes]` against the truth; what further heads say counts in the loss alone.
    pub(crate) fn of(scores: impl Into<TrainingScores>, truths: &[Target], loss: &LossConfig) -> Self {
        let TrainingScores { main: scores, auxiliary } = scores.into();
        let [_, classes] = scores.dims();
        let targets = targets(truths, classes, &scores.device());
        let value = loss.of(scores.clone(), targets.clone());
        let further = auxiliary.into_iter().map(|(weight, scores)| loss.of(scores, targets.clone()).mean * weight);
        Self {
            loss: further.fold(value.mean, |sum, loss| sum + loss),
            weight: value.weight,
            scores: scores.inner(),
            probabilities: loss.probabilities(),
            truth: truth(truths, classes),
        }
    }
}

impl Outcome for ClassificationOutcome {
    type Record = Predictions;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn record(self) -> Predictions {
        let [_, classes] = self.scores.dims();
        let loss = Loss { mean: self.loss.into_scalar::<f64>(), weight: self.weight };
        Predictions::new(classes, host(self.probabilities.of(self.scores)), self.truth, loss)
    }
}

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassificationResponse {
    /// The most probable class.
    pub label: String,
    /// Its probability.
    pub confidence: f32,
    /// The probability of every class, in the order of the labels.
    pub probabilities: Vec<f32>,
    /// Where each class is a question of its own, those that are answered with yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Whether the end of the text was cut off, for it was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl ClassificationResponse {
    /// The answers that scores `[batch, classes]` give.
    pub(crate) fn of(scores: Tensor<2>, labels: &[String], loss: &LossConfig) -> Vec<Self> {
        let any_of = loss.probabilities() == Probabilities::AnyOf;
        let probabilities = host(loss.probabilities().of(scores));
        probabilities
            .chunks_exact(labels.len())
            .map(|row| {
                let best = largest(row);
                let yes = labels.iter().zip(row).filter(|(_, probability)| any_of && **probability >= 0.5);
                Self {
                    label: labels[best].clone(),
                    confidence: row[best],
                    probabilities: row.to_vec(),
                    labels: yes.map(|(label, _)| label.clone()).collect(),
                    cut: false,
                }
            })
            .collect()
    }

    /// Whether two answers to one request are the same but for rounding; `tolerance` is absolute, on probabilities.
    pub(crate) fn agrees(&self, found: &Self, tolerance: f64) -> bool {
        let near = |a: f32, b: f32| (f64::from(a) - f64::from(b)).abs() <= tolerance;
        let same_rows = self.probabilities.len() == found.probabilities.len()
            && self.probabilities.iter().zip(&found.probabilities).all(|(&a, &b)| near(a, b));
        // Where two classes tie but for rounding, either may come first.
        let confident = f64::from(self.confidence) - 2.0 * tolerance;
        let tied = self.probabilities.iter().filter(|&&p| f64::from(p) >= confident).count() > 1;
        same_rows && near(self.confidence, found.confidence) && (tied || self.label == found.label)
    }
}

fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
}

/// What the tensor door gives: a probability a class, `[batch, classes]`.
pub(crate) fn probabilities(classes: usize) -> TensorSpec {
    TensorSpec { name: "probabilities", kind: ValueKind::F32, shape: vec![None, Some(classes)], is_optional: false }
}

/// The probabilities of some answers, `[batch, classes]`.
pub(crate) fn table(responses: &[ClassificationResponse], classes: usize) -> HostTensor {
    let values = responses.iter().flat_map(|response| response.probabilities.iter().copied()).collect();
    HostTensor::new([responses.len(), classes], Values::F32(values))
}

/// Refuses what would make every answer of a batch NaN.
pub(crate) fn finite(request: &TensorRequest) -> Result<(), InputError> {
    let values = request.tensors().iter().flatten().flat_map(HostTensor::floats);
    match values.enumerate().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((at, value)) => Err(InputError::new(format!("value {at} is {value}, which is no number of a sample"))),
    }
}

/// What is wrong with a sample, without a name: whoever sent it knows which it was.
pub(crate) fn reason(error: DataError) -> InputError {
    match error {
        DataError::Corrupt { why, .. } => InputError::new(why),
        other => InputError::new(other.to_string()),
    }
}
