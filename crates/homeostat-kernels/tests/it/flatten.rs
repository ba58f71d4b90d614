use burn::tensor::Tensor;
use homeostat_kernels::{Activation, Conv2dOptions, Kernels, conv2d, flatten};

use crate::{assert_close, floats, plain, random};

#[test]
fn values_and_gradients_are_those_of_burn() {
    let turned = random([2, 6, 8, 3]).permute([0, 3, 1, 2]);
    let flipped = turned.clone().flip([3]);
    let made = conv2d(random([3, 2, 5, 6]), random([33, 2, 3, 3]), None, &Conv2dOptions::default(), Kernels::Own);
    for x in [random([1, 1, 4, 4]), random([5, 1, 1, 1]), random([3, 7, 1, 1]), turned, flipped, made.detach()] {
        let run = |kernels: Kernels| {
            let x = x.clone().require_grad();
            let y: Tensor<2> = flatten(x.clone(), kernels);
            let gradients = (y.clone() * y.clone()).sum().backward();
            (floats(&y), floats(&x.grad(&gradients).unwrap()), y.dims())
        };
        let (ours, burns) = (run(Kernels::Own), run(Kernels::Burn));
        assert_eq!((&ours.0, ours.2), (&burns.0, burns.2), "{:?}", x.dims());
        assert_close(&ours.1, &burns.1, &format!("gradient, {:?}", x.dims()));
    }
}

#[test]
fn without_gradients_it_is_the_same() {
    let options = Conv2dOptions { activation: Activation::Relu, ..Conv2dOptions::default() };
    let x = conv2d(plain(&random([3, 2, 5, 6])), plain(&random([4, 2, 3, 3])), None, &options, Kernels::Own);
    assert_eq!(floats(&flatten(x.clone(), Kernels::Own)), floats(&flatten(x, Kernels::Burn)));
}
