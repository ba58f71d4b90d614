//! The Transformer's encoder (Vaswani et al. 2017) in the form of BERT (Devlin et al. 2019): learnt places, GELU, and layer
//! normalisation after each part of a block, or before it (Xiong et al. 2020).

use burn::{
    module::{Module, Param},
    nn::{Dropout, DropoutConfig, Embedding, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Curve, Kernels, Sight, attention, layer_norm, self_attention};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_DEPTH, MAX_WIDTH, SequenceInput, adapter::Adapter, in_range, look_up, prefix::Prefix, table, through};
use crate::{ModelError, image::check_dropout};

/// Blocks of attention and dense layers, as BERT's encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TransformerConfig {
    /// Features of a token; a multiple of `heads`.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Features between the two dense layers of a block; four times the width is usual.
    pub hidden: usize,
    /// The most tokens of a text: each place has a vector of its own.
    pub positions: usize,
    /// Kinds of tokens that are told apart: 2 for pairs of texts, as BERT has it; 0 for none.
    pub types: usize,
    /// Where layers are normalised.
    pub norm: NormPlace,
    /// What is added to a variance before its root is taken.
    pub epsilon: f64,
    /// Share of features dropped in training, behind the embedding and each part of a block, in 0..1.
    pub dropout: f64,
    /// Features of the narrow layers that are put behind each part of a block to learn in the place of the rest (adapters: Houlsby et al.
    /// 2019); 0 for none. With `train.learn = ["*adapter*", "head.*"]` they learn alone.
    pub adapter: usize,
    /// Keys and values of no token that each block's attention sees before those of the tokens (prefix tuning: Li & Liang 2021); 0 for none.
    /// They take the first places, as in PEFT: a text has so many less. With `train.learn = ["*prefix*", "head.*"]` they learn alone.
    pub prefix: usize,
}

/// Where layers are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlace {
    /// After each part of a block, as BERT has it.
    #[default]
    After,
    /// Before each part of a block, and once at the end; trains without warm-up.
    Before,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            width: 128,
            depth: 2,
            heads: 4,
            hidden: 512,
            positions: 512,
            types: 2,
            norm: NormPlace::After,
            epsilon: 1e-12,
            dropout: 0.1,
            adapter: 0,
            prefix: 0,
        }
    }
}

/// The standard deviation of BERT's first weights.
const DEVIATION: f64 = 0.02;

impl TransformerConfig {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let network = "transformer";
        for (setting, value) in
            [("width", self.width), ("hidden", self.hidden), ("heads", self.heads), ("positions", self.positions)]
        {
            in_range(network, setting, value, MAX_WIDTH)?;
        }
        in_range(network, "depth", self.depth, MAX_DEPTH)?;
        in_range(network, "types", self.types + 1, MAX_WIDTH)?;
        in_range(network, "adapter", self.adapter + 1, MAX_WIDTH)?;
        let setting = |setting, problem| Err(ModelError::Setting { network, setting, problem });
        if self.prefix >= self.positions {
            let problem = format!("is {}, but must be below positions = {}", self.prefix, self.positions);
            return setting("prefix", problem);
        }
        if !self.width.is_multiple_of(self.heads) {
            return setting("width", format!("is {}, but must be a multiple of heads = {}", self.width, self.heads));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return setting("epsilon", format!("is {}, but must lie between 0 and 1", self.epsilon));
        }
        check_dropout(network, self.dropout)
    }

    pub(super) fn init(&self, vocabulary: usize, device: &Device) -> Transformer {
        let rows = |rows| table(rows, self.width, DEVIATION, device);
        Transformer {
            tokens: rows(vocabulary),
            places: rows(self.positions),
            types: (self.types > 0).then(|| rows(self.types)),
            norm: self.norm(device),
            blocks: (0..self.depth).map(|_| self.block(device)).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
            heads: self.heads,
            epsilon: self.epsilon,
            prefix: self.prefix,
            is_before: self.norm == NormPlace::Before,
        }
    }

    fn norm(&self, device: &Device) -> LayerNorm {
        LayerNormConfig::new(self.width).with_epsilon(self.epsilon).init(device)
    }

    fn block(&self, device: &Device) -> Block {
        let linear = |inputs, outputs| {
            let initializer = Initializer::Normal { mean: 0.0, std: DEVIATION };
            let layer: Linear = LinearConfig::new(inputs, outputs).with_initializer(initializer).init(device);
            Linear { bias: Some(Param::from_tensor(Tensor::zeros([outputs], device))), ..layer }
        };
        let adapter = || Adapter::init(self.adapter, self.width, device);
        Block {
            attention_norm: self.norm(device),
            qkv: linear(self.width, 3 * self.width),
            prefix: Prefix::init(self.prefix, self.width, device),
            out: linear(self.width, self.width),
            attention_adapter: adapter(),
            dense_norm: self.norm(device),
            up: linear(self.width, self.hidden),
            down: linear(self.hidden, self.width),
            dense_adapter: adapter(),
        }
    }
}

