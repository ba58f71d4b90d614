//! Networks that read tokens, grouped by signature: `[batch, length]` ids and padding give `[batch, length, features]`.
//! Adding one is a file beside this one, and the lines here that the compiler names.

mod adapter;
pub(crate) mod bert;
pub(crate) mod classifier;
pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod language;
mod pooling;
mod prefix;
pub(crate) mod recurrent;
pub(crate) mod text_cnn;
pub(crate) mod transformer;

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    nn::{Embedding, EmbeddingConfig, Initializer, Linear},
    tensor::{Bool, Device, Int, Tensor, TensorData},
};
use homeostat_kernels::{Curve, Kernels, dense, embedding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use decoder::{Decoder, DecoderConfig};
pub use pooling::Pooling;
use recurrent::{Recurrent, RecurrentConfig};
use text_cnn::{TextCnn, TextCnnConfig};
use transformer::{NormPlace, Transformer, TransformerConfig};

use crate::{ModelError, size};

/// Texts on the device, filled up to one length.
#[derive(Clone, Debug)]
pub struct SequenceInput {
    /// The numbers of the tokens, `[batch, length]`.
    pub ids: Tensor<2, Int>,
    /// For each token, which of two texts it is of; nothing where all are of the first. `[batch, length]`
    pub types: Option<Tensor<2, Int>>,
    /// True where a place is filled up; nothing where none is. `[batch, length]`
    pub padding: Option<Tensor<2, Bool>>,
}

impl SequenceInput {
    /// Texts of one length, none of them a pair.
    #[must_use]
    pub fn full(ids: Tensor<2, Int>) -> Self {
        Self { ids, types: None, padding: None }
    }

    /// 1 for a token and 0 where filled up, `[batch, length, 1]`; nothing where none is.
    fn real(&self) -> Option<Tensor<3>> {
        self.padding.as_ref().map(|padding| padding.clone().bool_not().float().unsqueeze_dim(2))
    }
}

/// A network for sequences of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SequenceModelConfig {
    /// Blocks of attention and dense layers, as BERT's encoder.
    Transformer(TransformerConfig),
    /// Long short-term memory (Hochreiter & Schmidhuber 1997).
    Lstm(RecurrentConfig),
    /// Gated recurrent units (Cho et al. 2014).
    Gru(RecurrentConfig),
    /// Convolutions of several widths side by side (Kim 2014); pool by `max`.
    TextCnn(TextCnnConfig),
    /// Blocks of attention and dense layers in which no token sees a later one, as in GPT-2; pool by `last`.
    Decoder(DecoderConfig),
}

impl Default for SequenceModelConfig {
    fn default() -> Self {
        Self::Transformer(TransformerConfig::default())
    }
}

