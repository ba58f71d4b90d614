//! The operations of networks over sequences: dense layers with GELU, layer normalisation, embedding, attention and
//! cross-entropy. Own kernels where the tensors are theirs, else Burn's operations.

use burn::tensor::{
    Bool, Device, Distribution, Int, Tensor,
    activation::{gelu, gelu_approximate, log_softmax},
    module,
    ops::AttentionModuleOptions,
};

use crate::Kernels;

/// What follows a dense layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Curve {
    /// Nothing.
    #[default]
    Straight,
    /// GELU (Hendrycks & Gimpel 2016) with the error function.
    Gelu,
    /// GELU with the hyperbolic tangent in its place.
    GeluTanh,
}

/// A dense layer over the last axis: `[.., in]` times weights `[in, out]` plus bias, then the curve.
#[must_use]
pub fn dense<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    curve: Curve,
    kernels: Kernels,
) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) && kernels.take(&weight) {
        let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[1]], &x.device()));
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_dense(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            curve,
        ));
    }
    let x = module::linear(x, weight, bias);
    match curve {
        Curve::Straight => x,
        Curve::Gelu => gelu(x),
        Curve::GeluTanh => gelu_approximate(x),
    }
}

/// Layer normalisation (Ba, Kiros & Hinton 2016) of the last axis: `(x - mean) / deviation * scale + shift`.
#[must_use]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    scale: Tensor<1>,
    shift: Option<Tensor<1>>,
    epsilon: f64,
    kernels: Kernels,
) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) && kernels.take(&scale) {
        let shift = shift.unwrap_or_else(|| Tensor::zeros(scale.dims(), &x.device()));
        #[expect(clippy::cast_possible_truncation, reason = "it is added to 32-bit floats")]
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_layer_norm(
            x.into_dispatch(),
            scale.into_dispatch(),
            shift.into_dispatch(),
            epsilon as f32,
        ));
    }
    module::layer_norm(x, scale, shift, epsilon)
}

/// Rows of a table: `[count, width]` and ids `[batch, length]` give `[batch, length, width]`.
#[must_use]
pub fn embedding(table: Tensor<2>, ids: Tensor<2, Int>, kernels: Kernels) -> Tensor<3> {
    #[cfg(feature = "cpu")]
    if kernels.take(&table)
        && ids.shape().num_elements() > 0
        && matches!(ids.dtype(), burn::tensor::DType::I64 | burn::tensor::DType::I32)
    {
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_embedding(
            table.into_dispatch(),
            ids.into_dispatch(),
        ));
    }
    module::embedding(table, ids)
}

/// Who sees whom in attention.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// True where a query does not see a key: `[batch, heads, queries, keys]`, where an axis of 1 counts for all.
    /// A query that sees no key gets zeros.
    pub mask: Option<Tensor<4, Bool>>,
    /// A query sees no later key; the last query is at the place of the last key.
    pub causal: bool,
}

impl Sight {
    /// The mask; where there is none, one that hides nothing.
    fn mask_on(&self, device: &Device) -> Tensor<4, Bool> {
        self.mask.clone().unwrap_or_else(|| Tensor::full([1; 4], false, device))
    }
}

/// Scaled dot-product attention: queries `[batch, heads, queries, width]`, keys and values `[batch, heads, keys, ..]`.
/// Memory grows with the lengths, not with their product.
#[must_use]
pub fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, sight: Sight, kernels: Kernels) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if [&query, &key, &value].into_iter().all(|x| kernels.take(x)) && query.dims()[1] == key.dims()[1] {
        let mask = sight.mask_on(&query.device());
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_attention(
            query.into_dispatch(),
            key.into_dispatch(),
            value.into_dispatch(),
            mask.into_dispatch(),
            sight.causal,
        ));
    }
    let options = AttentionModuleOptions { is_causal: sight.causal, ..AttentionModuleOptions::default() };
    let batch_heads = |x: &Tensor<4>| [x.dims()[0], x.dims()[1], x.dims()[2]];
    let ([batch, heads, queries], [.., keys]) = (batch_heads(&query), batch_heads(&key));
    let mask = sight.mask.map(|mask| mask.expand([batch, heads, queries, keys]));
    module::attention(query, key, value, mask, None, options)
}

