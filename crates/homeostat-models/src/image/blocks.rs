//! What networks are put together from: layers with Burn's parameters, computed by the kernels. It does not know networks.

use burn::{
    module::{Module, Param},
    nn::{
        BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Initializer, LayerNorm, Linear, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use homeostat_kernels::{
    Activation, Conv2dOptions, Curve, Kernels, MaxPool2dOptions, adaptive_avg_pool2d, at_most, batch_norm, conv_norm,
    conv2d, conv2d_halved, dense, flatten, fork, layer_norm, linear, max_pool2d, normalises_by_batch,
};

use super::trace;

/// What follows a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Relu,
    /// ReLU that goes no higher than 6 (Krizhevsky 2010).
    Relu6,
}

impl Then {
    fn fused(self) -> Activation {
        if self == Self::Nothing { Activation::Linear } else { Activation::Relu }
    }

    /// What the fused part leaves to do.
    fn rest(self, x: Tensor<4>) -> Tensor<4> {
        if self == Self::Relu6 { at_most(x, 6.0, Kernels::selected()) } else { x }
    }
}

/// How the window of a convolution lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) border: Border,
    pub(crate) groups: usize,
}

/// What a convolution does at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// So many rows, and columns, of zeros on each side.
    Zeros([usize; 2]),
    /// As many zeros as give `ceil(side / stride)`, the odd one at the end, as TensorFlow has it.
    TensorFlow,
}

impl Window {
    /// A square window with zeros around, so that the size stays where the stride is 1.
    pub(crate) fn same(kernel: usize) -> Self {
        Self { kernel: [kernel; 2], stride: 1, border: Border::Zeros([kernel / 2; 2]), groups: 1 }
    }

    /// A square window without zeros around.
    pub(crate) fn valid(kernel: usize) -> Self {
        Self { border: Border::Zeros([0; 2]), ..Self::same(kernel) }
    }

    pub(crate) fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub(crate) fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub(crate) fn border(self, border: Border) -> Self {
        Self { border, ..self }
    }

    pub(crate) fn conv(self, channels: [usize; 2], bias: bool, initializer: Initializer, device: &Device) -> Conv2d {
        let padding = match self.border {
            Border::Zeros([rows, columns]) => PaddingConfig2d::Explicit(rows, columns, rows, columns),
            Border::TensorFlow => PaddingConfig2d::Same,
        };
        Conv2dConfig::new(channels, self.kernel)
            .with_stride([self.stride; 2])
            .with_padding(padding)
            .with_groups(self.groups)
            .with_bias(bias)
            .with_initializer(initializer)
            .init(device)
    }
}

/// He et al. 2015, as for ReLU, by the outputs of a layer.
pub(crate) fn he() -> Initializer {
    Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true }
}

/// Glorot & Bengio 2010, as for the hyperbolic tangent.
pub(crate) fn xavier() -> Initializer {
    Initializer::XavierUniform { gain: 1.0 }
}

fn options(conv: &Conv2d, [height, width]: [usize; 2], activation: Activation) -> Conv2dOptions {
    let padding = match conv.padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
        PaddingConfig2d::Same => {
            let axis = |axis: usize, side: usize| {
                let (kernel, stride) = (conv.kernel_size[axis], conv.stride[axis]);
                let zeros = ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side);
                (zeros / 2, zeros.div_ceil(2))
            };
            [axis(0, height), axis(1, width)]
        }
    };
    Conv2dOptions { stride: conv.stride, padding, dilation: conv.dilation, groups: conv.groups, activation }
}

/// A convolution, its bias, and what follows: `[batch, in, height, width] -> [batch, out, height', width']`.
pub(crate) fn convolve(conv: &Conv2d, x: Tensor<4>, then: Then) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let options = options(conv, [height, width], then.fused());
    let bias = conv.bias.as_ref().map(Param::val);
    let y = conv2d(x, conv.weight.val(), bias, &options, Kernels::selected());
    trace::window(&conv.weight, &y);
    then.rest(y)
}

