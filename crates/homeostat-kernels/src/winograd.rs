//! Convolution with 3x3 weights and steps of one by Winograd's F(2x2, 3x3) (Lavin & Gray 2016): a tile of 4x4 pixels and
//! the weights are transformed, so that 16 products give 2x2 pixels of the result, where the direct way takes 36. All
//! factors of the tiles' transforms are 1 and -1, which keeps the rounding near that of the direct way. Infinity and NaN
//! would spread through a tile, so a result that has any is not given: the direct way must be gone.
#![expect(unsafe_code, reason = "vector loads and stores; slices are cut once a tile")]

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    buffer::{by_chunks, with_scratch},
    gather::{Finish, WeightSteps},
    lines::Lines,
    product::{End, Panel, Product, Rows, Segment, Walk, panels, spaced},
    simd::{Isa, Kernel, Vector},
};

/// Places of a transformed tile.
const PLACES: usize = 16;

/// Tiles of a task: so many that the weights are used often, and so few that the transformed tiles stay near.
const TILES: usize = 64;

/// Pixels of the result's images below which the transforms, and the weights' sixteen places instead of nine, outweigh.
const FEWEST: usize = 100;

/// Floats between the places of transformed tiles: else these would often share a set of the first cache.
const GAP: usize = 16;

/// The shape of one convolution.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    pub(crate) batch: usize,
    /// Height and width of the source, and of the result.
    pub(crate) source: [usize; 2],
    pub(crate) out: [usize; 2],
    /// Rows of zeros above, and columns of zeros on the left.
    pub(crate) padding: [usize; 2],
    /// Channels of the source and of the result.
    pub(crate) channels: [usize; 2],
}

/// Transformed weights: for each place, a panel of the result's channels after the other, each `[source channel, panel]`.
#[derive(Debug)]
pub(crate) struct Transformed {
    panels: Vec<Panel>,
    floats: Vec<f32>,
}

impl Transformed {
    /// Of 3x3 weights, turned around where `flipped`.
    pub(crate) fn new(
        isa: Isa,
        weight: &[f32],
        steps: WeightSteps,
        [source, result]: [usize; 2],
        flipped: bool,
    ) -> Self {
        let (panels, lanes) = (panels(result, isa, 4), isa.lanes());
        let width = panels.iter().map(|panel| panel.vectors).sum::<usize>() * lanes;
        // First `[source channel, place, channel]`, so that tasks write apart.
        let rows = by_chunks(source * PLACES * width, PLACES * width, |channel, to| {
            for column in 0..result {
                let taps = &weight[channel * steps.source + column * steps.result..][..9];
                let taps = std::array::from_fn(|tap| taps[if flipped { 8 - tap } else { tap }]);
                for (place, value) in transform(taps).into_iter().enumerate() {
                    to[place * width + column] = value;
                }
            }
        });
        let floats = by_chunks(PLACES * source * width, source * width, |place, to| {
            for panel in &panels {
                let columns = panel.vectors * lanes;
                let to = to[panel.at * source..][..source * columns].chunks_exact_mut(columns);
                for (to, row) in to.zip(rows.chunks_exact(PLACES * width)) {
                    to.copy_from_slice(&row[place * width + panel.at..][..columns]);
                }
            }
        });
        Self { panels, floats }
    }
}

/// `G g G^T` with `G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1]`.
fn transform(g: [f32; 9]) -> [f32; PLACES] {
    let spread = |a: f32, b: f32, c: f32| [a, 0.5 * (a + c) + 0.5 * b, 0.5 * (a + c) - 0.5 * b, c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|x| spread(g[x], g[3 + x], g[6 + x]));
    let mut out = [0.0; PLACES];
    for y in 0..4 {
        out[4 * y..4 * y + 4].copy_from_slice(&spread(columns[0][y], columns[1][y], columns[2][y]));
    }
    out
}

impl Winograd {
    /// Whether fewer products outweigh the transforms, that of the weights among them.
    pub(crate) fn pays(&self) -> bool {
        let [from, to] = self.channels;
        self.is_wide() && self.batch * self.out[0] * self.out[1] >= 4 * from.max(to)
    }

    /// The same where the weights are transformed already. It does not depend on the batch, so that an image gets the
    /// same bits alone and among others.
    pub(crate) fn pays_with_weights(&self) -> bool {
        self.is_wide() && self.out[0] * self.out[1] >= FEWEST
    }

    /// Whether a pixel's channels fill vectors.
    fn is_wide(&self) -> bool {
        self.channels.iter().all(|&channels| channels >= 32)
    }

