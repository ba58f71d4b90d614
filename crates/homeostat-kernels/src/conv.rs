//! Convolution 2-D with bias and ReLU, forward and backward, in `[batch, height, width, channels]` order.
//!
//! A patch of the image is a few runs of neighbouring floats (one a kernel row, where groups and dilation allow), and
//! with them all three products of a convolution read the image where it lies:
//! forward, pixels of the output times weights over the patch; towards the input, pixels of the output's gradient times
//! weights over the output's channels, added to the patch; towards the weights, channels of the output's gradient times
//! patches, over all pixels.

use rayon::prelude::*;

use crate::{
    product::{End, Panel, Product, Rows, Segment, Walk, panels},
    simd::{Isa, Kernel, Vector},
};

/// The shape of one convolution.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub(crate) batch: usize,
    /// Channels in and out, of all groups.
    pub(crate) channels: [usize; 2],
    /// Height and width with the padding.
    pub(crate) padded: [usize; 2],
    pub(crate) out: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
    pub(crate) relu: bool,
}

/// Neighbouring floats of a patch: `len` of them, `at` floats after the patch's first; the weights count them from `k`.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: usize,
    k: usize,
    len: usize,
}

impl Conv {
    /// Rows of a dense layer's result as images of one pixel.
    pub(crate) fn of_rows(rows: usize, channels: usize, relu: bool) -> Self {
        let one = [1, 1];
        Self {
            batch: 1,
            channels: [0, channels],
            padded: one,
            out: [rows, 1],
            kernel: one,
            stride: one,
            dilation: one,
            groups: 1,
            relu,
        }
    }

    fn pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    fn group_channels(&self) -> [usize; 2] {
        self.channels.map(|channels| channels / self.groups)
    }

    /// Floats of one image.
    fn image(&self) -> usize {
        self.padded[0] * self.padded[1] * self.channels[0]
    }

    /// Floats of a group's patch.
    fn patch(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_channels()[0]
    }

    /// Where the patch of an output pixel starts, in all images.
    fn patch_at(&self, pixel: usize) -> usize {
        let (image, pixel) = (pixel / self.pixels(), pixel % self.pixels());
        let (y, x) = (pixel / self.out[1], pixel % self.out[1]);
        image * self.image() + (y * self.stride[0] * self.padded[1] + x * self.stride[1]) * self.channels[0]
    }

    /// The runs of a patch of the first group; the patch is counted in the order kernel row, kernel column, channel.
    fn runs(&self) -> Vec<Run> {
        let [rows, columns] = self.kernel;
        let channels = self.group_channels()[0];
        let at = |y: usize, x: usize| {
            (y * self.dilation[0] * self.padded[1] + x * self.dilation[1]) * self.channels[0]
        };
        if self.groups == 1 && self.dilation[1] == 1 {
            let len = columns * channels;
            return (0..rows).map(|y| Run { at: at(y, 0), k: y * len, len }).collect();
        }
        (0..rows * columns)
            .map(|tap| Run { at: at(tap / columns, tap % columns), k: tap * channels, len: channels })
            .collect()
    }

    /// The weight of an output channel at place `k` of the patch, in `[out, in / groups, rows, columns]`.
    fn weight_at(&self, out: usize, k: usize) -> usize {
        let channels = self.group_channels()[0];
        let (tap, channel) = (k / channels, k % channels);
        (out * channels + channel) * self.kernel[0] * self.kernel[1] + tap
    }

    /// `relu(conv(x, weight) + bias)` as `[batch, out height, out width, out channels]`. `x` has its padding.
    pub(crate) fn forward(&self, isa: Isa, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let [channels_in, channels_out] = self.group_channels();
        let (patch, lanes) = (self.patch(), isa.lanes());
        let panels = panels(channels_out, isa, 4);
        let vectors: usize = panels.iter().map(|panel| panel.vectors).sum();
        let packed = self.pack_forward(weight, &panels, lanes);
        let runs = self.runs();
        let walks: Vec<Walk> = panels
            .iter()
            .map(|panel| {
                let b_step = panel.vectors * lanes;
                let segments =
                    runs.iter().map(|run| Segment { a: run.at, b: run.k * b_step, len: run.len }).collect();
                Walk { segments, a_step: 1, b_step }
            })
            .collect();
        let total = self.batch * self.pixels();
        let mut out = vec![0.0; total * self.channels[1]];
        let block = block(total);
        out.par_chunks_mut(block * self.channels[1]).enumerate().for_each(|(index, out)| {
            let first = index * block;
            let count = out.len() / self.channels[1];
            for group in 0..self.groups {
                let rows = ForwardRows { conv: self, first, group: group * channels_in };
                for (panel, walk) in panels.iter().zip(&walks) {
                    let column = group * channels_out;
                    isa.run(Product {
                        a: x,
                        rows: &rows,
                        range: 0..count,
                        b: &packed,
                        b_at: patch * lanes * (group * vectors) + patch * panel.at,
                        b_padded: true,
                        walk,
                        panel: Panel { at: column + panel.at, ..*panel },
                        out_at: column + panel.at,
                        out,
                        end: End::Store { bias: Some(bias), relu: self.relu },
                    });
                }
            }
        });
        out
    }

