//! Products of matrices near the machine's rate: both factors are copied into strips that are read in order, a stretch of
//! the sum at a time, so that a strip of `B` stays in the first cache and a block of `A` in the second. A sum runs in the
//! same order however the work is cut, so threads do not change a bit. It does not know layers.
#![expect(unsafe_code, reason = "addresses are checked once a tile, not once a load")]

use std::{cell::Cell, ops::Range};

use rayon::prelude::*;

use crate::{
    blocks::{Block, Blocks},
    buffer::by_chunks,
    simd::{Isa, Kernel, Vector},
};

/// A view of floats: element `(row, column)` stands at `start + row * steps[0] + column * steps[1]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) floats: &'a [f32],
    pub(crate) start: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) steps: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// In row-major order.
    pub(crate) fn new(floats: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(rows * columns <= floats.len(), "{rows} x {columns} of {}", floats.len());
        Self { floats, start: 0, rows, columns, steps: [columns, 1] }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, steps: [self.steps[1], self.steps[0]], ..self }
    }

    /// `count` rows from `first` on.
    pub(crate) fn rows_from(self, first: usize, count: usize) -> Self {
        Self { start: self.start + first * self.steps[0], rows: count, ..self }
    }

    /// A row whose floats lie side by side.
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        assert_eq!(self.steps[1], 1, "a row in one piece");
        self.stretch(row, 0, self.columns)
    }

    /// The first of `count` floats that follow each other from an element on.
    #[inline(always)]
    fn stretch(&self, row: usize, column: usize, count: usize) -> &'a [f32] {
        &self.floats[self.start + row * self.steps[0] + column * self.steps[1]..][..count]
    }
}

/// Terms of a sum that are taken in one go.
const TERMS: usize = 256;
/// From row to row of a strip that lies by rows, when it has few terms (a head of attention) and when it has more: no powers
/// of two, else rows would push each other out of the cache; and constants, so that addresses are.
const STRIDE_FEW: usize = FEW + 16;
const STRIDE_MANY: usize = TERMS + 16;
const FEW: usize = 64;
/// Vectors in a row of `B`'s strips.
const VECTORS: usize = 2;

/// Terms in the longest of a sum's stretches, which are as equal as can be.
fn longest(terms: usize) -> usize {
    terms.div_ceil(terms.div_ceil(TERMS).max(1)).max(1)
}

fn stretches(terms: usize) -> impl Iterator<Item = Range<usize>> {
    let length = longest(terms);
    (0..terms).step_by(length).map(move |first| first..(first + length).min(terms))
}

/// Rows in a tile: what the registers hold.
const fn height(lanes: usize) -> usize {
    if lanes == 16 { 12 } else { 6 }
}

/// The rows of a matrix as strips of some rows side by side: `A`, or the transpose of `B`. Rows past the end are zeros.
#[derive(Clone, Copy)]
struct Strips<'a> {
    matrix: Matrix<'a>,
    width: usize,
    /// Whether the floats of a row lie side by side, and not those of a term.
    by_rows: bool,
}

impl<'a> Strips<'a> {
    fn left(a: Matrix<'a>, lanes: usize) -> Self {
        Self { matrix: a, width: height(lanes), by_rows: a.steps[0] != 1 }
    }

    fn right(b: Matrix<'a>, lanes: usize) -> Self {
        Self { matrix: b.transposed(), width: VECTORS * lanes, by_rows: false }
    }

    fn count(&self) -> usize {
        self.matrix.rows.div_ceil(self.width)
    }

    fn stride(&self) -> usize {
        if self.matrix.columns <= FEW { STRIDE_FEW } else { STRIDE_MANY }
    }

    /// Floats set aside for a stretch of a strip.
    fn size(&self) -> usize {
        self.width * if self.by_rows { self.stride() } else { longest(self.matrix.columns) }
    }