    /// Tiles of an image, along height and width.
    fn tiles(&self) -> [usize; 2] {
        self.out.map(|out| out.div_ceil(2))
    }

    /// The result, `[batch, height, width, channels]`, unless it has infinity or NaN.
    pub(crate) fn run(&self, isa: Isa, source: &[f32], weight: &Transformed, finish: Finish<'_>) -> Option<Vec<f32>> {
        let [from, to] = self.channels;
        let (height, columns) = (self.out[0], self.tiles()[1]);
        assert_eq!(source.len(), self.batch * self.source[0] * self.source[1] * from, "{self:?}");
        let made = Lines { batch: self.batch, rows: height, columns: self.out[1], channels: to };
        let line = self.out[1] * to;
        if let Some(residual) = finish.residual {
            assert_eq!(residual.len(), self.batch * height * line, "a residual of another shape than the result");
        }
        let some = made.pairs(2 * TILES.div_ceil(columns).min((self.batch * height.div_ceil(2)).div_ceil(4)));
        // Rows of tiles before a line.
        let tiles = |lines: usize| lines / height * height.div_ceil(2) + (lines % height).div_ceil(2);
        let finite = AtomicBool::new(true);
        let y = made.make(isa, some, finish.halved, |first, out| {
            let residual = finish.residual.map(|residual| &residual[first * line..][..out.len()]);
            let task = Task { first: tiles(first), rows: tiles(first + out.len() / line) - tiles(first) };
            let [transformed, products] = self.channels.map(|channels| PLACES * (task.rows * columns * channels + GAP));
            let all_finite = with_scratch(transformed, |transformed| {
                with_scratch(products, |products| {
                    isa.run(Forth { winograd: self, task: &task, source, to: transformed });
                    self.multiply(isa, transformed, weight, products);
                    isa.run(Back { winograd: self, task: &task, products, finish: Finish { residual, ..finish }, out })
                })
            });
            if !all_finite {
                finite.store(false, Ordering::Relaxed);
            }
        });
        finite.into_inner().then_some(y)
    }

    /// Tiles times weights, at each place.
    fn multiply(&self, isa: Isa, transformed: &[f32], weight: &Transformed, products: &mut [f32]) {
        let [from, to] = self.channels;
        let tiles = (transformed.len() / PLACES - GAP) / from;
        let size = weight.floats.len() / PLACES;
        for place in 0..PLACES {
            for panel in &weight.panels {
                let b_step = panel.vectors * isa.lanes();
                isa.run(Product {
                    a: transformed,
                    rows: &TileRows { first: place * (tiles * from + GAP), channels: self.channels },
                    range: 0..tiles,
                    b: &weight.floats,
                    b_at: place * size + panel.at * from,
                    b_padded: true,
                    walk: &Walk { segments: vec![Segment { a: 0, b: 0, len: from }], a_step: 1, b_step },
                    panel: *panel,
                    out_at: panel.at,
                    out: &mut products[place * (tiles * to + GAP)..][..tiles * to],
                    end: End::Store { bias: None, relu: false },
                });
            }
        }
    }

    /// Image, row and column of a task's tile, in tiles.
    fn place(&self, task: &Task, tile: usize) -> [usize; 3] {
        let [rows, columns] = self.tiles();
        let row = task.first + tile / columns;
        [row / rows, row % rows, tile % columns]
    }
}

/// Rows of tiles, counted through all images.
struct Task {
    first: usize,
    rows: usize,
}

struct TileRows {
    first: usize,
    channels: [usize; 2],
}

impl Rows for TileRows {
    fn a(&self, row: usize, to: &mut [usize]) {
        spaced(self.first + row * self.channels[0], self.channels[0], to);
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        spaced(row * self.channels[1], self.channels[1], to);
    }
}

/// `a - b`
///
/// # Safety
/// The instruction set of `V` is there.
#[inline(always)]
unsafe fn minus<V: Vector>(a: V, b: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { b.mul_add(V::splat(-1.0), a) }
}

