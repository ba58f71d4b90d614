//! The operations on Burn's CPU tensors: from strided tensors to slices, and back.

use std::borrow::Cow;

use burn_flex::FlexTensor;

use crate::{
    MaxPool2dOptions, activation,
    conv::Conv,
    dense::Dense,
    extension::{Convolution, Gradients3, Layer},
    gather::Finish,
    image::{channels_last, contiguous, dims4, from_channels_last, lies_channels_last},
    pool::Pool,
    prepared,
    simd::Isa,
};
use burn::{backend::Flex, tensor::ops::ConvOptions};

pub(crate) fn conv2d(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor, convolution: &Convolution) -> FlexTensor {
    let conv = shape_of(x, weight, &convolution.options);
    let bias = floats(bias);
    let finish = Finish { bias: Some(&bias), residual: None, relu: convolution.relu, halved: false };
    let y = conv.forward(Isa::detect(), &channels_last(x), &floats(weight), finish);
    from_channels_last(y, [conv.batch, conv.channels[1], conv.out[0], conv.out[1]])
}

pub(crate) fn conv2d_gradients(
    layer: &Layer<Flex>,
    gradient: FlexTensor,
    convolution: &Convolution,
) -> Gradients3<Flex> {
    prepared::forget_the_dead();
    let isa = Isa::detect();
    let conv = shape_of(&layer.x, &layer.weight, &convolution.options);
    let gradient = lay_out(gradient);
    let y = channels_last(&layer.y);
    let (gradient, bias) = before_activation(conv.channels[1], convolution.relu.then_some(&y), gradient);
    let gradient = stored(&gradient);
    let [x_wanted, weight_wanted, bias_wanted] = layer.wanted;
    let x_gradient = x_wanted
        .then(|| from_channels_last(conv.input_gradient(isa, &floats(&layer.weight), gradient), dims4(&layer.x)));
    let weight_gradient = weight_wanted
        .then(|| contiguous(conv.weight_gradient(isa, &channels_last(&layer.x), gradient), dims4(&layer.weight)));
    [x_gradient, weight_gradient, bias_wanted.then(|| contiguous(bias, [conv.channels[1]]))]
}

pub(crate) fn max_pool2d(x: &FlexTensor, options: &MaxPool2dOptions) -> FlexTensor {
    let pool = pool_of(x, options);
    let y = pool.forward(Isa::detect(), &channels_last(x));
    from_channels_last(y, [pool.batch, pool.channels, pool.out[0], pool.out[1]])
}

pub(crate) fn max_pool2d_gradient(x: &FlexTensor, gradient: &FlexTensor, options: &MaxPool2dOptions) -> FlexTensor {
    let pool = pool_of(x, options);
    let out = pool.input_gradient(Isa::detect(), &channels_last(x), &channels_last(gradient));
    from_channels_last(out, dims4(x))
}

pub(crate) fn linear(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor, relu: bool) -> FlexTensor {
    let dense = dense_of(x, weight, relu);
    let y = dense.forward(Isa::detect(), &floats(x), &floats(weight), Some(&floats(bias)));
    contiguous(y, [dense.rows, dense.outputs])
}

pub(crate) fn linear_gradients(layer: &Layer<Flex>, gradient: FlexTensor, relu: bool) -> Gradients3<Flex> {
    let isa = Isa::detect();
    let dense = dense_of(&layer.x, &layer.weight, relu);
    let y = floats(&layer.y);
    // Moved where it can be: a tensor that nobody shares is masked in place.
    let gradient = if gradient.as_slice::<f32>().is_some() { gradient } else { gradient.to_contiguous() };
    let (gradient, bias) = before_activation(dense.outputs, relu.then_some(&y), gradient);
    let gradient = stored(&gradient);
    let [x_wanted, weight_wanted, bias_wanted] = layer.wanted;
    [
        x_wanted.then(|| {
            contiguous(dense.input_gradient(isa, &floats(&layer.weight), gradient), [dense.rows, dense.inputs])
        }),
        weight_wanted.then(|| {
            contiguous(dense.weight_gradient(isa, &floats(&layer.x), gradient), [dense.inputs, dense.outputs])
        }),
        bias_wanted.then(|| contiguous(bias, [dense.outputs])),
    ]
}

