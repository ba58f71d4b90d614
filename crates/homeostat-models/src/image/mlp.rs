//! The multi-layer perceptron: dense layers with ReLU between them (Rosenblatt 1958; Rumelhart, Hinton, Williams 1986).

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{classify, row},
    check_dropout, check_widths,
    network::{Describe, ImageNetwork},
};
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

impl Describe for MlpConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_widths("mlp", "hidden", &self.hidden)?;
        check_dropout("mlp", self.dropout)
    }

    fn takes_any_size(&self) -> bool {
        false
    }
}

impl MlpConfig {
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
}

impl ImageNetwork for Mlp {
    /// The pixels, and each hidden layer: `[batch, units, 1, 1]`.
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x: Tensor<2> = row(images);
        let mut features = vec![x.clone().unsqueeze_dims(&[2, 3])];
        for layer in &self.hidden {
            x = self.layer(x, layer);
            features.push(x.clone().unsqueeze_dims(&[2, 3]));
        }
        features
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        row(last)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}

impl Mlp {
    /// All layers but the last: `[batch, inputs] -> [batch, units]`.
    pub(super) fn hidden(&self, x: Tensor<2>) -> Tensor<2> {
        self.hidden.iter().fold(x, |x, layer| self.layer(x, layer))
    }

    fn layer(&self, x: Tensor<2>, layer: &Linear) -> Tensor<2> {
        self.dropout.forward(classify(layer, x, Activation::Relu))
    }
}
