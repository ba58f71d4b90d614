//! LeNet-5 (LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition), as it is built today: plain mean
//! pooling, maps that see all maps before them, and a dense layer in the place of the radial basis functions.

use burn::{
    module::Module,
    nn::{Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Activation, AvgPool2dOptions, Kernels, avg_pool2d, tanh};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{Border, Then, Window, classify, convolve, each, row, xavier},
    network::{Describe, ImageNetwork},
};
use crate::ModelError;

const KERNEL: usize = 5;
/// The paper's images, after the two pixels that it puts around digits of 28.
const SIDE: usize = 32;

/// LeNet-5: two convolutions with mean pooling, and three dense layers, all with the hyperbolic tangent.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeNetConfig {}

impl Describe for LeNetConfig {
    fn check(&self) -> Result<(), ModelError> {
        Ok(())
    }

    fn smallest(&self) -> usize {
        12
    }

    fn takes_any_size(&self) -> bool {
        false
    }
}

impl LeNetConfig {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> LeNet {
        // Digits of 28 pixels get the border that the paper gives them, as does each image with a side below the paper's.
        let small = shape.height.min(shape.width) < SIDE;
        let border = if small { KERNEL / 2 } else { 0 };
        let conv = |channels, border| {
            Window::valid(KERNEL).border(Border::Zeros([border; 2])).conv(channels, true, xavier(), device)
        };
        let left = |side: usize| ((side + 2 * border - 4) / 2 - 4) / 2;
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).with_initializer(xavier()).init(device);
        LeNet {
            convs: vec![conv([shape.channels, 6], border), conv([6, 16], 0)],
            hidden: vec![linear(16 * left(shape.height) * left(shape.width), 120), linear(120, 84)],
            head: linear(84, classes),
        }
    }
}

/// See [`LeNetConfig`].
#[derive(Module, Debug)]
pub struct LeNet {
    convs: Vec<Conv2d>,
    hidden: Vec<Linear>,
    head: Linear,
}

impl ImageNetwork for LeNet {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        each(images, &self.convs, |x, conv| {
            let x = tanh(convolve(conv, x, Then::Nothing), Kernels::selected());
            avg_pool2d(x, &AvgPool2dOptions::new([2; 2]), Kernels::selected())
        })
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        let kernels = Kernels::selected();
        self.hidden.iter().fold(row(last), |x, layer| tanh(classify(layer, x, Activation::Linear), kernels))
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}