/// A convolution, its bias, ReLU, and the largest of each two by two pixels.
pub(crate) fn convolve_halved(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    if trace::is_on() {
        // What is fused cannot be counted apart.
        return max_pool(convolve(conv, x, Then::Relu), 2, 2, 0);
    }
    let [_, _, height, width] = x.dims();
    let options = options(conv, [height, width], Activation::Relu);
    conv2d_halved(x, conv.weight.val(), conv.bias.as_ref().map(Param::val), &options, Kernels::selected())
}

/// A convolution without bias, and the batch normalisation after it.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(window: Window, channels: [usize; 2], device: &Device) -> Self {
        Self::with_epsilon(window, channels, 1e-5, device)
    }

    pub(crate) fn with_epsilon(window: Window, channels: [usize; 2], epsilon: f64, device: &Device) -> Self {
        Self {
            conv: window.conv(channels, false, he(), device),
            norm: BatchNormConfig::new(channels[1]).with_epsilon(epsilon).init(device),
        }
    }

    /// The layer as nothing at the start: what it adds to a residual is zero.
    pub(crate) fn zeroed(mut self) -> Self {
        self.norm.gamma = self.norm.gamma.map(|gamma| gamma.zeros_like());
        self
    }

    /// `[batch, in, height, width] -> [batch, out, height', width']`; the residual has the shape of the result.
    pub(crate) fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, then: Then) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let options = options(&self.conv, [height, width], then.fused());
        let y = unbiased(&self.norm, &x.device(), || {
            conv_norm(x, self.conv.weight.val(), &self.norm, residual, &options, Kernels::selected())
        });
        trace::window(&self.conv.weight, &y);
        trace::elements(&self.norm.gamma, &y);
        then.rest(y)
    }
}

/// Batch normalisation, and what follows; the shape stays.
pub(crate) fn normalise(norm: &BatchNorm, x: Tensor<4>, then: Then) -> Tensor<4> {
    let y = unbiased(norm, &x.device(), || batch_norm(x, norm, None, then.fused(), Kernels::selected()));
    trace::elements(&norm.gamma, &y);
    then.rest(y)
}

/// Normalises. Burn moves the running variance by the batch's biased variance; the originals, by the unbiased one.
fn unbiased(norm: &BatchNorm, device: &Device, normalise: impl FnOnce() -> Tensor<4>) -> Tensor<4> {
    if !normalises_by_batch(norm, device) {
        return normalise();
    }
    let kept = norm.running_var.value_sync() * (1.0 - norm.momentum);
    let y = normalise();
    let [batch, _, height, width] = y.dims();
    let count = (batch * height * width) as f64;
    if count > 1.0 {
        let new = norm.running_var.value_sync() - kept.clone();
        norm.running_var.update(kept + new * (count / (count - 1.0)));
    }
    y
}

/// A dense layer over the last axis, and what follows: `[.., in] -> [.., out]`.
pub(crate) fn transform<const D: usize>(layer: &Linear, x: Tensor<D>, curve: Curve) -> Tensor<D> {
    let y = dense(x, layer.weight.val(), layer.bias.as_ref().map(Param::val), curve, Kernels::selected());
    trace::rows(&layer.weight, &y);
    y
}

/// A dense layer and what follows: `[batch, in] -> [batch, out]`.
pub(crate) fn classify(layer: &Linear, x: Tensor<2>, activation: Activation) -> Tensor<2> {
    let y = linear(x, layer.weight.val(), layer.bias.as_ref().map(Param::val), activation, Kernels::selected());
    trace::rows(&layer.weight, &y);
    y
}

/// Layer normalisation of the last axis; the shape stays.
pub(crate) fn normalise_last<const D: usize>(norm: &LayerNorm, x: Tensor<D>, epsilon: f64) -> Tensor<D> {
    let y = layer_norm(x, norm.gamma.val(), norm.beta.as_ref().map(Param::val), epsilon, Kernels::selected());
    trace::elements(&norm.gamma, &y);
    y
}

/// The largest of each window, zeros around: for what is not negative.
pub(crate) fn max_pool(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let options = MaxPool2dOptions { stride: [stride; 2], padding: [padding; 2], ..MaxPool2dOptions::new([kernel; 2]) };
    max_pool2d(x, &options, Kernels::selected())
}

