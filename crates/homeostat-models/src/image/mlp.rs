//! The multi-layer perceptron: dense layers with ReLU between them (Rosenblatt 1958; Rumelhart, Hinton, Williams 1986).

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Activation, Kernels, linear};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ImageShape, check_dropout, check_widths};
use crate::ModelError;

/// A multi-layer perceptron on the flattened pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MlpConfig {
    /// Widths of the hidden layers; an empty list makes a linear classifier.
    pub hidden: Vec<usize>,
    /// Share of hidden units dropped in training, in 0..1.
    pub dropout: f64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { hidden: vec![128], dropout: 0.0 }
    }
}

impl MlpConfig {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        check_widths("mlp", "hidden", &self.hidden)?;
        check_dropout("mlp", self.dropout)
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Mlp {
        let inputs = shape.channels * shape.height * shape.width;
        Mlp::new(inputs, &self.hidden, classes, self.dropout, device)
    }
}

/// Dense layers with ReLU and dropout between them. Also the head of convolutional networks.
#[derive(Module, Debug)]
pub struct Mlp {
    hidden: Vec<Linear>,
    dropout: Dropout,
    head: Linear,
}

impl Mlp {
    pub(super) fn new(inputs: usize, hidden: &[usize], classes: usize, dropout: f64, device: &Device) -> Self {
        let widths: Vec<usize> = std::iter::once(inputs).chain(hidden.iter().copied()).collect();
        let hidden = widths.windows(2).map(|pair| LinearConfig::new(pair[0], pair[1]).init(device)).collect();
        let last = widths[widths.len() - 1];
        Self {
            hidden,
            dropout: DropoutConfig::new(dropout).init(),
            head: LinearConfig::new(last, classes).init(device),
        }
    }

    /// `[batch, channels, height, width] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x: Tensor<2> = images.flatten(1, 3);
        for layer in &self.hidden {
            x = self.dropout.forward(dense(x, layer, Activation::Relu));
        }
        dense(x, &self.head, Activation::Linear)
    }
}

fn dense(x: Tensor<2>, layer: &Linear, activation: Activation) -> Tensor<2> {
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    linear(x, layer.weight.val(), bias, activation, Kernels::selected())
}