/// The source's tiles, transformed: `[place, tile, channel]`, with `B^T d B`.
struct Forth<'a> {
    winograd: &'a Winograd,
    task: &'a Task,
    source: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Forth<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { winograd, task, source, to } = self;
        let [height, width] = winograd.source;
        let channels = winograd.channels[0];
        let tiles = task.rows * winograd.tiles()[1];
        assert_eq!(to.len(), PLACES * (tiles * channels + GAP), "a place for each number");
        let outside = vec![0.0; channels];
        for tile in 0..tiles {
            let [image, row, column] = winograd.place(task, tile);
            let pixels: [&[f32]; PLACES] = std::array::from_fn(|place| {
                let y = (2 * row + place / 4).checked_sub(winograd.padding[0]).filter(|&y| y < height);
                let x = (2 * column + place % 4).checked_sub(winograd.padding[1]).filter(|&x| x < width);
                match y.zip(x) {
                    Some((y, x)) => &source[((image * height + y) * width + x) * channels..][..channels],
                    None => &outside,
                }
            });
            for first in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - first);
                // SAFETY: each pixel has `channels` floats, and `to` has so many for each place and tile.
                unsafe {
                    let mut d = [V::splat(0.0); PLACES];
                    for place in 0..PLACES {
                        d[place] = V::load_first(pixels[place], first, count);
                    }
                    for x in 0..4 {
                        let [a, b, c, e] = [d[x], d[4 + x], d[8 + x], d[12 + x]];
                        (d[x], d[4 + x], d[8 + x], d[12 + x]) = (minus(a, c), b.add(c), minus(c, b), minus(b, e));
                    }
                    for y in 0..4 {
                        let [a, b, c, e] = [d[4 * y], d[4 * y + 1], d[4 * y + 2], d[4 * y + 3]];
                        let row = [minus(a, c), b.add(c), minus(c, b), minus(b, e)];
                        for (x, value) in row.into_iter().enumerate() {
                            value.store_first(
                                to,
                                (4 * y + x) * (tiles * channels + GAP) + tile * channels + first,
                                count,
                            );
                        }
                    }
                }
            }
        }
    }
}

/// The way back, `A^T m A`, and what is done with the sums.
struct Back<'a> {
    winograd: &'a Winograd,
    task: &'a Task,
    products: &'a [f32],
    finish: Finish<'a>,
    out: &'a mut [f32],
}

impl Kernel for Back<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector>(self) -> bool {
        let Self { winograd, task, products, finish, out } = self;
        let [height, width] = winograd.out;
        let channels = winograd.channels[1];
        let tiles = task.rows * winograd.tiles()[1];
        assert_eq!(products.len(), PLACES * (tiles * channels + GAP), "a number from each place");
        if let Some(bias) = finish.bias {
            assert_eq!(bias.len(), channels, "a bias for each channel");
        }
        if let Some(residual) = finish.residual {
            assert_eq!(residual.len(), out.len(), "a residual for each number");
        }
        // Zero times what is finite is zero.
        // SAFETY: only a supported set runs kernels.
        let (zero, mut trace) = unsafe { (V::splat(0.0), V::splat(0.0)) };
        let line = |row: usize| row / winograd.tiles()[0] * height + row % winograd.tiles()[0] * 2;
        for tile in 0..tiles {
            let [_, row, column] = winograd.place(task, tile);
            let first_line = line(task.first + tile / winograd.tiles()[1]) - line(task.first);
            for first in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - first);
                // SAFETY: `products` has `channels` floats for each place and tile; the assertion below keeps the
                // rest inside of `out`, which is as long as `residual`; the bias has `channels` floats.
                unsafe {
                    let mut m = [zero; PLACES];
                    for (place, m) in m.iter_mut().enumerate() {
                        *m = V::load_first(products, place * (tiles * channels + GAP) + tile * channels + first, count);
                    }
                    for y in 0..2 {
                        let mut sums = [zero; 4];
                        for x in 0..4 {
                            let [a, b, c, e] = [m[x], m[4 + x], m[8 + x], m[12 + x]];
                            sums[x] = if y == 0 { a.add(b).add(c) } else { minus(minus(b, c), e) };
                        }
                        let [a, b, c, e] = sums;
                        for (x, mut sum) in [a.add(b).add(c), minus(minus(b, c), e)].into_iter().enumerate() {
                            trace = sum.mul_add(zero, trace);
                            if 2 * row + y >= height || 2 * column + x >= width {
                                continue;
                            }
                            let at = ((first_line + y) * width + 2 * column + x) * channels + first;
                            assert!(at + count <= out.len(), "tile {tile} leaves its task");
                            if let Some(bias) = finish.bias {
                                sum = sum.add(V::load_first(bias, first, count));
                            }
                            if let Some(residual) = finish.residual {
                                sum = sum.add(V::load_first(residual, at, count));
                            }
                            if finish.relu {
                                sum = sum.relu();
                            }
                            sum.store_first(out, at, count);
                        }
                    }
                }
            }
        }
        let mut lanes = vec![0.0; V::LANES];
        // SAFETY: there are so many.
        unsafe { trace.store(&mut lanes, 0) };
        lanes.iter().all(|lane| *lane == 0.0)
    }
}
