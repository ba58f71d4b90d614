//! VGG (Simonyan & Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image Recognition): 3x3 convolutions,
//! with or without batch normalisation, five max-poolings, and three dense layers.

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{Then, Window, classify, convolve, convolve_halved, each, he, max_pool, means, normalise},
    check_depth, check_dropout, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

const NAME: &str = "vgg";
/// Rows and columns that the dense layers see.
const PARTS: usize = 7;

/// Stages of 3x3 convolutions, and dense layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VggConfig {
    /// Layers with weights: 11, 13, 16 or 19.
    pub depth: usize,
    /// Whether each convolution is normalised over the batch.
    pub batch_norm: bool,
    /// Channels of the first stage; each later stage has twice as many, and at most eight times as many.
    pub width: usize,
    /// Units of the two hidden dense layers.
    pub hidden: usize,
    /// Share of dense units dropped in training, in 0..1.
    pub dropout: f64,
}

impl Default for VggConfig {
    fn default() -> Self {
        Self { depth: 16, batch_norm: true, width: 64, hidden: 4096, dropout: 0.5 }
    }
}

impl Describe for VggConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_depth(NAME, self.depth, &[11, 13, 16, 19])?;
        check_width(NAME, "width", self.width)?;
        check_width(NAME, "hidden", self.hidden)?;
        let [.., layers] = self.layers();
        check_convolutions(NAME, layers, 3, [self.width << 3; 2])?;
        check_dropout(NAME, self.dropout)
    }

    fn smallest(&self) -> usize {
        32
    }

    fn names(&self) -> Vec<NameTable> {
        let mut rows = Vec::new();
        // Convolution, normalisation if any, and ReLU have a place each, as has the pooling after a stage.
        let mut place = 0;
        for (stage, &layers) in self.layers().iter().enumerate() {
            for layer in 0..layers {
                rows.push((format!("stages.{stage}.{layer}.conv"), format!("features.{place}")));
                if self.batch_norm {
                    place += 1;
                    rows.push((format!("stages.{stage}.{layer}.norm"), format!("features.{place}")));
                }
                place += 2;
            }
            place += 1;
        }
        for (ours, theirs) in [("hidden.0", "classifier.0"), ("hidden.1", "classifier.3"), ("head", "classifier.6")] {
            rows.push((ours.to_owned(), theirs.to_owned()));
        }
        vec![NameTable::of("torchvision", rows)]
    }
}

impl VggConfig {
    fn layers(&self) -> [usize; 5] {
        match self.depth {
            11 => [1, 1, 2, 2, 2],
            13 => [2, 2, 2, 2, 2],
            16 => [2, 2, 3, 3, 3],
            _ => [2, 2, 4, 4, 4],
        }
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Vgg {
        let mut from = shape.channels;
        let mut layer = |to| {
            let conv = Window::same(3).conv([from, to], true, he(), device);
            from = to;
            Layer { conv, norm: self.batch_norm.then(|| BatchNormConfig::new(to).init(device)) }
        };
        let stage = |(stage, layers): (usize, usize)| {
            (0..layers).map(|_| layer(self.width << stage.min(3))).collect::<Vec<_>>()
        };
        let stages = self.layers().into_iter().enumerate().map(stage).collect();
        Vgg {
            stages,
            hidden: vec![
                LinearConfig::new(from * PARTS * PARTS, self.hidden).init(device),
                LinearConfig::new(self.hidden, self.hidden).init(device),
            ],
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(self.hidden, classes).init(device),
        }
    }
}

/// See [`VggConfig`].
#[derive(Module, Debug)]
pub struct Vgg {
    stages: Vec<Vec<Layer>>,
    hidden: Vec<Linear>,
    dropout: Dropout,
    head: Linear,
}

#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.norm {
            Some(norm) => normalise(norm, convolve(&self.conv, x, Then::Nothing), Then::Relu),
            None => convolve(&self.conv, x, Then::Relu),
        }
    }

    /// The same, and the largest of each two by two pixels.
    fn forward_halved(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.norm {
            Some(_) => max_pool(self.forward(x), 2, 2, 0),
            None => convolve_halved(&self.conv, x),
        }
    }
}

impl ImageNetwork for Vgg {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        each(images, &self.stages, |x, layers| {
            let (last, first) = layers.split_last().expect("a stage has layers");
            last.forward_halved(first.iter().fold(x, |x, layer| layer.forward(x)))
        })
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        let x = means(last, PARTS);
        self.hidden.iter().fold(x, |x, layer| self.dropout.forward(classify(layer, x, Activation::Relu)))
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
