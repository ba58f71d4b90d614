//! How far a value stands above its recent kind. It does not know what it measures.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The median absolute deviation times this estimates the standard deviation of a normal distribution.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// The distance from the median to this quantile ...
const TAIL: f64 = 0.95;
/// ... is this many standard deviations of a normal distribution.
const TAIL_DEVIATIONS: f64 = 1.645;
/// A spread below 10 % is taken as 10 %, or a quiet loss would make a fault of every ripple.
const MIN_DEVIATION: f64 = 0.1;
/// A value below this share of the first ones is no fault however far it stands above the last ones: near the end of
/// training most batches lose next to nothing, and the one that holds a hard sample is what there is left to learn.
const MIN_SHARE: f64 = 0.1;
/// What has no logarithm counts as this.
const FLOOR: f64 = 1e-12;

/// The logarithms of recent values, judged by their median and median absolute deviation, which a few outliers do not
/// move (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
///
/// In logarithms, because losses and gradient norms vary by factors: their noise is skewed, and shrinks as they do. Where
/// the upper tail is longer than that of a normal distribution even so, its 95 % quantile sets the spread. A quantity
/// whose first values are not positive is not judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Gauge {
    /// Oldest first.
    logs: VecDeque<f64>,
    /// The median at the end of the warm-up; none before.
    first: Option<f64>,
}

/// How far a value stands above the recent ones.
pub(crate) struct Rise {
    /// In robust standard deviations of the logarithm; negative below the median.
    pub(crate) score: f64,
    /// The median of the recent values, in their own unit.
    pub(crate) median: f64,
}

impl Gauge {
    /// Takes one good value: the oldest of more than `window` is forgotten, judging begins after `warmup`.
    pub(crate) fn push(&mut self, value: f64, window: usize, warmup: usize) {
        self.logs.push_back(log(value));
        if self.first.is_none() && self.logs.len() >= warmup {
            self.first = Some(self.quantile(0.5));
        }
        if self.logs.len() > window {
            self.logs.pop_front();
        }
    }

    /// None during warm-up, and where the value is too small to matter.
    pub(crate) fn rise(&self, value: f64) -> Option<Rise> {
        // Only a checkpoint that somebody edited is warm and empty.
        let first = self.first.filter(|&first| first > FLOOR.ln() && !self.logs.is_empty())?;
        let log = log(value);
        if log < first + MIN_SHARE.ln() {
            return None;
        }
        let (center, deviation) = self.center_and_deviation();
        Some(Rise { score: (log - center) / deviation.max(MIN_DEVIATION), median: center.exp() })
    }

    pub(crate) fn is_warm(&self) -> bool {
        self.first.is_some()
    }

    fn center_and_deviation(&self) -> (f64, f64) {
        let center = self.quantile(0.5);
        let bulk = quantile(0.5, self.logs.iter().map(|log| (log - center).abs()).collect()) * MAD_TO_DEVIATION;
        let tail = (self.quantile(TAIL) - center) / TAIL_DEVIATIONS;
        (center, bulk.max(tail))
    }

    fn quantile(&self, share: f64) -> f64 {
        quantile(share, self.logs.iter().copied().collect())
    }
}

fn log(value: f64) -> f64 {
    value.max(FLOOR).ln()
}

/// Of at least one value, the one that this share of them, below 1, lies under.
#[expect(clippy::cast_possible_truncation, reason = "a share of a length is an index, rounded down")]
fn quantile(share: f64, mut values: Vec<f64>) -> f64 {
    let at = (share * values.len() as f64) as usize;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}
