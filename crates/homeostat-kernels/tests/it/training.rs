use burn::tensor::{Tensor, activation::log_softmax};
use homeostat_kernels::{Activation, Conv2dOptions, Kernels, MaxPool2dOptions, conv2d, linear, max_pool2d};

use crate::{floats, random};

/// Thirty steps of gradient descent on a small network; the loss at each.
fn train([conv, dense]: &[Tensor<4>; 2], images: &Tensor<4>, kernels: Kernels) -> Vec<f32> {
    let (mut conv, mut dense) = (conv.clone(), dense.clone().reshape([8 * 3 * 3, 4]));
    let options = Conv2dOptions { activation: Activation::Relu, ..Conv2dOptions::default() };
    (0..30)
        .map(|_| {
            let (c, d) = (conv.clone().require_grad(), dense.clone().require_grad());
            let x = conv2d(images.clone(), c.clone(), None, &options, kernels);
            let x = max_pool2d(x, &MaxPool2dOptions::new([2, 2]), kernels);
            let scores = linear(x.flatten(1, 3), d.clone(), None, Activation::Linear, kernels);
            // Sample i belongs to class i modulo 4.
            let truths = Tensor::<2>::eye(4, &images.device()).repeat(&[2, 1]);
            let loss = (log_softmax(scores, 1) * truths).sum().neg() / 8.0;
            let gradients = loss.backward();
            conv = Tensor::from_inner(c.clone().inner() - c.grad(&gradients).unwrap() * 0.1);
            dense = Tensor::from_inner(d.clone().inner() - d.grad(&gradients).unwrap() * 0.1);
            floats(&loss)[0]
        })
        .collect()
}

#[test]
fn training_goes_the_same_way_with_both() {
    let weights = [random([8, 2, 3, 3]) * 0.3, random([8, 3, 3, 4]) * 0.1];
    let images = random([8, 2, 8, 8]);
    let (ours, reference) = (train(&weights, &images, Kernels::Own), train(&weights, &images, Kernels::Burn));
    for (step, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
        assert!((ours - reference).abs() < 1e-4, "step {step}: {ours} for {reference}");
    }
    assert!(ours[29] < 0.8 * ours[0], "{ours:?}");
}
