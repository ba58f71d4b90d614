//! Every function on a backend that the own kernels do not know, which gets Burn's operations and never panics; and the CPU's
//! answers against that backend's. `homeostat-device` can build three: this one, the CPU, and CUDA, which tests cannot ask for.

use burn::{
    nn::{BatchNorm, BatchNormConfig},
    tensor::{Device, Int, Tensor, TensorData},
};
use homeostat_kernels::{
    Activation, AdamStep, AvgPool2dOptions, Conv2dOptions, Curve, Kernels, MaxPool2dOptions, MomentumStep, Sight,
    adam_step, adaptive_avg_pool2d, add, attention, avg_pool2d, batch_norm, conv_norm, conv2d, conv2d_halved,
    cross_entropy, dense, embedding, flatten, fork, layer_norm, linear, max_pool2d, momentum_step, scaled_levels,
    self_attention, square_sum,
};

use crate::{assert_close, floats, random};

/// What every function gives for the same numbers: name and values; where there are gradients, those of a sum, too.
fn answers(device: &Device, numbers: &[f32]) -> Vec<(&'static str, Vec<f32>)> {
    let own = Kernels::Own;
    let four = |shape: [usize; 4], from: usize| Tensor::<4>::from_data(piece(numbers, from, shape), device);
    let two = |shape: [usize; 2], from: usize| Tensor::<2>::from_data(piece(numbers, from, shape), device);
    let one = |size: usize, from: usize| Tensor::<1>::from_data(piece(numbers, from, [size]), device);
    let (x, weight, bias) = (four([2, 4, 7, 6], 0), four([8, 4, 3, 3], 400), one(8, 3));
    let options = Conv2dOptions { padding: [(1, 1); 2], activation: Activation::Relu, ..Conv2dOptions::default() };
    let norm: BatchNorm = BatchNormConfig::new(8).init(device);
    let ids = Tensor::<2, Int>::from_data(TensorData::new(vec![0, 4, 2, 1], [2, 2]), device);
    let sight = || Sight { causal: true, ..Sight::default() };
    let [left, right] = fork::<2>(x.clone(), own);
    let sum = add(x.clone(), x.clone(), own);
    let convolved = conv2d(x.clone(), weight.clone(), Some(bias.clone()), &options, own);
    let normal = conv_norm(x.clone(), weight.clone(), &norm, None, &options, own);
    let mut all = vec![
        ("conv2d", floats(&convolved)),
        ("conv2d_halved", floats(&conv2d_halved(x.clone(), weight.clone(), Some(bias.clone()), &options, own))),
        ("conv_norm", floats(&normal)),
        ("batch_norm", floats(&batch_norm(convolved.clone(), &norm, None, Activation::Relu, own))),
        ("max_pool2d", floats(&max_pool2d(x.clone(), &MaxPool2dOptions::new([2, 2]), own))),
        ("avg_pool2d", floats(&avg_pool2d(x.clone(), &AvgPool2dOptions::new([2, 2]), own))),
        ("adaptive_avg_pool2d", floats(&adaptive_avg_pool2d(x.clone(), [2, 3], own))),
        ("flatten", floats(&flatten(x.clone(), own))),
        ("fork", floats(&(left + right))),
        ("add", floats(&sum)),
        ("linear", floats(&linear(two([3, 5], 9), two([5, 8], 30), Some(bias.clone()), Activation::Relu, own))),
        ("dense", floats(&dense(two([3, 5], 9), two([5, 8], 30), Some(bias), Curve::Gelu, own))),
        ("layer_norm", floats(&layer_norm(two([3, 5], 9), one(5, 1), Some(one(5, 6)), 1e-5, own))),
        ("embedding", floats(&embedding(two([5, 4], 2), ids, own))),
        ("attention", floats(&attention(x.clone(), x.clone(), x.clone(), sight(), own))),
        ("self_attention", floats(&self_attention(x.clone().reshape([2, 14, 12]), 2, sight(), own))),
        ("cross_entropy", floats(&cross_entropy(two([3, 5], 9), two([3, 5], 60), own))),
        ("scaled_levels", floats(&scaled_levels((0..24).collect(), &numbers[..4], &numbers[4..8], device, own))),
    ];
    if device.is_autodiff() {
        let tracked = weight.require_grad();
        let gradients = conv2d(x, tracked.clone(), None, &options, own).sum().backward();
        all.push(("the gradient of conv2d", floats(&tracked.grad(&gradients).unwrap())));
    }
    // Steps take parameters with or without a history.
    let (step, tensors) = (
        AdamStep { rate: 0.1, epsilon: 1e-3, betas: [0.9, 0.99], penalty: 0.2, left: 0.98 },
        [two([3, 5], 9), two([3, 5], 30), two([3, 5], 60), two([3, 5], 90).abs()],
    );
    let [parameter, gradient, velocity, _] = tensors.clone();
    let momentum = MomentumStep { rate: 0.1, momentum: 0.9, nesterov: true, penalty: 0.2 };
    all.push(("adam_step", floats(&adam_step(tensors, step, own)[0])));
    all.push(("square_sum", floats(&square_sum(parameter.clone(), own))));
    all.push(("momentum_step", floats(&momentum_step([parameter, gradient, velocity], momentum, own)[0])));
    all
}

fn piece<const D: usize>(numbers: &[f32], from: usize, shape: [usize; D]) -> TensorData {
    TensorData::new(numbers[from..][..shape.iter().product::<usize>()].to_vec(), shape)
}

#[test]
#[expect(deprecated, reason = "a second opinion on numerics")]
fn another_backend_gets_burns_operations_and_agrees() {
    let numbers = floats(&random([1000]));
    for tracked in [false, true] {
        let [cpu, other] = [Device::flex(), Device::ndarray()]
            .map(|device| answers(&if tracked { device.autodiff() } else { device }, &numbers));
        for ((what, ours), (_, theirs)) in cpu.iter().zip(&other) {
            assert_close(ours, theirs, &format!("{what}, tracked: {tracked}"));
        }
    }
}
