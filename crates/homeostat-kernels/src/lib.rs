//! The CPU operations on which training time is spent, faster than the backend's own, with the same results.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use homeostat_kernels::{Activation, Conv2dOptions, Kernels, conv2d};
//!
//! let device = Device::flex();
//! let images = Tensor::ones([2, 3, 8, 8], &device);
//! let weight = Tensor::ones([4, 3, 3, 3], &device);
//! let options = Conv2dOptions { activation: Activation::Relu, ..Conv2dOptions::default() };
//! let y = conv2d(images, weight, None, &options, Kernels::Own);
//! assert_eq!(y.dims(), [2, 4, 6, 6]);
//! ```
//!
//! Own kernels compute `f32` tensors of Burn's CPU backend (and their gradients); every other tensor goes to Burn's own
//! operations. Values agree up to rounding, NaN and infinity spread in the same way, and the bits are the same for any
//! number of threads. It does not know networks or data.

#![cfg_attr(not(feature = "cpu"), allow(dead_code, unused_variables, reason = "all goes to Burn's own operations"))]

#[cfg(feature = "cpu")]
mod activation;
#[cfg(feature = "mimalloc")]
mod allocator;
#[cfg(feature = "cpu")]
mod attention;
#[cfg(feature = "cpu")]
mod batch_norm;
#[cfg(feature = "cpu")]
mod blocks;
#[cfg(feature = "cpu")]
mod buffer;
#[cfg(feature = "cpu")]
mod conv;
mod conv_norm;
#[cfg(feature = "cpu")]
mod conv_weights;
#[cfg(feature = "cpu")]
mod curves;
#[cfg(feature = "cpu")]
mod dense;
#[cfg(feature = "cpu")]
mod depthwise;
#[cfg(feature = "cpu")]
mod dropout;
#[cfg(feature = "cpu")]
mod entropy;
#[cfg(feature = "cpu")]
mod extension;
#[cfg(feature = "cpu")]
mod flex;
#[cfg(feature = "cpu")]
mod flex_image;
#[cfg(feature = "cpu")]
mod gather;
#[cfg(feature = "cpu")]
mod gemm;
#[cfg(feature = "cpu")]
mod image;
#[cfg(feature = "cpu")]
mod image_ops;
#[cfg(feature = "cpu")]
mod inference;
#[cfg(feature = "cpu")]
mod layer_norm;
mod levels;
#[cfg(feature = "cpu")]
mod lines;
#[cfg(feature = "cpu")]
mod mean_pool;
#[cfg(feature = "cpu")]
mod pool;
mod pooling;
#[cfg(feature = "cpu")]
mod prepared;
#[cfg(feature = "cpu")]
mod product;
mod sequence;
#[cfg(feature = "cpu")]
mod sequence_extension;
#[cfg(feature = "cpu")]
mod sequence_flex;
#[cfg(feature = "cpu")]
mod simd;
mod squash;
mod step;
#[cfg(feature = "cpu")]
mod sums;
#[cfg(feature = "cpu")]
mod winograd;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Tensor, activation::relu, module, ops::ConvOptions};

#[cfg(feature = "mimalloc")]
pub use allocator::keep_freed_memory;
pub use conv_norm::{batch_norm, conv_norm, normalises_by_batch};
pub use levels::scaled_levels;
pub use pooling::{AvgPool2dOptions, MaxPool2dOptions, adaptive_avg_pool2d, avg_pool2d, max_pool2d};
pub use sequence::{
    Curve, Sight, attention, class_entropy, cross_entropy, dense, dropout, embedding, layer_norm, self_attention,
};
pub use squash::{at_most, sigmoid, tanh};
pub use step::{AdamStep, MomentumStep, adam_step, momentum_step, square_sum};

/// Whose operations compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Those of this crate, where there is one for the tensors at hand.
    Own,
    /// Burn's, always: the reference.
    Burn,
}

static REFERENCE: AtomicBool = AtomicBool::new(false);

impl Kernels {
    /// What the networks of this process use: [`Kernels::Own`] until [`Kernels::select`] says otherwise.
    #[must_use]
    pub fn selected() -> Self {
        if REFERENCE.load(Ordering::Relaxed) { Self::Burn } else { Self::Own }
    }

    /// Makes it the choice of this process: for the command line, once, before the first network computes.
    pub fn select(self) {
        REFERENCE.store(self == Self::Burn, Ordering::Relaxed);
    }

    /// Whether the own kernels take this tensor: the extension lists Burn's CPU backend alone, and panics on others.
    #[cfg(feature = "cpu")]
    fn take<const D: usize>(self, x: &Tensor<D>) -> bool {
        self == Self::Own && x.dims().iter().all(|&size| size > 0) && is_ours(x)
    }
}

#[cfg(feature = "cpu")]
fn is_ours<const D: usize>(x: &Tensor<D>) -> bool {
    is_our_device(&x.device()) && x.dtype() == burn::tensor::DType::F32
}

