//! The product under a convolution's way forward and under the gradient of its input: each pixel of the result gathers
//! pixels of a source through the kernel's taps. Pixels that see the same taps (all but those at the border; with a
//! stride, towards the input, each phase of it) are computed together, so a tap outside of the source costs nothing,
//! and nobody has to pad. It does not know which way it is used.

use rayon::prelude::*;

use crate::{
    buffer::by_parts,
    depthwise::{self, Line},
    lines::Lines,
    pool::Pool,
    product::{End, Panel, Product, Rows, Segment, Walk, panels},
    simd::Isa,
};

/// Most floats of weights that are walked through at a time: a part of the second cache.
const NEAR: usize = 96 * 1024;

/// Pixels of a task: enough tasks for the threads there may be, and so few pixels that their source stays near.
const PIXELS: usize = 384;

/// What positions along one axis of the result see of the source.
#[derive(Debug)]
pub(crate) struct Axis {
    /// Of the kernel.
    pub(crate) taps: usize,
    /// Taps, and how far each lies from the first source position; in the order of the source.
    sights: Vec<Vec<(usize, usize)>>,
    /// For each position: its sight, and the first source position.
    places: Vec<(usize, usize)>,
    /// For each sight: its positions, and the first source position of each.
    seers: Vec<Vec<(usize, usize)>>,
}

impl Axis {
    /// `seen` says which source position a position sees through a tap.
    pub(crate) fn new(len: usize, taps: usize, seen: impl Fn(usize, usize) -> Option<usize>) -> Self {
        let (mut sights, mut places) = (Vec::<Vec<(usize, usize)>>::new(), Vec::with_capacity(len));
        let mut seers: Vec<Vec<(usize, usize)>> = vec![];
        let mut sight = vec![];
        for position in 0..len {
            sight.clear();
            sight.extend((0..taps).filter_map(|tap| seen(position, tap).map(|at| (tap, at))));
            sight.sort_unstable_by_key(|&(_, at)| at);
            let first = sight.first().map_or(0, |&(_, at)| at);
            sight.iter_mut().for_each(|(_, at)| *at -= first);
            let known = sights.iter().rposition(|known| *known == sight).unwrap_or_else(|| {
                sights.push(sight.clone());
                seers.push(vec![]);
                sights.len() - 1
            });
            places.push((known, first));
            seers[known].push((position, first));
        }
        Self { taps, sights, places, seers }
    }

    /// Positions.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The taps that see something from a position, and what.
    #[inline(always)]
    pub(crate) fn seen(&self, position: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let (sight, first) = self.places[position];
        self.sights[sight].iter().map(move |&(tap, at)| (tap, first + at))
    }

    /// One more than the last source position that is seen.
    fn reach(&self) -> usize {
        let last = |&(sight, first): &(usize, usize)| self.sights[sight].last().map_or(0, |&(_, at)| first + at + 1);
        self.places.iter().map(last).max().unwrap_or(0)
    }
}

/// What is gathered, and into what.
#[derive(Debug)]
pub(crate) struct Gather {
    pub(crate) batch: usize,
    /// Height and width of the source.
    pub(crate) source: [usize; 2],
    /// Rows and columns of the result.
    pub(crate) axes: [Axis; 2],
    /// Columns of the kernel.
    pub(crate) columns: usize,
    /// Channels of the source and of the result, of one group.
    pub(crate) channels: [usize; 2],
    pub(crate) groups: usize,
}

/// Weights as a gather reads them: a group after the other, a panel of the result's channels after the other, each
/// `[tap, source channel, panel]`, filled up with zeros to whole vectors. Of groups of one channel: `[tap, group]`, and
/// there are no panels.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Vec<Panel>,
    floats: Vec<f32>,
}

/// Where a weight lies: distances from one channel of the result, channel of the source, and tap to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WeightSteps {
    pub(crate) group: usize,
    pub(crate) result: usize,
    pub(crate) source: usize,
}

