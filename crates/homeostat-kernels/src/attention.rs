//! Scaled dot-product attention of one head, forward and backward, a block of queries against a block of keys at a time:
//! the softmax is corrected as keys come (Milakov & Gimelshein 2018; Dao et al. 2022), so memory does not grow with the
//! square of the length, and on the way back the shares are computed anew. It does not know tensors.

use crate::{
    curves::exp,
    gemm::{Add, Matrix},
    simd::{Kernel, Vector},
    sums::{dot, largest, total},
};

/// Queries, and keys, of a block.
const BLOCK: usize = 128;

/// One head of one sample: queries, keys and values as matrices of a row each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) query: Matrix<'a>,
    pub(crate) key: Matrix<'a>,
    pub(crate) value: Matrix<'a>,
    pub(crate) scale: f32,
    /// A query sees keys up to its own place, counted from the end.
    pub(crate) causal: bool,
    pub(crate) mask: Option<Mask<'a>>,
}

/// Which keys a query does not see: `hidden[start + query * steps[0] + key * steps[1]]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask<'a> {
    pub(crate) hidden: &'a [u8],
    pub(crate) start: usize,
    pub(crate) steps: [usize; 2],
}

impl<'a> Head<'a> {
    /// Keys that the first queries up to `last` see, at most.
    fn reach(&self, last: usize) -> usize {
        if self.causal {
            (last + self.key.rows).saturating_sub(self.query.rows).min(self.key.rows)
        } else {
            self.key.rows
        }
    }

    /// Blocks of queries with the blocks of keys that they see.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let head = *self;
        (0..head.query.rows).step_by(BLOCK).flat_map(move |query| {
            let queries = BLOCK.min(head.query.rows - query);
            let reach = head.reach(query + queries);
            (0..reach).step_by(BLOCK).map(move |key| (query, queries, key, BLOCK.min(reach - key)))
        })
    }

    /// Scaled scores of some queries for some keys, minus infinity where hidden: `queries` rows of `keys`.
    #[inline(always)]
    fn scores<V: Vector>(&self, (query, queries, key, keys): (usize, usize, usize, usize), to: &mut [f32]) {
        multiply::<V>(self.query.rows_from(query, queries), self.key.rows_from(key, keys).transposed(), to);
        for (row, to) in (query..).zip(to.chunks_exact_mut(keys)) {
            for score in &mut *to {
                *score *= self.scale;
            }
            if let Some(mask) = self.mask {
                let from = &mask.hidden[mask.start + row * mask.steps[0] + key * mask.steps[1]..];
                for (column, score) in to.iter_mut().enumerate() {
                    *score = if from[column * mask.steps[1]] == 0 { *score } else { f32::NEG_INFINITY };
                }
            }
            let seen = self.reach(row + 1).saturating_sub(key).min(keys);
            to[seen..].fill(f32::NEG_INFINITY);
        }
    }
}

/// `to = a b`, with rows as long as `b` is wide.
#[inline(always)]
fn multiply<V: Vector>(a: Matrix<'_>, b: Matrix<'_>, to: &mut [f32]) {
    to.fill(0.0);
    let mut rows: Vec<&mut [f32]> = to.chunks_exact_mut(b.columns).collect();
    add::<V>(a, b, &mut rows);
}

#[inline(always)]
fn add<V: Vector>(a: Matrix<'_>, b: Matrix<'_>, rows: &mut [&mut [f32]]) {
    Add { a, b, packed: [None, None], rows }.run::<V>();
}

/// Adds what the queries attend to to `out`, cleared, and writes to `weight` the logarithm of each row's sum of
/// exponentials. A query that sees no key gets zeros, and minus infinity.
pub(crate) struct Attend<'a, 'b> {
    pub(crate) head: Head<'a>,
    pub(crate) out: &'a mut [&'b mut [f32]],
    pub(crate) weight: &'a mut [f32],
}

