//! Every operation against Burn's own on the same inputs: values, gradients, NaN and infinity, strides, threads.
#![expect(clippy::unwrap_used, reason = "tests")]

mod attention_memory;
mod avg_pool2d;
mod batch_norm;
mod conv2d;
mod flatten;
mod float64;
mod fork;
mod inference;
mod levels;
mod linear;
mod max_pool2d;
mod second_opinion;
mod sequence;
mod step;
mod threads;
mod training;

use burn::tensor::{Device, Distribution, Tensor};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Normal numbers.
fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device())
}

fn floats<const D: usize>(x: &Tensor<D>) -> Vec<f32> {
    x.to_data().try_to_vec().unwrap()
}

/// The same numbers without gradients: as inference has them.
fn plain<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(x.to_data(), &Device::flex())
}

/// Equal up to rounding: of the size of the values, since terms may cancel. NaN and infinity must be the same.
#[track_caller]
fn assert_close(ours: &[f32], reference: &[f32], what: &str) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let size = reference.iter().filter(|x| x.is_finite()).fold(1.0_f32, |size, x| size.max(x.abs()));
    for (index, (&ours, &reference)) in ours.iter().zip(reference).enumerate() {
        let same = if reference.is_finite() {
            (ours - reference).abs() <= 1e-5 * size
        } else {
            ours == reference || (ours.is_nan() && reference.is_nan())
        };
        assert!(same, "{what}: {ours} for {reference} at {index}");
    }
}

/// The value of `f`, and the gradients of its sum weighted at random, at the parameters.
fn value_and_gradients<const D: usize, const E: usize>(
    parameters: [Tensor<D>; 2],
    bias: Option<Tensor<1>>,
    upstream: Option<&Tensor<E>>,
    f: impl Fn(Tensor<D>, Tensor<D>, Option<Tensor<1>>) -> Tensor<E>,
) -> (Tensor<E>, Vec<Vec<f32>>) {
    let [x, w] = parameters.map(Tensor::require_grad);
    let bias = bias.map(Tensor::require_grad);
    let y = f(x.clone(), w.clone(), bias.clone());
    let loss = match upstream {
        Some(upstream) => y.clone() * upstream.clone(),
        None => y.clone(),
    };
    let gradients = loss.sum().backward();
    let mut found = [x, w].map(|x| x.grad(&gradients).map(|g| floats(&g)).unwrap_or_default()).to_vec();
    found.extend(bias.and_then(|bias| bias.grad(&gradients)).map(|g| floats(&g)));
    (y, found)
}
