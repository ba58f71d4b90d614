//! Batch normalisation with Burn's own module, and a convolution followed by it.

use burn::{
    nn::BatchNorm,
    tensor::{Device, Tensor},
};

#[cfg(feature = "cpu")]
use crate::image_ops::{ImageOps, Normalisation};
use crate::{Activation, Conv2dOptions, Kernels, conv2d};

/// What Burn's `BatchNorm::forward` does, running statistics included; then a residual is added, then the activation.
/// `[batch, channels, height, width]` to the same shape.
#[must_use]
pub fn batch_norm(
    x: Tensor<4>,
    norm: &BatchNorm,
    residual: Option<Tensor<4>>,
    activation: Activation,
    kernels: Kernels,
) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        use burn::backend::Dispatch;
        let by_batch = normalises_by_batch(norm, &x.device());
        let moments = if by_batch {
            let moments = <Dispatch as ImageOps>::kernel_moments(x.clone().into_dispatch());
            update(norm, &Tensor::from_dispatch(moments.clone()));
            moments
        } else {
            let running = [&norm.running_mean, &norm.running_var];
            Tensor::cat(running.map(|running| running.value().to_device(&x.device())).into(), 0).into_dispatch()
        };
        let relu = activation == Activation::Relu;
        let normalisation = Normalisation { epsilon: norm.epsilon, relu, residual: residual.is_some(), by_batch };
        return Tensor::from_dispatch(<Dispatch as ImageOps>::kernel_batch_norm(
            x.into_dispatch(),
            norm.gamma.val().into_dispatch(),
            norm.beta.val().into_dispatch(),
            moments.clone(),
            residual.map_or(moments, Tensor::into_dispatch),
            normalisation,
        ));
    }
    let y = norm.forward(x);
    activation.apply(match residual {
        Some(residual) => y + residual,
        None => y,
    })
}

/// A convolution without bias, [`batch_norm`], and the activation of `options` after it. Where statistics are not
/// learnt, the convolution's weights are scaled instead.
#[must_use]
pub fn conv_norm(
    x: Tensor<4>,
    weight: Tensor<4>,
    norm: &BatchNorm,
    residual: Option<Tensor<4>>,
    options: &Conv2dOptions,
    kernels: Kernels,
) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if !x.device().is_autodiff() && kernels.take(&x) && kernels.take(&weight) {
        use crate::inference::{Folded, InferenceOps};
        let folded = Folded {
            options: options.burn(),
            epsilon: norm.epsilon,
            relu: options.activation == Activation::Relu,
            residual: residual.is_some(),
        };
        let x = x.into_dispatch();
        return Tensor::from_dispatch(<burn::backend::Dispatch as InferenceOps>::infer_conv_norm(
            x.clone(),
            weight.into_dispatch(),
            norm.gamma.val().into_dispatch(),
            norm.beta.val().into_dispatch(),
            norm.running_mean.value().into_dispatch(),
            norm.running_var.value().into_dispatch(),
            residual.map_or(x, Tensor::into_dispatch),
            folded,
        ));
    }
    let plain = Conv2dOptions { activation: Activation::Linear, ..options.clone() };
    batch_norm(conv2d(x, weight, None, &plain, kernels), norm, residual, options.activation, kernels)
}

/// Whether the layer normalises by the batch, and moves its running statistics, as Burn decides it.
#[must_use]
pub fn normalises_by_batch(norm: &BatchNorm, device: &Device) -> bool {
    device.is_autodiff() && norm.training.is_enabled()
}

/// The running statistics, as Burn's module moves them.
#[cfg(feature = "cpu")]
fn update(norm: &BatchNorm, moments: &Tensor<1>) {
    let channels = moments.dims()[0] / 2;
    for (running, new) in [&norm.running_mean, &norm.running_var].into_iter().zip([0..channels, channels..2 * channels])
    {
        let new = moments.clone().slice([new]).detach() * norm.momentum;
        let old = running.value_sync().to_device(&moments.device());
        running.update((old * (1.0 - norm.momentum) + new).detach());
    }
}
