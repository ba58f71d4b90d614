//! Losses of classification. All take class probabilities as targets, so that mixup, smoothing and distillation need
//! nothing of their own. They do not know networks or data.

use burn::tensor::{
    Tensor,
    activation::{log_sigmoid, log_softmax, sigmoid, softmax},
};
use homeostat_kernels::{Kernels, cross_entropy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How wrong scores are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossConfig {
    /// Cross-entropy of the softmax of the scores: exactly one class is right.
    CrossEntropy(CrossEntropyConfig),
    /// Binary cross-entropy of the sigmoid of each score: each class is a question of its own. A table names several classes of
    /// a text by its `label-separator`, or by a list in a cell; of a picture, several right ones come from mixing pictures, or
    /// from code that gives its own targets.
    BinaryCrossEntropy(BinaryCrossEntropyConfig),
    /// Focal loss of the softmax (Lin et al. 2017): samples that are already right count less.
    Focal(FocalConfig),
    /// Mean squared error between the softmax and the target (Brier 1950).
    MeanSquaredError,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropyConfig::default())
    }
}

/// How much each class counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All the same.
    #[default]
    Equal,
    /// Inverse to how often each occurs in training; replaced by `given` weights when training starts.
    Balanced,
    /// A weight a class, in the order of the labels.
    Given(Vec<f32>),
}

/// Cross-entropy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CrossEntropyConfig {
    /// Share of the target spread evenly over all classes, in 0..1 (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// How much each class counts.
    pub class_weights: ClassWeights,
}

/// Binary cross-entropy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BinaryCrossEntropyConfig {
    /// Moves targets from 0 and 1 towards one half by half this share, in 0..1.
    pub label_smoothing: f64,
    /// How much each class counts.
    pub class_weights: ClassWeights,
}

/// Focal loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FocalConfig {
    /// How fast the weight of a sample falls with its probability; 0 is cross-entropy.
    pub gamma: f64,
    /// How much each class counts (the paper's alpha).
    pub class_weights: ClassWeights,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, class_weights: ClassWeights::Equal }
    }
}

/// How scores become probabilities; it goes with the loss that they were trained by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probabilities {
    /// One class is right: softmax.
    OneOf,
    /// Each class is a question of its own: sigmoid.
    AnyOf,
}

impl Probabilities {
    /// `[batch, classes] -> [batch, classes]`
    #[must_use]
    pub fn of(self, scores: Tensor<2>) -> Tensor<2> {
        match self {
            Self::OneOf => softmax(scores, 1),
            Self::AnyOf => sigmoid(scores),
        }
    }
}

/// A mean loss, and what the mean was taken over.
#[derive(Debug)]
pub struct LossValue {
    /// `[1]`
    pub mean: Tensor<1>,
    /// The sum of the samples' weights.
    pub weight: f64,
}

impl LossConfig {
    /// How scores trained by this loss become probabilities.
    #[must_use]
    pub fn probabilities(&self) -> Probabilities {
        match self {
            Self::BinaryCrossEntropy(_) => Probabilities::AnyOf,
            Self::CrossEntropy(_) | Self::Focal(_) | Self::MeanSquaredError => Probabilities::OneOf,
        }
    }

    /// The weights of the classes, where this loss has them.
    #[must_use]
    pub fn class_weights(&self) -> Option<&ClassWeights> {
        match self {
            Self::CrossEntropy(config) => Some(&config.class_weights),
            Self::BinaryCrossEntropy(config) => Some(&config.class_weights),
            Self::Focal(config) => Some(&config.class_weights),
            Self::MeanSquaredError => None,
        }
    }

    /// Replaces `balanced` by `samples / (classes * count)` a class (King & Zeng 2001; as scikit-learn does).
    /// Gives the weights if it did.
    #[expect(clippy::cast_possible_truncation, reason = "computed in f64, stored in f32")]
    pub fn resolve(&mut self, counts: &[usize]) -> Option<Vec<f32>> {
        let weights = match self {
            Self::CrossEntropy(config) => &mut config.class_weights,
            Self::BinaryCrossEntropy(config) => &mut config.class_weights,
            Self::Focal(config) => &mut config.class_weights,
            Self::MeanSquaredError => return None,
        };
        if *weights != ClassWeights::Balanced {
            return None;
        }
        let total: usize = counts.iter().sum();
        let balanced: Vec<f32> =
            counts.iter().map(|&count| (total as f64 / (counts.len() * count.max(1)) as f64) as f32).collect();
        *weights = ClassWeights::Given(balanced.clone());
        Some(balanced)
    }

