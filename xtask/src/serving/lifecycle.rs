//! What must lose no request: reloads, the end of the process, panics; and clients that must not slow others.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Asked, Bench, Found, copy, foreign, line_of, middle, number, ratio, verdict};

const CALLERS: &str = "16";
/// A client that ends when the server does.
const UNTIL_GONE: [&str; 9] =
    ["closed", "--model", "cnn", "--connections", CALLERS, "--seconds", "3600", "--until-gone", "--format=binary"];

pub(super) fn lifecycle(bench: &Bench) -> Result<Found> {
    let mut lines = Vec::new();
    for work in [reloads, ends, panics, nuisances] {
        lines.push(work(bench)?);
    }
    Ok(format!("{}\n", lines.join("\n")).into())
}

/// Requests of a line: those that were answered somehow, and those that were taken and lost.
fn counted(line: &Value) -> Result<(f64, f64)> {
    Ok((number(line, "responses")?, number(line, "lost")?))
}

/// Whether every answer had the status 200.
fn is_well(line: &Value) -> bool {
    line["statuses"].as_object().is_some_and(|statuses| statuses.keys().all(|status| status == "200"))
}

/// A new version again and again; each is loaded and verified, and the old one goes.
fn reloads(bench: &Bench) -> Result<String> {
    let repository = bench.folder.join("repository");
    // It may be left over.
    let _ = fs::remove_dir_all(&repository);
    let model = repository.join("cnn");
    copy(&bench.artifact("cnn"), &model.join("1"))?;
    let place = repository.display().to_string();
    let listeners = ["--http", "127.0.0.1:0", "--grpc", "off", "--metrics", "off"];
    let args = [&["serve", "--repository", &place, "--allow-control", "--pre-stop", "0.3"], &listeners[..]].concat();
    let side = bench.serve_what(&args)?;
    let client = bench.load_meanwhile(&side, &UNTIL_GONE)?;
    let count = bench.options.count(200.0);
    for version in 2..count + 2 {
        copy(&bench.artifact("cnn"), &model.join(format!(".{version}")))?;
        fs::rename(model.join(format!(".{version}")), model.join(version.to_string()))?;
        let (status, body) = side.post("/v2/repository/models/cnn/load")?;
        ensure!(status == 200, "version {version} was not loaded: {status} {body}");
        fs::remove_dir_all(model.join((version - 1).to_string()))?;
    }
    let (_, metadata) = side.get("/v2/models/cnn")?;
    let metadata: Value = serde_json::from_str(&metadata).context("the metadata is no JSON")?;
    let last = (count + 1).to_string();
    ensure!(metadata["versions"] == serde_json::json!([last]), "version {last} should answer alone: {metadata}");
    side.terminate()?;
    let ended = side.ended()?;
    let line = line_of(client)?;
    let (answered, lost) = counted(&line)?;
    Ok(format!(
        "* {count} reloads with {CALLERS} callers: {answered:.0} requests answered, {lost:.0} lost, statuses {}; none lost or failed: {}. \
         p99 {:.2} ms, the longest {:.1} ms.",
        line["statuses"],
        verdict(lost == 0.0 && is_well(&line) && ended.success()),
        number(&line, "p99_us")? / 1e3,
        number(&line, "max_us")? / 1e3,
    ))
}

/// SIGTERM under load.
fn ends(bench: &Bench) -> Result<String> {
    let count = bench.options.count(50.0);
    let (mut answered, mut lost, mut away, mut failed, mut codes) = (0.0, 0.0, 0.0, 0, 0);
    for time in 0..count {
        let side = bench.serve("cnn", &["--pre-stop", "0.3"])?;
        let client = bench.load_meanwhile(&side, &UNTIL_GONE)?;
        // Not always at the same moment of a request.
        thread::sleep(Duration::from_micros(400_000 + 7_919 * time as u64));
        side.terminate()?;
        codes += usize::from(!side.ended()?.success());
        let line = line_of(client)?;
        let found = counted(&line)?;
        ensure!(found.0 > 0.0, "the client was not answered at all: {line}");
        (answered, lost) = (answered + found.0, lost + found.1);
        away += number(&line, "turned_away")?;
        failed += usize::from(!is_well(&line));
    }
    Ok(format!(
        "* {count} times SIGTERM with {CALLERS} callers: {answered:.0} requests answered, {lost:.0} lost; ends with another code than 0: \
         {codes}, with other statuses than 200: {failed}; all at 0: {}. New connections that were closed before anything was read: {away:.0}.",
        verdict(lost == 0.0 && failed == 0 && codes == 0)
    ))
}

