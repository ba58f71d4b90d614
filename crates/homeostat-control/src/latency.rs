//! Holds the time of answers below a target while a model is served: how long requests wait for others, and how many may
//! wait at all. It does not know requests, queues or clocks: each interval is told to it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{ControlError, Number, number};

/// Additive increase, multiplicative decrease (Chiu and Jain 1989), on the length of the queue and on the wait for a batch.
///
/// What a request waits is about the queue's length over the throughput (Little 1961), so the length is what holds the target
/// under overload. Both are lowered from what was really used, not from a limit that nothing came near: a limit that was
/// never reached has no say (anti-windup).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LatencyConfig {
    /// The 99th percentile that is to be held, in seconds; above 0.
    pub target: f64,
    /// What the queue and the wait are multiplied by when an interval was above the target; above 0, below 1.
    pub decrease: f64,
    /// The share of the queue's limit that is added when an interval was well below the target and requests were refused, or
    /// nearly; above 0, at most 1.
    pub increase: f64,
    /// The share of the target below which an interval is well below it; above 0, below 1.
    pub margin: f64,
    /// The share of the target that the wait for a batch may reach; 0 or more, at most 1.
    pub longest_wait: f64,
    /// The fewest requests that may wait; at least 1.
    pub shortest_queue: u32,
    /// The most requests that may wait; at least `shortest-queue`.
    pub longest_queue: u32,
    /// Requests that an interval must have for its percentile to be judged; at least 1.
    pub evidence: u32,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self {
            target: 0.1,
            decrease: 0.7,
            increase: 0.05,
            margin: 0.85,
            longest_wait: 0.2,
            shortest_queue: 2,
            longest_queue: 65_536,
            evidence: 20,
        }
    }
}

/// What is set: the actuators.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pace {
    /// How long a request may wait for others, in seconds.
    #[serde(with = "number")]
    pub wait: f64,
    /// How many requests may wait.
    pub queue: u32,
}

/// What was measured in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interval {
    /// Requests that were answered.
    pub answered: u32,
    /// Requests that were refused because the queue was full.
    pub refused: u32,
    /// The 99th percentile of the time from a request's arrival to its answer, in seconds.
    #[serde(with = "number")]
    pub p99: f64,
    /// The most requests that waited at once.
    pub deepest: u32,
    /// The share of the interval in which instances computed, in 0..=1.
    #[serde(with = "number")]
    pub busy: f64,
}

/// A change of the pace, with its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PaceDecision {
    /// What is set from now on.
    pub pace: Pace,
    /// Why, in one line for people.
    pub reason: String,
    /// The numbers behind the reason, by name.
    pub evidence: BTreeMap<String, Number>,
}

/// The living controller; its whole state survives JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Latency {
    config: LatencyConfig,
    pace: Pace,
}

impl LatencyConfig {
    /// Makes it live, with the pace that is set now.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn init(&self, pace: Pace) -> Result<Latency, ControlError> {
        let Self { target, decrease, increase, margin, longest_wait, .. } = *self;
        let Self { shortest_queue, longest_queue, evidence, .. } = *self;
        require(target > 0.0 && target.is_finite(), "latency.target", target, "above 0")?;
        let inside = "above 0 and below 1";
        require(0.0 < decrease && decrease < 1.0, "latency.decrease", decrease, inside)?;
        require(0.0 < increase && increase <= 1.0, "latency.increase", increase, "above 0 and at most 1")?;
        require(0.0 < margin && margin < 1.0, "latency.margin", margin, inside)?;
        require((0.0..=1.0).contains(&longest_wait), "latency.longest-wait", longest_wait, "in 0..=1")?;
        require(shortest_queue >= 1, "latency.shortest-queue", shortest_queue, "at least 1")?;
        let expected = "at least latency.shortest-queue";
        require(longest_queue >= shortest_queue, "latency.longest-queue", longest_queue, expected)?;
        require(evidence >= 1, "latency.evidence", evidence, "at least 1")?;
        Ok(Latency { config: self.clone(), pace })
    }
}

impl Latency {
    /// What is set.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Judges an interval; nothing where all stays as it is.
    pub fn decide(&mut self, interval: &Interval) -> Option<PaceDecision> {
        if interval.answered < self.config.evidence {
            return None;
        }
        let target = self.config.target;
        let (pace, reason) = if interval.p99 > target {
            (self.lower(interval), "above the target: fewer may wait, and shorter")
        } else if interval.p99 < self.config.margin * target {
            (self.raise(interval), "well below the target: there is room")
        } else {
            return None;
        };
        if pace == self.pace {
            return None;
        }
        let evidence = [
            ("p99", interval.p99),
            ("target", target),
            ("answered", interval.answered.into()),
            ("refused", interval.refused.into()),
            ("deepest", interval.deepest.into()),
            ("busy", interval.busy),
        ];
        self.pace = pace;
        let reason = format!("p99 {} s is {reason} (target {} s)", Number(interval.p99), Number(target));
        let evidence = evidence.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Some(PaceDecision { pace, reason, evidence })
    }

    /// From what was used: a limit that nothing came near would have to fall for long until it is felt.
    fn lower(&self, interval: &Interval) -> Pace {
        let LatencyConfig { target, decrease, shortest_queue, .. } = self.config;
        let used = self.pace.queue.min(interval.deepest.max(shortest_queue));
        // Far above the target, the queue is too long by that factor (Little): one step goes there.
        let factor = decrease.min(target / interval.p99).max(0.01);
        Pace { wait: self.pace.wait * decrease, queue: whole(f64::from(used) * factor).max(shortest_queue) }
    }

    fn raise(&self, interval: &Interval) -> Pace {
        let LatencyConfig { target, increase, longest_wait, longest_queue, .. } = self.config;
        let Pace { wait, queue } = self.pace;
        let is_pressed = interval.refused > 0 || f64::from(interval.deepest) >= 0.9 * f64::from(queue);
        let more = whole(f64::from(queue) * increase).max(1);
        Pace {
            queue: if is_pressed { queue.saturating_add(more).min(longest_queue) } else { queue },
            // Larger batches help only who has no time left.
            wait: if interval.busy > 0.8 { (wait + 0.01 * target).min(longest_wait * target).max(wait) } else { wait },
        }
    }
}

/// Down to a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut on purpose, and not below 0")]
fn whole(value: f64) -> u32 {
    value.clamp(0.0, f64::from(u32::MAX)) as u32
}
