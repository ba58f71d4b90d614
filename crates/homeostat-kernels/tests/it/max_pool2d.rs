use burn::tensor::{Tensor, TensorData};
use homeostat_kernels::{Kernels, MaxPool2dOptions, max_pool2d};

use crate::{assert_close, device, floats, random};

fn options() -> Vec<MaxPool2dOptions> {
    let base = MaxPool2dOptions::new([2, 2]);
    vec![
        base.clone(),
        MaxPool2dOptions::new([1, 3]),
        MaxPool2dOptions { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1] },
        MaxPool2dOptions { stride: [1, 1], ..base.clone() },
        MaxPool2dOptions { kernel: [2, 3], stride: [1, 2], padding: [1, 0], dilation: [2, 1] },
    ]
}

fn check(x: &Tensor<4>, options: &MaxPool2dOptions) {
    let what = format!("{:?}, {options:?}", x.dims());
    let run = |kernels: Kernels, upstream: Option<Tensor<4>>| {
        let x = x.clone().require_grad();
        let y = max_pool2d(x.clone(), options, kernels);
        let weighted = match upstream {
            Some(upstream) => y.clone() * upstream,
            None => y.clone(),
        };
        let gradients = weighted.sum().backward();
        (floats(&y), floats(&x.grad(&gradients).unwrap()), y.dims())
    };
    let upstream = random(run(Kernels::Burn, None).2);
    let reference = run(Kernels::Burn, Some(upstream.clone()));
    let ours = run(Kernels::Own, Some(upstream));
    assert_eq!(ours.2, reference.2, "{what}");
    assert_close(&ours.0, &reference.0, &what);
    assert_close(&ours.1, &reference.1, &format!("gradient, {what}"));
}

#[test]
fn values_and_gradients_are_those_of_burn() {
    for shape in [[1, 1, 3, 5], [2, 3, 7, 6], [3, 16, 6, 9], [1, 33, 8, 8]] {
        for options in options() {
            check(&random(shape), &options);
        }
    }
}

#[test]
fn ties_nan_and_infinity_are_settled_as_in_burn() {
    // Few different values, so that most windows have ties, and several NaN in a window.
    let palette = [0.0, -0.0, 1.0, 1.0, f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -1.0, 0.0];
    let shape = [2, 3, 8, 6];
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|i: usize| palette[(i * i + i / 7) % palette.len()]).collect();
    let x = Tensor::<4>::from_data(TensorData::new(values, shape), &device());
    for options in options() {
        check(&x, &options);
    }
    check(&Tensor::full([1, 2, 4, 4], f32::NEG_INFINITY, &device()), &MaxPool2dOptions::new([2, 2]));
}

#[test]
fn what_lies_otherwise_in_memory_gives_the_same() {
    let x = random([2, 6, 8, 3]).permute([0, 3, 1, 2]);
    for options in options() {
        check(&x, &options);
        check(&x.clone().flip([3]), &options);
    }
}