/// Instances that panic: their batch gets 500, everybody else an answer.
fn panics(bench: &Bench) -> Result<String> {
    let wanted = bench.options.count(50.0);
    let side = bench.serve_faulty(&["--panic-every", "100"])?;
    let (mut answered, mut lost, mut failed, mut replaced, mut is_other) = (0.0, 0.0, 0.0, 0.0, false);
    while replaced < wanted as f64 {
        let args = ["closed", "--model", "cnn", "--connections", CALLERS, "--seconds", "1"];
        let line = bench.load(&side, &args)?;
        let found = counted(&line)?;
        (answered, lost) = (answered + found.0, lost + found.1);
        failed += line["statuses"]["500"].as_f64().unwrap_or(0.0);
        is_other |= line["statuses"].as_object().into_iter().flatten().any(|(key, _)| key != "200" && key != "500");
        let before = replaced;
        replaced = panics_so_far(&side.metrics_text()?);
        ensure!(replaced > before, "no instance panicked: {line}");
    }
    let (ready, _) = side.get("/v2/health/ready")?;
    Ok(format!(
        "* {replaced:.0} panics with {CALLERS} callers: {answered:.0} requests answered, of them {failed:.0} with 500, {lost:.0} lost; \
         none lost, no other status: {}. Ready afterwards: {}.",
        verdict(lost == 0.0 && !is_other && failed >= replaced),
        verdict(ready == 200)
    ))
}

/// Of the metrics' text.
fn panics_so_far(text: &str) -> f64 {
    let is_it =
        |line: &&str| line.starts_with("homeostat_instances_replaced_total{") && line.contains("reason=\"panic\"");
    text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

/// Others, with and without clients that misbehave.
fn nuisances(bench: &Bench) -> Result<String> {
    let side = bench.serve("cnn", &[])?;
    let asked = Asked { model: "cnn", format: "binary", connections: 16 };
    let seconds = (1.2 * bench.options.seconds + 2.0).to_string();
    let kinds = [("slow", "50"), ("idle", "1000"), ("half-closed", "20")];
    let mut words = Vec::new();
    let mut all = Vec::new();
    let mut is_met = true;
    for (kind, count) in kinds {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..bench.options.rounds {
            alone.push(bench.closed(&side, &asked)?);
            let option = format!("--{kind}");
            let client =
                bench.load_meanwhile(&side, &["nuisance", "--model", "cnn", &option, count, "--seconds", &seconds])?;
            // Until all of them are there.
            thread::sleep(Duration::from_secs(1));
            beside.push(bench.closed(&side, &asked)?);
            let found = line_of(client)?;
            ensure!(number(&found, "connected")? >= count.parse::<f64>()?, "not all {kind} clients connected: {found}");
        }
        let (p50, p99, rate) = (
            ratio(&beside, &alone, "p50_us")?,
            ratio(&beside, &alone, "p99_us")?,
            ratio(&beside, &alone, "answers_per_second")?,
        );
        is_met &= p50 <= 1.1 && rate >= 0.9;
        words.push(format!(
            "{count} {kind}: p50 x {p50:.2}, p99 x {p99:.2} ({:.2} ms), requests/s x {rate:.2}",
            middle(&beside, "p99_us")? / 1e3
        ));
        all.extend(alone.into_iter().chain(beside));
    }
    Ok(format!(
        "* {CALLERS} callers beside clients that misbehave, against the same without: {}; p50 and requests/s within 10 %: {}. {}",
        words.join("; "),
        verdict(is_met),
        foreign(&all)
    ))
}