    /// What is wrong with the settings, if anything; also for so many classes, where their number is known.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "scores have 32 bits")]
    pub fn problem(&self, classes: Option<usize>) -> Option<String> {
        let smoothing = match self {
            Self::CrossEntropy(config) => config.label_smoothing,
            Self::BinaryCrossEntropy(config) => config.label_smoothing,
            Self::Focal(config) if !(config.gamma >= 0.0 && (config.gamma as f32).is_finite()) => {
                return Some(format!("focal.gamma is {}, but must be at least 0, and a 32-bit float", config.gamma));
            }
            Self::Focal(_) | Self::MeanSquaredError => 0.0,
        };
        if !(0.0..1.0).contains(&(smoothing as f32)) {
            return Some(format!("label-smoothing is {smoothing}, but must lie in 0..1 (1 excluded)"));
        }
        match self.class_weights()? {
            ClassWeights::Given(weights) if classes.is_some_and(|classes| weights.len() != classes) => {
                Some(format!("class-weights has {} weights for {} classes", weights.len(), classes.unwrap_or_default()))
            }
            ClassWeights::Given(weights) if weights.iter().any(|weight| !(weight.is_finite() && *weight > 0.0)) => {
                Some(format!("class-weights is {weights:?}, but every weight must be above 0"))
            }
            _ => None,
        }
    }

    /// The loss of `scores` `[batch, classes]` against `targets` `[batch, classes]`, each row the probabilities of the
    /// classes (for binary cross-entropy: of each class by itself).
    ///
    /// With class weights the mean is over the weights of the targets, as PyTorch does it for class indices.
    #[must_use]
    pub fn of(&self, scores: Tensor<2>, targets: Tensor<2>) -> LossValue {
        let [batch, classes] = scores.dims();
        assert_eq!(targets.dims(), [batch, classes], "a target a score");
        match self {
            Self::CrossEntropy(config) => {
                let smooth = smoothed(targets.clone(), config.label_smoothing, 1.0 / classes as f64);
                if config.class_weights == ClassWeights::Equal {
                    let losses = cross_entropy(scores, smooth, Kernels::selected());
                    return LossValue { mean: mean(losses, batch), weight: batch as f64 };
                }
                let terms = log_softmax(scores, 1).neg() * smooth;
                weighted_mean(terms, targets, &config.class_weights)
            }
            Self::Focal(config) => {
                let log = log_softmax(scores, 1);
                let miss = log.clone().exp().neg().add_scalar(1.0);
                // At gamma 0 the factor is 1. Where nothing is missing, a power below 1 has no gradient: hence the floor.
                let factor = if config.gamma == 0.0 {
                    miss.ones_like()
                } else {
                    miss.clamp_min(f32::MIN_POSITIVE).powf_scalar(config.gamma)
                };
                weighted_mean(factor * log.neg() * targets.clone(), targets, &config.class_weights)
            }
            Self::BinaryCrossEntropy(config) => {
                let targets = smoothed(targets, config.label_smoothing, 0.5);
                // -log(1 - sigmoid(x)) - x t: never overflows, and its gradient is right at 0, too.
                let terms = log_sigmoid(scores.clone().neg()).neg() - scores * targets;
                let terms = match weights_row(&config.class_weights, &terms) {
                    Some(weights) => terms * weights,
                    None => terms,
                };
                LossValue { mean: terms.mean(), weight: batch as f64 }
            }
            Self::MeanSquaredError => {
                let difference = softmax(scores, 1) - targets;
                LossValue { mean: (difference.clone() * difference).mean(), weight: batch as f64 }
            }
        }
    }
}

fn smoothed(targets: Tensor<2>, share: f64, towards: f64) -> Tensor<2> {
    if share == 0.0 { targets } else { targets.mul_scalar(1.0 - share).add_scalar(share * towards) }
}

/// The weights of the classes as `[1, classes]`.
fn weights_row(weights: &ClassWeights, like: &Tensor<2>) -> Option<Tensor<2>> {
    match weights {
        ClassWeights::Given(weights) => {
            let row = Tensor::<1>::from_data(weights.as_slice(), (&like.device(), like.dtype()));
            Some(row.unsqueeze())
        }
        ClassWeights::Balanced => panic!("balanced weights are resolved before training"),
        ClassWeights::Equal => None,
    }
}

/// The sum of `terms` over classes, averaged over samples by the weights of their targets.
fn weighted_mean(terms: Tensor<2>, targets: Tensor<2>, weights: &ClassWeights) -> LossValue {
    let [batch, _] = terms.dims();
    match weights_row(weights, &terms) {
        None => LossValue { mean: mean(terms, batch), weight: batch as f64 },
        Some(row) => {
            let weight = (targets.inner() * row.clone().inner()).sum().into_scalar::<f64>();
            LossValue { mean: (terms * row).sum().mul_scalar(1.0 / weight), weight }
        }
    }
}

/// Burn 0.22.1 rounds the gradient of a division by a scalar to 32 bits, also in float64; not that of a product.
fn mean<const D: usize>(terms: Tensor<D>, samples: usize) -> Tensor<1> {
    terms.sum().mul_scalar(1.0 / samples as f64)
}