    /// A group after the other, a panel after the other: `[patch, panel]`, filled up with zeros to whole vectors.
    fn pack_forward(&self, weight: &[f32], panels: &[Panel], lanes: usize) -> Vec<f32> {
        let (patch, channels_out) = (self.patch(), self.group_channels()[1]);
        let vectors: usize = panels.iter().map(|panel| panel.vectors).sum();
        let mut packed = vec![0.0; self.groups * vectors * lanes * patch];
        let (channels, taps) = (self.group_channels()[0], self.kernel[0] * self.kernel[1]);
        for (group, packed) in packed.chunks_exact_mut(vectors * lanes * patch).enumerate() {
            for panel in panels {
                let width = panel.vectors * lanes;
                let packed = &mut packed[panel.at * patch..][..width * patch];
                for lane in 0..panel.width {
                    let from = &weight[(group * channels_out + panel.at + lane) * patch..][..patch];
                    for (channel, from) in from.chunks_exact(taps).enumerate() {
                        for (tap, &value) in from.iter().enumerate() {
                            packed[(tap * channels + channel) * width + lane] = value;
                        }
                    }
                }
            }
        }
        packed
    }

    /// The gradient of the padded input, `[batch, padded height, padded width, channels]`, of the output's `gradient`.
    pub(crate) fn input_gradient(&self, isa: Isa, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let [channels_in, channels_out] = self.group_channels();
        let lanes = isa.lanes();
        // Each panel of each run, with its weights as `[out, panel]`.
        let places: Vec<(Run, Panel)> =
            self.runs().iter().flat_map(|run| panels(run.len, isa, 3).into_iter().map(|panel| (*run, panel))).collect();
        let pack = |group: usize, (run, panel): (Run, Panel)| -> Vec<f32> {
            let width = panel.vectors * lanes;
            let mut packed = vec![0.0; channels_out * width];
            for (channel, packed) in packed.chunks_exact_mut(width).enumerate() {
                for (lane, value) in packed[..panel.width].iter_mut().enumerate() {
                    *value = weight[self.weight_at(group * channels_out + channel, run.k + panel.at + lane)];
                }
            }
            packed
        };
        let packed: Vec<Vec<f32>> = (0..self.groups * places.len())
            .into_par_iter()
            .map(|index| pack(index / places.len(), places[index % places.len()]))
            .collect();
        let mut out = vec![0.0; self.batch * self.image()];
        // So many images that the weights are read for a good number of pixels at a time.
        let images = 64_usize.div_ceil(self.pixels()).min(self.batch);
        out.par_chunks_mut(images * self.image()).enumerate().for_each(|(index, out)| {
            let first = index * images * self.pixels();
            let count = out.len() / self.image() * self.pixels();
            for (packed, place) in packed.iter().enumerate() {
                let (group, (run, panel)) = (packed / places.len(), places[packed % places.len()]);
                let walk = Walk {
                    segments: vec![Segment { a: 0, b: 0, len: channels_out }],
                    a_step: 1,
                    b_step: panel.vectors * lanes,
                };
                isa.run(Product {
                    a: gradient,
                    rows: &InputRows { conv: self, first, group: group * channels_out },
                    range: 0..count,
                    b: place,
                    b_at: 0,
                    b_padded: true,
                    walk: &walk,
                    panel,
                    out_at: group * channels_in + run.at + panel.at,
                    out,
                    end: End::Add,
                });
            }
        });
        out
    }

    /// The gradient of the weights, `[out, in / groups, rows, columns]`. `x` has its padding.
    pub(crate) fn weight_gradient(&self, isa: Isa, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let [channels_in, channels_out] = self.group_channels();
        let places: Vec<(Run, Panel)> =
            self.runs().iter().flat_map(|run| panels(run.len, isa, 3).into_iter().map(|panel| (*run, panel))).collect();
        let walk = self.pixel_walk();
        let block = 32.min(channels_out);
        let blocks = channels_out.div_ceil(block);
        let parts: Vec<Vec<f32>> = (0..self.groups * places.len() * blocks)
            .into_par_iter()
            .map(|index| {
                let (index, first) = (index / blocks, index % blocks * block);
                let (group, (run, panel)) = (index / places.len(), places[index % places.len()]);
                let count = block.min(channels_out - first);
                let mut part = vec![0.0; count * panel.width];
                for image in 0..self.batch {
                    let rows = WeightRows {
                        first: image * self.pixels() * self.channels[1] + group * channels_out + first,
                        width: panel.width,
                    };
                    isa.run(Product {
                        a: gradient,
                        rows: &rows,
                        range: 0..count,
                        b: x,
                        b_at: image * self.image() + group * channels_in + run.at + panel.at,
                        b_padded: false,
                        walk: &walk,
                        panel,
                        out_at: 0,
                        out: &mut part,
                        end: End::Add,
                    });
                }
                part
            })
            .collect();
        let mut out = vec![0.0; self.channels[1] * self.patch()];
        for (index, part) in parts.iter().enumerate() {
            let (index, first) = (index / blocks, index % blocks * block);
            let (group, (run, panel)) = (index / places.len(), places[index % places.len()]);
            for (channel, part) in part.chunks_exact(panel.width).enumerate() {
                for (lane, &value) in part.iter().enumerate() {
                    out[self.weight_at(group * channels_out + first + channel, run.k + panel.at + lane)] = value;
                }
            }
        }
        out
    }

