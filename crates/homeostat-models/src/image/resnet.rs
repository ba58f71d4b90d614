//! ResNet (He et al. 2015, Deep Residual Learning for Image Recognition): blocks that learn what to add to their input.
//! With the stride in the 3x3 convolution (torchvision's, "v1.5"), wider inner layers (Zagoruyko & Komodakis 2016), squeeze
//! and excitation (Hu et al. 2018), and stochastic depth (Huang et al. 2016).

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{ConvNorm, Excitation, StochasticDepth, Then, Window, add, branches, each, max_pool, mean},
    check_depth, check_rate, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

const NAME: &str = "resnet";
/// A bottleneck's outputs, in widths of its stage.
const EXPANSION: usize = 4;

/// A residual network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResNetConfig {
    /// Layers with weights: 18 or 34 (basic blocks), 50, 101 or 152 (bottlenecks).
    pub depth: usize,
    /// Channels of the first stage; each later stage has twice as many.
    pub width: usize,
    /// How many times as many channels the 3x3 convolution of a bottleneck has: 2 for the Wide ResNets of torchvision.
    pub widening: usize,
    /// How the image comes in.
    pub stem: Stem,
    /// Whether each channel is scaled by what the means of all channels say, at the end of a block.
    pub squeeze_excitation: bool,
    /// Whether blocks add nothing at the start of training.
    pub zero_init: bool,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

/// How the image comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// A 7x7 convolution and a 3x3 max-pooling, both with a stride of 2: for images of a hundred pixels and more.
    #[default]
    Large,
    /// A 3x3 convolution that keeps the size: for images of 32 pixels or so.
    Small,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self {
            depth: 18,
            width: 64,
            widening: 1,
            stem: Stem::Large,
            squeeze_excitation: false,
            zero_init: false,
            stochastic_depth: 0.0,
        }
    }
}

impl Describe for ResNetConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_depth(NAME, self.depth, &[18, 34, 50, 101, 152])?;
        check_width(NAME, "width", self.width)?;
        check_width(NAME, "widening", self.widening)?;
        if self.widening > 1 && !self.has_bottlenecks() {
            let problem = format!("is {}, but only bottlenecks are widened: choose depth 50 or more", self.widening);
            return Err(ModelError::Setting { network: NAME, setting: "widening", problem });
        }
        let [.., blocks] = self.blocks();
        check_convolutions(NAME, blocks, 3, [(self.width << 3) * self.widening; 2])?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn names(&self) -> Vec<NameTable> {
        vec![NameTable::new(
            "torchvision, timm",
            &[
                ("stem.conv", "conv1"),
                ("stem.norm", "bn1"),
                ("stages.{s}.{b}.convs.{c}.conv", "layer{s+1}.{b}.conv{c+1}"),
                ("stages.{s}.{b}.convs.{c}.norm", "layer{s+1}.{b}.bn{c+1}"),
                ("stages.{s}.{b}.excitation.layers.{c}", "layer{s+1}.{b}.se.fc{c+1}"),
                ("stages.{s}.{b}.shortcut.conv", "layer{s+1}.{b}.downsample.0"),
                ("stages.{s}.{b}.shortcut.norm", "layer{s+1}.{b}.downsample.1"),
                ("head", "fc"),
            ],
        )]
    }
}

impl ResNetConfig {
    fn has_bottlenecks(&self) -> bool {
        self.depth >= 50
    }

    fn blocks(&self) -> [usize; 4] {
        match self.depth {
            18 => [2, 2, 2, 2],
            34 | 50 => [3, 4, 6, 3],
            101 => [3, 4, 23, 3],
            _ => [3, 8, 36, 3],
        }
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> ResNet {
        let stem = match self.stem {
            Stem::Large => Window::same(7).stride(2),
            Stem::Small => Window::same(3),
        };
        let count = self.blocks().iter().sum();
        let (mut from, mut index) = (self.width, 0);
        let mut stages = Vec::new();
        for (stage, blocks) in self.blocks().into_iter().enumerate() {
            let mut stage_blocks = Vec::new();
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let depth = StochasticDepth::new(self.stochastic_depth, index, count);
                stage_blocks.push(self.block(from, self.width << stage, stride, depth, device));
                from = self.outputs(self.width << stage);
                index += 1;
            }
            stages.push(stage_blocks);
        }
        ResNet {
            stem: ConvNorm::new(stem, [shape.channels, self.width], device),
            pooled: self.stem == Stem::Large,
            stages,
            head: LinearConfig::new(from, classes).init(device),
        }
    }

    fn outputs(&self, width: usize) -> usize {
        if self.has_bottlenecks() { EXPANSION * width } else { width }
    }

    fn block(&self, from: usize, width: usize, stride: usize, depth: StochasticDepth, device: &Device) -> Block {
        let layer = |window: Window, channels| ConvNorm::new(window, channels, device);
        let (to, inner) = (self.outputs(width), width * self.widening);
        let mut convs = if self.has_bottlenecks() {
            vec![
                layer(Window::same(1), [from, inner]),
                layer(Window::same(3).stride(stride), [inner, inner]),
                layer(Window::same(1), [inner, to]),
            ]
        } else {
            vec![layer(Window::same(3).stride(stride), [from, to]), layer(Window::same(3), [to, to])]
        };
        if let Some(last) = convs.pop() {
            convs.push(if self.zero_init { last.zeroed() } else { last });
        }
        Block {
            convs,
            excitation: self.squeeze_excitation.then(|| Excitation::new(to, device)),
            shortcut: (stride != 1 || from != to).then(|| layer(Window::same(1).stride(stride), [from, to])),
            depth,
        }
    }
}

/// See [`ResNetConfig`].
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvNorm,
    pooled: bool,
    stages: Vec<Vec<Block>>,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    convs: Vec<ConvNorm>,
    excitation: Option<Excitation>,
    shortcut: Option<ConvNorm>,
    depth: StochasticDepth,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [x, shortcut] = branches(x);
        let residual = match &self.shortcut {
            Some(conv) => conv.forward(shortcut, None, Then::Nothing),
            None => shortcut,
        };
        let (last, first) = self.convs.split_last().expect("a block has convolutions");
        let branch = first.iter().fold(x, |x, conv| conv.forward(x, None, Then::Relu));
        if self.excitation.is_none() && !self.depth.is_active(&branch.device()) {
            return last.forward(branch, Some(residual), Then::Relu);
        }
        let mut branch = last.forward(branch, None, Then::Nothing);
        if let Some(excitation) = &self.excitation {
            branch = excitation.forward(branch);
        }
        relu(add(self.depth.forward(branch), residual))
    }
}

impl ImageNetwork for ResNet {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.stem.forward(images, None, Then::Relu);
        if self.pooled {
            x = max_pool(x, 3, 2, 1);
        }
        each(x, &self.stages, |x, blocks| blocks.iter().fold(x, |x, block| block.forward(x)))
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        mean(last)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
