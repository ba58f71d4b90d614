use burn::tensor::Tensor;
use homeostat_kernels::{AvgPool2dOptions, Kernels, adaptive_avg_pool2d, avg_pool2d};

use crate::{assert_close, floats, random};

fn check(x: &Tensor<4>, what: &str, pool: impl Fn(Tensor<4>, Kernels) -> Tensor<4>) {
    let run = |kernels: Kernels| {
        let x = x.clone().require_grad();
        let y = pool(x.clone(), kernels);
        let gradients = (y.clone() * y.clone()).sum().backward();
        (floats(&y), floats(&x.grad(&gradients).unwrap()), y.dims())
    };
    let (ours, reference) = (run(Kernels::Own), run(Kernels::Burn));
    assert_eq!(ours.2, reference.2, "{what}");
    assert_close(&ours.0, &reference.0, what);
    assert_close(&ours.1, &reference.1, &format!("gradient, {what}"));
}

fn images() -> Vec<Tensor<4>> {
    let mut images: Vec<Tensor<4>> = [[1, 1, 4, 4], [2, 3, 7, 6], [3, 33, 8, 5]].map(random).to_vec();
    images.push(random([2, 6, 8, 3]).permute([0, 3, 1, 2]).flip([3]));
    images
}

#[test]
fn values_and_gradients_are_those_of_burn() {
    let base = AvgPool2dOptions::new([2, 2]);
    for x in images() {
        for options in [
            base.clone(),
            AvgPool2dOptions { stride: [1, 3], ..base.clone() },
            AvgPool2dOptions { kernel: [3, 3], stride: [2, 2], padding: [1, 1], count_padding: true },
            AvgPool2dOptions { kernel: [3, 2], stride: [2, 1], padding: [1, 1], count_padding: false },
        ] {
            check(&x, &format!("{:?}, {options:?}", x.dims()), |x, kernels| avg_pool2d(x, &options, kernels));
        }
    }
}

#[test]
fn adaptive_windows_are_those_of_burn() {
    for x in images() {
        for size in [[1, 1], [2, 3], [3, 2], [4, 4]] {
            check(&x, &format!("{:?} to {size:?}", x.dims()), |x, kernels| adaptive_avg_pool2d(x, size, kernels));
        }
    }
}
