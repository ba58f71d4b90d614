use burn::tensor::Tensor;
use homeostat_kernels::{AdamStep, Kernels, MomentumStep, adam_step, momentum_step, square_sum};

use crate::{assert_close, floats, random};

const ADAM: AdamStep = AdamStep { rate: 0.1, epsilon: 1e-3, betas: [0.9, 0.99], penalty: 0.2, left: 0.98 };

fn inner<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    random(shape).inner()
}

#[test]
fn a_step_is_that_of_tensors_and_leaves_what_others_hold() {
    for shape in [[1, 1], [3, 7], [130, 257]] {
        let turned = inner([shape[1], shape[0]]).transpose();
        for parameter in [inner(shape), turned] {
            let tensors = [parameter, inner(shape), inner(shape), inner(shape).abs()];
            let before = tensors.each_ref().map(floats);
            let [ours, reference] = [Kernels::Own, Kernels::Burn]
                .map(|kernels| adam_step(tensors.clone(), ADAM, kernels).map(|t| floats(&t)));
            for (part, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
                assert_close(ours, reference, &format!("Adam, {shape:?}, {part}"));
            }
            for nesterov in [false, true] {
                let step = MomentumStep { rate: 0.1, momentum: 0.9, nesterov, penalty: 0.2 };
                let [parameter, gradient, velocity, _] = tensors.clone();
                let tensors = [parameter, gradient, velocity];
                let [ours, reference] = [Kernels::Own, Kernels::Burn]
                    .map(|kernels| momentum_step(tensors.clone(), step, kernels).map(|t| floats(&t)));
                for (part, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
                    assert_close(ours, reference, &format!("momentum, {shape:?}, nesterov {nesterov}, {part}"));
                }
            }
            assert_eq!(tensors.each_ref().map(floats), before, "a clone has changed");
        }
    }
}

#[test]
fn nan_stays_where_it_is() {
    let gradient = inner([4, 5]).slice_assign([1..2, 2..3], inner([1, 1]) * f32::NAN);
    let [parameter, ..] = adam_step([inner([4, 5]), gradient, inner([4, 5]), inner([4, 5]).abs()], ADAM, Kernels::Own);
    let nans: Vec<bool> = floats(&parameter).iter().map(|x| x.is_nan()).collect();
    assert_eq!(nans, (0..20).map(|at| at == 7).collect::<Vec<_>>());
}

#[test]
fn the_sum_of_squares_is_that_of_float64_also_of_a_turned_tensor() {
    for shape in [[1, 1], [3, 7], [130, 257], [600, 500]] {
        for tensor in [inner(shape), inner([shape[1], shape[0]]).transpose()] {
            let expected: f64 = floats(&tensor).iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            for kernels in [Kernels::Own, Kernels::Burn] {
                let found = f64::from(square_sum(tensor.clone(), kernels).into_scalar::<f32>());
                assert!((found - expected).abs() <= 1e-6 * expected, "{shape:?}, {kernels:?}: {found} and {expected}");
            }
        }
    }
    let broken = inner([4, 5]).slice_assign([1..2, 2..3], inner([1, 1]) * f32::NAN);
    assert!(square_sum(broken, Kernels::Own).into_scalar::<f32>().is_nan());
}
