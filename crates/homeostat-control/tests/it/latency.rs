//! The loop of serving, against a made-up server: one instance, a queue, and the rule by which it waits for a batch.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a made-up server of small numbers")]

use std::collections::VecDeque;

use homeostat_control::{Interval, Latency, LatencyConfig, Pace};

const START: Pace = Pace { wait: 0.0005, queue: 1024 };

fn config() -> LatencyConfig {
    LatencyConfig { target: 0.05, ..LatencyConfig::default() }
}

fn controller() -> Latency {
    config().init(START).unwrap()
}

/// Of instances that manage 400 requests a second: 15 in the 37.5 ms that are aimed at.
fn interval(p99: f64) -> Interval {
    Interval { seconds: 0.5, answered: 100, refused: 0, p99, deepest: 12, busy: 0.5 }
}

#[test]
fn above_the_target_both_fall_from_what_was_used() {
    let mut latency = controller();
    let decision = latency.decide(&interval(0.06)).unwrap();
    assert_eq!(decision.pace, Pace { wait: 0.0005 * 0.7, queue: 8 });
    assert!(decision.reason.contains("0.06") && decision.evidence["deepest"].0 == 12.0, "{decision:?}");
    // However bad it is, somebody may wait.
    for _ in 0..50 {
        latency.decide(&interval(10.0));
    }
    assert_eq!(latency.pace().queue, 2);
}

#[test]
fn a_queue_that_is_too_short_to_matter_does_not_fall() {
    let mut latency = controller();
    let decision = latency.decide(&Interval { deepest: 1, ..interval(0.06) }).unwrap();
    assert_eq!(decision.pace, Pace { wait: 0.0005 * 0.7, queue: 9 }, "six tenths of 15");
}

#[test]
fn the_queue_follows_the_throughput_before_anything_is_late() {
    let mut latency = controller();
    assert_eq!(latency.decide(&interval(0.035)).unwrap().pace, Pace { queue: 9, ..START });
    assert_eq!(latency.decide(&interval(0.035)), None);
    let slower = Interval { answered: 50, ..interval(0.035) };
    assert_eq!(latency.decide(&slower).unwrap().pace.queue, 4);
    let answering = |answered| Interval { answered, ..interval(0.035) };
    assert_eq!(latency.decide(&answering(1000)).unwrap().pace.queue, 90);
    assert_eq!(latency.decide(&answering(1080)), None, "no limit moves for nothing: 97 are too near");
    assert_eq!(latency.decide(&answering(1120)).unwrap().pace.queue, 100);
}

#[test]
fn below_the_target_only_what_presses_rises() {
    let mut latency = controller();
    let calm = Interval { deepest: 5, ..interval(0.01) };
    latency.decide(&calm);
    assert_eq!(latency.decide(&calm), None, "nobody needs more");
    let pressed = Interval { refused: 5, ..interval(0.01) };
    latency.decide(&pressed);
    assert_eq!(latency.decide(&pressed).unwrap().pace, Pace { queue: 10, ..START });
    let busy = Interval { busy: 0.95, ..interval(0.01) };
    assert!(latency.decide(&busy).unwrap().pace.wait > START.wait);
    for _ in 0..100 {
        latency.decide(&Interval { busy: 0.95, refused: 0, deepest: 100, ..interval(0.01) });
    }
    assert!((latency.pace().wait - 0.2 * 0.05).abs() < 1e-12);
    assert_eq!(latency.pace().queue, 7, "as many as are answered in the time that is aimed at, and no more");
}

#[test]
fn who_never_rests_needs_a_batch_that_waits_and_no_more() {
    let mut latency = LatencyConfig { batch: 4, ..config() }.init(START).unwrap();
    let overload = Interval { answered: 200, refused: 100, busy: 1.0, ..interval(0.02) };
    for _ in 0..20 {
        latency.decide(&overload);
    }
    assert_eq!(latency.pace().queue, 4);
    // What is refused while they rest could have been answered.
    for _ in 0..20 {
        latency.decide(&Interval { busy: 0.7, ..overload });
    }
    assert!(latency.pace().queue > 15, "{:?}", latency.pace());
}

#[test]
fn an_interval_with_too_few_requests_says_nothing() {
    let mut latency = controller();
    for p99 in [0.0, 9.0, f64::NAN] {
        assert_eq!(latency.decide(&Interval { answered: 19, ..interval(p99) }), None);
    }
    assert_eq!(latency.decide(&interval(f64::NAN)), None);
}

#[test]
fn it_survives_json_and_refuses_what_is_out_of_range() {
    let mut latency = controller();
    latency.decide(&interval(0.06));
    let text = serde_json::to_string(&latency).unwrap();
    assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), latency);
    let default = LatencyConfig::default();
    for wrong in [
        LatencyConfig { target: 0.0, ..default.clone() },
        LatencyConfig { target: f64::NAN, ..default.clone() },
        LatencyConfig { share: 0.0, ..default.clone() },
        LatencyConfig { decrease: 1.0, ..default.clone() },
        LatencyConfig { increase: 0.0, ..default.clone() },
        LatencyConfig { aim: 1.1, ..default.clone() },
        LatencyConfig { longest_wait: 1.5, ..default.clone() },
        LatencyConfig { shortest_queue: 0, ..default.clone() },
        LatencyConfig { longest_queue: 1, ..default.clone() },
        LatencyConfig { evidence: 0, ..default.clone() },
        LatencyConfig { batch: 0, ..default.clone() },
    ] {
        let error = wrong.init(START).unwrap_err().to_string();
        assert!(error.starts_with("latency.") && !error.contains('\n'), "{error}");
    }
}