impl Kernel for Attend<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { head, out, weight } = self;
        let mut scores = vec![0.0; BLOCK * BLOCK];
        let mut sums = vec![0.0; head.query.rows];
        weight.fill(f32::NEG_INFINITY);
        for block in head.blocks() {
            let (query, queries, key, keys) = block;
            let scores = &mut scores[..queries * keys];
            head.scores::<V>(block, scores);
            let rows = query..query + queries;
            let (out, tops, sums) = (&mut out[rows.clone()], &mut weight[rows.clone()], &mut sums[rows]);
            for (((scores, out), top), sum) in scores.chunks_exact_mut(keys).zip(&mut *out).zip(tops).zip(sums) {
                let highest = largest(scores).max(*top);
                // Where all is hidden so far any finite number will do: exponentials of minus infinity are zeros.
                let shift = if highest == f32::NEG_INFINITY { 0.0 } else { highest };
                let fade = exp(*top - shift);
                *top = highest;
                for score in &mut *scores {
                    *score = exp(*score - shift);
                }
                *sum = *sum * fade + total(scores);
                if key > 0 {
                    for out in out.iter_mut() {
                        *out *= fade;
                    }
                }
            }
            let shares = Matrix::new(scores, queries, keys);
            add::<V>(shares, head.value.rows_from(key, keys), out);
        }
        for ((out, weight), sum) in out.iter_mut().zip(weight).zip(sums) {
            let factor = if sum == 0.0 { 0.0 } else { 1.0 / sum };
            for out in out.iter_mut() {
                *out *= factor;
            }
            *weight += sum.ln();
        }
    }
}

/// The gradients of queries, keys and values, added to cleared rows.
pub(crate) struct AttendBack<'a, 'b> {
    pub(crate) head: Head<'a>,
    /// What [`Attend`] gave, and its weights.
    pub(crate) out: Matrix<'a>,
    pub(crate) weight: &'a [f32],
    pub(crate) gradient: Matrix<'a>,
    /// Of queries, keys and values.
    pub(crate) to: [&'a mut [&'b mut [f32]]; 3],
}

