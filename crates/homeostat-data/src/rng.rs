//! Random numbers by key instead of by state: the same key gives the same numbers, whoever asks and in whatever order.
//! It does not know what the numbers are for.

use std::ops::Range;

/// A counter-based generator, Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
/// SC 2011).
///
/// The integers are the same on every machine. [`normal`](Self::normal) and [`beta`](Self::beta) use the logarithm of
/// the standard library, which may differ in the last bit between platforms.
///
/// ```
/// use homeostat_data::{Rng, stream};
///
/// let key = [0, 17, stream("flip-horizontal", 0)]; // epoch, sample, operation
/// assert_eq!(Rng::keyed(1, key).next_u64(), Rng::keyed(1, key).next_u64());
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

/// The third part of a key: a number for the operation `name`, the `ordinal`-th of that name (64-bit FNV-1a).
///
/// Numbers are tied to names, so that adding an operation does not change the numbers of another.
#[must_use]
pub const fn stream(name: &str, ordinal: u64) -> u64 {
    let bytes = name.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash.wrapping_add(ordinal)
}

impl Rng {
    /// The generator of `(seed, key)`; keys are by custom `[epoch, sample, operation]`, see [`stream`].
    ///
    /// The key is hashed with Philox itself as the block cipher of a CBC-MAC under `seed`: half of the result becomes the
    /// key of the stream, half the upper half of its counter, so each stream has 2^64 blocks of its own.
    #[must_use]
    pub fn keyed(seed: u64, key: [u64; 3]) -> Self {
        let [s0, s1] = halves(seed);
        let [a, b, c] = key.map(halves);
        let first = philox([a[0], a[1], b[0], b[1]], [s0, s1]);
        let hash = philox([first[0] ^ c[0], first[1] ^ c[1], first[2], first[3] ^ 1], [s0, s1]);
        Self { key: [hash[0], hash[1]], counter: [0, 0, hash[2], hash[3]], block: [0; 4], used: 4 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.used = 0;
            let (low, carry) = self.counter[0].overflowing_add(1);
            self.counter[0] = low;
            self.counter[1] = self.counter[1].wrapping_add(u32::from(carry));
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-24.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-53.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A whole number of `range`, each with exactly the same chance (Lemire 2019: "Fast random integer generation in an interval").
    ///
    /// # Panics
    /// If the range is empty.
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a product are taken on purpose")]
    pub fn range(&mut self, range: Range<usize>) -> usize {
        assert!(range.start < range.end, "no number in the empty range {range:?}");
        let n = (range.end - range.start) as u64;
        let biased = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= biased {
                return range.start + (product >> 64) as usize;
            }
        }
    }

    /// Uniform in `[low, high)`; `low` when both are equal.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform_f64()
    }

    /// True with the given probability: never for 0, always for 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform_f64() < probability
    }

    /// From the normal distribution of mean 0 and variance 1 (Box and Muller 1958).
    #[expect(clippy::cast_possible_truncation, reason = "computed in f64, asked for in f32")]
    pub fn normal(&mut self) -> f32 {
        self.normal_f64() as f32
    }

    fn normal_f64(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform_f64()).cos()
    }

    /// From the symmetric distribution Beta(`alpha`, `alpha`), as mixup draws its weight.
    ///
    /// # Panics
    /// If `alpha` is not positive.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        assert!(alpha > 0.0, "Beta({alpha}, {alpha}) does not exist");
        let (a, b) = (self.ln_gamma_variate(alpha), self.ln_gamma_variate(alpha));
        1.0 / (1.0 + (b - a).exp())
    }

    /// `n` shares that sum to 1, from the symmetric Dirichlet distribution of parameter `alpha`.
    ///
    /// # Panics
    /// If `alpha` is not positive.
    pub fn dirichlet(&mut self, alpha: f64, n: usize) -> Vec<f64> {
        assert!(alpha > 0.0, "there is no Dirichlet distribution of parameter {alpha}");
        let logs: Vec<f64> = (0..n).map(|_| self.ln_gamma_variate(alpha)).collect();
        let most = logs.iter().fold(f64::NEG_INFINITY, |most, &log| most.max(log));
        let parts: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let sum: f64 = parts.iter().sum();
        parts.into_iter().map(|part| part / sum).collect()
    }

    /// The logarithm of a draw from Gamma(`shape`, 1) (Marsaglia and Tsang 2000); a logarithm, for with a small shape the draw
    /// itself is often too small for a float.
    fn ln_gamma_variate(&mut self, shape: f64) -> f64 {
        // Gamma(a) is Gamma(a + 1) times the a-th root of a uniform number.
        let boost = (1.0 - self.uniform_f64()).ln() / shape;
        let d = shape + 1.0 - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal_f64();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.uniform_f64()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d.ln() + v.ln() + boost;
            }
        }
    }

    /// The numbers `0..n` in random order (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.range(0..i + 1);
            order.swap(i, j);
        }
        order
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are taken on purpose")]
const fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// Philox4x32 with ten rounds: a bijection of the counter for each key.
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..10 {
        let [low0, high0] = halves(u64::from(c0) * 0xD251_1F53);
        let [low1, high1] = halves(u64::from(c2) * 0xCD9E_8D57);
        (c0, c1, c2, c3) = (high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The known answers for `philox4x32 10` in `kat_vectors` of Random123, the reference implementation.
    #[test]
    fn philox_gives_the_known_answers_of_random123() {
        let all = u32::MAX;
        for (counter, key, answer) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([all; 4], [all; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), answer);
        }
    }
}
