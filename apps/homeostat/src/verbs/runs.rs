//! `homeostat runs`: lists, shows and compares runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::bail;
use homeostat_artifact::{Figures, Run, RunSummary};
use homeostat_experiment::Experiment;

use super::{
    Done,
    table::{print_figures, print_table},
};
use crate::cli::{Runs, RunsPlace};

pub(crate) fn run(arguments: &Runs) -> anyhow::Result<Done> {
    match arguments {
        Runs::List { place } => list(place),
        Runs::Show { run, json } => show(run, *json),
        Runs::Compare { runs, place } => compare(runs, place),
    }
}

fn list(place: &RunsPlace) -> anyhow::Result<Done> {
    let runs = Run::list(&place.out)?;
    let mut out = std::io::stdout().lock();
    if place.json {
        for run in &runs {
            writeln!(out, "{}", serde_json::to_string(run)?)?;
        }
    } else if runs.is_empty() {
        writeln!(out, "no runs below {}; make one with: homeostat train digits", place.out.display())?;
    } else {
        let row = |run: &RunSummary| {
            let figure = |name: &str| {
                run.result
                    .as_ref()
                    .and_then(|result| shown(result)?.get(name))
                    .map_or_else(String::new, |value| format!("{value:.4}"))
            };
            vec![
                run.name.clone(),
                run.when.clone(),
                state(run),
                figure("loss"),
                figure("accuracy"),
                run.path.display().to_string(),
            ]
        };
        print_table(
            &mut out,
            &["experiment", "begun", "state", "loss", "accuracy", "run"],
            &runs.iter().map(row).collect::<Vec<_>>(),
        )?;
    }
    Ok(Done::Well)
}

/// The figures that stand for a run: test, or validation without a test part.
fn shown(result: &homeostat_artifact::RunResult) -> Option<&Figures> {
    [&result.test, &result.valid].into_iter().find(|figures| !figures.is_empty())
}

fn state(run: &RunSummary) -> String {
    format!("{:?}", run.state).to_lowercase()
}

fn show(path: &Path, json: bool) -> anyhow::Result<Done> {
    let run = Run::open(path)?;
    let summary = run.summary();
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::json!({ "summary": summary, "provenance": run.provenance()? }))?;
        return Ok(Done::Well);
    }
    writeln!(out, "{}  begun {}  {}", summary.name, summary.when, state(&summary))?;
    if let Some(result) = &summary.result {
        for (part, figures) in [("test", &result.test), ("valid", &result.valid)] {
            if !figures.is_empty() {
                print_figures(&mut out, part, figures)?;
            }
        }
        if let Some(best) = &result.best {
            writeln!(out, "best    {} {:.4} at epoch {}, step {}", best.monitor, best.value, best.epoch, best.step)?;
        }
        if let Some(reason) = &result.reason {
            writeln!(out, "ended   {reason}")?;
        }
        writeln!(
            out,
            "work    epochs {}  steps {}  parameters {}  seconds {:.1}",
            result.epochs, result.steps, result.parameters, result.seconds
        )?;
    }
    if let Some(provenance) = run.provenance()? {
        writeln!(
            out,
            "made    homeostat {} on {} ({}), seed {}",
            provenance.homeostat, provenance.device, provenance.cpu, provenance.seed
        )?;
    }
    writeln!(out, "run     {}", run.path().display())?;
    if run.report_file().exists() {
        writeln!(out, "report  {}", run.report_file().display())?;
    }
    Ok(Done::Well)
}

fn compare(paths: &[PathBuf], place: &RunsPlace) -> anyhow::Result<Done> {
    let runs: Vec<RunSummary> = if paths.is_empty() {
        Run::list(&place.out)?
    } else {
        paths.iter().map(|path| Ok(Run::open(path)?.summary())).collect::<anyhow::Result<_>>()?
    };
    if runs.is_empty() {
        bail!("no runs below {}; make some with: homeostat train digits", place.out.display());
    }
    let settings = runs.iter().map(|run| settings(&run.path)).collect::<anyhow::Result<Vec<_>>>()?;
    let differing = differing(&settings);
    let mut out = std::io::stdout().lock();
    if place.json {
        for (run, settings) in runs.iter().zip(&settings) {
            let own: BTreeMap<_, _> = differing.iter().map(|key| (key, settings.get(key))).collect();
            writeln!(out, "{}", serde_json::json!({ "run": run, "differing": own }))?;
        }
        return Ok(Done::Well);
    }
    // Figures down, runs across: people have many figures and few runs.
    let names: Vec<String> = runs.iter().map(|run| format!("{} {}", run.name, run.when)).collect();
    let header: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    let mut rows = vec![row("state", runs.iter().map(state))];
    for (part, pick) in
        [("test", (|r| &r.test) as fn(&homeostat_artifact::RunResult) -> &Figures), ("valid", |r| &r.valid)]
    {
        let mut figures: Vec<String> = Vec::new();
        for (name, _) in runs.iter().filter_map(|run| run.result.as_ref()).flat_map(|result| pick(result).iter()) {
            if !figures.iter().any(|known| known == name) {
                figures.push(name.to_owned());
            }
        }
        for name in figures {
            let cell = |run: &RunSummary| {
                run.result
                    .as_ref()
                    .and_then(|result| pick(result).get(&name))
                    .map_or_else(String::new, |v| format!("{v:.4}"))
            };
            rows.push(row(&format!("{part} {name}"), runs.iter().map(cell)));
        }
    }
    let seconds =
        |run: &RunSummary| run.result.as_ref().map_or_else(String::new, |result| format!("{:.1}", result.seconds));
    rows.push(row("seconds", runs.iter().map(seconds)));
    for key in &differing {
        rows.push(row(
            key,
            settings.iter().map(|settings| settings.get(key).cloned().unwrap_or_else(|| "-".to_owned())),
        ));
    }
    print_table(&mut out, &header, &rows)?;
    Ok(Done::Well)
}

fn row(name: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(cells).collect()
}

/// Every setting of a run by its dotted key.
fn settings(run: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = Run::open(run)?.experiment()?;
    let shown = Experiment::text("experiment.toml", &text).load()?.show_json();
    let Some(table) = shown.as_object() else { return Ok(BTreeMap::new()) };
    Ok(table.iter().map(|(key, setting)| (key.clone(), setting["value"].to_string())).collect())
}

/// The keys whose values are not the same in all runs.
fn differing(settings: &[BTreeMap<String, String>]) -> Vec<String> {
    let keys: BTreeSet<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    keys.into_iter()
        .filter(|key| settings.windows(2).any(|pair| pair[0].get(*key) != pair[1].get(*key)))
        .cloned()
        .collect()
}
