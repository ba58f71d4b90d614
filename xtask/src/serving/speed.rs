//! How fast: beside other servers, alone at one connection, and from the start of the process. It knows servers by name.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Asked, Bench, Found, foreign, middle, number, ratio,
    side::{Core, Side, free_port, pinned},
    verdict,
};
use crate::{
    peers::{median, output},
    python::environment,
    say,
};

const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Where the processor time is compared, and the share of it that is not computing is measured.
const MANY: usize = 16;

/// A server in a setting.
struct Contender {
    name: &'static str,
    /// The server among those that run.
    side: usize,
    model: &'static str,
    /// The same setting without anything to compute.
    bare: &'static str,
    formats: &'static [&'static str],
}

const CONTENDERS: &[Contender] = &[
    Contender { name: "Homeostat", side: 0, model: "cnn", bare: "none", formats: &["binary", "json"] },
    Contender { name: "Triton", side: 1, model: "cnn", bare: "none", formats: &["binary", "json"] },
    Contender {
        name: "Triton, batching",
        side: 1,
        model: "cnn_batched",
        bare: "none_batched",
        formats: &["binary", "json"],
    },
    // It has no binary extension.
    Contender { name: "MLServer", side: 2, model: "cnn", bare: "none", formats: &["json"] },
];

/// A contender at a point, with a line of the client a round.
struct Row {
    contender: usize,
    format: &'static str,
    connections: usize,
    rounds: Vec<Value>,
    bare: Vec<Value>,
}

pub(super) fn speed(bench: &Bench) -> Result<Found> {
    let (sides, versions, floor) = start_all(bench)?;
    let mut rows = Vec::new();
    for format in ["binary", "json"] {
        for connections in CONNECTIONS {
            let here = (0..CONTENDERS.len()).filter(|&at| CONTENDERS[at].formats.contains(&format));
            rows.extend(here.map(|contender| Row { contender, format, connections, rounds: vec![], bare: vec![] }));
        }
    }
    for round in 1..=bench.options.rounds {
        say(format!("round {round} of {}", bench.options.rounds));
        for row in &mut rows {
            let &Row { contender, format, connections, .. } = &*row;
            let Contender { side, model, bare, .. } = CONTENDERS[contender];
            let asked = |model| Asked { model, format, connections };
            // Both networks of ours are served by one process, as the peers' are.
            row.rounds.push(bench.closed(&sides[side], &asked(model))?);
            if connections == MANY {
                row.bare.push(bench.closed(&sides[side], &asked(bare))?);
            }
        }
    }
    let started: Vec<String> =
        sides.iter().map(|side| format!("{} {:.1} s", side.name, side.took.as_secs_f64())).collect();
    let text = [
        format!("{versions}; {} rounds of {} s, in turns.\n", bench.options.rounds, bench.options.seconds),
        table(&rows)?,
        verdicts(&rows)?.join("\n"),
        format!("* ONNX Runtime alone, one thread, batch 1: {floor}."),
        format!("* Started in: {}.", started.join(", ")),
        format!("* {}", foreign(rows.iter().flat_map(|row| &row.rounds))),
    ];
    Ok(format!("{}\n", text.join("\n")).into())
}

/// Ours, Triton and MLServer, with their versions, and what ONNX Runtime takes without a server.
fn start_all(bench: &Bench) -> Result<(Vec<Side>, String, String)> {
    let python = bench.peers()?;
    let script = bench.scripts.join("serve_peers.py");
    let onnx = bench.folder.join("cnn.onnx");
    if !onnx.exists() {
        let scripts = &bench.options.scripts;
        let requirements = scripts.join("requirements.txt");
        ensure!(
            requirements.is_file(),
            "{} has no requirements.txt: --scripts names the peers' side",
            scripts.display()
        );
        let with_torch =
            environment(&bench.root.join("target/peers"), &["--requirement", &requirements.display().to_string()])?;
        let mut export = Command::new(with_torch);
        export.arg(&script).arg("export").arg(&bench.folder).arg("--scripts").arg(scripts);
        output(export)?;
    }
    let mut versions = Command::new(&python);
    versions.arg(&script).arg("versions");
    let mut floor = pinned(Core::Server, &python);
    floor.arg(&script).arg("floor").arg(&bench.folder).args(["--seconds", &bench.options.seconds.to_string()]);
    let floor: Value = serde_json::from_str(&output(floor)?).context("the floor's line is no JSON")?;
    let floor = format!("{:.0} µs of processor time, {:.0} µs", number(&floor, "cpu_us")?, number(&floor, "p50_us")?);
    let none = format!("none={}", bench.run_of("none").display());
    let sides = vec![
        bench.serve("cnn", &[&none])?,
        peer(bench, (&python, &script), "triton")?,
        peer(bench, (&python, &script), "mlserver")?,
    ];
    Ok((sides, output(versions)?.trim().to_owned(), floor))
}

fn peer(bench: &Bench, (python, script): (&Path, &Path), name: &str) -> Result<Side> {
    let port = free_port()?;
    let mut command = pinned(Core::Server, python);
    command.arg(script).arg(name).arg(&bench.folder).arg(port.to_string());
    Side::of_others(bench, name, command, port)
}