    /// A stretch of a strip.
    #[inline(always)]
    fn pack(&self, strip: usize, terms: &Range<usize>, to: &mut [f32]) {
        let Self { matrix, width, .. } = *self;
        let first = strip * width;
        let rows = width.min(matrix.rows - first);
        let step = matrix.steps[1];
        if self.by_rows {
            for (row, to) in to.chunks_exact_mut(self.stride()).enumerate().take(rows) {
                let to = &mut to[..terms.len()];
                if step == 1 {
                    to.copy_from_slice(matrix.stretch(first + row, terms.start, terms.len()));
                } else {
                    let from = matrix.stretch(first + row, terms.start, (terms.len() - 1) * step + 1);
                    to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, from)| *to = *from);
                }
            }
        } else if matrix.steps[0] == 1 {
            match width {
                12 if rows == width => copy_terms::<12>(matrix, first, terms, to),
                32 if rows == width => copy_terms::<32>(matrix, first, terms, to),
                _ => {
                    for (term, to) in terms.clone().zip(to.chunks_exact_mut(width)) {
                        to[..rows].copy_from_slice(matrix.stretch(first, term, rows));
                        to[rows..].fill(0.0);
                    }
                }
            }
        } else {
            // A few terms at a time: what is read comes by whole lines, and what is written stays in the first cache.
            for (term, to) in terms.clone().step_by(16).zip(to.chunks_mut(16 * width)) {
                let terms = 16.min(terms.end - term);
                for row in 0..rows {
                    let from = matrix.stretch(first + row, term, (terms - 1) * step + 1);
                    for (to, from) in to[row..].iter_mut().step_by(width).zip(from.iter().step_by(step)) {
                        *to = *from;
                    }
                }
                to.chunks_exact_mut(width).for_each(|to| to[rows..].fill(0.0));
            }
        }
    }

    /// A stretch of all strips a term at a time, where that reads neighbours and no strip ends early: memory likes long lines.
    #[inline(always)]
    fn pack_lines(&self, terms: &Range<usize>, to: &mut [f32]) -> bool {
        const W: usize = 32;
        let Self { matrix, width, .. } = *self;
        let fits = matrix.steps[0] == 1 && width == W && matrix.rows.is_multiple_of(W);
        if fits {
            for (index, term) in terms.clone().enumerate() {
                let line = matrix.stretch(0, term, matrix.rows).as_chunks::<W>().0;
                for (strip, from) in line.iter().enumerate() {
                    to[strip * self.size() + index * W..][..W].copy_from_slice(from);
                }
            }
        }
        fits
    }

    /// All stretches of all strips.
    fn packed(self, isa: Isa) -> Vec<f32> {
        let terms: Vec<_> = stretches(self.matrix.columns).collect();
        by_chunks(terms.len() * self.count() * self.size(), self.size(), |index, to| {
            isa.run(Pack { strips: self, strip: index % self.count(), terms: terms[index / self.count()].clone(), to });
        })
    }
}

/// Rows side by side, of a number that is known: whole vectors, and no call for each term.
#[inline(always)]
fn copy_terms<const W: usize>(matrix: Matrix<'_>, first: usize, terms: &Range<usize>, to: &mut [f32]) {
    for (term, to) in terms.clone().zip(to.as_chunks_mut::<W>().0) {
        let mut row = [0.0; W];
        row.copy_from_slice(matrix.stretch(first, term, W));
        *to = row;
    }
}

struct Pack<'a> {
    strips: Strips<'a>,
    strip: usize,
    terms: Range<usize>,
    to: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        self.strips.pack(self.strip, &self.terms, self.to);
    }
}

thread_local! {
    /// Where tasks pack strips: `A` and `B`.
    static SCRATCH: Cell<[Vec<f32>; 2]> = const { Cell::new([vec![], vec![]]) };
}

/// Whether `A` is cut into rows, and not `B` into columns. The other factor is packed once for all tasks; each task packs its
/// part of this one.
fn tall(a: Matrix<'_>, b: Matrix<'_>) -> bool {
    a.rows >= b.columns.min(512)
}

