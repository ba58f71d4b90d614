//! What generative networks are put together from: halving and doubling of the sides. It does not know networks.

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Activation;

use crate::{
    ImageShape, ModelError,
    image::blocks::{Border, Then, Window, classify, convolve, he, normalise},
};

/// A convolution that halves the sides: a window of 4 x 4 pixels with the stride 2, as in DCGAN.
pub(crate) fn halving(channels: [usize; 2], device: &Device) -> Conv2d {
    Window { kernel: [4, 4], stride: 2, border: Border::Zeros([1, 1]), groups: 1 }.conv(channels, true, he(), device)
}

/// Doubles the sides: a convolution to four times the channels, whose pixels are then laid side by side. That is what a transposed
/// convolution with the stride 2 computes (Shi et al. 2016), by operations that are fast.
#[derive(Module, Debug)]
pub(crate) struct Doubling {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    #[module(skip)]
    is_last: bool,
}

impl Doubling {
    /// With ReLU after it.
    pub(crate) fn new(channels: [usize; 2], device: &Device) -> Self {
        Self { conv: quadrupling(channels, true, he(), device), norm: None, is_last: false }
    }

    /// With batch normalisation and ReLU after it.
    pub(crate) fn normalised(channels: [usize; 2], device: &Device) -> Self {
        let conv = quadrupling(channels, false, he(), device);
        Self { conv, norm: Some(BatchNormConfig::new(channels[1]).init(device)), is_last: false }
    }

    /// With nothing after it, and small weights: numbers are near to 0 at first, and no pixel is sure of itself.
    pub(crate) fn last(channels: [usize; 2], device: &Device) -> Self {
        let small = Initializer::Normal { mean: 0.0, std: 0.02 };
        Self { conv: quadrupling(channels, true, small, device), norm: None, is_last: true }
    }

    /// `[batch, in, height, width] -> [batch, out, 2 height, 2 width]`
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let fused = if self.is_last || self.norm.is_some() { Then::Nothing } else { Then::Relu };
        let x = side_by_side(convolve(&self.conv, x, fused));
        match &self.norm {
            Some(norm) => normalise(norm, x, Then::Relu),
            None => x,
        }
    }
}

fn quadrupling([inputs, outputs]: [usize; 2], bias: bool, initializer: Initializer, device: &Device) -> Conv2d {
    Window::same(3).conv([inputs, 4 * outputs], bias, initializer, device)
}

/// Four channels become the four pixels of a square: `[batch, 4 out, height, width] -> [batch, out, 2 height, 2 width]`.
fn side_by_side(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let outputs = channels / 4;
    let squares: Tensor<6> = x.reshape([batch, outputs, 2, 2, height, width]);
    squares.permute([0, 1, 4, 2, 5, 3]).reshape([batch, outputs, 2 * height, 2 * width])
}

/// Dense layers with ReLU after each.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    layers: Vec<Linear>,
}

impl Dense {
    /// From the first of these widths to the last.
    pub(crate) fn new(widths: &[usize], device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self { layers: widths.windows(2).map(layer).collect() }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.iter().fold(x, |x, layer| classify(layer, x, Activation::Relu))
    }
}

/// A dense layer without what follows.
pub(crate) fn plain(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    classify(layer, x, Activation::Linear)
}

/// Refuses images whose sides cannot be halved so often.
pub(crate) fn check_halvings(network: &'static str, shape: ImageShape, stages: usize) -> Result<(), ModelError> {
    let ImageShape { height, width, .. } = shape;
    let step = u32::try_from(stages).ok().and_then(|stages| 1usize.checked_shl(stages)).filter(|_| stages < 16);
    if step.is_some_and(|step| height.is_multiple_of(step) && width.is_multiple_of(step)) {
        return Ok(());
    }
    let problem = format!(
        "halves the sides {stages} times, but images of {height} x {width} pixels cannot be halved so often: give it fewer widths, or \
         resize the images (prepare = [{{ resize = {{ size = 32 }} }}])"
    );
    Err(ModelError::Setting { network, setting: "widths", problem })
}
