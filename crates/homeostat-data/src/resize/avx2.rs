//! Rows of another width with the vectors of AVX2: the same sums as `widen_row`, many at a time.

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};
use std::arch::x86_64::{__m128i, __m256i};

use super::{Windows, widen_row};

/// A place in old rows: 16 bits, so that the compiler knows each to lie within [`Lines`], and drops its own checks.
type Place = u16;

/// A few old rows, with room for the longest load behind the last place.
type Lines = [u8; 1 << Place::BITS | 16];

/// Rows are copied about so many bytes at a time: few enough to stay in the nearest cache, and enough to be fetched in one go.
const COPIED: usize = 1 << 14;

/// Rows with the windows of their new pixels, for 3 or 4 channels. The old rows begin `stride` bytes from each other, and go on beyond
/// what has weight.
pub(super) fn widen<const CHANNELS: usize>(simd: V3, windows: &Windows, old: &[u8], stride: usize, new: &mut [u8]) {
    let new_stride = windows.starts.len() * CHANNELS;
    let rows = new.len() / new_stride;
    let Some(pairs) = Pairs::new(windows, CHANNELS) else {
        let old = old.chunks(stride);
        old.zip(new.chunks_exact_mut(new_stride)).for_each(|(old, new)| widen_row::<CHANNELS>(windows, old, new));
        return;
    };
    let mut lines: Box<Lines> = vec![0; size_of::<Lines>()].try_into().expect("as many bytes as the type has");
    let at_once = (COPIED / stride).max(1);
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let old = &old[first * stride..];
        let bytes = old.len().min((count - 1) * stride + pairs.old_reach);
        lines[..bytes].copy_from_slice(&old[..bytes]);
        for row in 0..count {
            let new = &mut new[(first + row) * new_stride..];
            if new.len() < pairs.new_reach {
                widen_row::<CHANNELS>(windows, &old[row * stride..], &mut new[..new_stride]);
            } else {
                let begin = Place::try_from(row * stride).expect("a place among so few rows");
                simd.vectorize(Row::<CHANNELS> { simd, pairs: &pairs, old: &lines, begin, new });
            }
        }
    }
}

/// Four new pixels are made at a time, from two old ones each at a time.
struct Pairs {
    /// Where the first old pixel of each new one begins, in bytes; four new pixels each.
    starts: Vec<[Place; 4]>,
    /// The weights of each pair of old pixels for four new ones: of the first and third, and of the second and fourth.
    weights: Vec<[[[i16; 2]; 8]; 2]>,
    /// The number of pairs.
    count: usize,
    /// So far old rows have weight.
    old_reach: usize,
    /// So far stores go in a new row, and beyond it: 16 bytes at a time.
    new_reach: usize,
    half: i32,
    bits: u32,
}

impl Pairs {
    /// Nothing where a place is too far for its type.
    fn new(windows: &Windows, channels: usize) -> Option<Self> {
        let count = windows.taps / 2;
        let quads = windows.starts.len().div_ceil(4);
        let old_reach = (windows.starts.iter().max()? + windows.taps) * channels;
        Place::try_from(old_reach).ok()?;
        let start = |i: usize| {
            let start = windows.starts.get(i).map_or(0, |start| start * channels);
            Place::try_from(start).unwrap_or_default()
        };
        let starts = (0..quads).map(|quad| std::array::from_fn(|i| start(4 * quad + i))).collect();
        let pair = |pixel: usize, i: usize| {
            let weights = windows.weights.get(pixel * windows.taps + 2 * i..).unwrap_or_default();
            weights.first_chunk::<2>().copied().unwrap_or_default()
        };
        let both = |first: usize, second: usize, i: usize| {
            let (first, second) = (pair(first, i), pair(second, i));
            [first, first, first, first, second, second, second, second]
        };
        let mut weights = Vec::with_capacity(quads * count);
        for pixel in (0..quads).map(|quad| 4 * quad) {
            weights.extend((0..count).map(|i| [both(pixel, pixel + 2, i), both(pixel + 1, pixel + 3, i)]));
        }
        let new_reach = 4 * channels * (quads - 1) + 16;
        Some(Self { starts, weights, count, old_reach, new_reach, half: windows.half(), bits: windows.bits })
    }
}

struct Row<'a, const CHANNELS: usize> {
    simd: V3,
    pairs: &'a Pairs,
    old: &'a Lines,
    /// Where the row begins.
    begin: Place,
    new: &'a mut [u8],
}