/// The same images with the channels of a pixel side by side.
pub(crate) fn lay_out(images: FlexTensor) -> FlexTensor {
    if lies_channels_last(images.layout()) {
        return images;
    }
    from_channels_last(channels_last(&images).into_owned(), dims4(&images))
}

/// The gradient before bias and activation, and the gradient of the bias. Nobody else needs the gradient any more, so it
/// is masked where it lies. Its channels are neighbours.
fn before_activation(channels: usize, y: Option<&Cow<'_, [f32]>>, mut gradient: FlexTensor) -> (FlexTensor, Vec<f32>) {
    let isa = Isa::detect();
    let bias = match y {
        Some(y) => {
            let range = gradient.layout().start_offset()..;
            activation::through_relu(isa, channels, y, &mut gradient.storage_mut::<f32>()[range][..y.len()])
        }
        None => activation::sum_rows(isa, channels, stored(&gradient)),
    };
    (gradient, bias)
}

/// The floats of a tensor without gaps, in the order in which they lie.
pub(crate) fn stored(tensor: &FlexTensor) -> &[f32] {
    &tensor.storage::<f32>()[tensor.layout().start_offset()..][..tensor.layout().num_elements()]
}

/// The floats of a tensor in row-major order, copied where they do not lie so.
pub(crate) fn floats(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(floats) => Cow::Borrowed(floats),
        None => Cow::Owned(tensor.to_contiguous().storage::<f32>().to_vec()),
    }
}

pub(crate) fn shape_of(x: &FlexTensor, weight: &FlexTensor, options: &ConvOptions<2>) -> Conv {
    let [batch, channels_in, height, width] = dims4(x);
    let [channels_out, group_in, rows, columns] = dims4(weight);
    let [(top, bottom), (left, right)] = options.padding;
    assert!(
        channels_in == group_in * options.groups && channels_out.is_multiple_of(options.groups),
        "conv2d: {channels_in} channels in {} groups for weights of {:?}",
        options.groups,
        dims4(weight)
    );
    let padded = [top + height + bottom, left + width + right];
    let out = |axis: usize, kernel: usize| {
        let reach = options.dilation[axis] * (kernel - 1) + 1;
        assert!(reach <= padded[axis], "conv2d: a kernel of {reach} on {padded:?}");
        (padded[axis] - reach) / options.stride[axis] + 1
    };
    Conv {
        batch,
        channels: [channels_in, channels_out],
        input: [height, width],
        out: [out(0, rows), out(1, columns)],
        padding: [top, left],
        kernel: [rows, columns],
        stride: options.stride,
        dilation: options.dilation,
        groups: options.groups,
    }
}

fn pool_of(x: &FlexTensor, options: &MaxPool2dOptions) -> Pool {
    let [batch, channels, height, width] = dims4(x);
    let input = [height, width];
    let out = [0, 1].map(|axis| {
        let reach = options.dilation[axis] * (options.kernel[axis] - 1) + 1;
        let padded = input[axis] + 2 * options.padding[axis];
        assert!(reach <= padded, "max_pool2d: a window of {reach} on {padded}");
        (padded - reach) / options.stride[axis] + 1
    });
    let MaxPool2dOptions { kernel, stride, padding, dilation } = *options;
    Pool { batch, channels, input, out, kernel, stride, padding, dilation }
}

fn dense_of(x: &FlexTensor, weight: &FlexTensor, relu: bool) -> Dense {
    let (x, weight) = (x.layout().shape(), weight.layout().shape());
    assert_eq!(x[1], weight[0], "linear: rows of {} for weights of {weight:?}", x[1]);
    Dense { rows: x[0], inputs: weight[0], outputs: weight[1], relu }
}
