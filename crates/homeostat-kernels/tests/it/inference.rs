//! What is done without gradients: fused pooling, and images that do not see whom they are with.

use burn::{nn::BatchNormConfig, tensor::Tensor};
use homeostat_kernels::{
    Activation, Conv2dOptions, Curve, Kernels, MaxPool2dOptions, conv_norm, conv2d, conv2d_halved, dense, linear,
    max_pool2d,
};

use crate::{assert_close, floats, plain, random};

/// Batch, channels, height and width of images; channels of the result. Narrow and wide, odd and even, few pixels and
/// many, for each way to compute.
const SHAPES: [([usize; 4], usize); 7] = [
    ([3, 3, 9, 8], 5),
    ([4, 3, 32, 30], 32),
    ([1, 32, 15, 15], 64),
    ([3, 32, 13, 16], 64),
    ([5, 40, 14, 31], 36),
    ([2, 70, 7, 7], 260),
    ([7, 33, 4, 5], 34),
];

fn options(padding: usize) -> Conv2dOptions {
    Conv2dOptions { padding: [(padding, padding); 2], activation: Activation::Relu, ..Conv2dOptions::default() }
}

fn inputs(shape: [usize; 4], out: usize) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
    (plain(&random(shape)), plain(&random([out, shape[1], 3, 3])), plain(&random([out])))
}

#[test]
fn pooling_within_the_convolution_is_pooling_after_it() {
    for (shape, out) in SHAPES {
        for padding in [0, 1] {
            let (x, w, bias) = inputs(shape, out);
            let options = options(padding);
            let fused = conv2d_halved(x.clone(), w.clone(), Some(bias.clone()), &options, Kernels::Own);
            let pooled = |kernels: Kernels| {
                let y = conv2d(x.clone(), w.clone(), Some(bias.clone()), &options, kernels);
                max_pool2d(y, &MaxPool2dOptions::new([2, 2]), kernels)
            };
            assert_eq!(fused.dims(), pooled(Kernels::Burn).dims());
            assert!(floats(&fused) == floats(&pooled(Kernels::Own)), "{shape:?} to {out}, padding {padding}");
            assert_close(&floats(&fused), &floats(&pooled(Kernels::Burn)), &format!("{shape:?} to {out}"));
        }
    }
}

#[test]
fn an_image_gets_the_same_bits_alone_and_among_others() {
    for (shape, out) in SHAPES {
        let (x, w, bias) = inputs(shape, out);
        let norm = BatchNormConfig::new(out).init(&x.device());
        let head = plain(&random([out * (shape[2] / 2) * (shape[3] / 2), 20]));
        let network = |x: Tensor<4>| {
            let y = conv2d_halved(x.clone(), w.clone(), Some(bias.clone()), &options(1), Kernels::Own);
            let dense = linear(y.flatten(1, 3), head.clone(), None, Activation::Linear, Kernels::Own);
            let normalised = conv_norm(x, w.clone(), &norm, None, &options(1), Kernels::Own);
            (floats(&dense), floats(&normalised))
        };
        let together = network(x.clone());
        for (image, x) in x.split(1, 0).into_iter().enumerate() {
            let alone = network(x);
            let share = |all: &[f32], one: &[f32]| all[image * one.len()..][..one.len()] == *one;
            assert!(share(&together.0, &alone.0) && share(&together.1, &alone.1), "image {image} of {shape:?}");
        }
    }
}

#[test]
fn a_row_gets_the_same_bits_from_a_dense_layer_alone_and_among_others() {
    for [rows, inputs, outputs] in [[3, 5, 7], [5, 300, 600], [130, 70, 33], [700, 270, 515]] {
        let (x, w) = (plain(&random([rows, inputs])), plain(&(random([inputs, outputs]) * 0.2)));
        let turned = plain(&w.clone().transpose()).transpose();
        let layer = |x: Tensor<2>, w: &Tensor<2>, kernels| dense(x, w.clone(), None, Curve::Gelu, kernels);
        let together = floats(&layer(x.clone(), &w, Kernels::Own));
        let what = format!("{rows} x {inputs} x {outputs}");
        assert_close(&together, &floats(&layer(x.clone(), &w, Kernels::Burn)), &what);
        for w in [&w, &turned, &w] {
            assert!(together == floats(&layer(x.clone(), w, Kernels::Own)), "{what}, weights otherwise in memory");
        }
        for row in [0, rows / 2, rows - 1] {
            let alone = floats(&layer(x.clone().narrow(0, row, 1), &w, Kernels::Own));
            assert!(together[row * outputs..][..outputs] == alone, "row {row} of {what}");
        }
    }
}
