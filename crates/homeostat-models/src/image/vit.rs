//! Vision Transformer (Dosovitskiy et al. 2020, An Image is Worth 16x16 Words): patches of an image as tokens, a class token
//! before them, and blocks of attention and dense layers, each normalised before.

use burn::{
    module::{Module, Param},
    nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Curve, Kernels, Sight, self_attention};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{StochasticDepth, Then, Window, convolve, normalise_last, transform},
    check_dropout, check_rate, check_width,
    network::{Describe, ImageNetwork, NameTable},
    trace,
};
use crate::ModelError;

const NAME: &str = "vit";
const EPSILON: f64 = 1e-6;
/// Of the normal distribution that weights are drawn from.
const DEVIATION: f64 = 0.02;

/// A Vision Transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VitConfig {
    /// Pixels of a side of a patch, often 4, 8, 16 or 32; sides of the image are multiples of it.
    pub patch: usize,
    /// Features of a token: 192 is tiny, 384 small, 768 base.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of attention; they divide the width.
    pub heads: usize,
    /// Features between the two dense layers of a block, in widths.
    pub expansion: usize,
    /// Share of features dropped in training, in 0..1: of tokens, and after each dense layer and attention.
    pub dropout: f64,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self { patch: 16, width: 192, depth: 12, heads: 3, expansion: 4, dropout: 0.0, stochastic_depth: 0.0 }
    }
}

impl Describe for VitConfig {
    fn check(&self) -> Result<(), ModelError> {
        for (setting, value) in
            [("patch", self.patch), ("width", self.width), ("heads", self.heads), ("expansion", self.expansion)]
        {
            check_width(NAME, setting, value)?;
        }
        if !(1..=100).contains(&self.depth) {
            let problem = format!("is {}, but must lie in 1..=100", self.depth);
            return Err(ModelError::Setting { network: NAME, setting: "depth", problem });
        }
        if !self.width.is_multiple_of(self.heads) {
            let problem = format!("are {}, but must divide the width, {}", self.heads, self.width);
            return Err(ModelError::Setting { network: NAME, setting: "heads", problem });
        }
        check_dropout(NAME, self.dropout)?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn smallest(&self) -> usize {
        self.patch
    }

    fn names(&self) -> Vec<NameTable> {
        vec![NameTable::new(
            "timm",
            &[
                ("class", "cls_token"),
                ("places", "pos_embed"),
                ("patches", "patch_embed.proj"),
                ("blocks.{b}.qkv", "blocks.{b}.attn.qkv"),
                ("blocks.{b}.out", "blocks.{b}.attn.proj"),
                ("blocks.{b}.norms.{n}", "blocks.{b}.norm{n+1}"),
                ("blocks.{b}.dense.{d}", "blocks.{b}.mlp.fc{d+1}"),
                ("norm", "norm"),
                ("head", "head"),
            ],
        )]
    }

    fn takes_any_size(&self) -> bool {
        false
    }
}

impl VitConfig {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<Vit, ModelError> {
        let ImageShape { channels, height, width } = shape;
        if !height.is_multiple_of(self.patch) || !width.is_multiple_of(self.patch) {
            let problem = format!("is {}, but must divide the sides of the image, {height} x {width}", self.patch);
            return Err(ModelError::Setting { network: NAME, setting: "patch", problem });
        }
        let tokens = 1 + (height / self.patch) * (width / self.patch);
        let drawn = |shape: [usize; 3]| Initializer::Normal { mean: 0.0, std: DEVIATION }.init(shape, device);
        let bound = (1.0 / (channels * self.patch * self.patch) as f64).sqrt();
        Ok(Vit {
            class: drawn([1, 1, self.width]),
            places: drawn([1, tokens, self.width]),
            patches: Window::valid(self.patch).stride(self.patch).conv(
                [channels, self.width],
                true,
                Initializer::Uniform { min: -bound, max: bound },
                device,
            ),
            blocks: (0..self.depth).map(|index| self.block(index, device)).collect(),
            norm: LayerNormConfig::new(self.width).with_epsilon(EPSILON).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(self.width, classes).init(device),
        })
    }

    fn block(&self, index: usize, device: &Device) -> Block {
        let norm = || LayerNormConfig::new(self.width).with_epsilon(EPSILON).init(device);
        let linear = |inputs, outputs| {
            LinearConfig::new(inputs, outputs)
                .with_initializer(Initializer::Normal { mean: 0.0, std: DEVIATION })
                .init(device)
        };
        let hidden = self.expansion * self.width;
        Block {
            norms: vec![norm(), norm()],
            qkv: linear(self.width, 3 * self.width),
            out: linear(self.width, self.width),
            dense: vec![linear(self.width, hidden), linear(hidden, self.width)],
            heads: self.heads,
            dropout: DropoutConfig::new(self.dropout).init(),
            depth: StochasticDepth::new(self.stochastic_depth, index, self.depth),
        }
    }
}

/// See [`VitConfig`].
#[derive(Module, Debug)]
pub struct Vit {
    class: Param<Tensor<3>>,
    places: Param<Tensor<3>>,
    patches: Conv2d,
    blocks: Vec<Block>,
    norm: LayerNorm,
    dropout: Dropout,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    norms: Vec<LayerNorm>,
    qkv: Linear,
    out: Linear,
    dense: Vec<Linear>,
    heads: usize,
    dropout: Dropout,
    depth: StochasticDepth,
}

impl Block {
    /// `[batch, tokens, width]` to the same shape.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let qkv = transform(&self.qkv, normalise_last(&self.norms[0], x.clone(), EPSILON), Curve::Straight);
        let seen = self_attention(qkv, self.heads, Sight::default(), Kernels::selected());
        trace::attention(&self.qkv.weight, &seen);
        let seen = self.dropout.forward(transform(&self.out, seen, Curve::Straight));
        let x = x + self.depth.forward(seen);
        let hidden = transform(&self.dense[0], normalise_last(&self.norms[1], x.clone(), EPSILON), Curve::Gelu);
        let fed = transform(&self.dense[1], self.dropout.forward(hidden), Curve::Straight);
        x + self.depth.forward(self.dropout.forward(fed))
    }
}

impl Vit {
    /// The class token and the patches: `[batch, channels, height, width] -> [batch, 1 + patches, features]`.
    fn tokens(&self, images: Tensor<4>) -> Tensor<3> {
        let patches = convolve(&self.patches, images, Then::Nothing);
        let [batch, width, _, _] = patches.dims();
        let patches: Tensor<3> = patches.flatten(2, 3);
        let class = self.class.val().expand([batch, 1, width]);
        self.dropout.forward(Tensor::cat(vec![class, patches.swap_dims(1, 2)], 1) + self.places.val())
    }
}

impl ImageNetwork for Vit {
    /// The tokens after each block, the class first: `[batch, width, 1 + patches, 1]`.
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.tokens(images);
        let after = |block: &Block| {
            x = block.forward(x.clone());
            x.clone().swap_dims(1, 2).unsqueeze_dim(3)
        };
        self.blocks.iter().map(after).collect()
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        let class: Tensor<2> = last.narrow(2, 0, 1).flatten(1, 3);
        normalise_last(&self.norm, class, EPSILON)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
