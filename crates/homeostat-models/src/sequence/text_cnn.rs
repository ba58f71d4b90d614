//! Convolutions of several widths side by side (Kim 2014: "Convolutional neural networks for sentence classification").

use burn::{
    module::{Module, Param},
    nn::{
        Dropout, DropoutConfig, Embedding,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Activation, Conv2dOptions, Kernels, conv2d};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_WIDTH, SequenceInput, in_range, look_up, table};
use crate::{ModelError, image::check_dropout};

/// Convolutions of several widths side by side, each followed by ReLU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextCnnConfig {
    /// Features of a token at the entrance.
    pub width: usize,
    /// Filters of each size.
    pub filters: usize,
    /// How many tokens a filter sees, a list of sizes.
    pub sizes: Vec<usize>,
    /// Share of the entrance's features dropped in training, in 0..1.
    pub dropout: f64,
}

impl Default for TextCnnConfig {
    fn default() -> Self {
        Self { width: 128, filters: 128, sizes: vec![2, 3, 4], dropout: 0.3 }
    }
}

impl TextCnnConfig {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let network = "text-cnn";
        in_range(network, "width", self.width, MAX_WIDTH)?;
        in_range(network, "filters", self.filters, MAX_WIDTH)?;
        if self.sizes.is_empty() {
            let problem = "is empty, but has to name a number of tokens, such as [2, 3, 4]".to_owned();
            return Err(ModelError::Setting { network, setting: "sizes", problem });
        }
        in_range(network, "sizes", self.sizes.len(), 64)?;
        self.sizes.iter().try_for_each(|&size| in_range(network, "sizes", size, 64))?;
        check_dropout(network, self.dropout)
    }

    pub(super) fn init(&self, vocabulary: usize, device: &Device) -> TextCnn {
        let filters = |&size: &usize| Conv2dConfig::new([self.width, self.filters], [1, size]).init(device);
        TextCnn {
            tokens: table(vocabulary, self.width, 1.0, device),
            filters: self.sizes.iter().map(filters).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

/// See [`TextCnnConfig`].
#[derive(Module, Debug)]
pub struct TextCnn {
    tokens: Embedding,
    filters: Vec<Conv2d>,
    dropout: Dropout,
}

impl TextCnn {
    /// `[batch, length] -> [batch, length, sizes * filters]`
    #[must_use]
    pub fn forward(&self, input: &SequenceInput) -> Tensor<3> {
        let x = self.dropout.forward(look_up(&self.tokens, input.ids.clone()));
        // Filters see zeros beyond the text, whether it is filled up there or ends.
        let x = match input.real() {
            Some(real) => x * real,
            None => x,
        };
        // `[batch, width, 1, length]`: a picture one pixel high.
        let x: Tensor<4> = x.swap_dims(1, 2).unsqueeze_dim(2);
        let seen = self.filters.iter().map(|filter| {
            let [.., size] = filter.weight.dims();
            let options = Conv2dOptions {
                padding: [(0, 0), ((size - 1) / 2, size / 2)],
                activation: Activation::Relu,
                ..Conv2dOptions::default()
            };
            let bias = filter.bias.as_ref().map(Param::val);
            conv2d(x.clone(), filter.weight.val(), bias, &options, Kernels::selected())
        });
        let seen: Tensor<3> = Tensor::cat(seen.collect(), 1).squeeze_dim(2);
        seen.swap_dims(1, 2)
    }

    pub(super) fn features(&self) -> usize {
        self.filters.iter().map(|filter| filter.weight.lazy_shape()[0]).sum()
    }
}