impl<const CHANNELS: usize> NullaryFnOnce for Row<'_, CHANNELS> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "3 or 4 channels")]
    fn call(self) {
        const NONE: u8 = 0x80;
        let (avx2, avx, sse2, ssse3) = (self.simd.avx2, self.simd.avx, self.simd.sse2, self.simd.ssse3);
        let Self { pairs, old, begin, new, .. } = self;
        // Of four neighbours in a row, two and two of each channel side by side, as 16 bits each.
        let neighbours = |first: u8| -> __m256i {
            let channel =
                |of: u8| if usize::from(of) < CHANNELS { [first + of, first + of + CHANNELS as u8] } else { [NONE; 2] };
            let [[a, b], [c, d], [e, f], [g, h]] = [0, 1, 2, 3].map(channel);
            cast([[a, NONE, b, NONE, c, NONE, d, NONE, e, NONE, f, NONE, g, NONE, h, NONE]; 2])
        };
        let (first, second) = (neighbours(0), neighbours(2 * CHANNELS as u8));
        // Of four new pixels no more than their channels.
        let dense: [u8; 16] = match CHANNELS {
            3 => [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, NONE, NONE, NONE, NONE],
            _ => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        };
        let dense: __m128i = cast(dense);
        let half = avx._mm256_set1_epi32(pairs.half);
        let bits: __m128i = cast([u64::from(pairs.bits), 0]);
        let load = |at: Place| -> __m128i {
            let at = usize::from(at);
            cast(*old[at..at + 16].first_chunk::<16>().unwrap_or(&[0; 16]))
        };
        let both = |at: Place, other: Place| {
            avx2._mm256_inserti128_si256::<1>(avx._mm256_castsi128_si256(load(at)), load(other))
        };
        let add = |sum: __m256i, levels: __m256i, neighbours: __m256i, weights: [[i16; 2]; 8]| {
            let levels = avx2._mm256_shuffle_epi8(levels, neighbours);
            avx2._mm256_add_epi32(sum, avx2._mm256_madd_epi16(levels, cast(weights)))
        };
        let quads = pairs.starts.iter().zip(pairs.weights.chunks_exact(pairs.count));
        for (quad, (&[mut a, mut b, mut c, mut d], weights)) in quads.enumerate() {
            let (mut even, mut odd) = (half, half);
            (a, b) = (begin.wrapping_add(a), begin.wrapping_add(b));
            (c, d) = (begin.wrapping_add(c), begin.wrapping_add(d));
            let (weights, last) = weights.as_chunks::<2>();
            for [one, two] in weights {
                let (even_levels, odd_levels) = (both(a, c), both(b, d));
                even = add(add(even, even_levels, first, one[0]), even_levels, second, two[0]);
                odd = add(add(odd, odd_levels, first, one[1]), odd_levels, second, two[1]);
                let step = 4 * CHANNELS as Place;
                (a, b, c, d) = (a.wrapping_add(step), b.wrapping_add(step), c.wrapping_add(step), d.wrapping_add(step));
            }
            if let [one] = last {
                even = add(even, both(a, c), first, one[0]);
                odd = add(odd, both(b, d), first, one[1]);
            }
            let (even, odd) = (avx2._mm256_sra_epi32(even, bits), avx2._mm256_sra_epi32(odd, bits));
            let words = avx2._mm256_packs_epi32(even, odd);
            let [low, high] = [avx._mm256_castsi256_si128(words), avx2._mm256_extracti128_si256::<1>(words)];
            let levels: [u8; 16] = cast(ssse3._mm_shuffle_epi8(sse2._mm_packus_epi16(low, high), dense));
            new[4 * CHANNELS * quad..][..16].copy_from_slice(&levels);
        }
    }
}

/// A row of another height, from old rows that are no shorter than 32 bytes: the same sums as `heighten_row`.
pub(super) struct Column<'a> {
    pub(super) simd: V3,
    /// As many as there are weights, of which there is an even number.
    pub(super) old: &'a [&'a [u8]],
    pub(super) weights: &'a [i16],
    pub(super) half: i32,
    pub(super) bits: u32,
    pub(super) new: &'a mut [u8],
}

impl NullaryFnOnce for Column<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (avx2, avx) = (self.simd.avx2, self.simd.avx);
        let half = avx._mm256_set1_epi32(self.half);
        let bits: __m128i = cast([u64::from(self.bits), 0]);
        let (pairs, weights) = (self.old.as_chunks::<2>().0, self.weights.as_chunks::<2>().0);
        let last = self.new.len() - 32;
        for block in (0..=last / 32).map(|block| 32 * block).chain([last]) {
            // Of each 16 levels: 0 to 3 and 8 to 11, and those between; they come together again when they are packed.
            let (mut a, mut b, mut c, mut d) = (half, half, half, half);
            for (&[above, below], &weights) in pairs.iter().zip(weights) {
                let weights: __m256i = cast([weights; 8]);
                let load = |row: &[u8], at: usize| {
                    avx2._mm256_cvtepu8_epi16(cast(*row[at..].first_chunk::<16>().unwrap_or(&[0; 16])))
                };
                let add =
                    |sum: __m256i, both: __m256i| avx2._mm256_add_epi32(sum, avx2._mm256_madd_epi16(both, weights));
                let (upper, lower) = (load(above, block), load(below, block));
                a = add(a, avx2._mm256_unpacklo_epi16(upper, lower));
                b = add(b, avx2._mm256_unpackhi_epi16(upper, lower));
                let (upper, lower) = (load(above, block + 16), load(below, block + 16));
                c = add(c, avx2._mm256_unpacklo_epi16(upper, lower));
                d = add(d, avx2._mm256_unpackhi_epi16(upper, lower));
            }
            let shift = |sum: __m256i| avx2._mm256_sra_epi32(sum, bits);
            let first = avx2._mm256_packs_epi32(shift(a), shift(b));
            let second = avx2._mm256_packs_epi32(shift(c), shift(d));
            let levels = avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(avx2._mm256_packus_epi16(first, second));
            let levels: [u8; 32] = cast(levels);
            self.new[block..][..32].copy_from_slice(&levels);
        }
    }
}
