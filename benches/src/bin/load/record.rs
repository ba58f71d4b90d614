//! What became of requests: counts, exact percentiles, and a series over time. It does not know how they travelled.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Times of requests, each kept as it was, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<u32>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// The smallest time that at least the share `share` of all are not above (nearest rank); nothing where there is none.
    pub(crate) fn percentile(&mut self, share: f64) -> Option<u32> {
        self.0.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank, and not below 0")]
        let rank = (share * self.0.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        self.0.get(rank.min(self.0.len()).checked_sub(1)?).copied()
    }
}

/// All that became of requests since its beginning.
#[derive(Debug)]
pub(crate) struct Record {
    begun: Instant,
    every: f64,
    target: Duration,
    statuses: BTreeMap<u16, u64>,
    answered: Times,
    refused: Times,
    /// How long after their time requests were sent: the client's own fault.
    late: Times,
    /// Sent on a connection that had been answered on or had begun to, and never answered.
    lost: u64,
    /// Sent first on a connection that was closed without a word: nobody had taken them.
    turned_away: u64,
    unreachable: u64,
    /// Answers with another body than the first one, all having asked the same.
    different: u64,
    first: Option<Vec<u8>>,
    series: Vec<Slot>,
}

/// What became of the requests of an interval, by when they were to be sent.
#[derive(Debug, Default)]
struct Slot {
    answered: Times,
    in_time: u64,
    refused: u64,
    other: u64,
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    /// When it was to be sent, and when it was.
    pub(crate) due: Instant,
    pub(crate) sent: Instant,
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Record {
    /// With seconds of an interval of the series, and milliseconds that an answer may take.
    pub(crate) fn new(every: f64, target_ms: f64) -> Self {
        Self {
            begun: Instant::now(),
            every: every.max(1e-3),
            target: Duration::from_secs_f64(target_ms / 1e3),
            statuses: BTreeMap::new(),
            answered: Times::default(),
            refused: Times::default(),
            late: Times::default(),
            lost: 0,
            turned_away: 0,
            unreachable: 0,
            different: 0,
            first: None,
            series: Vec::new(),
        }
    }

    /// An answer counts from when its request was to be sent, so that a client that is held up does not flatter the server; a
    /// refusal counts from when it was sent.
    pub(crate) fn answered(&mut self, outcome: Outcome<'_>) {
        let Outcome { due, sent, status, body } = outcome;
        let took = due.elapsed();
        *self.statuses.entry(status).or_default() += 1;
        self.late.add(sent.duration_since(due));
        let target = self.target;
        let slot = self.slot(due);
        match status {
            200 => {
                slot.answered.add(took);
                slot.in_time += u64::from(took <= target);
                self.answered.add(took);
                let first = self.first.get_or_insert_with(|| body.to_vec());
                self.different += u64::from(first != body);
            }
            429 => {
                slot.refused += 1;
                self.refused.add(sent.elapsed());
            }
            _ => slot.other += 1,
        }
    }

    pub(crate) fn lost(&mut self, due: Instant) {
        self.lost += 1;
        self.slot(due).other += 1;
    }

    pub(crate) fn turned_away(&mut self) {
        self.turned_away += 1;
    }

    pub(crate) fn unreachable(&mut self) {
        self.unreachable += 1;
    }

    fn slot(&mut self, due: Instant) -> &mut Slot {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of intervals")]
        let at = (due.saturating_duration_since(self.begun).as_secs_f64() / self.every) as usize;
        if self.series.len() <= at {
            self.series.resize_with(at + 1, Slot::default);
        }
        &mut self.series[at]
    }

    /// All of it as an object.
    pub(crate) fn json(&mut self) -> Value {
        let seconds = self.begun.elapsed().as_secs_f64();
        let count = self.statuses.get(&200).copied().unwrap_or(0);
        let statuses: BTreeMap<String, u64> =
            self.statuses.iter().map(|(status, n)| (status.to_string(), *n)).collect();
        let every = self.every;
        let series: Vec<Value> =
            self.series.iter_mut().enumerate().map(|(at, slot)| slot.json(at as f64 * every)).collect();
        json!({
            "seconds": seconds,
            "statuses": statuses,
            "responses": self.statuses.values().sum::<u64>(),
            "answered": count,
            "in_time": self.series.iter().map(|slot| slot.in_time).sum::<u64>(),
            "answers_per_second": count as f64 / seconds,
            "p50_us": self.answered.percentile(0.5),
            "p99_us": self.answered.percentile(0.99),
            "max_us": self.answered.percentile(1.0),
            "refused_p99_us": self.refused.percentile(0.99),
            "late_p99_us": self.late.percentile(0.99),
            "lost": self.lost,
            "turned_away": self.turned_away,
            "unreachable": self.unreachable,
            "different": self.different,
            "series": series,
        })
    }
}

impl Slot {
    fn json(&mut self, second: f64) -> Value {
        let answered = self.answered.0.len() as u64;
        json!({
            "second": second,
            "asked": answered + self.refused + self.other,
            "answered": answered,
            "in_time": self.in_time,
            "refused": self.refused,
            "p99_us": self.answered.percentile(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(values: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        values.into_iter().for_each(|micros| times.add(Duration::from_micros(micros)));
        times
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        assert_eq!(times([]).percentile(0.99), None);
        assert_eq!(times([7]).percentile(0.99), Some(7));
        let mut hundred = times((1..=100).rev());
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| hundred.percentile(share)),
            [Some(1), Some(50), Some(99), Some(100)]
        );
        assert_eq!(times(1..=200).percentile(0.99), Some(198));
        assert_eq!(times([1, 2]).percentile(0.99), Some(2));
    }

    #[test]
    fn every_request_is_counted_where_it_was_due() {
        let mut record = Record::new(10.0, 50.0);
        let due = record.begun;
        let outcome = |status, body| Outcome { due, sent: due, status, body };
        record.answered(outcome(200, b"a"));
        record.answered(outcome(200, b"b"));
        record.answered(outcome(429, b"later"));
        record.answered(outcome(500, b"broken"));
        record.lost(due + Duration::from_secs(25));
        let found = record.json();
        assert_eq!(found["statuses"], json!({ "200": 2, "429": 1, "500": 1 }));
        assert_eq!([&found["answered"], &found["different"], &found["lost"]], [&json!(2), &json!(1), &json!(1)]);
        let asked: Vec<u64> = (0..3).map(|at| found["series"][at]["asked"].as_u64().unwrap()).collect();
        assert_eq!(asked, [4, 0, 1]);
        assert_eq!(found["series"][2]["second"], json!(20.0));
    }

    #[test]
    fn in_time_is_up_to_the_target() {
        let mut record = Record::new(1.0, 50.0);
        let now = Instant::now();
        for due in [now, now - Duration::from_millis(60)] {
            record.answered(Outcome { due, sent: now, status: 200, body: b"" });
        }
        assert_eq!(record.json()["in_time"], json!(1));
    }
}