/// Rows and columns of a task's block of `A B`.
fn block(a: Matrix<'_>, b: Matrix<'_>) -> [usize; 2] {
    if tall(a, b) { [share(a.rows, 96, 4), b.columns] } else { [a.rows, share(b.columns, 128, 32)] }
}

/// What a task takes of `size`: as `usual`, but so that all threads get as much, and by whole grains.
fn share(size: usize, usual: usize, grain: usize) -> usize {
    let tasks = size.div_ceil(usual).next_multiple_of(rayon::current_num_threads());
    size.div_ceil(tasks).next_multiple_of(grain)
}

/// All strips of a factor, of which a task takes some, from `first` on.
#[derive(Clone, Copy)]
pub(crate) struct Ready<'a> {
    floats: &'a [f32],
    first: usize,
    count: usize,
}

/// The right factor of products, packed once for many of them.
#[derive(Debug)]
pub(crate) struct Right {
    floats: Vec<f32>,
    shape: [usize; 2],
}

impl Right {
    pub(crate) fn new(isa: Isa, b: Matrix<'_>) -> Self {
        Self { floats: Strips::right(b, isa.lanes()).packed(isa), shape: [b.rows, b.columns] }
    }
}

/// `A B` in row-major order. `begin` writes what the product is added to over the zeros of a part of a row (its number, and
/// that of its first column); `end` gets finished rows, or parts of them, while they are in the cache.
pub(crate) fn product(
    isa: Isa,
    a: Matrix<'_>,
    b: Matrix<'_>,
    begin: impl Fn(usize, usize, &mut [f32]) + Sync,
    end: impl Fn(&mut [&mut [f32]]) + Sync,
) -> Vec<f32> {
    product_with(isa, a, b, None, begin, end)
}

/// As [`product`], where `B` may be packed already.
pub(crate) fn product_with(
    isa: Isa,
    a: Matrix<'_>,
    b: Matrix<'_>,
    right: Option<&Right>,
    begin: impl Fn(usize, usize, &mut [f32]) + Sync,
    end: impl Fn(&mut [&mut [f32]]) + Sync,
) -> Vec<f32> {
    let mut out = Blocks::new(a.rows, b.columns);
    let [rows, columns] = block(a, b);
    let blocks = out.cut(rows, columns).into_iter().map(|block| (block, ()));
    fill(isa, (a, b, right), blocks.collect(), begin, |rows, ()| end(rows));
    out.filled()
}

