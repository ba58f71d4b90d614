//! ConvNeXt (Liu et al. 2022, A ConvNet for the 2020s): 7x7 convolutions that see each channel alone, and between them the
//! normalisation and dense layers of a Transformer.

use burn::{
    module::{Module, Param},
    nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Curve;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape, MAX_DEPTH,
    blocks::{StochasticDepth, Then, Window, add, convolve, each, mean, normalise_last, transform},
    check_rate, check_width, check_widths,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::ModelError;

const NAME: &str = "convnext";
const EPSILON: f64 = 1e-6;
/// What a branch is scaled by at the start of training.
const SCALE: f64 = 1e-6;
/// Features between the two dense layers of a block, in widths.
const EXPANSION: usize = 4;
const PATCH: usize = 4;

/// A convolutional network built like a Transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConvNextConfig {
    /// Blocks of each stage: [3, 3, 9, 3] is tiny, [3, 3, 27, 3] small. Sides halve from stage to stage.
    pub blocks: Vec<usize>,
    /// Channels of the first stage; each later stage has twice as many.
    pub width: usize,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

impl Default for ConvNextConfig {
    fn default() -> Self {
        Self { blocks: vec![3, 3, 9, 3], width: 96, stochastic_depth: 0.0 }
    }
}

impl Describe for ConvNextConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_widths(NAME, "blocks", &self.blocks)?;
        if !(1..=8).contains(&self.blocks.len()) {
            let problem = format!("has {} stages, but 1 to 8 are possible", self.blocks.len());
            return Err(ModelError::Setting { network: NAME, setting: "blocks", problem });
        }
        let count: usize = self.blocks.iter().sum();
        if count > MAX_DEPTH {
            let problem = format!("has {count} blocks, but at most {MAX_DEPTH} are possible");
            return Err(ModelError::Setting { network: NAME, setting: "blocks", problem });
        }
        check_width(NAME, "width", self.width)?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn smallest(&self) -> usize {
        PATCH << (self.blocks.len() - 1)
    }

    fn names(&self) -> Vec<NameTable> {
        vec![NameTable::new(
            "timm",
            &[
                ("stages.0.conv", "stem.0"),
                ("stages.0.norm", "stem.1"),
                ("stages.{s}.norm", "stages.{s}.downsample.0"),
                ("stages.{s}.conv", "stages.{s}.downsample.1"),
                ("stages.{s}.blocks.{b}.scale", "stages.{s}.blocks.{b}.gamma"),
                ("stages.{s}.blocks.{b}.conv", "stages.{s}.blocks.{b}.conv_dw"),
                ("stages.{s}.blocks.{b}.norm", "stages.{s}.blocks.{b}.norm"),
                ("stages.{s}.blocks.{b}.dense.{d}", "stages.{s}.blocks.{b}.mlp.fc{d+1}"),
                ("norm", "head.norm"),
                ("head", "head.fc"),
            ],
        )]
    }
}

impl ConvNextConfig {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> ConvNext {
        let count = self.blocks.iter().sum();
        let mut index = 0;
        let mut stage = |(at, &blocks): (usize, &usize)| {
            let width = self.width << at;
            // The first stage cuts the image into patches, and normalises them; the others normalise, and halve the sides.
            let (from, cut, normed) = if at == 0 { (shape.channels, PATCH, width) } else { (width / 2, 2, width / 2) };
            let blocks = (0..blocks).map(|_| {
                index += 1;
                Block::new(width, StochasticDepth::new(self.stochastic_depth, index - 1, count), device)
            });
            Stage {
                blocks: blocks.collect(),
                norm: layer_norm(normed, device),
                conv: Window::valid(cut).stride(cut).conv([from, width], true, drawn(), device),
                first: at == 0,
            }
        };
        let stages: Vec<Stage> = self.blocks.iter().enumerate().map(&mut stage).collect();
        let features = self.width << (self.blocks.len() - 1);
        ConvNext {
            stages,
            norm: layer_norm(features, device),
            head: LinearConfig::new(features, classes).with_initializer(drawn()).init(device),
        }
    }
}

fn drawn() -> Initializer {
    Initializer::Normal { mean: 0.0, std: 0.02 }
}

fn layer_norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(EPSILON).init(device)
}

/// See [`ConvNextConfig`].
#[derive(Module, Debug)]
pub struct ConvNext {
    stages: Vec<Stage>,
    norm: LayerNorm,
    head: Linear,
}

#[derive(Module, Debug)]
struct Stage {
    norm: LayerNorm,
    conv: Conv2d,
    blocks: Vec<Block>,
    first: bool,
}

impl Stage {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.first {
            normalise_channels(&self.norm, convolve(&self.conv, x, Then::Nothing))
        } else {
            convolve(&self.conv, normalise_channels(&self.norm, x), Then::Nothing)
        };
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

#[derive(Module, Debug)]
struct Block {
    conv: Conv2d,
    norm: LayerNorm,
    dense: Vec<Linear>,
    scale: Param<Tensor<1>>,
    depth: StochasticDepth,
}

impl Block {
    fn new(width: usize, depth: StochasticDepth, device: &Device) -> Self {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).with_initializer(drawn()).init(device);
        Self {
            conv: Window::same(7).groups(width).conv([width, width], true, drawn(), device),
            norm: layer_norm(width, device),
            dense: vec![linear(width, EXPANSION * width), linear(EXPANSION * width, width)],
            scale: Initializer::Constant { value: SCALE }.init([width], device),
            depth,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let seen = convolve(&self.conv, x.clone(), Then::Nothing).permute([0, 2, 3, 1]);
        let hidden = transform(&self.dense[0], normalise_last(&self.norm, seen, EPSILON), Curve::Gelu);
        let branch = transform(&self.dense[1], hidden, Curve::Straight) * self.scale.val().unsqueeze();
        add(self.depth.forward(branch.permute([0, 3, 1, 2])), x)
    }
}

/// Layer normalisation of each pixel: `[batch, channels, height, width]` to the same shape.
fn normalise_channels(norm: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    normalise_last(norm, x.permute([0, 2, 3, 1]), EPSILON).permute([0, 3, 1, 2])
}

impl ImageNetwork for ConvNext {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        each(images, &self.stages, |x, stage| stage.forward(x))
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        normalise_last(&self.norm, mean(last), EPSILON)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
