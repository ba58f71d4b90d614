//! A network for sequences with a head that gives scores. It does not know what the classes mean.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Curve;

use super::{Pooling, SequenceInput, SequenceModel, SequenceModelConfig, through};
use crate::{ModelError, image::check_dropout, size};

/// Tokens to scores: a network, its features pooled, and a dense layer.
#[derive(Module, Debug)]
pub struct SequenceClassifier {
    network: SequenceModel,
    dropout: Dropout,
    head: Linear,
}

impl SequenceClassifier {
    /// Fresh weights for tokens below `vocabulary`; `dropout` is the share of pooled features dropped in training.
    ///
    /// # Errors
    /// As of [`SequenceModelConfig::init`].
    pub fn init(
        network: &SequenceModelConfig,
        dropout: f64,
        [vocabulary, classes]: [usize; 2],
        device: &Device,
    ) -> Result<Self, ModelError> {
        check_dropout(network.name(), dropout)?;
        let network = network.init(vocabulary, device)?;
        let head = LinearConfig::new(network.features(), classes).init(device);
        let classifier = Self { network, dropout: DropoutConfig::new(dropout).init(), head };
        size::draw(&classifier);
        Ok(classifier)
    }

    /// `[batch, length] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, input: &SequenceInput, pooling: Pooling) -> Tensor<2> {
        self.decide(self.pooled(input, pooling))
    }

    /// What the head sees: `[batch, length] -> [batch, width]`
    #[must_use]
    pub fn pooled(&self, input: &SequenceInput, pooling: Pooling) -> Tensor<2> {
        self.dropout.forward(pooling.of(self.network.forward(input), input))
    }

    /// What the head makes of what it sees: `[batch, width] -> [batch, classes]`
    #[must_use]
    pub fn decide(&self, pooled: Tensor<2>) -> Tensor<2> {
        through(&self.head, pooled, Curve::Straight)
    }

    /// The last dense layer.
    #[must_use]
    pub fn head(&self) -> &Linear {
        &self.head
    }
}
