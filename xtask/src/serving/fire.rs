//! Twice the capacity for minutes: what is refused at once, what is answered in time, and whether memory grows.

use anyhow::Result;
use serde_json::Value;

use super::{
    Bench, Found,
    chart::{Chart, Line, Panel},
    foreign, number, verdict,
};
use crate::say;

pub(super) fn fire(bench: &Bench) -> Result<Found> {
    let (target, minutes) = (bench.options.target, bench.options.minutes);
    let words = target.to_string();
    // Without a target, for the controller would refuse some of those that are never out of work.
    let capacity = bench.capacity(&bench.serve("cnn", &[])?)?;
    let side = bench.serve("cnn", &["--target-p99", &words])?;
    say(format!("capacity: {capacity:.0} requests a second; now twice that for {minutes} minutes"));
    let rates = format!("{}:{}", 60.0 * minutes, 2.0 * capacity);
    let asked = ["open", "--model", "cnn", "--rates", &rates, "--target-ms", &words, "--every", "1"];
    let line = bench.load(&side, &asked)?;
    let refused = number(&line, "refused_p99_us")? / 1e3;
    let p99 = number(&line, "p99_us")? / 1e3;
    let slope = number(&line, "rss_slope_mb_per_hour")?;
    let all = number(&line, "responses")? + number(&line, "lost")?;
    let text = format!(
        "{minutes} minutes at {:.0} requests a second, twice what 64 connections get answered ({capacity:.0}); `--target-p99 {words}`; \
         of {all:.0} requests {:.0} were answered and {:.0} refused.\n\n\
         * A refusal (429) took {refused:.2} ms at p99; within 10 ms: {}.\n\
         * An answer took {p99:.1} ms at p99, from when its request was to be sent; within {words} ms: {}. Of the seconds, {:.1} % were.\n\
         * Neither answered nor refused: {} (statuses {}); at most 0: {}.\n\
         * Memory: {:.0} MB at the end, slope {slope:.2} MB an hour over the last four fifths.\n\
         * The client sent {:.2} ms late at p99. {}\n",
        2.0 * capacity,
        number(&line, "answered")?,
        line["statuses"]["429"].as_u64().unwrap_or(0),
        verdict(refused <= 10.0),
        verdict(p99 <= target),
        100.0 * share_in_time(&line, target),
        line["lost"],
        line["statuses"],
        verdict(line["lost"] == 0),
        number(&line, "rss_mb")?,
        number(&line, "late_p99_us")? / 1e3,
        foreign([&line]),
    );
    let points = |key: &str, scale: f64| {
        let slots = line["series"].as_array().into_iter().flatten();
        slots.filter_map(|slot| Some((slot["second"].as_f64()?, scale * slot[key].as_f64()?))).collect()
    };
    let memory: Vec<(f64, f64)> = line["rss"].as_array().into_iter().flatten().filter_map(pair).collect();
    let chart = Chart {
        title: "Twice the capacity".to_owned(),
        panels: vec![
            Panel::new("p99 of a second, ms", vec![Line::new("answers", points("p99_us", 1e-3))])
                .mark(target, "target"),
            Panel::new(
                "requests a second",
                vec![Line::new("answered", points("answered", 1.0)), Line::new("refused", points("refused", 1.0))],
            ),
            Panel::new("memory, MB", vec![Line::new("resident", memory)]),
        ],
        bands: Vec::new(),
    };
    Ok(Found { text, chart: Some(chart) })
}

/// The share of intervals in which anything was asked, whose p99 was within the target, in milliseconds.
pub(super) fn share_in_time(line: &Value, target: f64) -> f64 {
    let slots: Vec<&Value> =
        line["series"].as_array().into_iter().flatten().filter(|slot| slot["asked"] != 0).collect();
    let within = |slot: &&&Value| slot["p99_us"].as_f64().is_some_and(|p99| p99 / 1e3 <= target);
    slots.iter().filter(within).count() as f64 / slots.len().max(1) as f64
}

fn pair(value: &Value) -> Option<(f64, f64)> {
    Some((value[0].as_f64()?, value[1].as_f64()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_interval_without_requests_says_nothing_and_one_without_answers_is_late() {
        let slot = |asked: u64, p99: Option<u64>| json!({ "asked": asked, "p99_us": p99 });
        let line = json!({ "series": [slot(5, Some(9_000)), slot(5, Some(11_000)), slot(0, None), slot(5, None)] });
        assert_eq!(share_in_time(&line, 10.0), 1.0 / 3.0);
        assert_eq!(share_in_time(&json!({ "series": [] }), 10.0), 0.0);
    }
}