    /// All output pixels of one image: in the output's gradient, and the patch in the image.
    fn pixel_walk(&self) -> Walk {
        let [height, width] = self.out;
        let (a_step, b_step) = (self.channels[1], self.stride[1] * self.channels[0]);
        let row = self.stride[0] * self.padded[1] * self.channels[0];
        let segments = if row == width * b_step {
            vec![Segment { a: 0, b: 0, len: height * width }]
        } else {
            (0..height).map(|y| Segment { a: y * width * a_step, b: y * row, len: width }).collect()
        };
        Walk { segments, a_step, b_step }
    }

    /// The gradient where ReLU let its input through, and the gradient of the bias.
    pub(crate) fn through_activation(&self, isa: Isa, y: &[f32], gradient: &[f32]) -> (Option<Vec<f32>>, Vec<f32>) {
        let channels = self.channels[1];
        let image = self.pixels() * channels;
        let mut passed = if self.relu { vec![0.0; gradient.len()] } else { vec![] };
        let sums: Vec<Vec<f32>> = if self.relu {
            passed
                .par_chunks_mut(image)
                .zip(gradient.par_chunks(image).zip(y.par_chunks(image)))
                .map(|(passed, (gradient, y))| isa.run(PassActivation { channels, y, gradient, passed }))
                .collect()
        } else {
            gradient.par_chunks(image).map(|gradient| isa.run(SumPixels { channels, gradient })).collect()
        };
        let mut bias = vec![0.0; channels];
        for sums in sums {
            bias.iter_mut().zip(sums).for_each(|(bias, sum)| *bias += sum);
        }
        (self.relu.then_some(passed), bias)
    }
}

/// Rows of a forward task: enough for the threads there may be, and so few that their patches stay near.
fn block(total: usize) -> usize {
    (total / 64).clamp(48, 480).div_ceil(24) * 24
}

struct ForwardRows<'a> {
    conv: &'a Conv,
    first: usize,
    group: usize,
}

impl Rows for ForwardRows<'_> {
    fn a(&self, row: usize) -> usize {
        self.conv.patch_at(self.first + row) + self.group
    }

    fn out(&self, row: usize) -> usize {
        row * self.conv.channels[1]
    }
}

struct InputRows<'a> {
    conv: &'a Conv,
    first: usize,
    group: usize,
}

impl Rows for InputRows<'_> {
    fn a(&self, row: usize) -> usize {
        (self.first + row) * self.conv.channels[1] + self.group
    }

    fn out(&self, row: usize) -> usize {
        self.conv.patch_at(row)
    }
}

struct WeightRows {
    first: usize,
    width: usize,
}

impl Rows for WeightRows {
    fn a(&self, row: usize) -> usize {
        self.first + row
    }

    fn out(&self, row: usize) -> usize {
        row * self.width
    }
}

/// `gradient` where `y` is positive or NaN, else zero; and its sum over pixels.
struct PassActivation<'a> {
    channels: usize,
    y: &'a [f32],
    gradient: &'a [f32],
    passed: &'a mut [f32],
}

impl Kernel for PassActivation<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let mut sums = vec![0.0; self.channels];
        let pixels = self.y.chunks_exact(self.channels).zip(self.gradient.chunks_exact(self.channels));
        for (passed, (y, gradient)) in self.passed.chunks_exact_mut(self.channels).zip(pixels) {
            let values = y.iter().zip(gradient);
            for ((passed, sum), (&y, &gradient)) in passed.iter_mut().zip(&mut sums).zip(values) {
                // A select, not a branch: the signs of activations are as good as random.
                *passed = if y > 0.0 || y.is_nan() { gradient } else { 0.0 };
                *sum += *passed;
            }
        }
        sums
    }
}

/// The sum over pixels.
struct SumPixels<'a> {
    channels: usize,
    gradient: &'a [f32],
}

impl Kernel for SumPixels<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Vec<f32> {
        let mut sums = vec![0.0; self.channels];
        for pixel in self.gradient.chunks_exact(self.channels) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        sums
    }
}
