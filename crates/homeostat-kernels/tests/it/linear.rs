use burn::tensor::{DType, Tensor};
use homeostat_kernels::{Activation, Kernels, linear};

use crate::{assert_close, floats, random, value_and_gradients};

const ACTIVATIONS: [Activation; 2] = [Activation::Linear, Activation::Relu];

fn check([x, w]: [Tensor<2>; 2], bias: Option<&Tensor<1>>, activation: Activation) {
    let what = format!("{:?} by {:?}, {activation:?}", x.dims(), w.dims());
    let upstream = random([x.dims()[0], w.dims()[1]]);
    let [ours, reference] = [Kernels::Own, Kernels::Burn].map(|kernels| {
        value_and_gradients([x.clone(), w.clone()], bias.cloned(), Some(&upstream), |x, w, b| {
            linear(x, w, b, activation, kernels)
        })
    });
    assert_close(&floats(&ours.0), &floats(&reference.0), &what);
    assert_eq!(ours.1.len(), reference.1.len(), "{what}");
    for (name, (ours, reference)) in ["x", "weight", "bias"].iter().zip(ours.1.iter().zip(&reference.1)) {
        assert_close(ours, reference, &format!("gradient of {name}, {what}"));
    }
}

#[test]
fn values_and_gradients_are_those_of_burn() {
    for [rows, inputs, outputs] in
        [[1, 1, 1], [3, 5, 7], [8, 16, 64], [33, 40, 10], [65, 17, 130], [300, 9, 33], [7, 200, 3]]
    {
        for activation in ACTIVATIONS {
            let tensors = [random([rows, inputs]), random([inputs, outputs])];
            check(tensors.clone(), Some(&random([outputs])), activation);
            check(tensors, None, activation);
        }
    }
}

#[test]
fn what_lies_otherwise_in_memory_gives_the_same() {
    check([random([9, 6]).transpose(), random([9, 5])], Some(&random([5])), Activation::Relu);
    check([random([6, 9]), random([5, 9]).transpose()], Some(&random([10]).narrow(0, 3, 5)), Activation::Linear);
}

#[test]
fn nan_passes_relu_and_its_gradient() {
    let x = random([3, 4]).slice_assign([1..2, 2..3], Tensor::full([1, 1], f32::NAN, &crate::device()));
    let (y, gradients) =
        value_and_gradients([x, random([4, 5])], None, None, |x, w, b| linear(x, w, b, Activation::Relu, Kernels::Own));
    assert_eq!(floats(&y).iter().filter(|y| y.is_nan()).count(), 5);
    assert!(gradients[0][4..8].iter().all(|x| x.is_finite()), "the weights are finite");
    assert!(gradients[1][10..15].iter().all(|x| x.is_nan()));
}

#[test]
fn other_types_go_to_burn() {
    let [x, w] = [random([2, 3]), random([3, 4])].map(|x| x.cast(DType::F64));
    assert_eq!(linear(x, w, None, Activation::Relu, Kernels::Own).dtype(), DType::F64);
}
