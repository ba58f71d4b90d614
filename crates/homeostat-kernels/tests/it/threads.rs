use burn::{nn::BatchNormConfig, tensor::Tensor};
use homeostat_kernels::{
    Activation, Conv2dOptions, Kernels, MaxPool2dOptions, adaptive_avg_pool2d, conv_norm, conv2d, linear, max_pool2d,
};

use crate::{floats, random, value_and_gradients};

#[test]
fn the_bits_are_the_same_for_any_number_of_threads() {
    let options = Conv2dOptions { padding: [(1, 1), (1, 1)], activation: Activation::Relu, ..Conv2dOptions::default() };
    let (x, w, bias) = (random([9, 5, 12, 11]), random([40, 5, 3, 3]), random([40]));
    let dense = random([40 * 30, 20]);
    let network = |x: Tensor<4>, w: Tensor<4>, bias: Option<Tensor<1>>| {
        let y = max_pool2d(conv2d(x, w, bias, &options, Kernels::Own), &MaxPool2dOptions::new([2, 2]), Kernels::Own);
        linear(y.flatten(1, 3), dense.clone(), None, Activation::Linear, Kernels::Own)
    };
    let runs: Vec<(Vec<f32>, Vec<Vec<f32>>)> = [1, 2, 3, 4]
        .into_iter()
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (y, gradients) = value_and_gradients([x.clone(), w.clone()], Some(bias.clone()), None, network);
                (floats(&y), gradients)
            })
        })
        .collect();
    for run in &runs[1..] {
        assert!(run == &runs[0], "another number of threads, other bits");
    }
}

#[test]
fn the_bits_of_a_residual_block_are_the_same_for_any_number_of_threads() {
    // Wide enough for Winograd's way, with borders, and more pixels than a task has.
    let options = Conv2dOptions { padding: [(1, 1), (1, 1)], ..Conv2dOptions::default() };
    let (x, w) = (random([6, 32, 16, 16]), random([32, 32, 3, 3]));
    let device = x.device();
    let block = |x: Tensor<4>, w: Tensor<4>, _: Option<Tensor<1>>| {
        let norm = BatchNormConfig::new(32).init(&device);
        let y = conv_norm(x.clone(), w, &norm, Some(x), &options, Kernels::Own);
        adaptive_avg_pool2d(y, [1, 1], Kernels::Own)
    };
    let runs = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (y, gradients) = value_and_gradients([x.clone(), w.clone()], None, None, block);
            (floats(&y), gradients)
        })
    });
    assert!(runs[1..].iter().all(|run| *run == runs[0]), "another number of threads, other bits");
}