/// As [`product`], with a second matrix of the same shape: `end` gets its rows, too, cleared.
pub(crate) fn product_and(
    isa: Isa,
    a: Matrix<'_>,
    b: Matrix<'_>,
    begin: impl Fn(usize, usize, &mut [f32]) + Sync,
    end: impl Fn(&mut [&mut [f32]], &mut [&mut [f32]]) + Sync,
) -> [Vec<f32>; 2] {
    let [mut out, mut second] = [(); 2].map(|()| Blocks::new(a.rows, b.columns));
    let [rows, columns] = block(a, b);
    let blocks = out.cut(rows, columns).into_iter().zip(second.cut(rows, columns));
    fill(isa, (a, b, None), blocks.collect(), begin, |rows, second: Block<'_>| end(rows, &mut second.take()));
    [out.filled(), second.filled()]
}

fn fill<T: Send>(
    isa: Isa,
    (a, b, right): (Matrix<'_>, Matrix<'_>, Option<&Right>),
    blocks: Vec<(Block<'_>, T)>,
    begin: impl Fn(usize, usize, &mut [f32]) + Sync,
    end: impl Fn(&mut [&mut [f32]], T) + Sync,
) {
    assert_eq!(a.columns, b.rows, "{} x {} times {} x {}", a.rows, a.columns, b.rows, b.columns);
    assert!(
        right.is_none_or(|right| right.shape == [b.rows, b.columns]),
        "strips of another shape than {} x {}",
        b.rows,
        b.columns
    );
    let tall = tall(a, b);
    let (left_strips, right_strips) = (Strips::left(a, isa.lanes()), Strips::right(b, isa.lanes()));
    let left = if tall { None } else { Some(left_strips.packed(isa)) };
    let own = if tall && right.is_none() { Some(right_strips.packed(isa)) } else { None };
    let right = right.map(|right| &right.floats[..]).or(own.as_deref());
    blocks.into_par_iter().for_each(|(block, beside)| {
        let (row, column) = (block.first_row, block.first_column);
        let mut rows = block.take();
        rows.iter_mut().enumerate().for_each(|(index, part)| begin(row + index, column, part));
        let (part_a, part_b) = if tall {
            (a.rows_from(row, rows.len()), b)
        } else {
            (a, b.transposed().rows_from(column, rows[0].len()).transposed())
        };
        let left = left.as_deref().map(|floats| Ready { floats, first: 0, count: left_strips.count() });
        let first = column / right_strips.width;
        let right = right.map(|floats| Ready { floats, first, count: right_strips.count() });
        isa.run(Add { a: part_a, b: part_b, packed: [left, right], rows: &mut rows });
        end(&mut rows, beside);
    });
}

/// Adds `A B` to some rows, on this thread.
pub(crate) struct Add<'a, 'b> {
    pub(crate) a: Matrix<'a>,
    pub(crate) b: Matrix<'a>,
    /// The strips of `A` and of `B`, where they are packed already.
    pub(crate) packed: [Option<Ready<'a>>; 2],
    pub(crate) rows: &'a mut [&'b mut [f32]],
}

impl Kernel for Add<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match height(V::LANES) {
            12 => self.tiles::<V, 12>(),
            _ => self.tiles::<V, 6>(),
        }
    }
}

impl Add<'_, '_> {
    #[inline(always)]
    fn tiles<V: Vector, const R: usize>(self) {
        let left = Strips::left(self.a, V::LANES);
        let right = Strips::right(self.b, V::LANES);
        assert_eq!(self.rows.len(), self.a.rows, "as many rows as A has");
        let mut scratch = SCRATCH.take();
        for (index, terms) in stretches(self.a.columns).enumerate() {
            let [own_a, own_b] = &mut scratch;
            let a = gather(&left, self.packed[0], own_a, index, &terms);
            let b = gather(&right, self.packed[1], own_b, index, &terms);
            for (panel, b) in b.chunks_exact(right.size()).enumerate() {
                let column = panel * right.width;
                for (rows, a) in self.rows.chunks_mut(R).zip(a.chunks_exact(left.size())) {
                    let steps = if left.by_rows { [left.stride(), 1] } else { [1, R] };
                    // A few rows at the end take a lower tile; the usual ones know their steps, so that addresses are constants.
                    let sums = match (rows.len(), steps) {
                        (1..=4, _) if R == 12 => taller(tile::<V, 4>(a, steps, b, terms.len())),
                        (5..=8, _) if R == 12 => taller(tile::<V, 8>(a, steps, b, terms.len())),
                        (_, [1, _]) => tile::<V, R>(a, [1, R], b, terms.len()),
                        (_, [STRIDE_FEW, _]) => tile::<V, R>(a, [STRIDE_FEW, 1], b, terms.len()),
                        _ => tile::<V, R>(a, [STRIDE_MANY, 1], b, terms.len()),
                    };
                    for (row, sums) in rows.iter_mut().zip(sums) {
                        let end = row.len().min(column + right.width);
                        add(sums, &mut row[column..end]);
                    }
                }
            }
        }
        SCRATCH.set(scratch);
    }
}

/// The strips of a stretch: those that are there, or packed now.
#[inline(always)]
fn gather<'a>(
    strips: &Strips<'_>,
    packed: Option<Ready<'a>>,
    own: &'a mut Vec<f32>,
    index: usize,
    terms: &Range<usize>,
) -> &'a [f32] {
    let len = strips.count() * strips.size();
    if let Some(Ready { floats, first, count }) = packed {
        return &floats[(index * count + first) * strips.size()..][..len];
    }
    if own.len() < len {
        own.resize(len, 0.0);
    }
    if !strips.pack_lines(terms, &mut own[..len]) {
        for (strip, to) in own[..len].chunks_exact_mut(strips.size()).enumerate() {
            strips.pack(strip, terms, to);
        }
    }
    &own[..len]
}

