//! Narrow layers behind the parts of a block, which learn in the place of the rest (adapters: Houlsby et al. 2019). It does not know what
//! the parts are.

use burn::{
    module::{Module, Param},
    nn::{Initializer, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::Curve;

use super::through;

/// The standard deviation of the first weights that make features fewer.
const DEVIATION: f64 = 0.02;
/// That of those that add to them: next to nothing, so that a network that is trained already stays what it is.
const NEXT_TO_NOTHING: f64 = 1e-3;

/// `x + up(gelu(down(x)))`, narrow between the two.
#[derive(Module, Debug)]
pub(super) struct Adapter {
    down: Linear,
    up: Linear,
}

impl Adapter {
    /// From so many features to these fewer ones and back; none for 0.
    pub(super) fn init(narrow: usize, width: usize, device: &Device) -> Option<Self> {
        let linear = |inputs, outputs, std| {
            let initializer = Initializer::Normal { mean: 0.0, std };
            let layer: Linear = LinearConfig::new(inputs, outputs).with_initializer(initializer).init(device);
            Linear { bias: Some(Param::from_tensor(Tensor::zeros([outputs], device))), ..layer }
        };
        let layers = || Self { down: linear(width, narrow, DEVIATION), up: linear(narrow, width, NEXT_TO_NOTHING) };
        (narrow > 0).then(layers)
    }

    /// To the same shape, if there is one.
    pub(super) fn behind(adapter: Option<&Self>, x: Tensor<3>) -> Tensor<3> {
        let Some(Self { down, up }) = adapter else { return x };
        x.clone() + through(up, through(down, x, Curve::Gelu), Curve::Straight)
    }
}
