//! The features of all tokens of a text become those of the text. It does not know which network gave them.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SequenceInput;

/// How the features of tokens become those of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Those of the first token, which is `[CLS]` to BERT.
    Cls,
    /// The mean over the tokens.
    #[default]
    Mean,
    /// The largest of each feature.
    Max,
    /// Those of the last token, for networks that read in one direction.
    Last,
}

impl Pooling {
    /// `[batch, length, features] -> [batch, features]`; what is filled up does not count.
    #[must_use]
    pub fn of(self, features: Tensor<3>, input: &SequenceInput) -> Tensor<2> {
        let [_, length, width] = features.dims();
        let pooled = match (self, input.real()) {
            (Self::Cls, _) => features.narrow(1, 0, 1),
            (Self::Mean, None) => features.mean_dim(1),
            (Self::Mean, Some(real)) => {
                let counts = real.clone().sum_dim(1).clamp_min(1.0);
                (features * real).sum_dim(1) / counts
            }
            (Self::Max, None) => features.max_dim(1),
            (Self::Max, Some(real)) => {
                // So low that it never wins, and yet no infinity that makes NaN of a gradient.
                let hidden = real.equal_elem(0.0).repeat_dim(2, width);
                features.mask_fill(hidden, f32::MIN / 2.0).max_dim(1)
            }
            (Self::Last, None) => features.narrow(1, length - 1, 1),
            (Self::Last, Some(real)) => {
                // A token is the last where the next place is filled up.
                let after =
                    Tensor::cat(vec![real.clone().narrow(1, 1, length - 1), real.zeros_like().narrow(1, 0, 1)], 1);
                (features * (real - after)).sum_dim(1)
            }
        };
        pooled.squeeze_dim(1)
    }
}
