use burn::tensor::Tensor;
use homeostat_kernels::{Activation, Conv2dOptions, Kernels, conv2d};

use crate::{assert_close, device, floats, plain, random, value_and_gradients};

/// Batch, channels in and out, height, width, kernel.
type Shape = (usize, usize, usize, usize, usize, [usize; 2]);

const SHAPES: [Shape; 8] = [
    (1, 1, 1, 1, 1, [1, 1]),
    (2, 3, 5, 7, 6, [3, 3]),
    (1, 4, 8, 9, 9, [3, 3]),
    (3, 6, 18, 5, 11, [1, 3]),
    (2, 16, 32, 6, 5, [3, 3]),
    (5, 12, 40, 4, 4, [1, 1]),
    (2, 20, 66, 7, 7, [2, 5]),
    (7, 2, 2, 10, 6, [5, 2]),
];

fn options() -> Vec<Conv2dOptions> {
    let base = Conv2dOptions::default();
    vec![
        base.clone(),
        Conv2dOptions { activation: Activation::Relu, ..base.clone() },
        Conv2dOptions { padding: [(1, 1), (1, 1)], activation: Activation::Relu, ..base.clone() },
        Conv2dOptions { padding: [(0, 2), (3, 1)], ..base.clone() },
        Conv2dOptions { stride: [2, 3], padding: [(2, 2), (2, 2)], ..base.clone() },
        Conv2dOptions { dilation: [2, 1], padding: [(4, 4), (3, 3)], ..base.clone() },
        Conv2dOptions { dilation: [1, 2], stride: [2, 1], padding: [(4, 4), (4, 4)], ..base },
    ]
}

fn check(
    (batch, channels_in, channels_out, height, width, [rows, columns]): Shape,
    options: &Conv2dOptions,
    biased: bool,
) {
    let fits = |size: usize, padding: (usize, usize), dilation: usize, kernel: usize| {
        size + padding.0 + padding.1 > dilation * (kernel - 1)
    };
    if !fits(height, options.padding[0], options.dilation[0], rows)
        || !fits(width, options.padding[1], options.dilation[1], columns)
    {
        return;
    }
    let what = format!("{batch}x{channels_in}x{height}x{width} to {channels_out} by {rows}x{columns}, {options:?}");
    let x = random([batch, channels_in, height, width]);
    let w = random([channels_out, channels_in / options.groups, rows, columns]);
    let bias = biased.then(|| random([channels_out]));
    let run = |kernels: Kernels, upstream: Option<&Tensor<4>>| {
        value_and_gradients([x.clone(), w.clone()], bias.clone(), upstream, |x, w, b| conv2d(x, w, b, options, kernels))
    };
    let upstream = random(run(Kernels::Burn, None).0.dims());
    let (reference, reference_gradients) = run(Kernels::Burn, Some(&upstream));
    let (ours, gradients) = run(Kernels::Own, Some(&upstream));
    assert_eq!(ours.dims(), reference.dims(), "{what}");
    assert_close(&floats(&ours), &floats(&reference), &what);
    assert_eq!(gradients.len(), reference_gradients.len());
    for (name, (ours, reference)) in ["x", "weight", "bias"].iter().zip(gradients.iter().zip(&reference_gradients)) {
        assert_close(ours, reference, &format!("gradient of {name}, {what}"));
    }
}

#[test]
fn values_and_gradients_are_those_of_burn() {
    for shape in SHAPES {
        for options in options() {
            check(shape, &options, true);
        }
        check(shape, &Conv2dOptions::default(), false);
    }
}

#[test]
fn groups_do_not_see_each_other() {
    for (groups, channels_in, channels_out) in [(2, 6, 4), (3, 6, 9), (4, 4, 4), (70, 70, 70), (5, 5, 10), (2, 34, 40)]
    {
        for options in options() {
            check((2, channels_in, channels_out, 6, 7, [3, 3]), &Conv2dOptions { groups, ..options }, true);
        }
    }
}

#[test]
fn what_lies_otherwise_in_memory_gives_the_same() {
    let x = random([3, 5, 8, 6]);
    let w = random([7, 5, 3, 3]);
    let straight = conv2d(x.clone(), w.clone(), None, &Conv2dOptions::default(), Kernels::Own);
    let turned = x.clone().permute([0, 2, 3, 1]) * 1.0;
    let w_turned = w.clone().permute([3, 2, 1, 0]) * 1.0;
    let again = conv2d(
        turned.permute([0, 3, 1, 2]),
        w_turned.permute([3, 2, 1, 0]),
        None,
        &Conv2dOptions::default(),
        Kernels::Own,
    );
    assert_eq!(floats(&straight), floats(&again));
    let flipped = conv2d(x.clone().flip([2, 3]), w.clone(), None, &Conv2dOptions::default(), Kernels::Own);
    let reference = conv2d(x.clone().flip([2, 3]), w.clone(), None, &Conv2dOptions::default(), Kernels::Burn);
    assert_close(&floats(&flipped), &floats(&reference), "flipped");
    let part = x.clone().slice([1..3, 1..5, 2..8, 0..5]);
    let w = w.slice([0..7, 0..4]);
    let ours = conv2d(part.clone(), w.clone(), None, &Conv2dOptions::default(), Kernels::Own);
    let reference = conv2d(part, w, None, &Conv2dOptions::default(), Kernels::Burn);
    assert_close(&floats(&ours), &floats(&reference), "slice");
}

