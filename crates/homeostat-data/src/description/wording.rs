//! What a text says, in a few numbers that survive small changes: the minima of hashes of its parts (MinHash; Broder 1997). It does
//! not know which texts are compared.

/// Minima of a text.
const MINIMA: usize = 64;
/// Letters of a part.
const PART: usize = 5;
/// Minima in a band.
const ROWS: usize = MINIMA / Wording::BANDS;
/// The least share of equal minima of two texts that are alike.
const SHARE: f64 = 0.8;

/// The minima of a text: the share of equal ones estimates the share of equal parts (the Jaccard index).
pub(super) struct Wording {
    minima: [u32; MINIMA],
    /// A text without words is like no other.
    empty: bool,
}

impl Wording {
    /// Groups of minima, of which alike texts nearly always share one.
    pub(super) const BANDS: usize = 16;

    /// Of the words of a text, in their order.
    pub(super) fn of(words: &[String]) -> Self {
        let letters: Vec<char> = words.join(" ").chars().collect();
        let mut minima = [u32::MAX; MINIMA];
        for part in letters.windows(PART.min(letters.len()).max(1)) {
            let hash = part.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &letter| mix(hash ^ u64::from(letter)));
            for (at, least) in (0_u64..).zip(&mut minima) {
                // The upper half: its bits are the better mixed.
                *least = (*least).min((mix(hash ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32) as u32);
            }
        }
        Self { minima, empty: letters.is_empty() }
    }

    /// One of the bands, as a number.
    pub(super) fn band(&self, at: usize) -> u64 {
        self.minima[at * ROWS..(at + 1) * ROWS].iter().fold(at as u64, |hash, &least| mix(hash ^ u64::from(least)))
    }

    /// Whether both say the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let equal = self.minima.iter().zip(&other.minima).filter(|(a, b)| a == b).count();
        !self.empty && !other.empty && equal as f64 >= SHARE * MINIMA as f64
    }
}

/// Every bit of the result depends on every bit of the value (Steele et al. 2014, the last step of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