/// The same, but no pixel is left out: windows may reach over the lower and the right border.
pub(crate) fn max_pool_all(x: Tensor<4>, kernel: usize, stride: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let beyond = |side: usize| side.saturating_sub(kernel).div_ceil(stride) * stride + kernel - side;
    let (below, right) = (beyond(height), beyond(width));
    let x = if below + right > 0 { x.pad((0, right, 0, below), 0.0) } else { x };
    max_pool(x, kernel, stride, 0)
}

/// The mean over all pixels: `[batch, channels, height, width] -> [batch, channels]`.
pub(crate) fn mean(x: Tensor<4>) -> Tensor<2> {
    means(x, 1)
}

/// The means over `parts x parts` windows of the pixels, each image in a row: `[batch, channels * parts * parts]`.
pub(crate) fn means(x: Tensor<4>, parts: usize) -> Tensor<2> {
    row(adaptive_avg_pool2d(x, [parts; 2], Kernels::selected()))
}

/// The same images for each branch of a block.
pub(crate) fn branches<const N: usize>(x: Tensor<4>) -> [Tensor<4>; N] {
    fork(x, Kernels::selected())
}

/// What branches of one shape add up to.
pub(crate) fn add(one: Tensor<4>, other: Tensor<4>) -> Tensor<4> {
    homeostat_kernels::add(one, other, Kernels::selected())
}

/// Each image in a row: `[batch, channels * height * width]`.
pub(crate) fn row(x: Tensor<4>) -> Tensor<2> {
    flatten(x, Kernels::selected())
}

/// What comes out of each stage, where each takes what the one before gives.
pub(crate) fn each<S>(x: Tensor<4>, stages: &[S], forward: impl Fn(Tensor<4>, &S) -> Tensor<4>) -> Vec<Tensor<4>> {
    let step = |x: &mut Tensor<4>, stage| {
        *x = forward(x.clone(), stage);
        Some(x.clone())
    };
    stages.iter().scan(x, step).collect()
}

/// Stochastic depth (Huang et al. 2016): in training, the branches of some samples are left out.
#[derive(Module, Debug)]
pub(crate) struct StochasticDepth {
    dropout: Dropout,
}

impl StochasticDepth {
    /// For the block at `index` of `count`: the last is left out with this probability, the first never.
    pub(crate) fn new(probability: f64, index: usize, count: usize) -> Self {
        let share = index as f64 / (count - 1).max(1) as f64;
        Self { dropout: DropoutConfig::new(probability * share).init() }
    }

    /// Whether branches may be left out here and now.
    pub(crate) fn is_active(&self, device: &Device) -> bool {
        self.dropout.prob > 0.0 && device.is_autodiff() && self.dropout.training.is_enabled()
    }

    /// The branch, zero for some samples and larger for the others; the shape stays.
    pub(crate) fn forward<const D: usize>(&self, branch: Tensor<D>) -> Tensor<D> {
        if !self.is_active(&branch.device()) {
            return branch;
        }
        let mut shape = [1; D];
        shape[0] = branch.dims()[0];
        let kept = self.dropout.forward(Tensor::ones(shape, &branch.device()));
        branch * kept
    }
}

/// Squeeze and excitation (Hu et al. 2018): each channel is scaled by what the means of all channels say.
#[derive(Module, Debug)]
pub(crate) struct Excitation {
    layers: Vec<Conv2d>,
}

impl Excitation {
    /// Between the two layers, whole eights of channels: as near to a sixteenth as can be, but at least one eight.
    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        let between = ((channels / 16 + 4) / 8 * 8).max(8);
        let conv = |channels| Window::valid(1).conv(channels, true, he(), device);
        Self { layers: vec![conv([channels, between]), conv([between, channels])] }
    }

    /// `[batch, channels, height, width]` to the same shape.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let means = adaptive_avg_pool2d(x.clone(), [1, 1], Kernels::selected());
        let hidden = convolve(&self.layers[0], means, Then::Relu);
        let scale = burn::tensor::activation::sigmoid(convolve(&self.layers[1], hidden, Then::Nothing));
        x * scale
    }
}

/// The multiple of eight nearest to `channels`, and never a tenth less (Howard et al. 2017).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "channels are few, and not negative")]
pub(crate) fn whole_eights(channels: f64) -> usize {
    let nearest = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (nearest as f64) < 0.9 * channels { nearest + 8 } else { nearest }
}
