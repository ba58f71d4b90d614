//! The gradient of a convolution's weights: the sum over pixels of gradient times patch. Both are copied side by side,
//! a stretch of pixels at a time, so that the loop over pixels walks through near, straight memory whatever the shape.

use rayon::prelude::*;

use crate::{
    buffer::by_chunks,
    conv::Conv,
    product::{End, Panel, Product, Rows, Segment, Walk, panels},
    simd::{Isa, Kernel, Vector},
};

/// Pixels copied at a time.
const STRETCH: usize = 128;

/// Output channels of a task: so many that the copy of a patch is used often, and so few that tasks are many.
const CHANNELS: usize = 128;

/// Channels of the gradient that are copied side by side.
const BUNDLE: usize = 8;

#[derive(Debug)]
pub(crate) struct WeightGradient<'a> {
    conv: &'a Conv,
    isa: Isa,
    /// Columns of a group's patch, in the order tap, channel.
    panels: Vec<Panel>,
}

/// A part of the gradient: some channels of a group, some panels, over some pixels.
#[derive(Clone, Debug)]
struct Task {
    group: usize,
    channels: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    pixels: std::ops::Range<usize>,
}

impl<'a> WeightGradient<'a> {
    pub(crate) fn new(conv: &'a Conv, isa: Isa) -> Self {
        Self { conv, isa, panels: panels(conv.patch(), isa, 3) }
    }

    /// `[out, in / groups, rows, columns]`
    pub(crate) fn run(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let tasks = self.tasks();
        let parts: Vec<Vec<f32>> = tasks.par_iter().map(|task| self.part(task, x, gradient)).collect();
        // The tasks of the same weights are neighbours.
        let place = |task: &Task| (task.group, task.channels.start, task.panels.start);
        let sets: Vec<(&Task, &[Vec<f32>])> = tasks
            .chunk_by(|a, b| place(a) == place(b))
            .scan(parts.as_slice(), |rest, tasks| {
                let (these, others) = rest.split_at(tasks.len());
                *rest = others;
                Some((&tasks[0], these))
            })
            .collect();
        let (patch, channels_out) = (self.conv.patch(), self.conv.group_channels()[1]);
        by_chunks(self.conv.channels[1] * patch, patch, |channel, out| {
            let (group, channel) = (channel / channels_out, channel % channels_out);
            for (task, parts) in sets.iter().filter(|(task, _)| task.group == group && task.channels.contains(&channel))
            {
                let columns = self.columns(task);
                let row = (channel - task.channels.start) * columns.len()..;
                if self.conv.taps() == 1 {
                    // They are in the order of the weights.
                    let out = &mut out[columns];
                    for part in *parts {
                        out.iter_mut().zip(&part[row.clone()]).for_each(|(sum, part)| *sum += part);
                    }
                    continue;
                }
                let mut sum = vec![0.0; columns.len()];
                for part in *parts {
                    sum.iter_mut().zip(&part[row.clone()]).for_each(|(sum, part)| *sum += part);
                }
                self.put(columns.start, &sum, out);
            }
        })
    }

    /// They depend on the shape alone, and their sums are added up in order, so that the threads do not matter.
    fn tasks(&self) -> Vec<Task> {
        let [_, channels_out] = self.conv.group_channels();
        let total = self.conv.batch * self.conv.pixels();
        let blocks = channels_out.div_ceil(CHANNELS);
        // Few weights: the pixels are cut. Many: the panels are, and then each gradient is copied more than once.
        let panels = self.panels.len().div_ceil(3).max(24.min(self.panels.len()));
        let groups = self.conv.groups * blocks * self.panels.len().div_ceil(panels);
        let pixels = total.div_ceil((16 / groups).max(1)).max(1024).next_multiple_of(STRETCH);
        let mut tasks = vec![];
        for group in 0..self.conv.groups {
            for channels in cut(channels_out, CHANNELS) {
                for panels in cut(self.panels.len(), panels) {
                    for pixels in cut(total, pixels) {
                        tasks.push(Task { group, channels: channels.clone(), panels: panels.clone(), pixels });
                    }
                }
            }
        }
        tasks
    }

    /// Columns of a task's panels.
    fn columns(&self, task: &Task) -> std::ops::Range<usize> {
        let last = self.panels[task.panels.end - 1];
        self.panels[task.panels.start].at..last.at + last.width
    }