impl Kernel for AttendBack<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { head, out, weight, gradient, to: [to_query, to_key, to_value] } = self;
        let (mut shares, mut slopes) = (vec![0.0; BLOCK * BLOCK], vec![0.0; BLOCK * BLOCK]);
        // Of each query, its gradient times what it attended to: what the softmax takes away again.
        let common: Vec<f32> = (0..out.rows).map(|row| dot(out.row(row), gradient.row(row))).collect();
        for block in head.blocks() {
            let (query, queries, key, keys) = block;
            let (shares, slopes) = (&mut shares[..queries * keys], &mut slopes[..queries * keys]);
            let upstream = gradient.rows_from(query, queries);
            head.scores::<V>(block, shares);
            multiply::<V>(upstream, head.value.rows_from(key, keys).transposed(), slopes);
            let rows = shares.chunks_exact_mut(keys).zip(slopes.chunks_exact_mut(keys));
            for ((shares, slopes), row) in rows.zip(query..) {
                let (weight, common) = (weight[row], common[row]);
                let shift = if weight == f32::NEG_INFINITY { 0.0 } else { weight };
                for (share, slope) in shares.iter_mut().zip(slopes) {
                    *share = exp(*share - shift);
                    *slope = *share * (*slope - common) * head.scale;
                }
            }
            let shares = Matrix::new(shares, queries, keys);
            let slopes = Matrix::new(slopes, queries, keys);
            add::<V>(shares.transposed(), upstream, &mut to_value[key..key + keys]);
            add::<V>(slopes, head.key.rows_from(key, keys), &mut to_query[query..query + queries]);
            add::<V>(slopes.transposed(), head.query.rows_from(query, queries), &mut to_key[key..key + keys]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    const WIDTHS: [usize; 2] = [6, 5];

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    /// What each query attends to, in double precision, times `upstream`, summed.
    fn loss([query, key, value]: [&[f64]; 3], queries: usize, keys: usize, causal: bool, upstream: &[f32]) -> f64 {
        let [width, out] = WIDTHS;
        let mut total = 0.0;
        for row in 0..queries {
            let seen = if causal { (row + 1 + keys).saturating_sub(queries) } else { keys };
            let score = |at: usize| -> f64 {
                (0..width).map(|i| query[row * width + i] * key[at * width + i]).sum::<f64>() / (width as f64).sqrt()
            };
            let shares: Vec<f64> = (0..seen).map(|at| score(at).exp()).collect();
            let sum: f64 = shares.iter().sum();
            for (at, share) in shares.iter().enumerate() {
                for i in 0..out {
                    total += share / sum * value[at * out + i] * f64::from(upstream[row * out + i]);
                }
            }
        }
        total
    }

    /// A product with `upstream`, and the gradients of query, key and value, of one instruction set.
    fn ours(
        isa: Isa,
        [query, key, value]: [&[f32]; 3],
        lengths: [usize; 2],
        causal: bool,
        upstream: &[f32],
    ) -> (f64, [Vec<f32>; 3]) {
        let ([queries, keys], [width, wide]) = (lengths, WIDTHS);
        #[expect(clippy::cast_possible_truncation, reason = "a test")]
        let scale = (1.0 / (width as f64).sqrt()) as f32;
        let head = Head {
            query: Matrix::new(query, queries, width),
            key: Matrix::new(key, keys, width),
            value: Matrix::new(value, keys, wide),
            scale,
            causal,
            mask: None,
        };
        let (mut out, mut weight) = (vec![0.0; queries * wide], vec![0.0; queries]);
        let mut rows: Vec<&mut [f32]> = out.chunks_exact_mut(wide).collect();
        isa.run(Attend { head, out: &mut rows, weight: &mut weight });
        let mut found = [queries * width, keys * width, keys * wide].map(|len| vec![0.0; len]);
        let [to_query, to_key, to_value] = &mut found;
        let mut to = [(to_query, width), (to_key, width), (to_value, wide)]
            .map(|(floats, width)| floats.chunks_exact_mut(width).collect::<Vec<_>>());
        let [to_query, to_key, to_value] = &mut to;
        isa.run(AttendBack {
            head,
            out: Matrix::new(&out, queries, wide),
            weight: &weight,
            gradient: Matrix::new(upstream, queries, wide),
            to: [to_query, to_key, to_value],
        });
        (out.iter().zip(upstream).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum(), found)
    }

    #[test]
    fn every_instruction_set_agrees_with_double_precision_and_gradients_are_slopes() {
        for (lengths @ [queries, keys], causal) in
            [([1, 1], false), ([9, 140], false), ([140, 9], true), ([131, 131], true)]
        {
            let floats = [queries * WIDTHS[0], keys * WIDTHS[0], keys * WIDTHS[1]];
            let floats = [0, 1, 2].map(|part: usize| numbers(floats[part], part));
            let upstream = numbers(queries * WIDTHS[1], 7);
            let wide = floats.each_ref().map(|x| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            let exact = |x: &[Vec<f64>; 3]| loss(x.each_ref().map(Vec::as_slice), queries, keys, causal, &upstream);
            for isa in Isa::supported() {
                let (value, gradients) = ours(isa, floats.each_ref().map(Vec::as_slice), lengths, causal, &upstream);
                assert!((value - exact(&wide)).abs() < 1e-4, "{isa:?}, {lengths:?}: {value}, {}", exact(&wide));
                for (part, gradient) in gradients.iter().enumerate() {
                    for at in (0..gradient.len()).step_by(gradient.len() / 7 + 1) {
                        let moved = |by: f64| {
                            let mut moved = wide.clone();
                            moved[part][at] += by;
                            exact(&moved)
                        };
                        let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                        let off = (f64::from(gradient[at]) - slope).abs();
                        assert!(off < 2e-5 * (1.0 + slope.abs()), "{isa:?}, {lengths:?}, {part}, {at}: {off}");
                    }
                }
            }
        }
    }
}
