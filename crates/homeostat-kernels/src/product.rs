//! The one loop nest under convolution and dense layers, forward and backward: a few rows of `A`, one float of each
//! broadcast, times a few vectors of `B`, summed in registers over a walk through both. Convolution in
//! `[batch, height, width, channels]` order is this product with the right addresses, so nothing is unfolded (no im2col).
//! It does not know what the addresses mean.
#![expect(unsafe_code, reason = "addresses are checked once a tile, not once a load")]

use std::ops::Range;

use crate::simd::{Isa, Kernel, Vector};

/// A stretch of the sum: `len` steps from these places of `A` and `B`, relative to a row of `A` and a panel of `B`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) len: usize,
}

/// The terms of every sum: in each segment, `A` advances by `a_step` and `B` by `b_step` floats a term.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) segments: Vec<Segment>,
    pub(crate) a_step: usize,
    pub(crate) b_step: usize,
}

impl Walk {
    /// How far past its start the walk reads, in `A` and in `B`.
    fn reach(&self) -> (usize, usize) {
        self.segments.iter().filter(|segment| segment.len > 0).fold((0, 0), |(a, b), segment| {
            let last = segment.len - 1;
            (a.max(segment.a + last * self.a_step + 1), b.max(segment.b + last * self.b_step))
        })
    }
}

/// Where rows start in `A`, and where their sums go: asked for a tile of neighbouring rows at a time, from `row` on.
pub(crate) trait Rows {
    fn a(&self, row: usize, to: &mut [usize]);
    fn out(&self, row: usize, to: &mut [usize]);
}

/// Some neighbouring columns, as whole vectors: `width` floats from column `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    pub(crate) at: usize,
    pub(crate) width: usize,
    pub(crate) vectors: usize,
}

/// Cuts `width` columns into panels of at most `most` vectors that keep the registers busy.
pub(crate) fn panels(width: usize, isa: Isa, most: usize) -> Vec<Panel> {
    let lanes = isa.lanes();
    let most = if lanes == 16 { most } else { most.min(2) };
    let mut left = width.div_ceil(lanes);
    let usual = if most == 4 && !left.is_multiple_of(4) { 3 } else { most };
    let mut cut = vec![];
    let mut at = 0;
    while left > 0 {
        let vectors = if left <= most { left } else { usual };
        cut.push(Panel { at, width: (vectors * lanes).min(width - at), vectors });
        at += vectors * lanes;
        left -= vectors;
    }
    cut
}

/// Places at equal distances.
pub(crate) fn spaced(first: usize, step: usize, to: &mut [usize]) {
    for (index, to) in to.iter_mut().enumerate() {
        *to = first + index * step;
    }
}

/// What is done with a sum.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End<'a> {
    /// It is written, plus the bias of its column; then ReLU, if asked for.
    Store { bias: Option<&'a [f32]>, relu: bool },
    /// It is added to what stands there.
    Add,
    /// It is added to what stands there, plus the bias of its column; then ReLU, if asked for.
    AddStore { bias: Option<&'a [f32]>, relu: bool },
}

impl<'a> End<'a> {
    /// Whether what stands there counts, the bias, and ReLU.
    fn parts(self) -> (bool, Option<&'a [f32]>, bool) {
        match self {
            Self::Store { bias, relu } => (false, bias, relu),
            Self::Add => (true, None, false),
            Self::AddStore { bias, relu } => (true, bias, relu),
        }
    }
}

/// `out[row, column] = sum over the walk of A[row] * B[column]`, for one panel of columns and a range of rows.
pub(crate) struct Product<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) rows: &'a dyn Rows,
    pub(crate) range: Range<usize>,
    pub(crate) b: &'a [f32],
    /// Where the panel starts in `B`.
    pub(crate) b_at: usize,
    /// Whether `B` has whole vectors: else what lies past the panel's width is not read.
    pub(crate) b_padded: bool,
    pub(crate) walk: &'a Walk,
    pub(crate) panel: Panel,
    /// Where the panel starts in a row of `out`; in the bias it starts at `panel.at`.
    pub(crate) out_at: usize,
    pub(crate) out: &'a mut [f32],
    pub(crate) end: End<'a>,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let panel = self.panel;
        let (_, b_reach) = self.walk.reach();
        let width = if self.b_padded { panel.vectors * V::LANES } else { panel.width };
        assert!(self.b_at + b_reach + width <= self.b.len(), "the walk leaves B: {panel:?} of {}", self.b.len());
        assert!(panel.width > (panel.vectors - 1) * V::LANES && panel.width <= panel.vectors * V::LANES, "{panel:?}");
        match (V::LANES, panel.vectors) {
            (16, 4) => self.tiles::<V, 6, 3, 4>(),
            (16, 3) => self.tiles::<V, 8, 4, 3>(),
            (16, 2) => self.tiles::<V, 12, 6, 2>(),
            (_, 2) => self.tiles::<V, 6, 3, 2>(),
            (_, 1) => self.tiles::<V, 8, 4, 1>(),
            _ => unreachable!("no tile of {} vectors", panel.vectors),
        }
    }
}