    /// `[channels, columns]` of a task.
    fn part(&self, task: &Task, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let columns = self.columns(task);
        let mut out = vec![0.0; task.channels.len() * columns.len()];
        let most = self.panels[task.panels.clone()].iter().map(|panel| panel.vectors).max().unwrap_or(0);
        let mut patches = vec![0.0; STRETCH * most * self.isa.lanes()];
        let mut gradients = vec![0.0; STRETCH * task.channels.len().next_multiple_of(BUNDLE)];
        for first in task.pixels.clone().step_by(STRETCH) {
            let pixels = first..task.pixels.end.min(first + STRETCH);
            self.isa.run(Bundles { conv: self.conv, task, pixels: pixels.clone(), gradient, to: &mut gradients });
            for panel in &self.panels[task.panels.clone()] {
                let width = panel.vectors * self.isa.lanes();
                self.isa.run(Patches {
                    conv: self.conv,
                    group: task.group,
                    panel: *panel,
                    width,
                    pixels: pixels.clone(),
                    x,
                    to: &mut patches,
                });
                let len = pixels.len();
                let walk = Walk { segments: vec![Segment { a: 0, b: 0, len }], a_step: BUNDLE, b_step: width };
                self.isa.run(Product {
                    a: &gradients,
                    rows: &PartRows { width: columns.len() },
                    range: 0..task.channels.len(),
                    b: &patches,
                    b_at: 0,
                    b_padded: true,
                    walk: &walk,
                    panel: *panel,
                    out_at: panel.at - columns.start,
                    out: &mut out,
                    end: End::Add,
                });
            }
        }
        out
    }

    /// Puts columns from `first` on among the weights of a channel: columns are in the order tap, channel; weights in the
    /// order channel, tap.
    fn put(&self, first: usize, columns: &[f32], out: &mut [f32]) {
        let (channels, taps) = (self.conv.group_channels()[0], self.conv.taps());
        let (mut tap, mut channel) = (first / channels, first % channels);
        for column in columns {
            out[channel * taps + tap] = *column;
            channel += 1;
            if channel == channels {
                (channel, tap) = (0, tap + 1);
            }
        }
    }
}

/// `0..len` in pieces of at most `piece`.
fn cut(len: usize, piece: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..len).step_by(piece).map(move |first| first..len.min(first + piece))
}

struct PartRows {
    width: usize,
}

impl Rows for PartRows {
    fn a(&self, row: usize, to: &mut [usize]) {
        for (row, to) in (row..).zip(to) {
            *to = row / BUNDLE * (BUNDLE * STRETCH) + row % BUNDLE;
        }
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        crate::product::spaced(row * self.width, self.width, to);
    }
}

/// Copies the gradient's channels in bundles: `[bundle, pixel, channel]`.
struct Bundles<'a> {
    conv: &'a Conv,
    task: &'a Task,
    pixels: std::ops::Range<usize>,
    gradient: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Bundles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let channels = self.conv.channels[1];
        let at = self.task.group * self.conv.group_channels()[1] + self.task.channels.start;
        for (bundle, to) in self.to.chunks_exact_mut(BUNDLE * STRETCH).enumerate() {
            let first = at + bundle * BUNDLE;
            let count = BUNDLE.min(self.task.channels.len() - bundle * BUNDLE);
            let pixels = self.gradient[self.pixels.start * channels..].chunks_exact(channels).take(self.pixels.len());
            for (to, from) in to.as_chunks_mut::<BUNDLE>().0.iter_mut().zip(pixels) {
                match from[first..].first_chunk::<BUNDLE>() {
                    Some(from) if count == BUNDLE => *to = *from,
                    _ => to[..count].copy_from_slice(&from[first..first + count]),
                }
            }
        }
    }
}

/// Copies columns of a group's patches: `[pixel, column]`, with zeros where a patch leaves the image.
struct Patches<'a> {
    conv: &'a Conv,
    group: usize,
    panel: Panel,
    /// Columns of the copy.
    width: usize,
    pixels: std::ops::Range<usize>,
    x: &'a [f32],
    to: &'a mut [f32],
}

/// Neighbouring columns that are neighbours in the image, too: floats of a kernel's row, or of a tap.
#[derive(Clone, Copy)]
struct Piece {
    /// Row of the kernel.
    row: usize,
    /// Its first column of the kernel, and the channel there.
    column: usize,
    channel: usize,
    len: usize,
}

