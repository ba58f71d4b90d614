//! The loop of a version: what its requests took in an interval goes to the controller, what that decides to the queue. It does
//! not know how the controller decides.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use homeostat_control::{ControlError, Interval, Latency, LatencyConfig, Pace};
use homeostat_deploy::Batcher;

/// Times of an interval that are kept; beyond, the oldest go, which is no worse a sample.
const MOST_TIMES: usize = 16_384;

/// A controller at work on a batcher.
#[derive(Debug)]
pub(crate) struct Loop {
    times: Mutex<Times>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct Times {
    seconds: Vec<f32>,
    count: usize,
}

#[derive(Debug)]
struct State {
    latency: Latency,
    since: Instant,
}

impl Loop {
    /// Begins with the pace that the batcher has.
    pub(crate) fn new(config: &LatencyConfig, batcher: &Batcher) -> Result<Self, ControlError> {
        let queue = u32::try_from(batcher.level().limit).unwrap_or(u32::MAX);
        let latency = config.init(Pace { wait: batcher.longest_wait().as_secs_f64(), queue })?;
        // What was before counts for nothing.
        let _ = batcher.pressure();
        let state = State { latency, since: Instant::now() };
        Ok(Self { times: Mutex::default(), state: Mutex::new(state) })
    }

    /// Takes what a request took.
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for a percentile")]
    pub(crate) fn record(&self, took: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let (seconds, place) = (took.as_secs_f64() as f32, times.count % MOST_TIMES);
        match times.seconds.get_mut(place) {
            Some(old) => *old = seconds,
            None => times.seconds.push(seconds),
        }
        times.count += 1;
    }

    /// Ends an interval: measures, decides, and sets what was decided.
    pub(crate) fn turn(&self, model: &str, batcher: &Batcher) {
        let Times { mut seconds, count } =
            std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, pressure) = (Instant::now(), batcher.pressure());
        let passed = now.duration_since(state.since);
        let could = passed * u32::try_from(batcher.config().instances).unwrap_or(1).max(1);
        state.since = now;
        let whole = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let interval = Interval {
            seconds: passed.as_secs_f64(),
            answered: whole(count as u64),
            refused: whole(pressure.refused),
            p99: percentile(&mut seconds),
            deepest: whole(pressure.deepest as u64),
            busy: (1.0 - pressure.rested.as_secs_f64() / could.as_secs_f64().max(1e-9)).max(0.0),
        };
        let Some(decision) = state.latency.decide(&interval) else { return };
        let Pace { wait, queue } = decision.pace;
        batcher.set_longest_wait(Duration::from_secs_f64(wait.max(0.0)));
        batcher.set_queue(queue as usize);
        tracing::debug!(model, queue, wait, reason = decision.reason, evidence = ?decision.evidence, "the pace is changed");
    }
}

/// The 99th percentile; 0 where there is nothing.
fn percentile(seconds: &mut [f32]) -> f64 {
    let place = (seconds.len() * 99 / 100).min(seconds.len().saturating_sub(1));
    if seconds.is_empty() {
        return 0.0;
    }
    let (_, found, _) = seconds.select_nth_unstable_by(place, f32::total_cmp);
    f64::from(*found)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn one_of_a_hundred_may_take_longer() {
        assert_eq!(percentile(&mut []), 0.0);
        assert_eq!(percentile(&mut [3.0]), 3.0);
        let mut times: Vec<f32> = (0..200_u16).rev().map(f32::from).collect();
        assert_eq!(percentile(&mut times), 198.0);
    }
}
