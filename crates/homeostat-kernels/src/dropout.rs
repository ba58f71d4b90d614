//! Dropout of a row of floats: which are kept depends on a seed and their places alone, so the way back needs no memory of it. It
//! does not know tensors.

use crate::buffer::by_chunks;

/// Which floats are kept, and what these are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped {
    seed: u64,
    /// A float is dropped where its 16 random bits are below this.
    threshold: u32,
    scale: f32,
}

/// Floats of a task: whole words of random bits.
const CHUNK: usize = 1 << 14;
/// Floats that the 64 bits of a word decide on.
const PER_WORD: usize = 4;

impl Dropped {
    /// Drops this share, in 0..1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^16, and a 32-bit factor")]
    pub(crate) fn new(seed: u64, share: f64) -> Self {
        let threshold = (share * 65_536.0).round() as u32;
        Self { seed, threshold, scale: (65_536.0 / f64::from(65_536 - threshold.min(65_535))) as f32 }
    }

    /// The floats, each times zero or the scale.
    pub(crate) fn apply(&self, x: &[f32]) -> Vec<f32> {
        by_chunks(x.len(), CHUNK, |index, to| {
            let first = index * CHUNK;
            let words = (first / PER_WORD) as u64..;
            let rows = to.chunks_mut(PER_WORD).zip(x[first..].chunks(PER_WORD));
            for (word, (to, x)) in words.zip(rows) {
                let bits = mixed(self.seed.wrapping_add(word.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
                for (at, (to, x)) in to.iter_mut().zip(x).enumerate() {
                    #[expect(clippy::cast_possible_truncation, reason = "16 bits of it")]
                    let own = (bits >> (16 * at)) as u32 & 0xFFFF;
                    *to = x * if own < self.threshold { 0.0 } else { self.scale };
                }
            }
        })
    }
}

/// The finish of SplitMix64 (Steele, Lea & Flood 2014).
fn mixed(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_dropped_and_the_mean_kept() {
        for share in [0.0, 0.1, 0.5, 0.9] {
            let x = vec![1.0_f32; 100_003];
            let y = Dropped::new(7, share).apply(&x);
            let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / x.len() as f64;
            assert!((dropped - share).abs() < 0.005, "{share}: {dropped}");
            let mean = y.iter().map(|y| f64::from(*y)).sum::<f64>() / x.len() as f64;
            assert!((mean - 1.0).abs() < 0.03, "{share}: {mean}");
            assert_eq!(y, Dropped::new(7, share).apply(&x));
            assert!(share == 0.0 || y != Dropped::new(8, share).apply(&x));
            // What lies side by side is not alike.
            let both = y.windows(2).filter(|pair| pair[0] == 0.0 && pair[1] == 0.0).count() as f64 / x.len() as f64;
            assert!((both - share * share).abs() < 0.01, "{share}: {both}");
        }
    }
}
