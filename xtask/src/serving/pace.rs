//! The loop of serving: a load that steps, bursts, and a network that gets slower; the controller against fixed settings.

use anyhow::Result;
use serde_json::Value;

use super::{
    Bench, Found,
    chart::{Band, Chart, Line, Panel},
    fire::share_in_time,
    foreign, number,
};
use crate::{peers::median, say};

/// Seconds, and the load in shares of the capacity.
const DAY: [(f64, f64); 9] =
    [(5.0, 0.1), (5.0, 0.6), (15.0, 1.5), (5.0, 0.5), (1.0, 2.5), (9.0, 0.4), (15.0, 0.8), (3.0, 2.5), (7.0, 0.1)];
/// The steps of the day in which the network is slower.
const SLOW: std::ops::Range<usize> = 6..7;
const FACTOR: &str = "2";
const SEEDS: [&str; 3] = ["1", "2", "3"];
/// Seconds over which a percentile is taken.
const WINDOW: &str = "0.5";

/// A setting: the controller, or a fixed queue and a fixed longest wait in microseconds.
const ARMS: &[(&str, &[&str])] = &[
    ("the loop, from a queue of 1024", &["--queue", "1024", "--target-p99"]),
    ("queue 1024, wait 500 µs (the default)", &["--queue", "1024", "--longest-wait", "500"]),
    ("queue 256, wait 500 µs", &["--queue", "256", "--longest-wait", "500"]),
    ("queue 64, wait 500 µs", &["--queue", "64", "--longest-wait", "500"]),
    ("queue 16, wait 500 µs", &["--queue", "16", "--longest-wait", "500"]),
    ("queue 1024, wait 0", &["--queue", "1024", "--longest-wait", "0"]),
    ("queue 1024, wait 5 ms", &["--queue", "1024", "--longest-wait", "5000"]),
];

/// An arm with a line of the client a seed.
struct Arm {
    name: &'static str,
    lines: Vec<Value>,
}

pub(super) fn run(bench: &Bench) -> Result<Found> {
    let (target, share) = (bench.options.target, bench.options.share);
    let words = target.to_string();
    let capacity = bench.capacity(&bench.serve_faulty(&[])?)?;
    let rates: Vec<String> =
        DAY.iter().map(|(seconds, load)| format!("{}:{}", share * seconds, load * capacity)).collect();
    let rates = rates.join(",");
    let begin = |step: usize| share * DAY[..step].iter().map(|(seconds, _)| seconds).sum::<f64>();
    let slow = format!("{}:{}:{FACTOR}", begin(SLOW.start), begin(SLOW.end));
    let mut arms: Vec<Arm> = ARMS.iter().map(|(name, _)| Arm { name, lines: Vec::new() }).collect();
    for seed in SEEDS {
        for (arm, (name, args)) in arms.iter_mut().zip(ARMS) {
            let is_loop = args.contains(&"--target-p99");
            let target_of_loop: &[&str] = if is_loop { &[&words] } else { &[] };
            let side = bench.serve_faulty(&[*args, target_of_loop, &["--slow", &slow]].concat())?;
            let asked =
                ["open", "--model", "cnn", "--rates", &rates, "--seed", seed, "--target-ms", &words, "--every", WINDOW];
            let line = bench.load(&side, &asked)?;
            say(format!("seed {seed}, {name}: {} in time of {}", line["in_time"], line["answered"]));
            arm.lines.push(line);
        }
    }
    let text = format!(
        "A day of {:.0} s: a load of {} of the capacity ({capacity:.0} requests a second at 64 connections); from second {:.0} to {:.0} \
         the network takes {FACTOR} times as long. Target: p99 of {words} ms. {} seeds.\n\n{}\n{}\n{}\n",
        begin(DAY.len()),
        DAY.map(|(_, load)| format!("{:.0} %", 100.0 * load)).join(", "),
        begin(SLOW.start),
        begin(SLOW.end),
        SEEDS.len(),
        table(&arms, target)?,
        judged(&arms)?,
        foreign(arms.iter().flat_map(|arm| &arm.lines)),
    );
    let chart =
        chart(&arms, target, Band { from: begin(SLOW.start), to: begin(SLOW.end), label: "network 2 x slower" })?;
    Ok(Found { text, chart: Some(chart) })
}

