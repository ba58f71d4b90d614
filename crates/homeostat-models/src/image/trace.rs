//! What each layer of a network makes and costs, written down while an image goes through it. It does not know networks.

use std::cell::RefCell;

use burn::{
    module::{Param, ParamId},
    tensor::Tensor,
};

/// What a layer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What kind it is of.
    pub(crate) kind: &'static str,
    /// Its weights.
    pub(crate) weight: ParamId,
    /// The shape of what came out.
    pub(crate) shape: Vec<usize>,
    /// Products that were summed.
    pub(crate) macs: u64,
}

thread_local! {
    static STEPS: RefCell<Option<Vec<Step>>> = const { RefCell::new(None) };
}

/// What the layers did while this ran, in order.
pub(crate) fn of(run: impl FnOnce()) -> Vec<Step> {
    STEPS.set(Some(Vec::new()));
    run();
    STEPS.take().unwrap_or_default()
}

/// Whether somebody wants to know.
pub(super) fn is_on() -> bool {
    STEPS.with_borrow(Option::is_some)
}

/// A convolution: each pixel of the result took all weights.
pub(super) fn window(weight: &Param<Tensor<4>>, y: &Tensor<4>) {
    write(|| {
        let [batch, _, height, width] = y.dims();
        step("convolution", weight, y, weight.lazy_shape().num_elements() * batch * height * width)
    });
}

/// A dense layer: each row of the result took all weights.
pub(super) fn rows<const D: usize>(weight: &Param<Tensor<2>>, y: &Tensor<D>) {
    write(|| {
        let dims = y.dims();
        step("dense", weight, y, weight.lazy_shape().num_elements() * dims[..D - 1].iter().product::<usize>())
    });
}

/// A layer whose products are not counted: normalisation.
pub(super) fn elements<const D: usize>(weight: &Param<Tensor<1>>, y: &Tensor<D>) {
    write(|| step("normalisation", weight, y, 0));
}

/// Attention of `length` to itself, by the layer that made queries, keys and values: scores and their use.
pub(super) fn attention(qkv: &Param<Tensor<2>>, y: &Tensor<3>) {
    write(|| {
        let [batch, length, width] = y.dims();
        step("attention", qkv, y, 2 * batch * length * length * width)
    });
}

fn step<const P: usize, const D: usize>(
    kind: &'static str,
    weight: &Param<Tensor<P>>,
    y: &Tensor<D>,
    macs: usize,
) -> Step {
    Step { kind, weight: weight.id, shape: y.dims().to_vec(), macs: macs as u64 }
}

fn write(step: impl FnOnce() -> Step) {
    STEPS.with_borrow_mut(|steps| {
        if let Some(steps) = steps {
            steps.push(step());
        }
    });
}