impl Kernel for Patches<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let channels = self.conv.group_channels()[0];
        let whole_rows = self.conv.groups == 1 && self.conv.dilation[1] == 1;
        let unit = if whole_rows { self.conv.kernel[1] * channels } else { channels };
        let mut at = 0;
        while at < self.panel.width {
            let (tap, channel) = ((self.panel.at + at) / channels, (self.panel.at + at) % channels);
            let len = (unit - (self.panel.at + at) % unit).min(self.panel.width - at);
            let (row, column) = (tap / self.conv.kernel[1], tap % self.conv.kernel[1]);
            self.piece(at, Piece { row, column, channel, len });
            at += len;
        }
    }
}

impl Patches<'_> {
    /// Copies a piece for all pixels, a row of the output at a time.
    #[inline(always)]
    fn piece(&mut self, at: usize, piece: Piece) {
        let conv = self.conv;
        let last = piece.column + (piece.channel + piece.len - 1) / conv.group_channels()[0];
        let mut pixel = self.pixels.start;
        while pixel < self.pixels.end {
            let (line, first) = (pixel / conv.out[1], pixel % conv.out[1]);
            let count = (conv.out[1] - first).min(self.pixels.end - pixel);
            let to = &mut self.to[(pixel - self.pixels.start) * self.width + at..];
            pixel += count;
            let (image, y) = (line / conv.out[0], line % conv.out[0]);
            let Some(row) = conv.seen(0, y, piece.row) else {
                for to in to.chunks_mut(self.width).take(count) {
                    to[..piece.len].fill(0.0);
                }
                continue;
            };
            let row = &self.x[(image * conv.input[0] + row) * conv.input[1] * conv.channels[0]..];
            let row = &row[self.group * conv.group_channels()[0]..];
            // Where both ends of the piece are inside, all of it is.
            let (start, end) =
                (conv.columns_seen(piece.column, first, count).start, conv.columns_seen(last, first, count).end);
            let end = end.max(start);
            for column in (0..start).chain(end..count) {
                border(conv, piece, row, first + column, &mut to[column * self.width..]);
            }
            if let Some(left) = conv.seen(1, first + start, piece.column).filter(|_| start < end) {
                let from = (&row[left * conv.channels[0] + piece.channel..], conv.stride[1] * conv.channels[0]);
                copy(from, (&mut to[start * self.width..], self.width), end - start, piece.len);
            }
        }
    }
}

/// A piece that leaves the image on the left or on the right, a tap at a time.
#[inline(always)]
fn border(conv: &Conv, piece: Piece, row: &[f32], x: usize, to: &mut [f32]) {
    let channels = conv.group_channels()[0];
    let (mut done, mut column) = (0, piece.column);
    while done < piece.len {
        let channel = if done == 0 { piece.channel } else { 0 };
        let len = (channels - channel).min(piece.len - done);
        match conv.seen(1, x, column) {
            Some(at) => to[done..done + len].copy_from_slice(&row[at * conv.channels[0] + channel..][..len]),
            None => to[done..done + len].fill(0.0),
        }
        (done, column) = (done + len, column + 1);
    }
}

/// Copies `count` times `len` floats, each of them `step` floats after the one before.
#[inline(always)]
fn copy((from, from_step): (&[f32], usize), (to, to_step): (&mut [f32], usize), count: usize, len: usize) {
    match len {
        16.. => chunks::<16>((from, from_step), (to, to_step), count, len),
        8.. => chunks::<8>((from, from_step), (to, to_step), count, len),
        4.. => chunks::<4>((from, from_step), (to, to_step), count, len),
        _ => chunks::<1>((from, from_step), (to, to_step), count, len),
    }
}

/// The last chunk overlaps the one before where `len` is no multiple of `L`, but is not below it.
#[inline(always)]
fn chunks<const L: usize>(
    (from, from_step): (&[f32], usize),
    (to, to_step): (&mut [f32], usize),
    count: usize,
    len: usize,
) {
    for pixel in 0..count {
        let (from, to) = (&from[pixel * from_step..][..len], &mut to[pixel * to_step..][..len]);
        for (to, from) in to.as_chunks_mut::<L>().0.iter_mut().zip(from.as_chunks::<L>().0) {
            *to = *from;
        }
        if let (Some(to), Some(from)) = (to.last_chunk_mut::<L>(), from.last_chunk::<L>()) {
            *to = *from;
        }
    }
}
