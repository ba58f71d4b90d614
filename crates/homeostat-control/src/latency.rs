//! Holds the time of answers below a target while a model is served: how long requests wait for others, and how many may
//! wait at all. It does not know requests, queues or clocks: each interval is told to it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{ControlError, Number, number};

/// How many may wait follows what the instances manage, and is trimmed by what came of it.
///
/// What a request waits is the queue's length over the throughput (Little 1961). So of the requests that are answered in the time
/// that is aimed at, a share may wait, and that limit moves with the throughput, before anything is late (feed-forward). The share is
/// found by additive increase and multiplicative decrease (Chiu and Jain 1989). It falls from what was really used, not from a limit
/// that nothing came near, and not where the queue was too short to be what made requests late (anti-windup).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LatencyConfig {
    /// The 99th percentile that is to be held, in seconds; above 0.
    pub target: f64,
    /// The share that may wait in the beginning, of the requests that are answered in the time that is aimed at; above 0, at most
    /// 1.
    pub share: f64,
    /// What the share and the wait are multiplied by when an interval was above what is aimed at; above 0, below 1.
    pub decrease: f64,
    /// What is added to the share when an interval was well below what is aimed at, and requests were refused, or nearly; above 0,
    /// at most 1.
    pub increase: f64,
    /// The share of the target that is aimed at; above 0, at most 1. The rest is for what is not measured here: the ways from and
    /// to the client.
    pub aim: f64,
    /// The requests that are computed together; at least 1. While instances never rest, the queue shrinks to no less than these:
    /// a longer one gives no more answers, only later ones.
    pub batch: u32,
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
            share: 0.6,
            decrease: 0.7,
            increase: 0.05,
            aim: 0.75,
            batch: 32,
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
    /// How long it was, in seconds.
    #[serde(with = "number")]
    pub seconds: f64,
    /// Requests that were answered.
    pub answered: u32,
    /// Requests that were refused because the queue was full.
    pub refused: u32,
    /// The 99th percentile of the time from a request's arrival to its answer, in seconds.
    #[serde(with = "number")]
    pub p99: f64,
    /// The most requests that waited at once.
    pub deepest: u32,
    /// The share of the interval in which instances did not wait for requests, in 0..=1.
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
    share: f64,
}