/// See [`TransformerConfig`].
#[derive(Module, Debug)]
pub struct Transformer {
    tokens: Embedding,
    places: Embedding,
    types: Option<Embedding>,
    norm: LayerNorm,
    blocks: Vec<Block>,
    dropout: Dropout,
    heads: usize,
    epsilon: f64,
    prefix: usize,
    is_before: bool,
}

/// Queries, keys and values come out of one dense layer, side by side.
#[derive(Module, Debug)]
struct Block {
    attention_norm: LayerNorm,
    qkv: Linear,
    prefix: Option<Prefix>,
    out: Linear,
    attention_adapter: Option<Adapter>,
    dense_norm: LayerNorm,
    up: Linear,
    down: Linear,
    dense_adapter: Option<Adapter>,
}

impl Transformer {
    /// `[batch, length] -> [batch, length, width]`
    ///
    /// # Panics
    /// If the texts are longer than the places.
    #[must_use]
    pub fn forward(&self, input: &SequenceInput) -> Tensor<3> {
        let [_, length] = input.ids.dims();
        let rows = |table: &Embedding, start, count| table.weight.val().narrow(0, start, count).unsqueeze::<3>();
        let x = look_up(&self.tokens, input.ids.clone()) + rows(&self.places, self.prefix, length);
        let x = match (&self.types, &input.types) {
            (Some(table), Some(types)) => x + look_up(table, types.clone()),
            (Some(table), None) => x + rows(table, 0, 1),
            (None, _) => x,
        };
        let sight = Prefix::seen(self.prefix, input.padding.clone(), false);
        if self.is_before {
            let x = self.dropout.forward(x);
            let x = self.blocks.iter().fold(x, |x, block| {
                let x = x.clone() + self.attend(block, self.normed(&block.attention_norm, x), &sight);
                x.clone() + self.feed(block, self.normed(&block.dense_norm, x))
            });
            return self.normed(&self.norm, x);
        }
        let x = self.dropout.forward(self.normed(&self.norm, x));
        self.blocks.iter().fold(x, |x, block| {
            let x = self.normed(&block.attention_norm, x.clone() + self.attend(block, x, &sight));
            self.normed(&block.dense_norm, x.clone() + self.feed(block, x))
        })
    }

    pub(super) fn features(&self) -> usize {
        self.tokens.weight.dims()[1]
    }

    fn attend(&self, block: &Block, x: Tensor<3>, sight: &Sight) -> Tensor<3> {
        let qkv = through(&block.qkv, x, Curve::Straight);
        let seen = match &block.prefix {
            None => self_attention(qkv, self.heads, sight.clone(), Kernels::selected()),
            Some(prefix) => {
                let [batch, length, all] = qkv.dims();
                let (heads, width) = (self.heads, all / 3);
                let [query, key, value] = [0, 1, 2].map(|part| {
                    let part = qkv.clone().narrow(2, part * width, width);
                    part.reshape([batch, length, heads, width / heads]).swap_dims(1, 2)
                });
                let [key, value] = prefix.before([key, value]);
                let seen = attention(query, key, value, sight.clone(), Kernels::selected());
                seen.swap_dims(1, 2).reshape([batch, length, width])
            }
        };
        let seen = self.dropout.forward(through(&block.out, seen, Curve::Straight));
        Adapter::behind(block.attention_adapter.as_ref(), seen)
    }

    fn feed(&self, block: &Block, x: Tensor<3>) -> Tensor<3> {
        let fed = through(&block.down, through(&block.up, x, Curve::Gelu), Curve::Straight);
        Adapter::behind(block.dense_adapter.as_ref(), self.dropout.forward(fed))
    }

    fn normed(&self, norm: &LayerNorm, x: Tensor<3>) -> Tensor<3> {
        layer_norm(x, norm.gamma.val(), norm.beta.as_ref().map(Param::val), self.epsilon, Kernels::selected())
    }
}
