//! ResNet for images of 32 pixels (He et al. 2015, section 4.2): three stages of basic blocks, and shortcuts without weights:
//! where the size halves, every other pixel, and zeros for the new channels ("option A").

use burn::{
    module::Module,
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{ConvNorm, StochasticDepth, Then, Window, add, branches, each, mean},
    check_rate, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

const NAME: &str = "cifar-resnet";
const STAGES: usize = 3;

/// A residual network for images of 32 pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CifarResNetConfig {
    /// Layers with weights: two, and six for each block of a stage; 20, 32, 44, 56 and 110 in the paper.
    pub depth: usize,
    /// Channels of the first stage; each later stage has twice as many.
    pub width: usize,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

impl Default for CifarResNetConfig {
    fn default() -> Self {
        Self { depth: 20, width: 16, stochastic_depth: 0.0 }
    }
}

impl Describe for CifarResNetConfig {
    fn check(&self) -> Result<(), ModelError> {
        if !(8..=1202).contains(&self.depth) || self.depth % 6 != 2 {
            let problem = format!(
                "is {}, but must be two more than a multiple of six, in 8..=1202: 20, 32, 44, 56 and 110 are usual",
                self.depth
            );
            return Err(ModelError::Setting { network: NAME, setting: "depth", problem });
        }
        check_width(NAME, "width", self.width)?;
        check_convolutions(NAME, 2 * self.blocks() - 1, 3, [self.width << (STAGES - 1); 2])?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn names(&self) -> Vec<NameTable> {
        vec![NameTable::new(
            "pytorch_resnet_cifar10",
            &[
                ("stem.conv", "conv1"),
                ("stem.norm", "bn1"),
                ("stages.{s}.{b}.convs.{c}.conv", "layer{s+1}.{b}.conv{c+1}"),
                ("stages.{s}.{b}.convs.{c}.norm", "layer{s+1}.{b}.bn{c+1}"),
                ("head", "linear"),
            ],
        )]
    }
}

impl CifarResNetConfig {
    /// Of a stage.
    fn blocks(&self) -> usize {
        (self.depth - 2) / 6
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> CifarResNet {
        let blocks = self.blocks();
        let block = |stage: usize, block: usize| {
            let entry = stage > 0 && block == 0;
            let to = self.width << stage;
            let from = if entry { to / 2 } else { to };
            let first = Window::same(3).stride(if entry { 2 } else { 1 });
            Block {
                convs: vec![ConvNorm::new(first, [from, to], device), ConvNorm::new(Window::same(3), [to, to], device)],
                halves: entry,
                depth: StochasticDepth::new(self.stochastic_depth, stage * blocks + block, STAGES * blocks),
            }
        };
        CifarResNet {
            stem: ConvNorm::new(Window::same(3), [shape.channels, self.width], device),
            stages: (0..STAGES).map(|stage| (0..blocks).map(|at| block(stage, at)).collect()).collect(),
            head: LinearConfig::new(self.width << (STAGES - 1), classes).init(device),
        }
    }
}

/// See [`CifarResNetConfig`].
#[derive(Module, Debug)]
pub struct CifarResNet {
    stem: ConvNorm,
    stages: Vec<Vec<Block>>,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    convs: Vec<ConvNorm>,
    halves: bool,
    depth: StochasticDepth,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [x, residual] = branches(x);
        let residual = if self.halves { halve(residual) } else { residual };
        let branch = self.convs[0].forward(x, None, Then::Relu);
        if !self.depth.is_active(&branch.device()) {
            return self.convs[1].forward(branch, Some(residual), Then::Relu);
        }
        relu(add(self.depth.forward(self.convs[1].forward(branch, None, Then::Nothing)), residual))
    }
}

/// Every other pixel, with half as many channels of zeros on each side of the old ones.
fn halve(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, ..] = x.dims();
    let x = x.slice_dim(2, burn::tensor::s![..;2]).slice_dim(3, burn::tensor::s![..;2]);
    let [_, _, height, width] = x.dims();
    let zeros = |channels| Tensor::zeros([batch, channels, height, width], &x.device());
    let before = channels / 2;
    Tensor::cat(vec![zeros(before), x.clone(), zeros(channels - before)], 1)
}

impl ImageNetwork for CifarResNet {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let x = self.stem.forward(images, None, Then::Relu);
        each(x, &self.stages, |x, blocks| blocks.iter().fold(x, |x, block| block.forward(x)))
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        mean(last)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
