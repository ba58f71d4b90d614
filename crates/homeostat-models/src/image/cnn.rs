//! The reference convolutional network (after LeCun et al. 1998): by default conv 3x3x32, ReLU, max-pool 2,
//! conv 3x3x64, ReLU, max-pool 2, flatten, dense 64, ReLU, dense classes.

use burn::{
    module::Module,
    nn::{
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Activation, Conv2dOptions, Kernels, conv2d_halved};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ImageShape, check_dropout, check_widths, mlp::Mlp};
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

impl Default for CnnConfig {
    fn default() -> Self {
        Self { widths: vec![32, 64], padding: Padding::Valid, hidden: vec![64], dropout: 0.0 }
    }
}

impl CnnConfig {
    pub(super) fn check(&self) -> Result<(), ModelError> {
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

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<Cnn, ModelError> {
        let (Some(height), Some(width)) = (self.side_after(shape.height), self.side_after(shape.width)) else {
            let (height, width, needed) = (shape.height, shape.width, self.side_needed());
            return Err(ModelError::TooSmall { network: "cnn", height, width, needed });
        };
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
        let features = channels[channels.len() - 1] * height * width;
        Ok(Cnn { stages, classifier: Mlp::new(features, &self.hidden, classes, self.dropout, device) })
    }

    /// What all stages leave of a side, or nothing.
    fn side_after(&self, side: usize) -> Option<usize> {
        self.widths.iter().try_fold(side, |side, _| {
            let pooled = side.checked_sub(self.border())? / POOL;
            (pooled > 0).then_some(pooled)
        })
    }

    /// The smallest side of which all stages leave something: one stage before another, from the last pixel back.
    fn side_needed(&self) -> usize {
        self.widths.iter().fold(1, |side, _| side * POOL + self.border())
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
    classifier: Mlp,
}

impl Cnn {
    /// `[batch, channels, height, width] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(self.stages.iter().fold(images, stage))
    }
}

/// Convolution, ReLU and max-pooling.
fn stage(x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
    let border = match conv.padding {
        PaddingConfig2d::Same => KERNEL / 2,
        _ => 0,
    };
    let options =
        Conv2dOptions { padding: [(border, border); 2], activation: Activation::Relu, ..Conv2dOptions::default() };
    let bias = conv.bias.as_ref().map(|bias| bias.val());
    conv2d_halved(x, conv.weight.val(), bias, &options, Kernels::selected())
}
