//! When requests come: at random (a Poisson process), at rates that step. It does not know what is asked.

use std::{str::FromStr, time::Duration};

use homeostat_data::{Rng, stream};

/// A rate for some time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    seconds: f64,
    rate: f64,
}

/// Steps of requests a second, one after the other; a burst is a short step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule(Vec<Step>);

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let step = |word: &str| {
            let (seconds, rate) = word.split_once(':')?;
            let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
            Some(Step { seconds: number(seconds)?, rate: number(rate)? })
        };
        let steps: Option<Vec<Step>> = text.split(',').map(step).collect();
        steps.map(Self).ok_or_else(|| format!("`{text}`: give SECONDS:RATE,... with numbers of at least 0"))
    }
}

impl Schedule {
    /// The times of all requests from the beginning, in their order; the same seed gives the same times.
    pub(crate) fn arrivals(&self, seed: u64) -> impl Iterator<Item = Duration> + use<> {
        let mut rng = Rng::keyed(seed, [0, 0, stream("arrivals", 0)]);
        let mut steps = self.0.clone().into_iter();
        let mut step = steps.next();
        let (mut begin, mut within) = (0.0, 0.0);
        std::iter::from_fn(move || {
            // In units of the mean gap, so that a gap may reach from one rate into the next.
            let mut gap = -(1.0 - rng.uniform_f64()).ln();
            loop {
                let Step { seconds, rate } = step?;
                let left = (seconds - within) * rate;
                if gap < left {
                    within += gap / rate;
                    return Some(Duration::from_secs_f64(begin + within));
                }
                gap -= left;
                begin += seconds;
                within = 0.0;
                step = steps.next();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str, seed: u64) -> Vec<f64> {
        text.parse::<Schedule>().unwrap().arrivals(seed).map(|time| time.as_secs_f64()).collect()
    }

    #[test]
    fn a_rate_gives_so_many_a_second_at_random_times() {
        let times = times("100:200,50:0,10:1000", 1);
        assert!(times.is_sorted());
        let within = |from: f64, to: f64| times.iter().filter(|&&time| from <= time && time < to).count() as f64;
        // Six standard deviations of a Poisson count.
        assert!((within(0.0, 100.0) - 20_000.0).abs() < 6.0 * 20_000_f64.sqrt());
        assert_eq!(within(100.0, 150.0), 0.0);
        assert!((within(150.0, 160.0) - 10_000.0).abs() < 6.0 * 10_000_f64.sqrt());
        // Exponential gaps: a share of 1 / e is longer than the mean.
        let gaps: Vec<f64> = times.windows(2).take(19_000).map(|pair| pair[1] - pair[0]).collect();
        let long = gaps.iter().filter(|&&gap| gap > 1.0 / 200.0).count() as f64 / gaps.len() as f64;
        assert!((long - (-1.0_f64).exp()).abs() < 0.02, "{long}");
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(times("5:50,5:100", 3), times("5:50,5:100", 3));
        assert_ne!(times("5:50,5:100", 3), times("5:50,5:100", 4));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in ["", "5", "5:x", "-1:5", "1:inf", "1:2,"] {
            let error = wrong.parse::<Schedule>().unwrap_err();
            assert!(error.contains("SECONDS:RATE"), "{wrong}: {error}");
        }
    }
}
