//! Convolution 2-D with bias and ReLU, forward and backward, in `[batch, height, width, channels]` order.
//!
//! A patch of the image is a few runs of neighbouring floats (one a kernel row, where groups and dilation allow), and
//! with them all three products of a convolution read the image where it lies:
//! forward, pixels of the output times weights over the patch; towards the input, pixels of the output's gradient times
//! weights over the output's channels, added to the patch; towards the weights, channels of the output's gradient times
//! patches, over all pixels.

use rayon::prelude::*;

use crate::{
    buffer::by_chunks,
    product::{End, Panel, Product, Rows, Segment, Walk, panels, spaced},
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
    /// ReLU after the bias.
    pub(crate) relu: bool,
}

/// Runs up to this length would waste most of a vector.
const THIN: usize = 16;

/// Neighbouring floats of a patch: `len` of them, `at` floats after the patch's first; the weights count them from `k`.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: usize,
    k: usize,
    len: usize,
}

impl Conv {
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

    /// Where the patches of output pixels start, from `pixel` on, counted through all images.
    fn patches_at(&self, pixel: usize, to: &mut [usize]) {
        let (mut image, pixel) = (pixel / self.pixels(), pixel % self.pixels());
        let (mut y, mut x) = (pixel / self.out[1], pixel % self.out[1]);
        let (row, step) = (self.stride[0] * self.padded[1] * self.channels[0], self.stride[1] * self.channels[0]);
        for to in to {
            *to = image * self.image() + y * row + x * step;
            x += 1;
            if x == self.out[1] {
                (x, y) = (0, y + 1);
                if y == self.out[0] {
                    (y, image) = (0, image + 1);
                }
            }
        }
    }

    /// The runs of a patch of the first group; the patch is counted in the order kernel row, kernel column, channel.
    fn runs(&self) -> Vec<Run> {
        let [rows, columns] = self.kernel;
        let channels = self.group_channels()[0];
        let at = |y: usize, x: usize| (y * self.dilation[0] * self.padded[1] + x * self.dilation[1]) * self.channels[0];
        if self.groups == 1 && self.dilation[1] == 1 {
            let len = columns * channels;
            return (0..rows).map(|y| Run { at: at(y, 0), k: y * len, len }).collect();
        }
        (0..rows * columns)
            .map(|tap| Run { at: at(tap / columns, tap % columns), k: tap * channels, len: channels })
            .collect()
    }

