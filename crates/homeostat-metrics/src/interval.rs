//! How far a share that was measured on few samples can be trusted. It does not know what was counted.

/// The 97.5th percentile of the standard normal distribution: 95 % lie between its negative and itself.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a `share` in `0..=1` that was measured on so many samples (Wilson 1927, *Probable Inference, the Law of
/// Succession, and Statistical Inference*): it holds for few samples and for shares near 0 and 1, too.
///
/// ```
/// let (low, high) = homeostat_metrics::wilson(1.0, 5);
/// assert!((low - 0.5655).abs() < 1e-4 && high == 1.0, "five right of five: 57 % to 100 %");
/// ```
#[must_use]
pub fn wilson(share: f64, samples: u64) -> (f64, f64) {
    let n = samples as f64;
    if samples == 0 {
        return (0.0, 1.0);
    }
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    (((middle - spread) / whole).clamp(0.0, 1.0), ((middle + spread) / whole).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{Z, wilson};

    /// The definition: at each bound, what was measured lies just as many standard deviations of *that* share away.
    #[test]
    fn the_bounds_solve_the_score_equation() {
        for (right, samples) in [(0_u32, 5_u32), (5, 5), (177, 179), (1, 2), (9_943, 10_000)] {
            let share = f64::from(right) / f64::from(samples);
            let (low, high) = wilson(share, samples.into());
            assert!(low <= share && share <= high && low >= 0.0 && high <= 1.0, "{low} {share} {high}");
            for bound in [low, high] {
                let (distance, variance) = (share - bound, bound * (1.0 - bound) / f64::from(samples));
                assert!((distance * distance - Z * Z * variance).abs() < 1e-12, "{right} of {samples}: {bound}");
            }
        }
        assert_eq!(wilson(0.5, 0), (0.0, 1.0), "nothing is known");
    }
}