/// Attention of a sequence to itself: `[batch, length, 3 * width]`, queries, keys and values side by side and each cut into
/// heads, gives `[batch, length, width]`.
#[must_use]
pub fn self_attention(qkv: Tensor<3>, heads: usize, sight: Sight, kernels: Kernels) -> Tensor<3> {
    let [batch, length, all] = qkv.dims();
    let width = all / 3;
    assert!(all == 3 * width && width.is_multiple_of(heads), "self_attention: [.., {all}] in {heads} heads");
    #[cfg(feature = "cpu")]
    if kernels.take(&qkv) {
        let mask = sight.mask_on(&qkv.device());
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_self_attention(
            qkv.into_dispatch(),
            mask.into_dispatch(),
            heads,
            sight.causal,
        ));
    }
    let [query, key, value] = [0, 1, 2].map(|part| {
        let part = qkv.clone().narrow(2, part * width, width);
        part.reshape([batch, length, heads, width / heads]).swap_dims(1, 2)
    });
    attention(query, key, value, sight, kernels).swap_dims(1, 2).reshape([batch, length, width])
}

/// Softmax cross-entropy of each row: scores and soft targets, both `[rows, classes]`, give `[rows]`.
#[must_use]
pub fn cross_entropy(scores: Tensor<2>, targets: Tensor<2>, kernels: Kernels) -> Tensor<1> {
    #[cfg(feature = "cpu")]
    if kernels.take(&scores) && kernels.take(&targets) {
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_cross_entropy(
            scores.into_dispatch(),
            targets.into_dispatch(),
        ));
    }
    (log_softmax(scores, 1) * targets).sum_dim(1).squeeze_dim::<1>(1).neg()
}

/// Dropout (Srivastava et al. 2014): each number is zero with this probability, in 0..1, and what is left grows so that the mean
/// stays. What is dropped is drawn from the device's generator.
#[must_use]
pub fn dropout<const D: usize>(x: Tensor<D>, share: f64, kernels: Kernels) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        // A seed of 48 bits; all else follows from it.
        let drawn = Tensor::<1>::random([3], Distribution::Uniform(0.0, 65_536.0), &x.device().inner());
        let drawn = drawn.into_data_dtype(burn::tensor::DType::F32);
        let parts = drawn.as_slice::<f32>().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole parts below 2^16")]
        let seed = parts.iter().fold(0, |seed: u64, part| seed << 16 | *part as u64 & 0xFFFF);
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_dropout(x.into_dispatch(), seed, share));
    }
    let kept = x.random_like(Distribution::Bernoulli(1.0 - share));
    x * kept * (1.0 / (1.0 - share))
}

/// Softmax cross-entropy of each row of which one class is right: scores `[rows, classes]` and the numbers of the right classes
/// `[rows]` give `[rows]`.
#[must_use]
pub fn class_entropy(scores: Tensor<2>, right: Tensor<1, Int>, kernels: Kernels) -> Tensor<1> {
    #[cfg(feature = "cpu")]
    if kernels.take(&scores) && matches!(right.dtype(), burn::tensor::DType::I64 | burn::tensor::DType::I32) {
        return Tensor::from_dispatch(<Own as SequenceOps>::kernel_class_entropy(
            scores.into_dispatch(),
            right.into_dispatch(),
        ));
    }
    log_softmax(scores, 1).gather(1, right.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
}

#[cfg(feature = "cpu")]
use crate::sequence_extension::SequenceOps;

/// Burn's dispatch with our operations.
#[cfg(feature = "cpu")]
type Own = burn::backend::Dispatch;