impl Packed {
    /// `taps` weights lie side by side.
    pub(crate) fn new(
        isa: Isa,
        weight: &[f32],
        steps: WeightSteps,
        [source, result]: [usize; 2],
        [groups, taps]: [usize; 2],
    ) -> Self {
        if [source, result] == [1, 1] {
            assert_eq!((steps.group, weight.len()), (taps, groups * taps), "weights of {groups} groups");
            return Self { panels: vec![], floats: depthwise::transposed(weight, groups, taps) };
        }
        let panels = panels(result, isa, 4);
        let width = |panel: &Panel| panel.vectors * isa.lanes();
        let lens: Vec<usize> = panels.iter().map(|panel| width(panel) * taps * source).collect();
        let floats = by_parts(&lens.repeat(groups), |index, part| {
            let (group, panel) = (index / panels.len(), &panels[index % panels.len()]);
            let weight = &weight[group * steps.group + panel.at * steps.result..];
            match steps {
                WeightSteps { result: 1, .. } => lie_alike(weight, steps.source, part, [panel.width, width(panel)]),
                WeightSteps { source: 1, .. } => turned(weight, steps.result, part, [panel.width, width(panel)]),
                _ => by_taps(weight, steps, part, ([panel.width, width(panel)], taps)),
            }
        });
        Self { panels, floats }
    }
}

/// Weights of one tap whose channels of the result lie side by side, as a panel has them.
fn lie_alike(weight: &[f32], source_step: usize, part: &mut [f32], [columns, width]: [usize; 2]) {
    for (channel, to) in part.chunks_exact_mut(width).enumerate() {
        to[..columns].copy_from_slice(&weight[channel * source_step..][..columns]);
    }
}

/// Weights of one tap whose channels of the source lie side by side.
fn turned(weight: &[f32], result_step: usize, part: &mut [f32], [columns, width]: [usize; 2]) {
    // So many source channels at a time that a line of weights is read once.
    const BLOCK: usize = 16;
    for (block, rows) in part.chunks_mut(BLOCK * width).enumerate() {
        for (column, from) in weight.chunks(result_step).take(columns).enumerate() {
            for (row, from) in rows.chunks_exact_mut(width).zip(&from[block * BLOCK..]) {
                row[column] = *from;
            }
        }
    }
}

/// Weights of several taps, which lie side by side.
fn by_taps(weight: &[f32], steps: WeightSteps, part: &mut [f32], ([columns, width], taps): ([usize; 2], usize)) {
    // So many source channels at a time that their lines stay in the first cache.
    const BLOCK: usize = 8;
    let source = part.len() / (width * taps);
    for first in (0..source).step_by(BLOCK) {
        for column in 0..columns {
            for channel in first..(first + BLOCK).min(source) {
                let from = &weight[column * steps.result + channel * steps.source..][..taps];
                let to = part[channel * width + column..].iter_mut().step_by(source * width);
                to.zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// What happens to the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish<'a> {
    pub(crate) bias: Option<&'a [f32]>,
    /// Added to the result, in the same order.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) relu: bool,
    /// Whether the largest of each two by two pixels is kept: max-pooling.
    pub(crate) halved: bool,
}

/// Pixels of a task that see the same taps: where they start in the source, and which of the task's pixels they are.
#[derive(Default)]
struct Alike {
    from: Vec<usize>,
    to: Vec<usize>,
}

/// Pixels, and how far they are apart in the result.
struct Placed<'a> {
    alike: &'a Alike,
    step: usize,
}

impl Rows for Placed<'_> {
    fn a(&self, row: usize, to: &mut [usize]) {
        to.copy_from_slice(&self.alike.from[row..][..to.len()]);
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        for (to, pixel) in to.iter_mut().zip(&self.alike.to[row..]) {
            *to = pixel * self.step;
        }
    }
}

/// What tasks share.
struct Shared<'a> {
    isa: Isa,
    source: &'a [f32],
    packed: &'a Packed,
    finish: Finish<'a>,
    /// Of each panel, for each combination of sights: the walks, one after the other.
    walks: Vec<Vec<Vec<Walk>>>,
}