    /// Weights `[out, in / groups, rows, columns]` as `[out, patch]`, in the patch's order; or back.
    fn reorder(&self, from: &[f32], back: bool) -> Vec<f32> {
        let (channels, taps) = (self.group_channels()[0], self.kernel[0] * self.kernel[1]);
        let (outer, inner) = if back { (taps, channels) } else { (channels, taps) };
        let mut to = vec![0.0; from.len()];
        for (from, to) in from.chunks_exact(self.patch()).zip(to.chunks_exact_mut(self.patch())) {
            for (first, from) in (0..outer).zip(from.chunks_exact(inner)) {
                for (from, to) in from.iter().zip(to[first..].iter_mut().step_by(outer)) {
                    *to = *from;
                }
            }
        }
        to
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
                let segments = runs.iter().map(|run| Segment { a: run.at, b: run.k * b_step, len: run.len }).collect();
                Walk { segments, a_step: 1, b_step }
            })
            .collect();
        let total = self.batch * self.pixels();
        let block = block(total);
        by_chunks(total * self.channels[1], block * self.channels[1], |index, out| {
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
        })
    }

    /// A group after the other, a panel after the other: `[patch, panel]`, filled up with zeros to whole vectors.
    fn pack_forward(&self, weight: &[f32], panels: &[Panel], lanes: usize) -> Vec<f32> {
        let (patch, channels_out) = (self.patch(), self.group_channels()[1]);
        let vectors: usize = panels.iter().map(|panel| panel.vectors).sum();
        let (channels, taps) = (self.group_channels()[0], self.kernel[0] * self.kernel[1]);
        let mut packed = vec![0.0; self.groups * vectors * lanes * patch];
        for (group, packed) in packed.chunks_exact_mut(vectors * lanes * patch).enumerate() {
            for panel in panels {
                let width = panel.vectors * lanes;
                let packed = &mut packed[panel.at * patch..][..width * patch];
                let weight = &weight[(group * channels_out + panel.at) * patch..][..panel.width * patch];
                for place in 0..patch {
                    // In the order of the weights: so each of their streams is read through once.
                    let (channel, tap) = (place / taps, place % taps);
                    let to = &mut packed[(tap * channels + channel) * width..][..panel.width];
                    for (to, from) in to.iter_mut().zip(weight[place..].iter().step_by(patch)) {
                        *to = *from;
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
        let (weight, patch) = (self.reorder(weight, false), self.patch());
        let pack = |group: usize, (run, panel): (Run, Panel)| -> Vec<f32> {
            let width = panel.vectors * lanes;
            let mut packed = vec![0.0; channels_out * width];
            for (channel, packed) in packed.chunks_exact_mut(width).enumerate() {
                let from = (group * channels_out + channel) * patch + run.k + panel.at;
                packed[..panel.width].copy_from_slice(&weight[from..][..panel.width]);
            }
            packed
        };
        let packed: Vec<Vec<f32>> = (0..self.groups * places.len())
            .into_par_iter()
            .map(|index| pack(index / places.len(), places[index % places.len()]))
            .collect();
        // So many images that the weights are read for a good number of pixels at a time.
        let images = 64_usize.div_ceil(self.pixels()).min(self.batch);
        by_chunks(self.batch * self.image(), images * self.image(), |index, out| {
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
        })
    }

    /// The gradient of the weights, `[out, in / groups, rows, columns]`. `x` has its padding.
    pub(crate) fn weight_gradient(&self, isa: Isa, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        if self.groups == 1 && self.kernel != [1, 1] && self.runs().iter().all(|run| run.len < THIN) {
            return self.thin_weight_gradient(isa, x, gradient);
        }
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
                let to = (group * channels_out + first + channel) * self.patch() + run.k + panel.at;
                out[to..][..panel.width].copy_from_slice(part);
            }
        }
        self.reorder(&out, true)
    }

    /// The same for few channels: patches are copied side by side first, since their runs would not fill vectors.
    fn thin_weight_gradient(&self, isa: Isa, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (patch, channels) = (self.patch(), self.channels[1]);
        let (runs, panels) = (self.runs(), panels(patch, isa, 3));
        let walk = Walk { segments: vec![Segment { a: 0, b: 0, len: self.pixels() }], a_step: channels, b_step: patch };
        // The number of tasks depends on the shape alone, and their sums are added up in order.
        let images = self.batch.div_ceil(8);
        let parts: Vec<Vec<f32>> = x
            .par_chunks(images * self.image())
            .zip(gradient.par_chunks(images * self.pixels() * channels))
            .map(|(x, gradient)| {
                let mut patches = vec![0.0; self.pixels() * patch];
                let mut part = vec![0.0; channels * patch];
                let images = x.chunks_exact(self.image()).zip(gradient.chunks_exact(self.pixels() * channels));
                for (image, gradient) in images {
                    isa.run(Unfold { conv: self, runs: &runs, image, patches: &mut patches });
                    for &panel in &panels {
                        isa.run(Product {
                            a: gradient,
                            rows: &WeightRows { first: 0, width: patch },
                            range: 0..channels,
                            b: &patches,
                            b_at: panel.at,
                            b_padded: false,
                            walk: &walk,
                            panel,
                            out_at: panel.at,
                            out: &mut part,
                            end: End::Add,
                        });
                    }
                }
                part
            })
            .collect();
        let mut out = vec![0.0; channels * patch];
        for part in parts {
            out.iter_mut().zip(part).for_each(|(out, part)| *out += part);
        }
        self.reorder(&out, true)
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
    fn a(&self, row: usize, to: &mut [usize]) {
        self.conv.patches_at(self.first + row, to);
        to.iter_mut().for_each(|to| *to += self.group);
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        spaced(row * self.conv.channels[1], self.conv.channels[1], to);
    }
}

struct InputRows<'a> {
    conv: &'a Conv,
    first: usize,
    group: usize,
}

impl Rows for InputRows<'_> {
    fn a(&self, row: usize, to: &mut [usize]) {
        let channels = self.conv.channels[1];
        spaced((self.first + row) * channels + self.group, channels, to);
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        self.conv.patches_at(row, to);
    }
}