fn table(arms: &[Arm], target: f64) -> Result<String> {
    let mut table = "| setting | time within the target | answers in time | answers | refused | client late at p99, ms |\n|---|---|---|---|---|---|\n".to_owned();
    for arm in arms {
        let shares: Vec<f64> = arm.lines.iter().map(|line| 100.0 * share_in_time(line, target)).collect();
        let numbers = |key: &str| arm.lines.iter().map(|line| number(line, key)).collect::<Result<Vec<_>>>();
        let refused: Vec<f64> = arm.lines.iter().map(|line| line["statuses"]["429"].as_f64().unwrap_or(0.0)).collect();
        table += &format!(
            "| {} | {} % | {} | {} | {} | {:.1} |\n",
            arm.name,
            spread(&shares, 1),
            spread(&numbers("in_time")?, 0),
            spread(&numbers("answered")?, 0),
            spread(&refused, 0),
            median(numbers("late_p99_us")?.into_iter()) / 1e3,
        );
    }
    Ok(table)
}

/// The mean, and the least and the most in brackets.
fn spread(values: &[f64], digits: usize) -> String {
    let (least, most) = values.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &value| (a.min(value), b.max(value)));
    format!("{:.digits$} ({least:.digits$}-{most:.digits$})", mean(values))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn in_time(arm: &Arm) -> Result<f64> {
    Ok(mean(&arm.lines.iter().map(|line| number(line, "in_time")).collect::<Result<Vec<_>>>()?))
}

/// The fixed arms with the most and the fewest answers in time.
fn best_and_worst(arms: &[Arm]) -> Result<(&Arm, &Arm)> {
    let mut fixed = arms[1..].iter().map(|arm| Ok((in_time(arm)?, arm))).collect::<Result<Vec<_>>>()?;
    fixed.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok((fixed[0].1, fixed[fixed.len() - 1].1))
}

/// Whether the controller wins, by answers in time.
fn judged(arms: &[Arm]) -> Result<String> {
    let (best, worst) = best_and_worst(arms)?;
    let ours = in_time(&arms[0])?;
    let against = |arm: &Arm| Ok::<_, anyhow::Error>(100.0 * (ours / in_time(arm)? - 1.0));
    let (to_best, to_worst) = (against(best)?, against(worst)?);
    let word = if to_best >= 0.0 { "wins" } else { "does not win" };
    Ok(format!(
        "By answers in time the loop {word}: {to_best:+.1} % to the best fixed setting ({}), {to_worst:+.1} % to the worst ({}).",
        best.name, worst.name
    ))
}

/// Of the first seed.
fn chart(arms: &[Arm], target: f64, band: Band) -> Result<Chart> {
    let (best, worst) = best_and_worst(arms)?;
    let window: f64 = WINDOW.parse()?;
    let points = |arm: &Arm, key: &str, scale: f64| -> Vec<(f64, f64)> {
        let slots = arm.lines.first().and_then(|line| line["series"].as_array()).into_iter().flatten();
        slots.filter_map(|slot| Some((slot["second"].as_f64()?, scale * slot[key].as_f64()?))).collect()
    };
    let three = |key: &str, scale: f64| {
        [("loop", &arms[0]), ("best fixed", best), ("worst fixed", worst)]
            .map(|(name, arm)| Line::new(name, points(arm, key, scale)))
            .to_vec()
    };
    let mut rates = three("in_time", 1.0 / window);
    rates.push(Line::new("asked", points(&arms[0], "asked", 1.0 / window)));
    Ok(Chart {
        title: format!("The loop, {} (best fixed) and {} (worst fixed)", best.name, worst.name),
        panels: vec![
            Panel::new("p99 of half a second, ms", three("p99_us", 1e-3)).logarithmic().mark(target, "target"),
            Panel::new("a second: asked, and answered in time", rates),
        ],
        bands: vec![band],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arm(name: &'static str, in_time: [u64; 3]) -> Arm {
        Arm { name, lines: in_time.map(|count| json!({ "in_time": count })).to_vec() }
    }

    #[test]
    fn the_loop_wins_only_against_the_best() {
        let fixed = |best| [arm("loop", [100, 110, 120]), arm("small", [90, 90, 90]), arm("large", best)];
        let won = judged(&fixed([100, 100, 100])).unwrap();
        assert!(won.contains("the loop wins: +10.0 %") && won.ends_with("+22.2 % to the worst (small)."), "{won}");
        let not = judged(&fixed([111, 110, 112])).unwrap();
        assert!(not.contains("does not win: -0.9 % to the best fixed setting (large)"), "{not}");
    }

    #[test]
    fn a_spread_has_its_ends() {
        assert_eq!(spread(&[1.0, 2.0, 6.0], 1), "3.0 (1.0-6.0)");
    }
}
