//! Pre-activation ResNet (He et al. 2016, Identity Mappings in Deep Residual Networks) for images of 32 pixels, and the Wide
//! ResNet made of it (Zagoruyko & Komodakis 2016, Wide Residual Networks): normalisation and ReLU before each convolution.

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{StochasticDepth, Then, Window, add, branches, convolve, each, he, mean, normalise},
    check_dropout, check_rate, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

const NAME: &str = "wide-resnet";
const STAGES: usize = 3;
/// Channels of the stem, and of the first stage of a network that is not widened.
const WIDTH: usize = 16;

/// A residual network with normalisation and ReLU before each convolution, and as many channels as one likes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WideResNetConfig {
    /// Layers with weights: four, and six for each block of a stage; 16, 28 and 40 in the paper.
    pub depth: usize,
    /// How many times as many channels each stage has as the first paper's: 1 makes a pre-activation ResNet.
    pub widening: usize,
    /// Share of the channels' pixels dropped between the convolutions of a block in training, in 0..1.
    pub dropout: f64,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

impl Default for WideResNetConfig {
    fn default() -> Self {
        Self { depth: 28, widening: 10, dropout: 0.0, stochastic_depth: 0.0 }
    }
}

impl Describe for WideResNetConfig {
    fn check(&self) -> Result<(), ModelError> {
        if !(10..=1204).contains(&self.depth) || self.depth % 6 != 4 {
            let problem = format!(
                "is {}, but must be four more than a multiple of six, in 10..=1204: 16, 28 and 40 are usual",
                self.depth
            );
            return Err(ModelError::Setting { network: NAME, setting: "depth", problem });
        }
        check_width(NAME, "widening", self.widening)?;
        check_convolutions(NAME, 2 * self.blocks() - 1, 3, [self.width(STAGES - 1); 2])?;
        check_dropout(NAME, self.dropout)?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn names(&self) -> Vec<NameTable> {
        vec![NameTable::new(
            "WideResNet-pytorch",
            &[
                ("stem", "conv1"),
                ("stages.{s}.{b}.norms.{n}", "block{s+1}.layer.{b}.bn{n+1}"),
                ("stages.{s}.{b}.convs.{c}", "block{s+1}.layer.{b}.conv{c+1}"),
                ("stages.{s}.{b}.shortcut", "block{s+1}.layer.{b}.convShortcut"),
                ("norm", "bn1"),
                ("head", "fc"),
            ],
        )]
    }
}

impl WideResNetConfig {
    /// Of a stage.
    fn blocks(&self) -> usize {
        (self.depth - 4) / 6
    }

    /// Channels of a stage.
    fn width(&self, stage: usize) -> usize {
        (WIDTH * self.widening) << stage
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> WideResNet {
        let blocks = self.blocks();
        let conv = |window: Window, channels| window.conv(channels, false, he(), device);
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let block = |stage: usize, block: usize| {
            let from = match (stage, block) {
                (0, 0) => WIDTH,
                (_, 0) => self.width(stage - 1),
                _ => self.width(stage),
            };
            let (to, stride) = (self.width(stage), if stage > 0 && block == 0 { 2 } else { 1 });
            Block {
                norms: vec![norm(from), norm(to)],
                convs: vec![conv(Window::same(3).stride(stride), [from, to]), conv(Window::same(3), [to, to])],
                shortcut: (from != to).then(|| conv(Window::same(1).stride(stride), [from, to])),
                dropout: DropoutConfig::new(self.dropout).init(),
                depth: StochasticDepth::new(self.stochastic_depth, stage * blocks + block, STAGES * blocks),
            }
        };
        WideResNet {
            stem: conv(Window::same(3), [shape.channels, WIDTH]),
            stages: (0..STAGES).map(|stage| (0..blocks).map(|at| block(stage, at)).collect()).collect(),
            norm: norm(self.width(STAGES - 1)),
            head: LinearConfig::new(self.width(STAGES - 1), classes).init(device),
        }
    }
}

/// See [`WideResNetConfig`].
#[derive(Module, Debug)]
pub struct WideResNet {
    stem: Conv2d,
    stages: Vec<Vec<Block>>,
    norm: BatchNorm,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    norms: Vec<BatchNorm>,
    convs: Vec<Conv2d>,
    shortcut: Option<Conv2d>,
    dropout: Dropout,
    depth: StochasticDepth,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [x, residual] = branches(x);
        let [active, shortcut] = branches(normalise(&self.norms[0], x, Then::Relu));
        let residual = match &self.shortcut {
            Some(conv) => convolve(conv, shortcut, Then::Nothing),
            None => residual,
        };
        let branch = normalise(&self.norms[1], convolve(&self.convs[0], active, Then::Nothing), Then::Relu);
        let branch = convolve(&self.convs[1], self.dropout.forward(branch), Then::Nothing);
        add(self.depth.forward(branch), residual)
    }
}

impl ImageNetwork for WideResNet {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let x = convolve(&self.stem, images, Then::Nothing);
        each(x, &self.stages, |x, blocks| blocks.iter().fold(x, |x, block| block.forward(x)))
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        mean(normalise(&self.norm, last, Then::Relu))
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