impl Product<'_> {
    /// Tiles of `R` rows; of half as many, or of one, where no more are left.
    #[inline(always)]
    fn tiles<V: Vector, const R: usize, const HALF: usize, const N: usize>(mut self) {
        let mut row = self.range.start;
        while row < self.range.end {
            row += match self.range.end - row {
                1 => self.tile::<V, 1, N>(row),
                left if left <= HALF => self.tile::<V, HALF, N>(row),
                _ => self.tile::<V, R, N>(row),
            };
        }
    }

    /// Gives the number of rows.
    #[inline(always)]
    fn tile<V: Vector, const R: usize, const N: usize>(&mut self, row: usize) -> usize {
        // Rows past the end repeat the last one; their sums are dropped.
        let count = R.min(self.range.end - row);
        let (mut rows, mut outs) = ([0; R], [0; R]);
        self.rows.a(row, &mut rows[..count]);
        self.rows.out(row, &mut outs[..count]);
        let last = rows[count - 1];
        rows[count..].fill(last);
        let (a_reach, _) = self.walk.reach();
        for &at in &rows {
            assert!(at + a_reach <= self.a.len(), "the walk leaves A: row at {at} of {}", self.a.len());
        }
        // SAFETY: the assertions here and in `run` keep every load of the walk inside A and B.
        unsafe {
            if self.panel.width == N * V::LANES {
                let sums = self.sums::<V, R, N, true>(rows);
                self.finish::<V, R, N, true>(&outs[..count], sums);
            } else if self.b_padded {
                let sums = self.sums::<V, R, N, true>(rows);
                self.finish::<V, R, N, false>(&outs[..count], sums);
            } else {
                let sums = self.sums::<V, R, N, false>(rows);
                self.finish::<V, R, N, false>(&outs[..count], sums);
            }
        }
        count
    }

    /// # Safety
    /// `rows` and the panel are such that the walk stays inside `A` and `B`.
    #[inline(always)]
    unsafe fn sums<V: Vector, const R: usize, const N: usize, const WHOLE: bool>(
        &self,
        rows: [usize; R],
    ) -> [[V; N]; R] {
        let (a_step, b_step) = (self.walk.a_step, self.walk.b_step);
        let last = self.panel.width - (N - 1) * V::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; R];
            for segment in &self.walk.segments {
                let (mut a, mut b) = (segment.a, self.b_at + segment.b);
                for _ in 0..segment.len {
                    let mut vectors = [V::splat(0.0); N];
                    for (n, vector) in vectors.iter_mut().enumerate() {
                        *vector = if WHOLE || n + 1 < N {
                            V::load(self.b, b + n * V::LANES)
                        } else {
                            V::load_first(self.b, b + n * V::LANES, last)
                        };
                    }
                    for r in 0..R {
                        let factor = V::broadcast(self.a, rows[r] + a);
                        for n in 0..N {
                            sums[r][n] = factor.mul_add(vectors[n], sums[r][n]);
                        }
                    }
                    a += a_step;
                    b += b_step;
                }
            }
            sums
        }
    }

    /// Puts the sums of the first rows where they belong. `WHOLE` says that the panel fills its vectors.
    #[inline(always)]
    fn finish<V: Vector, const R: usize, const N: usize, const WHOLE: bool>(
        &mut self,
        outs: &[usize],
        sums: [[V; N]; R],
    ) {
        let (onto, bias, relu) = self.end.parts();
        let width = if WHOLE { N * V::LANES } else { self.panel.width };
        let last = width - (N - 1) * V::LANES;
        if let Some(bias) = bias {
            assert!(self.panel.at + width <= bias.len(), "{:?} of a bias of {}", self.panel, bias.len());
        }
        for (&out, sums) in outs.iter().zip(sums) {
            let to = out + self.out_at;
            assert!(to + width <= self.out.len(), "a row at {out} ends outside of {} floats", self.out.len());
            for (n, mut sum) in sums.into_iter().enumerate() {
                let (at, whole) = (n * V::LANES, WHOLE || n + 1 < N);
                let load = |from: &[f32], at: usize| {
                    // SAFETY: the two assertions above.
                    unsafe { if whole { V::load(from, at) } else { V::load_first(from, at, last) } }
                };
                // SAFETY: the second assertion above; only a supported set runs kernels.
                unsafe {
                    if onto {
                        sum = sum.add(load(self.out, to + at));
                    }
                    if let Some(bias) = bias {
                        sum = sum.add(load(bias, self.panel.at + at));
                    }
                    if relu {
                        sum = sum.relu();
                    }
                    if whole {
                        sum.store(self.out, to + at);
                    } else {
                        sum.store_first(self.out, to + at, last);
                    }
                }
            }
        }
    }
}