impl SequenceModelConfig {
    /// The name under which an experiment asks for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transformer(_) => "transformer",
            Self::Lstm(_) => "lstm",
            Self::Gru(_) => "gru",
            Self::TextCnn(_) => "text-cnn",
            Self::Decoder(_) => "decoder",
        }
    }

    /// Refuses settings that make no network, whatever the texts.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        match self {
            Self::Transformer(config) => config.check(),
            Self::Lstm(config) | Self::Gru(config) => config.check(self.name()),
            Self::TextCnn(config) => config.check(),
            Self::Decoder(config) => config.check(),
        }
    }

    /// The most tokens of a text, where the network has a limit.
    #[must_use]
    pub fn positions(&self) -> Option<usize> {
        match self {
            Self::Transformer(config) => Some(config.positions.saturating_sub(config.prefix)),
            Self::Decoder(config) => Some(config.tokens()),
            Self::Lstm(_) | Self::Gru(_) | Self::TextCnn(_) => None,
        }
    }

    /// The kinds of tokens that the network tells apart by [`SequenceInput::types`]; nothing where it does not look at them.
    #[must_use]
    pub fn types(&self) -> Option<usize> {
        match self {
            Self::Transformer(config) => (config.types > 0).then_some(config.types),
            Self::Lstm(_) | Self::Gru(_) | Self::TextCnn(_) | Self::Decoder(_) => None,
        }
    }

    /// The heads of the keys of a block, where the network attends.
    #[must_use]
    pub fn key_heads(&self) -> Option<usize> {
        match self {
            Self::Transformer(config) => Some(config.heads),
            Self::Decoder(config) => Some(config.key_value_heads()),
            Self::Lstm(_) | Self::Gru(_) | Self::TextCnn(_) => None,
        }
    }

    /// What Hugging Face calls the dense layer of a weight of the network (`blocks.0.qkv.weight`) in a BERT's encoder; several where they
    /// stand side by side in one of ours. Nothing if the network is no such encoder, or the weight none of its dense layers.
    #[must_use]
    pub fn bert_modules(&self, weight: &str) -> Option<Vec<String>> {
        match self {
            Self::Transformer(config) if config.norm == NormPlace::After => bert::modules(weight),
            Self::Transformer(_) | Self::Lstm(_) | Self::Gru(_) | Self::TextCnn(_) | Self::Decoder(_) => None,
        }
    }

    /// The network's weights by the names and in the layout of Hugging Face's `BertModel`, without its pooler.
    ///
    /// # Errors
    /// The network is no such encoder, or has something that a BERT has not.
    pub fn to_bert(&self, ours: &BTreeMap<String, TensorData>) -> Result<BTreeMap<String, TensorData>, String> {
        match self {
            Self::Transformer(config) if config.norm == NormPlace::After => bert::to_bert(ours),
            Self::Transformer(_) | Self::Lstm(_) | Self::Gru(_) | Self::TextCnn(_) | Self::Decoder(_) => {
                Err(format!("`{}` has no names but ours", self.name()))
            }
        }
    }

    /// Makes the network live for tokens below `vocabulary`, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// A setting is out of range, or there would be too many parameters.
    pub fn init(&self, vocabulary: usize, device: &Device) -> Result<SequenceModel, ModelError> {
        self.check()?;
        in_range(self.name(), "vocabulary", vocabulary, MAX_VOCABULARY)?;
        let network = match self {
            Self::Transformer(config) => SequenceModel::Transformer(config.init(vocabulary, device)),
            Self::Lstm(config) => SequenceModel::Lstm(config.init(vocabulary, false, device)),
            Self::Gru(config) => SequenceModel::Gru(config.init(vocabulary, true, device)),
            Self::TextCnn(config) => SequenceModel::TextCnn(config.init(vocabulary, device)),
            Self::Decoder(config) => SequenceModel::Decoder(config.init(vocabulary, device)),
        };
        size::check(self.name(), &network)?;
        size::draw(&network);
        Ok(network)
    }

    /// One small configuration of every network, for tables that test them all.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        let transformer = TransformerConfig {
            width: 8,
            depth: 2,
            heads: 2,
            hidden: 16,
            positions: 16,
            dropout: 0.0,
            ..TransformerConfig::default()
        };
        let recurrent = RecurrentConfig { width: 6, features: 5, layers: 2, bidirectional: true, dropout: 0.0 };
        let mut examples = vec![
            Self::Transformer(TransformerConfig { norm: NormPlace::Before, ..transformer.clone() }),
            Self::Transformer(TransformerConfig { adapter: 3, ..transformer.clone() }),
            Self::Transformer(TransformerConfig { prefix: 3, positions: 19, ..transformer.clone() }),
            Self::Transformer(transformer),
            Self::Lstm(recurrent.clone()),
            Self::Lstm(RecurrentConfig { bidirectional: false, layers: 1, ..recurrent.clone() }),
            Self::Gru(recurrent),
            Self::TextCnn(TextCnnConfig { width: 6, filters: 3, sizes: vec![1, 2, 3], dropout: 0.0 }),
        ];
        examples.extend(DecoderConfig::examples().into_iter().map(Self::Decoder));
        examples
    }
}

/// A living network for sequences of tokens.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "one a process; a box would only add a hop")]
pub enum SequenceModel {
    /// See [`TransformerConfig`].
    Transformer(Transformer),
    /// See [`RecurrentConfig`].
    Lstm(Recurrent),
    /// See [`RecurrentConfig`].
    Gru(Recurrent),
    /// See [`TextCnnConfig`].
    TextCnn(TextCnn),
    /// See [`DecoderConfig`].
    Decoder(Decoder),
}

impl SequenceModel {
    /// `[batch, length] -> [batch, length, features]`; what stands where a text is filled up means nothing.
    #[must_use]
    pub fn forward(&self, input: &SequenceInput) -> Tensor<3> {
        match self {
            Self::Transformer(network) => network.forward(input),
            Self::Lstm(network) | Self::Gru(network) => network.forward(input),
            Self::TextCnn(network) => network.forward(input),
            Self::Decoder(network) => network.forward(input),
        }
    }

    /// How many features a token gets.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Transformer(network) => network.features(),
            Self::Lstm(network) | Self::Gru(network) => network.features(),
            Self::TextCnn(network) => network.features(),
            Self::Decoder(network) => network.features(),
        }
    }
}

/// The most tokens of a vocabulary.
const MAX_VOCABULARY: usize = 10_000_000;
/// The most features of a token, or places of a text.
const MAX_WIDTH: usize = 1 << 20;
/// The most layers.
const MAX_DEPTH: usize = 1000;

fn in_range(network: &'static str, setting: &'static str, value: usize, most: usize) -> Result<(), ModelError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(ModelError::Setting { network, setting, problem: format!("is {value}, but must lie in 1..={most}") })
}

fn table(rows: usize, width: usize, deviation: f64, device: &Device) -> Embedding {
    let initializer = Initializer::Normal { mean: 0.0, std: deviation };
    EmbeddingConfig::new(rows, width).with_initializer(initializer).init(device)
}

fn look_up(table: &Embedding, ids: Tensor<2, Int>) -> Tensor<3> {
    embedding(table.weight.val(), ids, Kernels::selected())
}

fn through<const D: usize>(layer: &Linear, x: Tensor<D>, curve: Curve) -> Tensor<D> {
    dense(x, layer.weight.val(), layer.bias.as_ref().map(Param::val), curve, Kernels::selected())
}
