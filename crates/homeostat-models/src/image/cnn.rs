//! The reference convolutional network (after LeCun et al. 1998): by default conv 3x3x32, ReLU, max-pool 2,
//! conv 3x3x64, ReLU, max-pool 2, flatten, dense 64, ReLU, dense classes.

use burn::{
    module::Module,
    nn::{
        Linear, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{convolve_halved, each, mean, row},
    check_dropout, check_widths,
    mlp::Mlp,
    network::{Describe, ImageNetwork},
};
use crate::ModelError;

const KERNEL: usize = 3;
const POOL: usize = 2;
/// Each stage halves the sides, so more leave nothing of the largest image.
const MAX_STAGES: usize = 26;

/// The reference convolutional network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CnnConfig {
    /// Output channels of each stage (3x3 convolution, ReLU, 2x2 max-pooling).
    pub widths: Vec<usize>,
    /// Whether a convolution keeps the image's size or loses its border.
    pub padding: Padding,
    /// What the dense layers see of the last stage.
    pub head: Head,
    /// Widths of the dense layers between the stages and the classes.
    pub hidden: Vec<usize>,
    /// Share of dense units dropped in training, in 0..1.
    pub dropout: f64,
}

/// What a convolution does at the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// No padding: each side shrinks by two pixels.
    #[default]
    Valid,
    /// One pixel of zeros: the size stays.
    Same,
}

/// What dense layers see of the last stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// Every pixel: it matters where in the picture something is, and pictures have one size.
    #[default]
    Flatten,
    /// The mean of each channel over all pixels: far fewer weights, and pictures may have any size.
    Mean,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Self { widths: vec![32, 64], padding: Padding::Valid, head: Head::Flatten, hidden: vec![64], dropout: 0.0 }
    }
}

impl Describe for CnnConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_widths("cnn", "widths", &self.widths)?;
        if self.widths.len() > MAX_STAGES {
            return Err(ModelError::Setting {
                network: "cnn",
                setting: "widths",
                problem: format!(
                    "has {} stages, but at most {MAX_STAGES} leave anything of an image",
                    self.widths.len()
                ),
            });
        }
        check_widths("cnn", "hidden", &self.hidden)?;
        check_dropout("cnn", self.dropout)
    }

    /// The smallest side of which all stages leave something: one stage before another, from the last pixel back.
    fn smallest(&self) -> usize {
        self.widths.iter().fold(1, |side, _| side * POOL + self.border())
    }

    fn takes_any_size(&self) -> bool {
        self.head == Head::Mean
    }
}

impl CnnConfig {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Cnn {
        let [height, width] = [shape.height, shape.width].map(|side| self.side_after(side));
        let channels: Vec<usize> = std::iter::once(shape.channels).chain(self.widths.iter().copied()).collect();
        let padding = match self.padding {
            Padding::Valid => PaddingConfig2d::Valid,
            Padding::Same => PaddingConfig2d::Same,
        };
        let stages = channels
            .windows(2)
            .map(|pair| {
                Conv2dConfig::new([pair[0], pair[1]], [KERNEL, KERNEL]).with_padding(padding.clone()).init(device)
            })
            .collect();
        let pixels = match self.head {
            Head::Flatten => height * width,
            Head::Mean => 1,
        };
        let features = channels[channels.len() - 1] * pixels;
        Cnn { stages, head: self.head, classifier: Mlp::new(features, &self.hidden, classes, self.dropout, device) }
    }

    /// What all stages leave of a side.
    fn side_after(&self, side: usize) -> usize {
        self.widths.iter().fold(side, |side, _| (side - self.border()) / POOL)
    }

    /// The pixels of a side that a convolution takes away.
    fn border(&self) -> usize {
        match self.padding {
            Padding::Valid => KERNEL - 1,
            Padding::Same => 0,
        }
    }
}

/// See [`CnnConfig`].
#[derive(Module, Debug)]
pub struct Cnn {
    stages: Vec<Conv2d>,
    #[module(skip)]
    head: Head,
    classifier: Mlp,
}

impl ImageNetwork for Cnn {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        if self.stages.is_empty() {
            return vec![images];
        }
        each(images, &self.stages, stage)
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        self.classifier.hidden(match self.head {
            Head::Flatten => row(last),
            Head::Mean => mean(last),
        })
    }

    fn head(&self) -> &Linear {
        self.classifier.head()
    }
}

/// Convolution, ReLU and max-pooling.
fn stage(x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
    convolve_halved(conv, x)
}