impl Gather {
    /// The result: `[batch, rows, columns, channels]` of a source in the same order.
    pub(crate) fn run(&self, isa: Isa, source: &[f32], packed: &Packed, finish: Finish<'_>) -> Vec<f32> {
        let [source_channels, channels] = self.channels.map(|channels| channels * self.groups);
        let [rows, width] = [0, 1].map(|axis| self.axes[axis].places.len());
        let lines = self.batch * rows;
        assert_eq!(source.len(), self.batch * self.source[0] * self.source[1] * source_channels, "{self:?}");
        assert!([0, 1].iter().all(|&axis| self.axes[axis].reach() <= self.source[axis]), "{self:?}");
        if let Some(residual) = finish.residual {
            assert_eq!(residual.len(), lines * width * channels, "a residual of another shape than the result");
        }
        let walks = packed.panels.iter().map(|panel| self.walks(panel.vectors * isa.lanes())).collect();
        let shared = Shared { isa, source, packed, finish, walks };
        let panels = self.groups * packed.panels.len();
        if lines * width <= PIXELS && panels >= 4 {
            let y = self.by_panels(&shared, lines * width);
            let pool = Pool { batch: self.batch, ..Pool::halving(channels, [rows, width]) };
            return if finish.halved { pool.forward(isa, &y) } else { y };
        }
        let made = Lines { batch: self.batch, rows, columns: width, channels };
        let some = PIXELS.div_ceil(width).min(lines.div_ceil(4)).max(1);
        let some = if finish.halved { made.pairs(some) } else { some };
        made.make(isa, some, finish.halved, |first, out| {
            if let Some(residual) = finish.residual {
                out.copy_from_slice(&residual[first * width * channels..][..out.len()]);
            }
            let lines = out.chunks_exact_mut(width * channels);
            if self.channels == [1, 1] {
                for (number, out) in (first..).zip(lines) {
                    isa.run(Line { gather: self, number, weight: &packed.floats, source, finish, out });
                }
                return;
            }
            let alike = self.alike(first..first + lines.len());
            for index in 0..panels {
                let at = self.place(packed, index).at;
                self.panel(&shared, index, &alike, (channels, at), out);
            }
        })
    }

    /// Few pixels and many weights: a task reads some of the weights, and those once.
    fn by_panels(&self, shared: &Shared<'_>, pixels: usize) -> Vec<f32> {
        let channels = self.channels[1] * self.groups;
        let alike = self.alike(0..self.batch * self.axes[0].places.len());
        let places: Vec<Panel> =
            (0..self.groups * shared.packed.panels.len()).map(|index| self.place(shared.packed, index)).collect();
        let part = |(index, panel): (usize, &Panel)| {
            let mut part = vec![0.0; pixels * panel.width];
            if let Some(residual) = shared.finish.residual {
                let rows = residual.chunks_exact(channels).map(|row| &row[panel.at..][..panel.width]);
                part.chunks_exact_mut(panel.width).zip(rows).for_each(|(to, from)| to.copy_from_slice(from));
            }
            self.panel(shared, index, &alike, (panel.width, 0), &mut part);
            part
        };
        let parts: Vec<Vec<f32>> = places.par_iter().enumerate().map(part).collect();
        let mut out = Vec::with_capacity(pixels * channels);
        for pixel in 0..pixels {
            for (panel, part) in places.iter().zip(&parts) {
                out.extend_from_slice(&part[pixel * panel.width..][..panel.width]);
            }
        }
        out
    }

    /// The columns of a panel, counted through all groups.
    fn place(&self, packed: &Packed, index: usize) -> Panel {
        let (group, panel) = (index / packed.panels.len(), packed.panels[index % packed.panels.len()]);
        Panel { at: group * self.channels[1] + panel.at, ..panel }
    }

