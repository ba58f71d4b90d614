//! Batch normalisation and average pooling on Burn's CPU tensors: from strided tensors to slices, and back.

use burn::backend::Flex;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::{
    batch_norm::{self, Scales},
    flex::{floats, lay_out, stored},
    image::{channels_last, contiguous, dims4, from_channels_last, planes},
    image_ops::{Normalisation, Normalised},
    mean_pool::MeanPool,
    simd::Isa,
};

/// Floats that a task adds.
const ADDED: usize = 1 << 14;

pub(crate) fn moments(x: &FlexTensor) -> FlexTensor {
    let [_, channels, _, _] = dims4(x);
    contiguous(batch_norm::moments(Isa::detect(), channels, &channels_last(x)), [2 * channels])
}

pub(crate) fn batch_norm(
    kept: &Normalised<Flex>,
    residual: Option<&FlexTensor>,
    normalisation: &Normalisation,
) -> FlexTensor {
    let dims = dims4(&kept.x);
    if let Some(residual) = residual {
        assert_eq!(dims4(residual), dims, "batch_norm: the residual must have the shape of the input");
    }
    let residual = residual.map(channels_last);
    let y = with_scales(kept, normalisation.epsilon, |scales| {
        let x = channels_last(&kept.x);
        batch_norm::normalise(Isa::detect(), &x, scales, residual.as_deref(), normalisation.relu)
    });
    from_channels_last(y, dims)
}

pub(crate) fn batch_norm_gradients(
    kept: &Normalised<Flex>,
    gradient: FlexTensor,
    normalisation: &Normalisation,
    [x_wanted, gamma_wanted, beta_wanted, residual_wanted]: [bool; 4],
) -> [Option<FlexTensor>; 4] {
    let isa = Isa::detect();
    let dims = dims4(&kept.x);
    let mut gradient = lay_out(gradient);
    let x = channels_last(&kept.x);
    with_scales(kept, normalisation.epsilon, |scales| {
        let y = kept.y.as_ref().map(channels_last);
        // Nobody else needs the gradient any more, so it is masked where it lies.
        let range = gradient.layout().start_offset()..;
        let sums =
            batch_norm::sums(isa, &x, scales, y.as_deref(), &mut gradient.storage_mut::<f32>()[range][..x.len()]);
        let x_gradient = x_wanted.then(|| {
            let minded = normalisation.by_batch.then_some(&sums);
            from_channels_last(batch_norm::input_gradient(isa, &x, scales, stored(&gradient), minded), dims)
        });
        let [beta, gamma] = sums.map(|sum| contiguous(sum, [dims[1]]));
        [x_gradient, gamma_wanted.then_some(gamma), beta_wanted.then_some(beta), residual_wanted.then_some(gradient)]
    })
}

fn with_scales<T>(kept: &Normalised<Flex>, epsilon: f64, f: impl FnOnce(&Scales<'_>) -> T) -> T {
    let [moments, gamma, beta] = [&kept.moments, &kept.gamma, &kept.beta].map(floats);
    let (mean, variance) = moments.split_at(moments.len() / 2);
    assert_eq!([mean.len(), gamma.len(), beta.len()], [dims4(&kept.x)[1]; 3], "batch_norm: a number for each channel");
    f(&Scales::new(mean, variance, epsilon, [&gamma, &beta]))
}

pub(crate) fn mean_pool(x: &FlexTensor, pool: &MeanPool) -> FlexTensor {
    let out = pool.windows.each_ref().map(Vec::len);
    from_channels_last(pool.forward(Isa::detect(), &channels_last(x)), [pool.batch, pool.channels, out[0], out[1]])
}

pub(crate) fn mean_pool_gradient(gradient: &FlexTensor, pool: &MeanPool) -> FlexTensor {
    let x = pool.input_gradient(Isa::detect(), &channels_last(gradient));
    from_channels_last(x, [pool.batch, pool.channels, pool.input[0], pool.input[1]])
}

pub(crate) fn row_major(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() {
        return x;
    }
    let dims @ [_, channels, height, width] = dims4(&x);
    contiguous(planes(&channels_last(&x), channels, height * width), dims)
}

/// Images that lie alike are added where the first ones lie, if nobody shares them.
pub(crate) fn sum(one: FlexTensor, other: FlexTensor) -> FlexTensor {
    let (mut one, other) = (lay_out(one), lay_out(other));
    let range = one.layout().start_offset()..;
    let from = stored(&other);
    one.storage_mut::<f32>()[range][..from.len()]
        .par_chunks_mut(ADDED)
        .zip(from.par_chunks(ADDED))
        .for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, from)| *to += from));
    one
}
