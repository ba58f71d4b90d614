use burn::{
    module::{Module, Param},
    nn::{BatchNorm, BatchNormConfig},
    tensor::Tensor,
};
use homeostat_kernels::{Activation, Conv2dOptions, Kernels, batch_norm, conv_norm};

use crate::{assert_close, device, floats, plain, random};

fn norm(gamma: &Tensor<1>, beta: &Tensor<1>) -> BatchNorm {
    let mut norm = BatchNormConfig::new(gamma.dims()[0]).with_momentum(0.3).init(&device());
    norm.gamma = norm.gamma.map(|_| gamma.clone().require_grad());
    norm.beta = norm.beta.map(|_| beta.clone().require_grad());
    norm
}

/// Value; gradients of input, residual, gamma and beta; running mean and variance.
fn run(
    x: &Tensor<4>,
    residual: Option<&Tensor<4>>,
    activation: Activation,
    norm: &BatchNorm,
    kernels: Kernels,
) -> Vec<Vec<f32>> {
    let x = x.clone().require_grad();
    let residual = residual.map(|residual| residual.clone().require_grad());
    let y = batch_norm(x.clone(), norm, residual.clone(), activation, kernels);
    let weights = Tensor::<4>::from_data(y.to_data(), &device()).cos();
    let gradients = (y.clone() * weights).sum().backward();
    let mut found = vec![floats(&y), floats(&x.grad(&gradients).unwrap())];
    found.extend(residual.map(|residual| floats(&residual.grad(&gradients).unwrap())));
    found.extend([&norm.gamma, &norm.beta].map(|parameter| floats(&parameter.val().grad(&gradients).unwrap())));
    found.extend([&norm.running_mean, &norm.running_var].map(|running| floats(&running.value_sync())));
    found
}

fn check(x: &Tensor<4>, residual: Option<&Tensor<4>>, activation: Activation) {
    let (gamma, beta) = (random([x.dims()[1]]), random([x.dims()[1]]));
    let [ours, reference] =
        [Kernels::Own, Kernels::Burn].map(|kernels| run(x, residual, activation, &norm(&gamma, &beta), kernels));
    for (index, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
        assert_close(ours, reference, &format!("{:?}, {activation:?}, result {index}", x.dims()));
    }
}

#[test]
fn values_gradients_and_running_statistics_are_those_of_burn() {
    for shape in [[2, 1, 1, 1], [1, 3, 5, 7], [4, 17, 3, 3], [3, 64, 8, 9], [40, 5, 6, 6]] {
        for activation in [Activation::Linear, Activation::Relu] {
            check(&(random(shape) + 0.5), None, activation);
            check(&random(shape), Some(&random(shape)), activation);
        }
    }
}

/// As where a network is fine-tuned and its statistics stay: they are constants, and gradients go through them.
#[test]
fn frozen_statistics_give_what_burn_gives() {
    for shape in [[1, 3, 5, 7], [4, 17, 3, 3], [40, 5, 6, 6]] {
        let (x, residual) = (random(shape) + 0.5, random(shape));
        let (gamma, beta) = (random([shape[1]]), random([shape[1]]));
        for (activation, residual) in [(Activation::Linear, None), (Activation::Relu, Some(&residual))] {
            let [ours, reference] = [Kernels::Own, Kernels::Burn].map(|kernels| {
                let mut norm = norm(&gamma, &beta);
                // One step, so that the running statistics are not the initial ones.
                let _ = batch_norm(x.clone() * 2.0, &norm, None, activation, Kernels::Burn);
                norm.training = Param::from_bool(false);
                run(&x, residual, activation, &norm, kernels)
            });
            for (index, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
                assert_close(ours, reference, &format!("{shape:?}, {activation:?}, result {index}"));
            }
        }
    }
}

#[test]
fn what_lies_otherwise_in_memory_gives_the_same() {
    let x = random([4, 6, 7, 5]).permute([3, 1, 2, 0]);
    check(&x, Some(&random([5, 6, 7, 4]).flip([2])), Activation::Relu);
    check(&x.flip([3]), None, Activation::Linear);
}

#[test]
fn nan_spoils_its_channel_alone() {
    let x =
        random([2, 3, 4, 4]).slice_assign([0..1, 1..2, 2..3, 2..3], Tensor::full([1, 1, 1, 1], f32::NAN, &device()));
    let y = floats(&batch_norm(x, &norm(&random([3]), &random([3])), None, Activation::Relu, Kernels::Own));
    for (index, y) in y.iter().enumerate() {
        assert_eq!(y.is_nan(), index / 16 % 3 == 1, "{index}");
    }
}

#[test]
fn gradients_are_slopes() {
    let x = random([2, 2, 3, 3]);
    let weights = random([2, 2, 3, 3]);
    let norm = norm(&random([2]), &random([2]));
    let tracked = x.clone().require_grad();
    let y = batch_norm(tracked.clone(), &norm, None, Activation::Linear, Kernels::Own);
    let gradient = floats(&tracked.grad(&(y * weights.clone()).sum().backward()).unwrap());
    // The same sum in double precision.
    let [x, weights, gamma] = [floats(&x), floats(&weights), floats(&norm.gamma.val())]
        .map(|f| f.iter().map(|&f| f64::from(f)).collect::<Vec<_>>());
    let sum = |x: &[f64]| -> f64 {
        let of = |channel: usize| (0..x.len()).filter(move |index| index / 9 % 2 == channel);
        (0..2)
            .map(|channel| {
                let mean = of(channel).map(|index| x[index]).sum::<f64>() / 18.0;
                let variance = of(channel).map(|index| (x[index] - mean).powi(2)).sum::<f64>() / 18.0;
                of(channel)
                    .map(|index| (x[index] - mean) / (variance + 1e-5).sqrt() * gamma[channel] * weights[index])
                    .sum::<f64>()
            })
            .sum()
    };
    for (index, gradient) in gradient.into_iter().enumerate() {
        let moved = |step: f64| {
            let mut x = x.clone();
            x[index] += step;
            sum(&x)
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((slope - f64::from(gradient)).abs() < 1e-4, "{index}: {gradient} for {slope}");
    }
}

#[test]
fn without_gradients_convolution_and_norm_are_one() {
    let norm = norm(&random([20]), &random([20]));
    // One step of training, so that the running statistics are not the initial ones.
    let _ = batch_norm(random([3, 20, 6, 6]) * 2.0 + 1.0, &norm, None, Activation::Linear, Kernels::Burn);
    let norm = norm.valid();
    let (x, w) = (plain(&random([2, 5, 9, 8])), plain(&random([20, 5, 3, 3])));
    let residual = plain(&random([2, 20, 5, 4]));
    for activation in [Activation::Linear, Activation::Relu] {
        for residual in [None, Some(residual.clone())] {
            let options =
                Conv2dOptions { stride: [2, 2], padding: [(1, 1); 2], activation, ..Conv2dOptions::default() };
            let [ours, reference] = [Kernels::Own, Kernels::Burn]
                .map(|kernels| floats(&conv_norm(x.clone(), w.clone(), &norm, residual.clone(), &options, kernels)));
            assert_close(&ours, &reference, &format!("{activation:?}, residual {}", residual.is_some()));
        }
    }
}
