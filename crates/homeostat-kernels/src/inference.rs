//! Convolutions without gradients, as a backend extension of Burn: bias or normalisation, residual, ReLU and max-pooling
//! are one pass, and the weights are laid out once. An image gets the same bits alone and among others. Only Burn's CPU backend is listed, without autodiff; see [`crate::extension`].

use std::sync::Arc;

use burn::{
    backend::{Backend, Flex, backend_extension, tensor::FloatTensor},
    tensor::ops::ConvOptions,
};
use burn_flex::FlexTensor;

use crate::{
    batch_norm::Scales,
    conv::Conv,
    extension::Convolution,
    flex::{floats, shape_of},
    gather::Finish,
    image::{channels_last, dims4, from_channels_last},
    prepared::{Form, Prepared, Way, Weight, prepared},
    simd::Isa,
    winograd::Winograd,
};

/// A convolution, the normalisation after it, and what follows.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub(crate) options: ConvOptions<2>,
    pub(crate) epsilon: f64,
    pub(crate) relu: bool,
    /// Whether there is one: else another tensor stands in its place.
    pub(crate) residual: bool,
}

#[allow(clippy::too_many_arguments, reason = "the macro takes tensors one by one")]
#[backend_extension(Flex)]
pub(crate) trait InferenceOps: Backend {
    /// Where it is not `biased`, another tensor stands in the bias' place.
    fn infer_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        biased: bool,
        convolution: Convolution,
        halved: bool,
    ) -> FloatTensor<Self>;

    fn infer_conv_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        folded: Folded,
    ) -> FloatTensor<Self>;
}

impl InferenceOps for Flex {
    fn infer_conv2d(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        biased: bool,
        convolution: Convolution,
        halved: bool,
    ) -> FlexTensor {
        let conv = shape_of(&x, &weight, &convolution.options);
        let made_of = if biased { vec![&weight, &bias] } else { vec![&weight] };
        let layer = |way: Way| {
            prepared(&made_of, Form::Convolution { groups: conv.groups, way }, || Prepared {
                weight: Weight::new(way, &conv, &floats(&weight)),
                bias: if biased { floats(&bias).into_owned() } else { vec![0.0; conv.channels[1]] },
            })
        };
        run(&x, &conv, layer, Follow { residual: None, relu: convolution.relu, halved })
    }

    fn infer_conv_norm(
        x: FlexTensor,
        weight: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        residual: FlexTensor,
        folded: Folded,
    ) -> FlexTensor {
        let conv = shape_of(&x, &weight, &folded.options);
        let made_of = [&weight, &gamma, &beta, &mean, &variance];
        let fold = |way: Way| {
            let [gamma, beta, mean, variance] = [&gamma, &beta, &mean, &variance].map(floats);
            let scales = Scales::new(&mean, &variance, folded.epsilon, [&gamma, &beta]);
            let factors: Vec<f32> =
                gamma.iter().zip(&scales.deviation).map(|(gamma, deviation)| gamma * deviation).collect();
            let mut weight = floats(&weight).into_owned();
            for (weight, factor) in weight.chunks_exact_mut(conv.patch()).zip(&factors) {
                weight.iter_mut().for_each(|weight| *weight *= factor);
            }
            let bias = beta.iter().zip(mean.iter().zip(&factors)).map(|(beta, (mean, factor))| beta - mean * factor);
            Prepared { weight: Weight::new(way, &conv, &weight), bias: bias.collect() }
        };
        let layer = |way: Way| prepared(&made_of, Form::Convolution { groups: conv.groups, way }, || fold(way));
        let residual = folded.residual.then_some(&residual);
        run(&x, &conv, layer, Follow { residual, relu: folded.relu, halved: false })
    }
}

/// What follows a convolution and its bias.
struct Follow<'a> {
    residual: Option<&'a FlexTensor>,
    relu: bool,
    halved: bool,
}

fn run(
    x: &FlexTensor,
    conv: &Conv,
    layer: impl Fn(Way) -> Arc<Prepared>,
    Follow { residual, relu, halved }: Follow<'_>,
) -> FlexTensor {
    let isa = Isa::detect();
    let [batch, channels, height, width] = [conv.batch, conv.channels[1], conv.out[0], conv.out[1]];
    if let Some(residual) = residual {
        assert_eq!(
            dims4(residual),
            [batch, channels, height, width],
            "conv_norm: the residual's shape is the result's"
        );
    }
    let (x, residual) = (channels_last(x), residual.map(channels_last));
    let run = |way: Way| {
        let prepared = layer(way);
        let finish = Finish { bias: Some(&prepared.bias), residual: residual.as_deref(), relu, halved };
        match &prepared.weight {
            Weight::Direct(weight) => Some(conv.forward_gather().run(isa, &x, weight, finish)),
            Weight::Winograd(weight) => conv.forward_winograd()?.run(isa, &x, weight, finish),
        }
    };
    let winograd = conv.forward_winograd().filter(Winograd::pays_with_weights);
    let y = winograd.and_then(|_| run(Way::Winograd)).or_else(|| run(Way::Direct));
    let [height, width] = if halved { [height / 2, width / 2] } else { [height, width] };
    from_channels_last(y.expect("the direct way gives what it finds"), [batch, channels, height, width])
}
