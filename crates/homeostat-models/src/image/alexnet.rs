//! AlexNet (Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks): the network of 2012 in one
//! column, as torchvision has it.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{Border, Then, Window, classify, convolve, each, he, max_pool, means},
    check_dropout, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::ModelError;

const NAME: &str = "alexnet";
/// Rows and columns that the dense layers see.
const PARTS: usize = 6;
/// Channels of each convolution, in widths.
const CHANNELS: [usize; 5] = [8, 24, 48, 32, 32];

/// Five convolutions and three dense layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlexNetConfig {
    /// An eighth of the first convolution's channels, to which the others' are in proportion.
    pub width: usize,
    /// Units of the two hidden dense layers.
    pub hidden: usize,
    /// Share of dense units dropped in training, in 0..1.
    pub dropout: f64,
}

impl Default for AlexNetConfig {
    fn default() -> Self {
        Self { width: 8, hidden: 4096, dropout: 0.5 }
    }
}

impl Describe for AlexNetConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_width(NAME, "width", self.width)?;
        check_width(NAME, "hidden", self.hidden)?;
        check_dropout(NAME, self.dropout)
    }

    fn smallest(&self) -> usize {
        63
    }

    fn names(&self) -> Vec<NameTable> {
        vec![NameTable::new(
            "torchvision",
            &[
                ("stages.0.0", "features.0"),
                ("stages.1.0", "features.3"),
                ("stages.2.0", "features.6"),
                ("stages.2.1", "features.8"),
                ("stages.2.2", "features.10"),
                ("hidden.0", "classifier.1"),
                ("hidden.1", "classifier.4"),
                ("head", "classifier.6"),
            ],
        )]
    }
}

impl AlexNetConfig {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> AlexNet {
        let channels = CHANNELS.map(|channels| channels * self.width);
        let conv = |window: Window, at: usize| {
            let from = if at == 0 { shape.channels } else { channels[at - 1] };
            window.conv([from, channels[at]], true, he(), device)
        };
        let first = Window::valid(11).stride(4).border(Border::Zeros([2; 2]));
        AlexNet {
            stages: vec![
                vec![conv(first, 0)],
                vec![conv(Window::same(5), 1)],
                (2..5).map(|at| conv(Window::same(3), at)).collect(),
            ],
            hidden: vec![
                LinearConfig::new(channels[4] * PARTS * PARTS, self.hidden).init(device),
                LinearConfig::new(self.hidden, self.hidden).init(device),
            ],
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(self.hidden, classes).init(device),
        }
    }
}

/// See [`AlexNetConfig`].
#[derive(Module, Debug)]
pub struct AlexNet {
    stages: Vec<Vec<Conv2d>>,
    hidden: Vec<Linear>,
    dropout: Dropout,
    head: Linear,
}

impl ImageNetwork for AlexNet {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        each(images, &self.stages, |x, convs| {
            max_pool(convs.iter().fold(x, |x, conv| convolve(conv, x, Then::Relu)), 3, 2, 0)
        })
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        let x = means(last, PARTS);
        self.hidden.iter().fold(x, |x, layer| classify(layer, self.dropout.forward(x), Activation::Relu))
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
