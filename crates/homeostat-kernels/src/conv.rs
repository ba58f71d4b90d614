//! Convolution 2-D with bias and ReLU, forward and backward, in `[batch, height, width, channels]` order.
//!
//! Forward and towards the input, pixels gather through the kernel's taps ([`crate::gather`]); towards the weights,
//! channels of the output's gradient are multiplied with patches over all pixels ([`crate::conv_weights`]).

use std::ops::Range;

use crate::{
    conv_weights::WeightGradient,
    depthwise,
    gather::{Axis, Finish, Gather, Packed, WeightSteps},
    simd::Isa,
    winograd::{Transformed, Winograd},
};

/// The shape of one convolution.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub(crate) batch: usize,
    /// Channels in and out, of all groups.
    pub(crate) channels: [usize; 2],
    /// Height and width.
    pub(crate) input: [usize; 2],
    pub(crate) out: [usize; 2],
    /// Rows of zeros above, and columns of zeros on the left; those below and on the right follow from the others.
    pub(crate) padding: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Conv {
    pub(crate) fn pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    pub(crate) fn group_channels(&self) -> [usize; 2] {
        self.channels.map(|channels| channels / self.groups)
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Floats of a group's patch.
    pub(crate) fn patch(&self) -> usize {
        self.taps() * self.group_channels()[0]
    }

    /// Which input position an output position sees through a tap, along an axis.
    pub(crate) fn seen(&self, axis: usize, out: usize, tap: usize) -> Option<usize> {
        let at = (out * self.stride[axis] + tap * self.dilation[axis]).checked_sub(self.padding[axis])?;
        (at < self.input[axis]).then_some(at)
    }

    /// Which output position sees an input position through a tap.
    fn seen_by(&self, axis: usize, input: usize, tap: usize) -> Option<usize> {
        let at = (input + self.padding[axis]).checked_sub(tap * self.dilation[axis])?;
        let out = at / self.stride[axis];
        (at.is_multiple_of(self.stride[axis]) && out < self.out[axis]).then_some(out)
    }

    /// Which of `count` output columns from `first` on see a column of the input through a tap, counted from `first`.
    #[inline(always)]
    pub(crate) fn columns_seen(&self, tap: usize, first: usize, count: usize) -> Range<usize> {
        let (stride, offset) = (self.stride[1], tap * self.dilation[1]);
        let start = self.padding[1].saturating_sub(offset).div_ceil(stride);
        let end = (self.input[1] + self.padding[1]).saturating_sub(offset).div_ceil(stride);
        let start = start.saturating_sub(first).min(count);
        start..end.saturating_sub(first).clamp(start, count)
    }

    /// How output gathers input.
    pub(crate) fn forward_gather(&self) -> Gather {
        Gather {
            batch: self.batch,
            source: self.input,
            axes: [0, 1].map(|axis| {
                Axis::new(self.out[axis], self.kernel[axis], |position, tap| self.seen(axis, position, tap))
            }),
            columns: self.kernel[1],
            channels: self.group_channels(),
            groups: self.groups,
        }
    }

    /// Weights `[out, in / groups, rows, columns]` for [`Conv::forward_gather`].
    pub(crate) fn forward_weights(&self, isa: Isa, weight: &[f32]) -> Packed {
        Packed::new(isa, weight, self.forward_steps(), self.group_channels(), [self.groups, self.taps()])
    }

    fn forward_steps(&self) -> WeightSteps {
        WeightSteps { group: self.group_channels()[1] * self.patch(), result: self.patch(), source: self.taps() }
    }

    /// The way with fewer products, where there is one.
    pub(crate) fn forward_winograd(&self) -> Option<Winograd> {
        self.plain_3x3().then_some(Winograd {
            batch: self.batch,
            source: self.input,
            out: self.out,
            padding: self.padding,
            channels: self.channels,
        })
    }

    /// Weights for [`Conv::forward_winograd`].
    pub(crate) fn forward_transformed(&self, isa: Isa, weight: &[f32]) -> Transformed {
        Transformed::new(isa, weight, self.forward_steps(), self.channels, false)
    }

    fn plain_3x3(&self) -> bool {
        (self.kernel, self.stride, self.dilation, self.groups) == ([3, 3], [1, 1], [1, 1], 1)
            && self.padding.iter().all(|&padding| padding <= 2)
    }

    /// `conv(x, weight)`, finished, as `[batch, out height, out width, out channels]`.
    pub(crate) fn forward(&self, isa: Isa, x: &[f32], weight: &[f32], finish: Finish<'_>) -> Vec<f32> {
        self.forward_winograd()
            .filter(Winograd::pays)
            .and_then(|winograd| winograd.run(isa, x, &self.forward_transformed(isa, weight), finish))
            .unwrap_or_else(|| self.forward_gather().run(isa, x, &self.forward_weights(isa, weight), finish))
    }

    /// The gradient of the input, `[batch, height, width, channels]`, of the output's `gradient`.
    pub(crate) fn input_gradient(&self, isa: Isa, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let [channels_in, channels_out] = self.group_channels();
        let patch = self.patch();
        let steps = WeightSteps { group: channels_out * patch, result: self.taps(), source: patch };
        let channels = [channels_out, channels_in];
        let finish = Finish { bias: None, residual: None, relu: false, halved: false };
        if self.plain_3x3() {
            let padding = self.padding.map(|padding| 2 - padding);
            let winograd = Winograd { batch: self.batch, source: self.out, out: self.input, padding, channels };
            if winograd.pays() {
                let weight = Transformed::new(isa, weight, steps, channels, true);
                if let Some(found) = winograd.run(isa, gradient, &weight, finish) {
                    return found;
                }
            }
        }
        let gather = Gather {
            batch: self.batch,
            source: self.out,
            axes: [0, 1].map(|axis| {
                Axis::new(self.input[axis], self.kernel[axis], |position, tap| self.seen_by(axis, position, tap))
            }),
            columns: self.kernel[1],
            channels,
            groups: self.groups,
        };
        gather.run(isa, gradient, &Packed::new(isa, weight, steps, channels, [self.groups, self.taps()]), finish)
    }

    /// The gradient of the weights, `[out, in / groups, rows, columns]`.
    pub(crate) fn weight_gradient(&self, isa: Isa, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        if self.group_channels() == [1, 1] {
            return depthwise::weight_gradient(isa, self, x, gradient);
        }
        WeightGradient::new(self, isa).run(x, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in -1..1 without a generator.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    fn shapes() -> Vec<Conv> {
        let base = Conv {
            batch: 2,
            channels: [3, 70],
            input: [9, 8],
            out: [7, 6],
            padding: [0, 0],
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
        };
        vec![
            base.clone(),
            Conv { channels: [17, 33], padding: [1, 1], out: [9, 8], ..base.clone() },
            Conv { channels: [34, 50], batch: 4, padding: [1, 1], out: [9, 8], ..base.clone() },
            Conv { channels: [32, 35], batch: 9, input: [5, 4], padding: [0, 2], out: [3, 6], ..base.clone() },
            Conv { channels: [20, 48], out: [4, 3], stride: [2, 2], ..base.clone() },
            Conv { channels: [70, 34], out: [5, 4], padding: [1, 1], stride: [2, 2], ..base.clone() },
            Conv { batch: 40, channels: [18, 17], out: [3, 3], padding: [0, 1], stride: [3, 4], ..base.clone() },
            Conv { channels: [4, 6], groups: 2, out: [5, 4], dilation: [2, 2], ..base.clone() },
            Conv { channels: [5, 5], groups: 5, kernel: [1, 1], out: [9, 8], ..base.clone() },
            Conv { channels: [70, 70], groups: 70, padding: [1, 1], out: [9, 8], ..base.clone() },
            Conv {
                channels: [37, 37],
                groups: 37,
                batch: 3,
                padding: [1, 0],
                stride: [2, 3],
                out: [5, 2],
                ..base.clone()
            },
            Conv {
                channels: [16, 16],
                groups: 16,
                kernel: [5, 4],
                padding: [4, 3],
                dilation: [2, 1],
                out: [9, 11],
                ..base
            },
        ]
    }

    /// Calls `visit` with every product of the convolution: places in the output, the input and the weights.
    fn each_term(conv: &Conv, mut visit: impl FnMut(usize, usize, usize)) {
        let [group_in, group_out] = conv.group_channels();
        for pixel in 0..conv.batch * conv.pixels() {
            let (image, y, x) = (pixel / conv.pixels(), pixel % conv.pixels() / conv.out[1], pixel % conv.out[1]);
            for tap in 0..conv.taps() {
                let row = conv.seen(0, y, tap / conv.kernel[1]);
                let Some((row, column)) = row.zip(conv.seen(1, x, tap % conv.kernel[1])) else { continue };
                let at = ((image * conv.input[0] + row) * conv.input[1] + column) * conv.channels[0];
                for (out, channel) in (0..conv.channels[1]).flat_map(|out| (0..group_in).map(move |c| (out, c))) {
                    let from = at + out / group_out * group_in + channel;
                    visit(pixel * conv.channels[1] + out, from, (out * group_in + channel) * conv.taps() + tap);
                }
            }
        }
    }

    #[track_caller]
    fn assert_near(ours: &[f32], exact: &[f64], what: &str) {
        assert_eq!(ours.len(), exact.len(), "{what}");
        for (at, (&ours, &exact)) in ours.iter().zip(exact).enumerate() {
            assert!((f64::from(ours) - exact).abs() < 2e-5 * (1.0 + exact.abs()), "{what}: {ours}, {exact} at {at}");
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_double_precision() {
        for conv in shapes() {
            let x = numbers(conv.batch * conv.input[0] * conv.input[1] * conv.channels[0], 1);
            let weight = numbers(conv.channels[1] * conv.patch(), 2);
            let bias = numbers(conv.channels[1], 3);
            let gradient = numbers(conv.batch * conv.pixels() * conv.channels[1], 4);
            let mut y: Vec<f64> = (0..gradient.len()).map(|at| f64::from(bias[at % conv.channels[1]])).collect();
            let (mut x_gradient, mut w_gradient) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
            each_term(&conv, |out, from, w| {
                y[out] += f64::from(x[from]) * f64::from(weight[w]);
                x_gradient[from] += f64::from(gradient[out]) * f64::from(weight[w]);
                w_gradient[w] += f64::from(gradient[out]) * f64::from(x[from]);
            });
            y.iter_mut().for_each(|y| *y = y.max(0.0));
            let finish = Finish { bias: Some(&bias), residual: None, relu: true, halved: false };
            for isa in Isa::supported() {
                let what = format!("{isa:?}, {conv:?}");
                assert_near(&conv.forward(isa, &x, &weight, finish), &y, &what);
                assert_near(&conv.input_gradient(isa, &weight, &gradient), &x_gradient, &what);
                assert_near(&conv.weight_gradient(isa, &x, &gradient), &w_gradient, &what);
            }
        }
    }
}
