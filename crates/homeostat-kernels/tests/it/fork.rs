//! Branches of a block: their gradients are summed, whoever of them is used, and so are they.

use burn::tensor::Tensor;
use homeostat_kernels::{Conv2dOptions, Kernels, add, conv2d, fork};

use crate::{assert_close, floats, random};

/// The gradient of `x` through `f`, where `x` is a leaf and where a convolution made it, with our kernels and with Burn's.
fn check(what: &str, f: impl Fn([Tensor<4>; 3]) -> Tensor<4>) {
    let (leaf, weight) = (random([2, 3, 5, 6]), random([3, 3, 1, 1]));
    for made in [false, true] {
        let gradient = |kernels: Kernels| {
            let x = leaf.clone().require_grad();
            let y = if made {
                conv2d(x.clone(), weight.clone(), None, &Conv2dOptions::default(), kernels)
            } else {
                x.clone()
            };
            let gradients = f(fork(y, kernels)).sum().backward();
            floats(&x.grad(&gradients).unwrap())
        };
        assert_close(&gradient(Kernels::Own), &gradient(Kernels::Burn), &format!("{what}, made {made}"));
    }
}

#[test]
fn the_gradients_of_all_branches_are_summed() {
    check("all", |[a, b, c]| a.clone() * a + b * 3.0 + c.permute([0, 1, 2, 3]).flip([2]) * 0.5);
}

#[test]
fn a_branch_that_is_not_used_costs_the_others_nothing() {
    check("the first two", |[a, b, _]| a.clone() * a + b * 3.0);
    check("the last", |[_, _, c]| c.clone() * c);
}

#[test]
fn forks_of_forks_are_summed() {
    check("a fork in a branch", |[a, b, c]| {
        let [d, e] = fork(b * 2.0, Kernels::Own);
        a.clone() * d + e * c
    });
}

#[test]
fn branches_add_up_however_they_lie_and_whoever_shares_them() {
    let (x, weight) = (random([2, 3, 5, 6]), random([3, 3, 1, 1]));
    let outcome = |kernels: Kernels| {
        let [x, weight] = [x.clone(), weight.clone()].map(Tensor::require_grad);
        let [a, b] = fork(conv2d(x.clone(), weight.clone(), None, &Conv2dOptions::default(), kernels), kernels);
        // One as a convolution leaves it, one turned about; the first sum is used twice.
        let sum = add(a.clone() * a, b.permute([0, 1, 3, 2]).reshape([2, 3, 5, 6]), kernels);
        let whole = add(sum.clone(), sum.clone() * sum, kernels);
        let gradients = (whole.clone() * whole.clone()).sum().backward();
        [floats(&whole), floats(&x.grad(&gradients).unwrap()), floats(&weight.grad(&gradients).unwrap())]
    };
    for (ours, burns) in outcome(Kernels::Own).iter().zip(&outcome(Kernels::Burn)) {
        assert_close(ours, burns, "the sum and its gradients");
    }
    let wide = add(x.clone(), random([1, 3, 1, 1]), Kernels::Own);
    assert_eq!(wide.dims(), x.dims(), "shapes that fit are Burn's to add");
}
