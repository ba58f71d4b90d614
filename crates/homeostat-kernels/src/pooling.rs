//! Pooling of images: the largest value of each window, or the average.

#[cfg(feature = "cpu")]
use std::ops::Range;

use burn::tensor::{
    Tensor, module,
    ops::{AvgPoolOptions, MaxPoolOptions},
};

use crate::Kernels;
#[cfg(feature = "cpu")]
use crate::{extension::KernelOps, image_ops::ImageOps, mean_pool::MeanPool};

/// The windows of a max-pooling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool2dOptions {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps of the window.
    pub stride: [usize; 2],
    /// Rows above and below, and columns left and right, that never win.
    pub padding: [usize; 2],
    /// Distances between the window's pixels.
    pub dilation: [usize; 2],
}

impl MaxPool2dOptions {
    /// Windows side by side.
    #[must_use]
    pub fn new(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: kernel, padding: [0, 0], dilation: [1, 1] }
    }
}

/// The windows of an average pooling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvgPool2dOptions {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps of the window.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, and columns of zeros left and right.
    pub padding: [usize; 2],
    /// Whether the zeros of the padding count as pixels.
    pub count_padding: bool,
}

impl AvgPool2dOptions {
    /// Windows side by side.
    #[must_use]
    pub fn new(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: kernel, padding: [0, 0], count_padding: true }
    }
}

/// The largest value of each window: `[batch, channels, height, width]` to `[batch, channels, height', width']`.
#[must_use]
pub fn max_pool2d(x: Tensor<4>, options: &MaxPool2dOptions, kernels: Kernels) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        let y = <burn::backend::Dispatch as KernelOps>::kernel_max_pool2d(x.into_dispatch(), options.clone());
        return Tensor::from_dispatch(y);
    }
    let MaxPool2dOptions { kernel, stride, padding, dilation } = *options;
    module::max_pool2d(
        x,
        MaxPoolOptions::new(kernel)
            .with_stride(stride)
            .with_padding_pairs(padding.map(|padding| (padding, padding)))
            .with_dilation(dilation),
    )
}

/// The average of each window: `[batch, channels, height, width]` to `[batch, channels, height', width']`.
#[must_use]
pub fn avg_pool2d(x: Tensor<4>, options: &AvgPool2dOptions, kernels: Kernels) -> Tensor<4> {
    let AvgPool2dOptions { kernel, stride, padding, count_padding } = *options;
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        let windows = |axis: usize, len: usize| -> Vec<Range<usize>> {
            let padded = len + 2 * padding[axis];
            assert!(kernel[axis] <= padded, "avg_pool2d: a window of {} on {padded}", kernel[axis]);
            let inside = |at: usize| at.saturating_sub(padding[axis]).min(len);
            let starts = (0..=padded - kernel[axis]).step_by(stride[axis]);
            starts.map(|at| inside(at)..inside(at + kernel[axis])).collect()
        };
        return mean_pool(x, windows, count_padding.then_some(kernel[0] * kernel[1]));
    }
    let mut burn = AvgPoolOptions::new(kernel).with_stride(stride).with_count_include_pad(count_padding);
    burn.padding = padding.map(|padding| (padding, padding));
    module::avg_pool2d(x, burn)
}

/// The average of each of `size` parts, which overlap where the image cannot be cut evenly; `[1, 1]` is global pooling.
/// `[batch, channels, height, width]` to `[batch, channels, size...]`
#[must_use]
pub fn adaptive_avg_pool2d(x: Tensor<4>, size: [usize; 2], kernels: Kernels) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        let windows = |axis: usize, len: usize| -> Vec<Range<usize>> {
            let parts = size[axis];
            (0..parts).map(|part| part * len / parts..((part + 1) * len).div_ceil(parts)).collect()
        };
        return mean_pool(x, windows, None);
    }
    module::adaptive_avg_pool2d(x, size)
}

#[cfg(feature = "cpu")]
fn mean_pool(x: Tensor<4>, windows: impl Fn(usize, usize) -> Vec<Range<usize>>, divisor: Option<usize>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let windows = [windows(0, height), windows(1, width)];
    let pool = MeanPool { batch, channels, input: [height, width], windows, divisor };
    Tensor::from_dispatch(<burn::backend::Dispatch as ImageOps>::kernel_mean_pool(x.into_dispatch(), pool))
}
