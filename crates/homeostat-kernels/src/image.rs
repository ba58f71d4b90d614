//! Images as the kernels want them: `[batch, height, width, channels]`, so that a pixel's channels are neighbours.
//! A tensor keeps its shape `[batch, channels, height, width]`; only its strides say that it lies so.

use std::borrow::Cow;

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use crate::buffer::by_chunks;

/// `[batch, channels, height, width]` of a tensor.
pub(crate) fn dims4(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

/// The floats of an image tensor as `[batch, height, width, channels]`, borrowed where they already lie so.
pub(crate) fn channels_last(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    let [batch, channels, height, width] = dims4(tensor);
    let layout = tensor.layout();
    let count = layout.num_elements();
    if lies_channels_last(layout) {
        return Cow::Borrowed(&tensor.storage::<f32>()[layout.start_offset()..][..count]);
    }
    if layout.strides().iter().any(|&stride| stride < 0) {
        let straight = tensor.to_contiguous();
        return Cow::Owned(channels_last(&straight).into_owned());
    }
    let step = |axis: usize| layout.strides()[axis].unsigned_abs();
    let (from, start) = (tensor.storage::<f32>(), layout.start_offset());
    let row = width * channels;
    let image = height * row;
    Cow::Owned(by_chunks(batch * image, image, |image, to| {
        for y in 0..height {
            let to = &mut to[y * row..][..row];
            let at = start + image * step(0) + y * step(2);
            if step(1) == 1 {
                for (x, to) in to.chunks_exact_mut(channels).enumerate() {
                    to.copy_from_slice(&from[at + x * step(3)..][..channels]);
                }
            } else {
                let rows = |channel: usize| &from[at + channel * step(1)..];
                match (channels, step(3)) {
                    (3, 1) => interleave([0, 1, 2].map(rows), to),
                    (_, step) => {
                        for channel in 0..channels {
                            for (to, from) in
                                to[channel..].iter_mut().step_by(channels).zip(rows(channel).iter().step_by(step))
                            {
                                *to = *from;
                            }
                        }
                    }
                }
            }
        }
    }))
}

/// One row of colour pictures.
fn interleave<const C: usize>(from: [&[f32]; C], to: &mut [f32]) {
    let width = to.len() / C;
    let from = from.map(|from| &from[..width]);
    for (x, to) in to.as_chunks_mut::<C>().0.iter_mut().enumerate() {
        *to = from.map(|from| from[x]);
    }
}

/// Images of `pixels` by `channels` to `[batch, channels, pixels]`.
pub(crate) fn planes(images: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    by_chunks(images.len(), channels * pixels, |image, to| {
        for (pixel, from) in images[image * to.len()..][..to.len()].chunks_exact(channels).enumerate() {
            to[pixel..].iter_mut().step_by(pixels).zip(from).for_each(|(to, from)| *to = *from);
        }
    })
}

/// A tensor `[batch, channels, height, width]` whose floats lie as `[batch, height, width, channels]`.
pub(crate) fn from_channels_last(floats: Vec<f32>, [batch, channels, height, width]: [usize; 4]) -> FlexTensor {
    assert_eq!(floats.len(), batch * channels * height * width, "[{batch}, {channels}, {height}, {width}]");
    let strides = [channels * height * width, 1, width * channels, channels].map(usize::cast_signed);
    let layout = Layout::new(Shape::from([batch, channels, height, width]), strides.to_vec(), 0);
    FlexTensor::new(Bytes::from_elems(floats), layout, DType::F32)
}

/// A contiguous tensor.
pub(crate) fn contiguous<const D: usize>(floats: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    assert_eq!(floats.len(), shape.iter().product::<usize>(), "{shape:?}");
    FlexTensor::new(Bytes::from_elems(floats), Layout::contiguous(Shape::from(shape)), DType::F32)
}

pub(crate) fn lies_channels_last(layout: &Layout) -> bool {
    let shape = layout.shape();
    let (channels, height, width) = (shape[1], shape[2], shape[3]);
    let wanted = [channels * height * width, 1, width * channels, channels];
    layout
        .strides()
        .iter()
        .zip(wanted)
        .enumerate()
        .all(|(axis, (&stride, wanted))| shape[axis] == 1 || stride == wanted.cast_signed())
}
