//! A network for sequences that makes one vector of a text. It does not know what texts are compared for.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use super::{Pooling, SequenceInput, SequenceModel, SequenceModelConfig};
use crate::ModelError;

/// Tokens to a vector: a network, its features pooled.
#[derive(Module, Debug)]
pub struct SequenceEncoder {
    network: SequenceModel,
}

impl SequenceEncoder {
    /// Fresh weights for tokens below `vocabulary`.
    ///
    /// # Errors
    /// As of [`SequenceModelConfig::init`].
    pub fn init(network: &SequenceModelConfig, vocabulary: usize, device: &Device) -> Result<Self, ModelError> {
        Ok(Self { network: network.init(vocabulary, device)? })
    }

    /// `[batch, length] -> [batch, width]`
    #[must_use]
    pub fn forward(&self, input: &SequenceInput, pooling: Pooling) -> Tensor<2> {
        pooling.of(self.network.forward(input), input)
    }
}
