//! Keys and values of no token, which all tokens of a block see (prefix tuning: Li & Liang 2021). It does not know what tokens stand for.

use burn::{
    module::{Module, Param},
    nn::Initializer,
    tensor::{Bool, Device, Tensor},
};
use homeostat_kernels::Sight;

/// The standard deviation of the first ones.
const DEVIATION: f64 = 0.02;

/// Keys and values before those of a block's tokens, `[prefix, heads * width]` each.
#[derive(Module, Debug)]
pub(super) struct Prefix {
    keys: Param<Tensor<2>>,
    values: Param<Tensor<2>>,
}

impl Prefix {
    /// So many, of so many features together; none for 0.
    pub(super) fn init(length: usize, features: usize, device: &Device) -> Option<Self> {
        let draw = || Initializer::Normal { mean: 0.0, std: DEVIATION }.init([length, features], device);
        (length > 0).then(|| Self { keys: draw(), values: draw() })
    }

    /// Keys and values of tokens, `[batch, heads, length, width]` each, with these before them.
    pub(super) fn before(&self, [keys, values]: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
        let put = |own: &Param<Tensor<2>>, of_tokens: Tensor<4>| {
            let ([length, _], [batch, heads, _, width]) = (own.dims(), of_tokens.dims());
            let own = own.val().reshape([1, length, heads, width]).swap_dims(1, 2);
            Tensor::cat(vec![own.expand([batch, heads, length, width]), of_tokens], 2)
        };
        [put(&self.keys, keys), put(&self.values, values)]
    }

    /// What tokens see where all of them see these, too.
    pub(super) fn seen(length: usize, padding: Option<Tensor<2, Bool>>, causal: bool) -> Sight {
        let mask = padding.map(|padding| {
            let [batch, _] = padding.dims();
            if length == 0 {
                return padding.unsqueeze_dims(&[1, 2]);
            }
            let own = Tensor::<2, Bool>::full([batch, length], false, &padding.device());
            Tensor::cat(vec![own, padding], 1).unsqueeze_dims(&[1, 2])
        });
        Sight { mask, causal }
    }
}
