//! Stages of inverted residuals (Sandler et al. 2018): a 1x1 convolution to many channels, one that sees each channel alone,
//! and a 1x1 convolution back to few, without a curve after it. What MobileNetV2 and EfficientNet-Lite share.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};

use super::{
    blocks::{Border, ConvNorm, StochasticDepth, Then, Window, add, branches, each, mean},
    network::{ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

/// What the blocks of a stage have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// How many times as many channels there are within a block.
    pub(super) expansion: usize,
    pub(super) channels: usize,
    pub(super) blocks: usize,
    /// Of the first block.
    pub(super) stride: usize,
    pub(super) kernel: usize,
}

/// A network of such stages.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) stem: usize,
    pub(super) stages: Vec<Stage>,
    /// Channels that the head sees.
    pub(super) features: usize,
    pub(super) dropout: f64,
    pub(super) stochastic_depth: f64,
    /// Whether borders and normalisation are as in TensorFlow.
    pub(super) tensorflow: bool,
}

impl Plan {
    /// Refuses too many features: all other channels are a hundred times the paper's at most.
    pub(super) fn check(&self, network: &'static str) -> Result<(), ModelError> {
        let channels = self.stages.last().map_or(self.stem, |stage| stage.channels);
        check_convolutions(network, 1, 1, [channels, self.features])
    }

    pub(super) fn init(&self, channels: usize, classes: usize, device: &Device) -> InvertedResiduals {
        let count = self.stages.iter().map(|stage| stage.blocks).sum();
        let (mut from, mut index) = (self.stem, 0);
        let mut stages = Vec::new();
        for &stage in &self.stages {
            let mut blocks = Vec::new();
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                let depth = StochasticDepth::new(self.stochastic_depth, index, count);
                blocks.push(self.block(from, stage, stride, depth, device));
                from = stage.channels;
                index += 1;
            }
            stages.push(blocks);
        }
        InvertedResiduals {
            stem: self.layer(Window::same(3).stride(2), [channels, self.stem], device),
            stages,
            last: self.layer(Window::same(1), [from, self.features], device),
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(self.features, classes).init(device),
        }
    }

    fn block(&self, from: usize, stage: Stage, stride: usize, depth: StochasticDepth, device: &Device) -> Block {
        let inner = from * stage.expansion;
        let wide = (stage.expansion > 1).then(|| self.layer(Window::same(1), [from, inner], device));
        let alone = Window::same(stage.kernel).stride(stride).groups(inner);
        let convs =
            [self.layer(alone, [inner, inner], device), self.layer(Window::same(1), [inner, stage.channels], device)];
        Block { convs: wide.into_iter().chain(convs).collect(), adds: stride == 1 && from == stage.channels, depth }
    }

    fn layer(&self, window: Window, channels: [usize; 2], device: &Device) -> ConvNorm {
        if self.tensorflow {
            ConvNorm::with_epsilon(window.border(Border::TensorFlow), channels, 1e-3, device)
        } else {
            ConvNorm::new(window, channels, device)
        }
    }

    /// The names of timm, for every such network.
    pub(super) fn timm(&self) -> NameTable {
        let mut rows =
            vec![("stem.conv".to_owned(), "conv_stem".to_owned()), ("stem.norm".to_owned(), "bn1".to_owned())];
        for (at, stage) in self.stages.iter().enumerate() {
            let layers: &[_] = if stage.expansion > 1 { &["pw", "dw", "pwl"] } else { &["dw", "pw"] };
            for (conv, name) in layers.iter().enumerate() {
                let ours = |part| format!("stages.{at}.{{b}}.convs.{conv}.{part}");
                rows.push((ours("conv"), format!("blocks.{at}.{{b}}.conv_{name}")));
                rows.push((ours("norm"), format!("blocks.{at}.{{b}}.bn{}", conv + 1)));
            }
        }
        for (ours, theirs) in [("last.conv", "conv_head"), ("last.norm", "bn2"), ("head", "classifier")] {
            rows.push((ours.to_owned(), theirs.to_owned()));
        }
        NameTable::of("timm", rows)
    }

    /// Where each block stands when all are counted in one row: its stage, its place there, and whether it widens.
    pub(super) fn in_a_row(&self) -> impl Iterator<Item = (usize, usize, bool)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(at, stage)| (0..stage.blocks).map(move |block| (at, block, stage.expansion > 1)))
    }
}

/// Stages of inverted residuals.
#[derive(Module, Debug)]
pub struct InvertedResiduals {
    stem: ConvNorm,
    stages: Vec<Vec<Block>>,
    last: ConvNorm,
    dropout: Dropout,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    convs: Vec<ConvNorm>,
    adds: bool,
    depth: StochasticDepth,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (last, first) = self.convs.split_last().expect("a block has convolutions");
        let [x, branch] = branches(x);
        let branch = first.iter().fold(branch, |x, conv| conv.forward(x, None, Then::Relu6));
        if !self.adds {
            return last.forward(branch, None, Then::Nothing);
        }
        if !self.depth.is_active(&x.device()) {
            return last.forward(branch, Some(x), Then::Nothing);
        }
        add(self.depth.forward(last.forward(branch, None, Then::Nothing)), x)
    }
}

impl ImageNetwork for InvertedResiduals {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let x = self.stem.forward(images, None, Then::Relu6);
        each(x, &self.stages, |x, blocks| blocks.iter().fold(x, |x, block| block.forward(x)))
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        self.dropout.forward(mean(self.last.forward(last, None, Then::Relu6)))
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