impl LatencyConfig {
    /// Makes it live, with the pace that is set now.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn init(&self, pace: Pace) -> Result<Latency, ControlError> {
        let Self { target, share, decrease, increase, aim, longest_wait, .. } = *self;
        let Self { shortest_queue, longest_queue, evidence, .. } = *self;
        require(target > 0.0 && target.is_finite(), "latency.target", target, "above 0")?;
        let inside = "above 0 and below 1";
        require(0.0 < share && share <= 1.0, "latency.share", share, "above 0 and at most 1")?;
        require(0.0 < decrease && decrease < 1.0, "latency.decrease", decrease, inside)?;
        require(0.0 < increase && increase <= 1.0, "latency.increase", increase, "above 0 and at most 1")?;
        require(0.0 < aim && aim <= 1.0, "latency.aim", aim, "above 0 and at most 1")?;
        require((0.0..=1.0).contains(&longest_wait), "latency.longest-wait", longest_wait, "in 0..=1")?;
        require(shortest_queue >= 1, "latency.shortest-queue", shortest_queue, "at least 1")?;
        let expected = "at least latency.shortest-queue";
        require(longest_queue >= shortest_queue, "latency.longest-queue", longest_queue, expected)?;
        require(evidence >= 1, "latency.evidence", evidence, "at least 1")?;
        require(self.batch >= 1, "latency.batch", self.batch, "at least 1")?;
        Ok(Latency { config: self.clone(), pace, share })
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
        // Requests a second of instances that never rest.
        let rate = f64::from(interval.answered) / (interval.busy * interval.seconds);
        if interval.answered < self.config.evidence || !rate.is_finite() || interval.p99.is_nan() {
            return None;
        }
        let LatencyConfig { target, aim, shortest_queue, longest_queue, .. } = self.config;
        let aim = aim * target;
        let room = aim * rate;
        let is_restless = interval.busy > RESTLESS;
        let (wait, reason) = if interval.p99 > aim {
            (self.lower(interval, room), "above what is aimed at: fewer may wait, and shorter")
        } else if is_restless && interval.refused > 0 {
            (self.settle(room), "not above what is aimed at, and no instance rests: a batch may wait")
        } else if interval.p99 < WELL_BELOW * aim {
            (self.raise(interval), "well below what is aimed at: there is room")
        } else {
            (self.pace.wait, "near what is aimed at: the queue follows the throughput")
        };
        // A batch that was divided by the room and multiplied again is a whole batch.
        let mut queue = whole(self.share * room + 1e-6).clamp(shortest_queue, longest_queue);
        if f64::from(queue.abs_diff(self.pace.queue)) < DEAD_BAND * f64::from(self.pace.queue) {
            queue = self.pace.queue;
        }
        let pace = Pace { wait, queue };
        if pace == self.pace {
            return None;
        }
        let evidence = [
            ("p99", interval.p99),
            ("aim", aim),
            ("answered", interval.answered.into()),
            ("refused", interval.refused.into()),
            ("deepest", interval.deepest.into()),
            ("busy", interval.busy),
            ("rate", rate),
            ("share", self.share),
        ];
        self.pace = pace;
        let reason = format!("p99 {} s is {reason} ({} s)", Number(interval.p99), Number(aim));
        let evidence = evidence.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Some(PaceDecision { pace, reason, evidence })
    }

    /// Lowers the share, where the queue was long enough to matter; gives the new wait.
    fn lower(&mut self, interval: &Interval, room: f64) -> f64 {
        let used = f64::from(self.pace.queue.min(interval.deepest)) / room;
        if used >= SHARE_THAT_MATTERS {
            self.share = self.share.min(used * self.config.decrease);
        }
        self.pace.wait * self.config.decrease
    }

    /// Moves the share to a batch: a longer queue gives no more answers, only later ones, and a shorter one smaller batches. Gives the
    /// new wait.
    fn settle(&mut self, room: f64) -> f64 {
        let enough = (f64::from(self.config.batch) / room).min(1.0);
        self.share = if self.share > enough {
            (self.share * SHRINK).max(enough)
        } else {
            (self.share + self.config.increase).min(enough)
        };
        self.longer_wait()
    }

    /// Raises the share where somebody would have needed it; gives the new wait.
    fn raise(&mut self, interval: &Interval) -> f64 {
        if interval.refused > 0 || f64::from(interval.deepest) >= 0.9 * f64::from(self.pace.queue) {
            self.share = (self.share + self.config.increase).min(1.0);
        }
        // Larger batches help only who has no time left.
        if interval.busy > RESTLESS { self.longer_wait() } else { self.pace.wait }
    }

    fn longer_wait(&self) -> f64 {
        let LatencyConfig { target, longest_wait, .. } = self.config;
        (self.pace.wait + 0.01 * target).min(longest_wait * target).max(self.pace.wait)
    }
}

/// The share of time from which on instances that do not wait for requests count as never at rest.
const RESTLESS: f64 = 0.8;

/// What the share is multiplied by while a shorter queue would do as well.
const SHRINK: f64 = 0.8;

/// The part of what is aimed at below which there is room.
const WELL_BELOW: f64 = 0.8;

/// A queue of less than this part of what is answered in the time that is aimed at is not what makes requests late.
const SHARE_THAT_MATTERS: f64 = 0.1;

/// A limit that would move by less than this part of itself stays.
const DEAD_BAND: f64 = 0.1;

/// Down to a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut on purpose, and not below 0")]
fn whole(value: f64) -> u32 {
    value.clamp(0.0, f64::from(u32::MAX)) as u32
}