struct WeightRows {
    first: usize,
    width: usize,
}

impl Rows for WeightRows {
    fn a(&self, row: usize, to: &mut [usize]) {
        spaced(self.first + row, 1, to);
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        spaced(row * self.width, self.width, to);
    }
}

/// Copies the patches of one image side by side.
struct Unfold<'a> {
    conv: &'a Conv,
    runs: &'a [Run],
    image: &'a [f32],
    patches: &'a mut [f32],
}

impl Kernel for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { conv, runs, image, patches } = self;
        let patch = conv.patch();
        let mut places = [0; 64];
        for first in (0..conv.pixels()).step_by(places.len()) {
            let count = places.len().min(conv.pixels() - first);
            conv.patches_at(first, &mut places[..count]);
            for (pixel, place) in (first..).zip(&places[..count]) {
                for run in runs {
                    let (from, to) = (&image[place + run.at..], &mut patches[pixel * patch + run.k..]);
                    // A whole vector where there is room, since its length is known; what is too much is written over.
                    match (from.first_chunk::<THIN>(), to.first_chunk_mut::<THIN>()) {
                        (Some(from), Some(to)) => *to = *from,
                        _ => to[..run.len].copy_from_slice(&from[..run.len]),
                    }
                }
            }
        }
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
            padded: [9, 8],
            out: [7, 6],
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            relu: false,
        };
        vec![
            base.clone(),
            Conv { channels: [17, 33], relu: true, ..base.clone() },
            Conv { channels: [20, 48], out: [4, 3], stride: [2, 2], ..base.clone() },
            Conv { channels: [4, 6], groups: 2, out: [5, 4], dilation: [2, 2], ..base.clone() },
            Conv { channels: [5, 5], groups: 5, kernel: [1, 1], out: [9, 8], ..base },
        ]
    }

    /// Calls `visit` with every product of the convolution: places in the output, the input and the weights.
    fn each_term(conv: &Conv, mut visit: impl FnMut(usize, usize, usize)) {
        let [group_in, group_out] = conv.group_channels();
        let taps = conv.kernel[0] * conv.kernel[1];
        for pixel in 0..conv.batch * conv.pixels() {
            let (image, y, x) = (pixel / conv.pixels(), pixel % conv.pixels() / conv.out[1], pixel % conv.out[1]);
            for out in 0..conv.channels[1] {
                for term in 0..taps * group_in {
                    let (channel, tap) = (term / taps, term % taps);
                    let row = y * conv.stride[0] + tap / conv.kernel[1] * conv.dilation[0];
                    let column = x * conv.stride[1] + tap % conv.kernel[1] * conv.dilation[1];
                    let at = ((image * conv.padded[0] + row) * conv.padded[1] + column) * conv.channels[0];
                    let from = at + out / group_out * group_in + channel;
                    visit(pixel * conv.channels[1] + out, from, out * taps * group_in + term);
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
            let x = numbers(conv.batch * conv.image(), 1);
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
            if conv.relu {
                y.iter_mut().for_each(|y| *y = y.max(0.0));
            }
            for isa in Isa::supported() {
                let what = format!("{isa:?}, {conv:?}");
                assert_near(&conv.forward(isa, &x, &weight, &bias), &y, &what);
                assert_near(&conv.input_gradient(isa, &weight, &gradient), &x_gradient, &what);
                assert_near(&conv.weight_gradient(isa, &x, &gradient), &w_gradient, &what);
            }
        }
    }
}