#[cfg(feature = "cpu")]
fn is_our_device(device: &burn::tensor::Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), burn::backend::DispatchDevice::Flex(_))
}

/// What follows a layer, computed while its result is still in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    Linear,
    /// Zero where negative.
    Relu,
}

impl Activation {
    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Linear => x,
            Self::Relu => relu(x),
        }
    }
}

/// How a convolution walks over the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Steps of the window, along height and width.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, and columns of zeros left and right.
    pub padding: [(usize, usize); 2],
    /// Distances between the window's taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// What follows.
    pub activation: Activation,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [(0, 0), (0, 0)], dilation: [1, 1], groups: 1, activation: Activation::Linear }
    }
}

impl Conv2dOptions {
    fn burn(&self) -> ConvOptions<2> {
        ConvOptions::new_with_padding(self.stride, self.padding, self.dilation, self.groups)
    }
}

/// Convolution, bias and activation:
/// `[batch, in, height, width]` and weights `[out, in / groups, rows, columns]` give `[batch, out, height', width']`.
#[must_use]
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: &Conv2dOptions,
    kernels: Kernels,
) -> Tensor<4> {
    let burn = options.burn();
    #[cfg(feature = "cpu")]
    if kernels.take(&x) && kernels.take(&weight) {
        use extension::{Convolution, KernelOps};
        let convolution = Convolution { options: burn, relu: options.activation == Activation::Relu };
        let device = x.device();
        if !device.is_autodiff() {
            return infer_conv2d(x, weight, bias, convolution, false);
        }
        let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &device));
        return Tensor::from_dispatch(<burn::backend::Dispatch as KernelOps>::kernel_conv2d(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            convolution,
        ));
    }
    options.activation.apply(module::conv2d(x, weight, bias, burn))
}

/// [`conv2d`], then the largest of each two by two pixels: without gradients in one pass.
#[must_use]
pub fn conv2d_halved(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: &Conv2dOptions,
    kernels: Kernels,
) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if !x.device().is_autodiff() && kernels.take(&x) && kernels.take(&weight) {
        let relu = options.activation == Activation::Relu;
        return infer_conv2d(x, weight, bias, extension::Convolution { options: options.burn(), relu }, true);
    }
    max_pool2d(conv2d(x, weight, bias, options, kernels), &MaxPool2dOptions::new([2, 2]), kernels)
}

#[cfg(feature = "cpu")]
fn infer_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    convolution: extension::Convolution,
    halved: bool,
) -> Tensor<4> {
    let biased = bias.is_some();
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    let bias = bias.map_or_else(|| weight.clone(), Tensor::into_dispatch);
    let y = <burn::backend::Dispatch as inference::InferenceOps>::infer_conv2d(
        x,
        weight,
        bias,
        biased,
        convolution,
        halved,
    );
    Tensor::from_dispatch(y)
}

/// A dense layer: `[rows, in]` times weights `[in, out]` plus bias, then the activation.
#[must_use]
pub fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
    kernels: Kernels,
) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) && kernels.take(&weight) {
        let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[1]], &x.device()));
        return Tensor::from_dispatch(<burn::backend::Dispatch as extension::KernelOps>::kernel_linear(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            activation == Activation::Relu,
        ));
    }
    activation.apply(module::linear(x, weight, bias))
}

/// The numbers of each image in a row: `[batch, channels, height, width]` to `[batch, channels * height * width]`.
#[must_use]
pub fn flatten(x: Tensor<4>, kernels: Kernels) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        let x = <burn::backend::Dispatch as image_ops::ImageOps>::kernel_row_major(x.into_dispatch());
        return Tensor::<4>::from_dispatch(x).flatten(1, 3);
    }
    x.flatten(1, 3)
}

/// The sum of images of one shape, `[batch, channels, height, width]`; the result lies in memory as they do.
#[must_use]
pub fn add(one: Tensor<4>, other: Tensor<4>, kernels: Kernels) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if kernels.take(&one) && one.dims() == other.dims() {
        let sum = <burn::backend::Dispatch as image_ops::ImageOps>::kernel_sum;
        return Tensor::from_dispatch(sum(one.into_dispatch(), other.into_dispatch()));
    }
    one + other
}

/// The same images for `N` users, whose gradients are summed faster than those of clones: for the branches of a block.
#[must_use]
pub fn fork<const N: usize>(x: Tensor<4>, kernels: Kernels) -> [Tensor<4>; N] {
    #[cfg(feature = "cpu")]
    if x.device().is_autodiff() && kernels.take(&x) {
        let fork = image_ops::Fork::default();
        let branch = |x| <burn::backend::Dispatch as image_ops::ImageOps>::kernel_branch(x, fork.clone());
        let x = x.into_dispatch();
        return std::array::from_fn(|_| Tensor::from_dispatch(branch(x.clone())));
    }
    std::array::from_fn(|_| x.clone())
}