fn table(rows: &[Row]) -> Result<String> {
    let mut table = "| format | connections | server | requests/s | p50, ms | p99, ms | CPU, µs a request | the same, nothing to compute | ours / theirs, CPU | ours / theirs, p99 |\n\
         |---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let Row { contender, format, connections, rounds, bare } = row;
        let ours = of(rows, 0, format, *connections)?;
        let (cpu, p99) = if *contender == 0 {
            ("-".to_owned(), "-".to_owned())
        } else {
            let ratio = |key| Ok::<_, anyhow::Error>(format!("**{:.2}**", ratio(&ours.rounds, rounds, key)?));
            (ratio("cpu_us_per_response")?, ratio("p99_us")?)
        };
        let bare = if bare.is_empty() { String::new() } else { format!("{:.0}", middle(bare, "cpu_us_per_response")?) };
        table += &format!(
            "| {format} | {connections} | {} | {:.0} | {:.2} | {:.2} | {:.0} | {bare} | {cpu} | {p99} |\n",
            CONTENDERS[*contender].name,
            middle(rounds, "answers_per_second")?,
            middle(rounds, "p50_us")? / 1e3,
            middle(rounds, "p99_us")? / 1e3,
            middle(rounds, "cpu_us_per_response")?,
        );
    }
    Ok(table)
}

/// What must be, and whether it is.
fn verdicts(rows: &[Row]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    // Against the better of its settings at each point.
    let against = |name: &str, format: &str, connections: usize, key: &str| {
        let ours = of(rows, 0, format, connections)?;
        let theirs = (1..CONTENDERS.len()).filter(|&at| CONTENDERS[at].name.starts_with(name));
        let ratios: Vec<f64> = theirs
            .map(|at| ratio(&ours.rounds, &of(rows, at, format, connections)?.rounds, key))
            .collect::<Result<_>>()?;
        Ok::<_, anyhow::Error>(ratios.into_iter().fold(0.0, f64::max))
    };
    for (name, format, most) in [("Triton", "binary", 0.75), ("Triton", "json", 0.75), ("MLServer", "json", 0.2)] {
        let ratios: Vec<f64> = CONNECTIONS
            .iter()
            .map(|&connections| against(name, format, connections, "cpu_us_per_response"))
            .collect::<Result<_>>()?;
        let words: Vec<String> = CONNECTIONS
            .iter()
            .zip(&ratios)
            .map(|(connections, ratio)| format!("{ratio:.2} at {connections}"))
            .collect();
        let is_met = ratios.iter().all(|&ratio| ratio <= most);
        lines.push(format!(
            "* CPU a request to that of {name} in its better setting, {format}: {}; at most {most} at each: {}.",
            words.join(", "),
            verdict(is_met)
        ));
    }
    for format in ["binary", "json"] {
        let found = against("Triton", format, MANY, "p99_us")?;
        lines.push(format!(
            "* p99 at {MANY} connections to that of Triton, {format}: {found:.2}; at most 0.5: {}.",
            verdict(found <= 0.5)
        ));
    }
    for (format, most) in [("binary", 45.0), ("json", 150.0)] {
        let found = middle(&of(rows, 0, format, MANY)?.bare, "cpu_us_per_response")?;
        lines.push(format!(
            "* CPU of a {format} request with next to nothing to compute: {found:.0} µs; under {most}: {}.",
            verdict(found < most)
        ));
    }
    Ok(lines)
}

fn of<'a>(rows: &'a [Row], contender: usize, format: &str, connections: usize) -> Result<&'a Row> {
    let is_it = |row: &&Row| (row.contender, row.format, row.connections) == (contender, format, connections);
    rows.iter().find(is_it).with_context(|| format!("{} was not asked by {format}", CONTENDERS[contender].name))
}

/// One connection: does batching cost anything where there is nothing to batch?
pub(super) fn idle(bench: &Bench) -> Result<Found> {
    let sides = [bench.serve("cnn", &[])?, bench.serve("cnn", &["--largest-batch", "1", "--longest-wait", "0"])?];
    let mut lines = [Vec::new(), Vec::new()];
    for _ in 0..bench.options.rounds {
        for (side, lines) in sides.iter().zip(&mut lines) {
            lines.push(bench.closed(side, &Asked { model: "cnn", format: "binary", connections: 1 })?);
        }
    }
    let [on, off] = &lines;
    let found = ratio(on, off, "p50_us")?;
    Ok(format!(
        "One connection, binary: p50 with batching {:.0} µs, without {:.0} µs, ratio **{found:.3}**; within 10 %: {}. {}\n",
        middle(on, "p50_us")?,
        middle(off, "p50_us")?,
        verdict(found <= 1.1),
        foreign(lines.iter().flatten())
    )
    .into())
}

/// From nothing to ready, which means that the golden requests were answered as in training.
pub(super) fn start(bench: &Bench) -> Result<Found> {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.count(20.0) {
        let side = bench.serve("cnn", &["--pre-stop", "0"])?;
        times.push(1e3 * side.took.as_secs_f64());
        memory.push(side.megabytes()?);
    }
    let side = bench.serve("cnn", &[])?;
    let line = bench.closed(&side, &Asked { model: "cnn", format: "binary", connections: MANY })?;
    let (worst, middle) = (times.iter().copied().fold(0.0, f64::max), median(times.iter().copied()));
    let after = number(&line, "rss_mb")?;
    Ok(format!(
        "Ready after {middle:.0} ms (median of {} starts; at most {worst:.0} ms), golden requests verified; under 300 ms: {}. \
         Resident memory: {:.0} MB when ready, {after:.0} MB after {} s at {MANY} connections; under 120 MB: {}. {}\n",
        times.len(),
        verdict(worst < 300.0),
        median(memory.into_iter()),
        bench.options.seconds,
        verdict(after < 120.0),
        foreign([&line])
    )
    .into())
}
