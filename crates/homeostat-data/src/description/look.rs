//! What a picture looks like, in a few bytes that survive another size, another JPEG quality and a little more light. It does not
//! know which pictures are compared.

use std::f32::consts::PI;
use std::sync::OnceLock;

use crate::{Filter, Image, resize};

/// The side on which the hash looks at a picture.
const SIDE: usize = 32;
/// The lowest frequencies in each direction that the hash has.
const WAVES: usize = 8;
/// The side of the thumbnail.
const THUMB: usize = SIDE / 2;
/// The most bits in which the hashes of alike pictures differ.
const DISTANCE: u32 = 8;
/// The least correlation of the thumbnails of alike pictures.
const CORRELATION: f32 = 0.995;
/// The most levels by which their mean colours differ.
const COLOR: i16 = 16;
/// Thumbnails whose levels spread less than this show nothing that could be compared.
const FLAT: f32 = 3.0;

/// A perceptual hash (the signs, around their median, of the lowest frequencies of the cosine transform; Zauner 2010), and a
/// thumbnail that tells true matches from chance ones.
pub(super) struct Look {
    hash: u64,
    thumb: [u8; THUMB * THUMB],
    color: [u8; 3],
}

impl Look {
    /// Of any picture; alpha is not looked at.
    #[expect(clippy::cast_possible_truncation, reason = "a mean of 8-bit levels is one")]
    pub(super) fn of(image: &Image) -> Self {
        let small = resize(image, SIDE, SIDE, Filter::Bilinear).to_channels(if image.channels() == 1 { 1 } else { 3 });
        let channels = small.channels();
        let mean = |channel: usize| {
            let sum: u32 = small.pixels().iter().skip(channel).step_by(channels).map(|&level| u32::from(level)).sum();
            (sum / (SIDE * SIDE) as u32) as u8
        };
        let color = [0, 1, 2].map(|channel: usize| mean(channel.min(channels - 1)));
        let grey = small.to_channels(1);
        let mut thumb = [0; THUMB * THUMB];
        for (at, level) in thumb.iter_mut().enumerate() {
            let (y, x) = (at / THUMB * 2, at % THUMB * 2);
            let of = |x, y| u32::from(grey.get(x, y)[0]);
            *level = ((of(x, y) + of(x + 1, y) + of(x, y + 1) + of(x + 1, y + 1) + 2) / 4) as u8;
        }
        Self { hash: hash(grey.pixels()), thumb, color }
    }

    /// Its 64 bits, of which alike pictures share most.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether both show the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let near = |(&a, &b): (&u8, &u8)| (i16::from(a) - i16::from(b)).abs() <= COLOR;
        (self.hash ^ other.hash).count_ones() <= DISTANCE
            && self.color.iter().zip(&other.color).all(near)
            && correlation(&self.thumb, &other.thumb).is_some_and(|found| found >= CORRELATION)
    }
}

/// The correlation of two lists of levels; nothing where one of them is flat.
fn correlation(a: &[u8], b: &[u8]) -> Option<f32> {
    let mean = |levels: &[u8]| levels.iter().map(|&level| f32::from(level)).sum::<f32>() / levels.len() as f32;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f32::from(a) - mean_a, f32::from(b) - mean_b);
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    let flat = FLAT * FLAT * a.len() as f32;
    (aa >= flat && bb >= flat).then(|| ab / (aa * bb).sqrt())
}

/// A bit a frequency: whether its share is above the median of all. The constant part has no say.
fn hash(grey: &[u8]) -> u64 {
    let waves = waves();
    // Along the rows, then along the columns; only the lowest frequencies are ever computed.
    let mut rows = [[0.0_f32; SIDE]; WAVES];
    for (y, row) in grey.chunks_exact(SIDE).enumerate() {
        for (wave, out) in waves.iter().zip(&mut rows) {
            out[y] = wave.iter().zip(row).map(|(cosine, &level)| cosine * f32::from(level)).sum();
        }
    }
    let mut shares = [0.0_f32; WAVES * WAVES];
    for (at, share) in shares.iter_mut().enumerate() {
        *share = waves[at / WAVES].iter().zip(&rows[at % WAVES]).map(|(cosine, value)| cosine * value).sum();
    }
    let mut sorted = shares;
    sorted[1..].sort_unstable_by(f32::total_cmp);
    let median = sorted[WAVES * WAVES / 2];
    shares.iter().enumerate().skip(1).fold(0, |bits, (at, &share)| bits | u64::from(share > median) << at)
}

/// The cosines of the lowest frequencies at each of the pixels of a side (DCT-II).
fn waves() -> &'static [[f32; SIDE]; WAVES] {
    static WAVES_AT: OnceLock<[[f32; SIDE]; WAVES]> = OnceLock::new();
    WAVES_AT.get_or_init(|| {
        let cosine = |wave: usize, x: usize| (PI * wave as f32 * (x as f32 + 0.5) / SIDE as f32).cos();
        std::array::from_fn(|wave| std::array::from_fn(|x| cosine(wave, x)))
    })
}