    /// A panel of a task's result, whose pixels are `step` floats apart and in which the panel starts at `out_at`.
    fn panel(
        &self,
        shared: &Shared<'_>,
        index: usize,
        alike: &[Alike],
        (step, out_at): (usize, usize),
        out: &mut [f32],
    ) {
        let Shared { isa, source, packed, finish, walks } = shared;
        let (group, number) = (index / packed.panels.len(), index % packed.panels.len());
        let (floats, lanes) = (packed.floats.len() / self.groups, isa.lanes());
        let terms = floats / (packed.vectors() * lanes);
        for (alike, walks) in alike.iter().zip(&walks[number]) {
            for (part, walk) in walks.iter().enumerate() {
                let onto = part > 0 || finish.residual.is_some();
                let end = match (onto, part + 1 == walks.len()) {
                    (true, true) => End::AddStore { bias: finish.bias, relu: finish.relu },
                    (false, true) => End::Store { bias: finish.bias, relu: finish.relu },
                    (true, false) => End::Add,
                    (false, false) => End::Store { bias: None, relu: false },
                };
                isa.run(Product {
                    a: &source[group * self.channels[0]..],
                    rows: &Placed { alike, step },
                    range: 0..alike.from.len(),
                    b: &packed.floats,
                    b_at: group * floats + packed.panels[number].at * terms,
                    b_padded: true,
                    walk,
                    panel: self.place(packed, index),
                    out_at,
                    out,
                    end,
                });
            }
        }
    }

    /// The pixels of some lines, by what they see: rows' sights times columns' sights.
    fn alike(&self, lines: std::ops::Range<usize>) -> Vec<Alike> {
        let [rows, columns] = &self.axes;
        let source_channels = self.channels[0] * self.groups;
        let mut alike: Vec<Alike> = vec![];
        alike.resize_with(rows.sights.len() * columns.sights.len(), Alike::default);
        for (index, line) in lines.enumerate() {
            let (image, (sight, y)) = (line / rows.places.len(), rows.places[line % rows.places.len()]);
            let from = (image * self.source[0] + y) * self.source[1];
            let to = index * columns.places.len();
            for (column_sight, seers) in columns.seers.iter().enumerate() {
                let alike = &mut alike[sight * columns.sights.len() + column_sight];
                alike.from.extend(seers.iter().map(|&(_, first)| (from + first) * source_channels));
                alike.to.extend(seers.iter().map(|&(x, _)| to + x));
            }
        }
        alike
    }

    /// For each combination of sights the walks through source and weights, one after the other.
    fn walks(&self, b_step: usize) -> Vec<Vec<Walk>> {
        let [rows, columns] = &self.axes;
        let pairs = rows.sights.iter().flat_map(|row| columns.sights.iter().map(move |column| (row, column)));
        pairs.map(|(row, column)| self.walk(row, column, b_step)).collect()
    }

    fn walk(&self, row: &[(usize, usize)], column: &[(usize, usize)], b_step: usize) -> Vec<Walk> {
        let channels = self.channels[0];
        let mut walks = vec![Walk { segments: vec![], a_step: 1, b_step }];
        let mut floats = 0;
        for &(tap_y, y) in row {
            for &(tap_x, x) in column {
                let a = (y * self.source[1] + x) * channels * self.groups;
                let b = (tap_y * self.columns + tap_x) * channels * b_step;
                if floats + channels * b_step > NEAR && floats > 0 {
                    walks.push(Walk { segments: vec![], a_step: 1, b_step });
                    floats = 0;
                }
                floats += channels * b_step;
                let segments = &mut walks.last_mut().expect("one was put in").segments;
                match segments.last_mut() {
                    Some(last) if last.a + last.len == a && last.b + last.len * b_step == b => last.len += channels,
                    _ => segments.push(Segment { a, b, len: channels }),
                }
            }
        }
        walks
    }
}

impl Packed {
    fn vectors(&self) -> usize {
        self.panels.iter().map(|panel| panel.vectors).sum()
    }
}