#[test]
fn results_feed_the_operations_of_burn() {
    let y = conv2d(random([2, 3, 6, 5]), random([4, 3, 3, 3]), None, &Conv2dOptions::default(), Kernels::Own);
    let straight = Tensor::<4>::from_data(y.to_data(), &device());
    assert_eq!(floats(&y.clone().flatten::<2>(1, 3)), floats(&straight.clone().flatten::<2>(1, 3)));
    assert_eq!(floats(&(y.clone() + 1.0)), floats(&(straight.clone() + 1.0)));
    assert_close(&floats(&(y.mean_dim(3))), &floats(&straight.mean_dim(3)), "mean");
}

#[test]
fn nan_and_infinity_spread_as_in_burn() {
    let poison = |value: f32, at: [usize; 4], x: Tensor<4>| {
        let [b, c, h, w] = at;
        x.slice_assign([b..b + 1, c..c + 1, h..h + 1, w..w + 1], Tensor::full([1, 1, 1, 1], value, &device()))
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for options in options() {
            let x = poison(value, [1, 2, 3, 2], random([2, 3, 7, 6]));
            let w = random([5, 3, 3, 3]);
            let [ours, reference] = [Kernels::Own, Kernels::Burn].map(|kernels| {
                value_and_gradients([x.clone(), w.clone()], Some(random([5]) * 0.0), None, |x, w, b| {
                    conv2d(x, w, b, &options, kernels)
                })
            });
            assert_close(&floats(&ours.0), &floats(&reference.0), &format!("{value}, {options:?}"));
            let nans = |x: &[f32]| x.iter().map(|x| x.is_nan()).collect::<Vec<_>>();
            for (ours, reference) in ours.1.iter().zip(&reference.1) {
                assert_eq!(nans(ours), nans(reference), "{value}, {options:?}");
            }
        }
    }
}

#[test]
fn gradients_are_slopes() {
    // The sum of a convolution is linear in each argument, so a large step makes the difference exact but for rounding.
    let (x, w) = (random([1, 2, 5, 4]), random([3, 2, 3, 2]));
    let options = Conv2dOptions { stride: [2, 1], padding: [(1, 0), (1, 1)], ..Conv2dOptions::default() };
    let upstream = random(conv2d(x.clone(), w.clone(), None, &options, Kernels::Own).dims());
    let sum = |x: &Tensor<4>, w: &Tensor<4>| -> f64 {
        let y = conv2d(x.clone(), w.clone(), None, &options, Kernels::Own) * upstream.clone();
        floats(&y).into_iter().map(f64::from).sum()
    };
    let (_, gradients) = value_and_gradients([x.clone(), w.clone()], None, Some(&upstream), |x, w, b| {
        conv2d(x, w, b, &options, Kernels::Own)
    });
    let moved = |t: &Tensor<4>, index: usize| {
        let mut data = floats(t);
        data[index] += 1.0;
        Tensor::<4>::from_data(burn::tensor::TensorData::new(data, t.dims()), &device())
    };
    let base = sum(&x, &w);
    for (index, &gradient) in gradients[0].iter().enumerate() {
        assert!((sum(&moved(&x, index), &w) - base - f64::from(gradient)).abs() < 1e-4, "x {index}");
    }
    for (index, &gradient) in gradients[1].iter().enumerate() {
        assert!((sum(&x, &moved(&w, index)) - base - f64::from(gradient)).abs() < 1e-4, "weight {index}");
    }
}

#[test]
fn an_empty_batch_and_other_types_go_to_burn() {
    let w = random([4, 3, 3, 3]);
    let double = |x: Tensor<4>| x.cast(burn::tensor::DType::F64);
    let nothing = Tensor::<4>::zeros([0, 3, 5, 5], &device());
    let y = conv2d(nothing, w.clone(), None, &Conv2dOptions::default(), Kernels::Own);
    assert_eq!(y.dims(), [0, 4, 3, 3]);
    let y = conv2d(double(random([1, 3, 5, 5])), double(w), None, &Conv2dOptions::default(), Kernels::Own);
    assert_eq!(y.dtype(), burn::tensor::DType::F64);
}

#[test]
fn many_channels_take_the_way_with_fewer_products() {
    // Odd sizes, all paddings, and values that are not finite: that way must give all of them up to the direct one.
    let device = device();
    for (shape, padding) in [([2, 32, 17, 13], 0), ([5, 33, 8, 8], 1), ([3, 40, 9, 10], 2)] {
        let options = Conv2dOptions {
            padding: [(padding, padding); 2],
            activation: Activation::Relu,
            ..Conv2dOptions::default()
        };
        let [batch, channels, height, width] = shape;
        check((batch, channels, 36, height, width, [3, 3]), &options, true);
        let w = random([36, channels, 3, 3]);
        for value in [f32::NAN, f32::INFINITY, 1e38] {
            let x = random(shape).slice_assign([1..2, 3..4, 4..5, 5..6], Tensor::full([1, 1, 1, 1], value, &device));
            for (x, w) in [(x.clone(), w.clone()), (plain(&x), plain(&w))] {
                let [ours, reference] = [Kernels::Own, Kernels::Burn]
                    .map(|kernels| floats(&conv2d(x.clone(), w.clone(), None, &options, kernels)));
                assert_close(&ours, &reference, &format!("{value}, {shape:?}"));
            }
        }
    }
}