/// A batch of `n` takes `base + n * each` seconds.
struct Server {
    base: f64,
    each: f64,
    pace: Pace,
    queue: VecDeque<f64>,
    free: f64,
    expected: usize,
    answered: Vec<f64>,
    refused: u32,
    deepest: usize,
    busy: f64,
}

const LARGEST: usize = 32;

impl Server {
    fn new(pace: Pace) -> Self {
        Self {
            base: 0.001,
            each: 0.001,
            pace,
            queue: VecDeque::new(),
            free: 0.0,
            expected: 0,
            answered: Vec::new(),
            refused: 0,
            deepest: 0,
            busy: 0.0,
        }
    }

    /// Computes all that begins before this time.
    fn run_until(&mut self, time: f64) {
        while let (Some(&oldest), Some(&newest)) = (self.queue.front(), self.queue.back()) {
            if self.free + self.pace.wait < oldest {
                self.expected = 0;
            }
            let wanted = self.expected.min(LARGEST);
            let is_enough = self.queue.len() >= wanted;
            let ready = match (is_enough, wanted) {
                (true, 0) => oldest,
                (true, _) if self.queue.len() > wanted => oldest,
                (true, _) => newest,
                (false, _) => oldest + self.pace.wait,
            };
            let begin = self.free.max(ready);
            if begin > time {
                return;
            }
            let count = self.queue.len().min(LARGEST);
            let took = self.base + count as f64 * self.each;
            self.free = begin + took;
            self.busy += took;
            self.expected = count;
            let free = self.free;
            self.answered.extend(self.queue.drain(..count).map(|arrival| free - arrival));
        }
    }

    fn arrive(&mut self, time: f64) {
        self.run_until(time);
        if self.queue.len() >= self.pace.queue as usize {
            self.refused += 1;
            return;
        }
        self.queue.push_back(time);
        self.deepest = self.deepest.max(self.queue.len());
    }

    fn interval(&mut self, seconds: f64) -> (Interval, Vec<f64>) {
        let mut times = std::mem::take(&mut self.answered);
        times.sort_by(f64::total_cmp);
        let p99 = times.get((times.len() * 99) / 100).copied().unwrap_or(0.0);
        let interval = Interval {
            seconds,
            answered: times.len() as u32,
            refused: std::mem::take(&mut self.refused),
            p99,
            deepest: std::mem::take(&mut self.deepest) as u32,
            busy: (std::mem::take(&mut self.busy) / seconds).min(1.0),
        };
        (interval, times)
    }
}

/// What came of a day: answers in time and in all, and the requests.
#[derive(Debug)]
struct Day {
    in_time: usize,
    answered: usize,
    asked: usize,
}

/// Load from a tenth of the capacity to one and a half and back, a burst, and a time in which the model is twice as slow.
fn day(seed: u64, latency: Option<Latency>) -> Day {
    day_from(seed, latency, START)
}

fn day_from(seed: u64, mut latency: Option<Latency>, start: Pace) -> Day {
    let (target, seconds) = (0.05, 0.25);
    let mut server = Server::new(start);
    let mut random = seed;
    let mut uniform = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
    };
    let capacity = 970.0;
    let load = |time: f64| match time as u32 {
        0..10 => 0.1,
        10..20 => 0.6,
        20..50 => 1.5,
        50..60 => 0.5,
        60..62 => 4.0,
        62..80 => 0.4,
        80..100 => 0.8,
        _ => 0.1,
    };
    let mut result = Day { in_time: 0, answered: 0, asked: 0 };
    let (mut time, mut next) = (0.0, seconds);
    while time < 110.0 {
        time -= uniform().ln() / (capacity * load(time));
        server.each = if (80.0..100.0).contains(&time) { 0.002 } else { 0.001 };
        while next < time {
            server.run_until(next);
            let (interval, times) = server.interval(seconds);
            result.in_time += times.iter().filter(|&&took| took <= target).count();
            result.answered += times.len();
            if let Some(decision) = latency.as_mut().and_then(|latency| latency.decide(&interval)) {
                server.pace = decision.pace;
            }
            next += seconds;
        }
        result.asked += 1;
        server.arrive(time);
    }
    result
}

/// Of the answers, far more are in time than with a queue that nobody steers, and hardly fewer are given.
#[test]
fn the_loop_holds_the_target_where_a_fixed_pace_does_not() {
    for seed in 1..=3 {
        let (fixed, steered) = (day(seed, None), day(seed, Some(controller())));
        let share = |day: &Day| day.in_time as f64 / day.answered as f64;
        assert!(share(&steered) > 0.98, "seed {seed}: {steered:?}");
        assert!(share(&fixed) < 0.6, "seed {seed}: {fixed:?}");
        assert!(steered.answered as f64 > 0.9 * fixed.answered as f64, "seed {seed}: {steered:?} {fixed:?}");
        assert!(steered.answered <= steered.asked);
    }
}

#[test]
fn no_fixed_queue_gives_as_many_answers_in_time() {
    let mean = |latency: Option<Latency>, start| {
        (1..=3).map(|seed| day_from(seed, latency.clone(), start).in_time as f64 / 3.0).sum::<f64>()
    };
    let steered = mean(Some(controller()), START);
    for queue in [4, 8, 12, 16, 32, 1024] {
        let fixed = mean(None, Pace { queue, ..START });
        assert!(steered > fixed, "queue {queue}: {fixed}, steered {steered}");
    }
}