/// The sums of a tile over a stretch of terms: row `r` and term `t` of `A` stand at `r * row_step + t * term_step`.
#[inline(always)]
fn tile<V: Vector, const R: usize>(
    a: &[f32],
    [row_step, term_step]: [usize; 2],
    b: &[f32],
    terms: usize,
) -> [[V; VECTORS]; R] {
    assert!(terms > 0 && (R - 1) * row_step + (terms - 1) * term_step < a.len(), "the sum leaves A");
    assert!(terms * VECTORS * V::LANES <= b.len(), "the sum leaves B");
    // SAFETY: the assertions bound the last address of each factor, and the addresses grow with row, term and vector.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; R];
        for term in 0..terms {
            let mut vectors = [V::splat(0.0); VECTORS];
            for (n, vector) in vectors.iter_mut().enumerate() {
                *vector = V::load(b, (term * VECTORS + n) * V::LANES);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = V::broadcast(a, r * row_step + term * term_step);
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = factor.mul_add(vector, *sum);
                }
            }
        }
        sums
    }
}

/// The same sums, and zeros below.
#[inline(always)]
fn taller<V: Vector, const L: usize, const R: usize>(sums: [[V; VECTORS]; L]) -> [[V; VECTORS]; R] {
    // SAFETY: a vector of zeros touches no memory.
    std::array::from_fn(|row| if row < L { sums[row] } else { [unsafe { V::splat(0.0) }; VECTORS] })
}

#[inline(always)]
fn add<V: Vector>(sums: [V; VECTORS], to: &mut [f32]) {
    for (to, sum) in to.chunks_mut(V::LANES).zip(sums) {
        let count = to.len();
        // SAFETY: a chunk has at most as many floats as a vector.
        unsafe {
            if count == V::LANES {
                sum.add(V::load(to, 0)).store(to, 0);
            } else {
                sum.add(V::load_first(to, 0, count)).store_first(to, 0, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    #[test]
    fn every_instruction_set_agrees_with_double_precision() {
        for [rows, terms, columns] in
            [[1, 1, 1], [5, 19, 70], [13, 64, 33], [100, 270, 40], [30, 600, 140], [12, 65, 32]]
        {
            let (a, b) = (numbers(rows * terms, 1), numbers(terms * columns, 2));
            let exact: Vec<f64> = (0..rows * columns)
                .map(|at| {
                    let (row, column) = (at / columns, at % columns);
                    let term = |t: usize| f64::from(a[row * terms + t]) * f64::from(b[t * columns + column]);
                    column as f64 + (0..terms).map(term).sum::<f64>()
                })
                .collect();
            let turn = |floats: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|at| floats[at % rows * columns + at / rows]).collect()
            };
            let (a_turned, b_turned) = (turn(&a, rows, terms), turn(&b, terms, columns));
            let begin =
                |_, first: usize, to: &mut [f32]| to.iter_mut().zip(first..).for_each(|(to, at)| *to = at as f32);
            for isa in Isa::supported() {
                for a in [Matrix::new(&a, rows, terms), Matrix::new(&a_turned, terms, rows).transposed()] {
                    for b in [Matrix::new(&b, terms, columns), Matrix::new(&b_turned, columns, terms).transposed()] {
                        let found = product(isa, a, b, begin, |_| {});
                        for (&found, &exact) in found.iter().zip(&exact) {
                            let off = (f64::from(found) - exact).abs();
                            assert!(off < 2e-5 * (1.0 + exact.abs()), "{isa:?}, {rows} x {terms} x {columns}");
                        }
                    }
                }
            }
        }
    }
}
