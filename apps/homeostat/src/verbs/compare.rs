//! `homeostat runs compare`: figures and the settings that differ, a column a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
    slice,
};

use anyhow::bail;
use homeostat_artifact::{Figures, Run, RunResult, RunSummary};
use homeostat_config::Origin;
use homeostat_experiment::Experiment;
use homeostat_train::metrics::wilson;
use serde_json::Value;

use super::{
    Done,
    runs::{below, state},
    table::print_aligned,
};
use crate::cli::RunsPlace;

/// What fits the width of most windows.
const WIDTH: usize = 100;
/// A longer value has a line of its own.
const LONG: usize = 16;

/// A run that can be read.
struct Compared {
    /// As the list above the table numbers it.
    number: usize,
    summary: RunSummary,
    settings: BTreeMap<String, Chosen>,
}

/// A setting, and whether the program chose it from the data.
#[derive(PartialEq)]
struct Chosen {
    value: Value,
    by_program: bool,
}

pub(super) fn run(paths: &[PathBuf], place: &RunsPlace) -> anyhow::Result<Done> {
    let summaries: Vec<RunSummary> = if paths.is_empty() {
        below(&place.out)?
    } else {
        paths.iter().map(|path| Ok(Run::open(path)?.summary())).collect::<anyhow::Result<_>>()?
    };
    if summaries.is_empty() {
        bail!("no runs below {}; make some with: homeostat train digits", place.out.display());
    }
    let (mut runs, mut legend) = (Vec::new(), Vec::new());
    for (number, summary) in (1..).zip(summaries) {
        let problem = match (&summary.problem, settings(&summary.path)) {
            (None, Ok(settings)) => {
                legend.push((number, summary.path.clone(), state(&summary), None));
                runs.push(Compared { number, summary, settings });
                continue;
            }
            (Some(problem), _) => problem.clone(),
            (None, Err(error)) => format!("{error:#}"),
        };
        legend.push((number, summary.path, "unreadable".to_owned(), Some(problem)));
    }
    let differing = differing(&runs);
    let mut out = io::stdout().lock();
    if place.json {
        for (_, path, _, problem) in &legend {
            if let Some(problem) = problem {
                writeln!(out, "{}", serde_json::json!({ "run": { "path": path, "problem": problem } }))?;
            }
        }
        for run in &runs {
            let own: BTreeMap<_, _> =
                differing.iter().filter_map(|key| Some((key, &run.settings.get(key)?.value))).collect();
            writeln!(out, "{}", serde_json::json!({ "run": run.summary, "differing": own }))?;
        }
        return Ok(Done::Well);
    }
    for (number, path, state, problem) in &legend {
        let problem = problem.as_ref().map_or_else(String::new, |problem| format!(": {problem}"));
        writeln!(out, "{number:>2}  {}  {state}{problem}", path.display())?;
    }
    let groups = [figures(&runs, "test"), figures(&runs, "valid"), works(&runs), short(&runs, &differing)];
    let gap = (String::new(), vec![String::new(); runs.len()]);
    let groups: Vec<Vec<Row>> = groups.into_iter().filter(|group| !group.is_empty()).collect();
    print_columns(&mut out, &runs, &groups.join(&gap))?;
    print_long(&mut out, &runs, &differing)?;
    if runs.iter().flat_map(|run| run.settings.iter()).any(|(key, set)| set.by_program && differing.contains(key)) {
        writeln!(out, "\n* chosen by the program, from the data")?;
    }
    Ok(Done::Well)
}

/// A name, and a cell a run. Figures down, runs across: people have many figures and few runs.
type Row = (String, Vec<String>);

/// As many runs side by side as fit the width, the others below.
fn print_columns(out: &mut dyn Write, runs: &[Compared], rows: &[Row]) -> io::Result<()> {
    let widest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let name = widest(&mut rows.iter().map(|(name, _)| name));
    let cell = widest(&mut rows.iter().flat_map(|(_, cells)| cells)).max(2);
    let fit = ((WIDTH - name.min(WIDTH)) / (cell + 2)).max(1);
    for start in (0..runs.len()).step_by(fit) {
        let shown = start..runs.len().min(start + fit);
        let numbers: Vec<String> = runs[shown.clone()].iter().map(|run| run.number.to_string()).collect();
        let header: Vec<&str> = std::iter::once("").chain(numbers.iter().map(String::as_str)).collect();
        let line = |(name, cells): &Row| [slice::from_ref(name), &cells[shown.clone()]].concat();
        writeln!(out)?;
        print_aligned(out, &header, &rows.iter().map(line).collect::<Vec<_>>(), &|column| column > 0)?;
    }
    Ok(())
}

/// What was measured on a part; for the test, with how far its accuracy can be trusted.
fn figures(runs: &[Compared], part: &str) -> Vec<Row> {
    let pick = |result: &RunResult| match part {
        "test" => (result.test.clone(), result.samples.test),
        _ => (result.valid.clone(), result.samples.valid),
    };
    let results: Vec<Option<(Figures, u64)>> = runs.iter().map(|run| run.summary.result.as_ref().map(pick)).collect();
    let row = |name: String, cell: &dyn Fn(&Figures, u64) -> Option<String>| {
        let cell = |(figures, samples): &(Figures, u64)| cell(figures, *samples);
        let cells = results.iter().map(|result| result.as_ref().and_then(cell).unwrap_or_else(|| "-".to_owned()));
        (name, cells.collect::<Vec<_>>())
    };
    let mut rows: Vec<Row> = Vec::new();
    for (name, _) in results.iter().flatten().flat_map(|(figures, _)| figures.iter()) {
        let title = format!("{part} {name}");
        if rows.iter().any(|(known, _)| *known == title) {
            continue;
        }
        rows.push(row(title, &|figures, _| Some(format!("{:.4}", figures.get(name)?))));
        if (part, name) == ("test", "accuracy") {
            let interval = |figures: &Figures, samples| Some(wilson(figures.get(name)?, samples));
            rows.push(row("  95 % from".to_owned(), &|f, n| Some(format!("{:.4}", interval(f, n)?.0))));
            rows.push(row("  95 % to".to_owned(), &|f, n| Some(format!("{:.4}", interval(f, n)?.1))));
        }
    }
    if !rows.is_empty() {
        rows.push(row(format!("{part} samples"), &|_, samples| (samples > 0).then(|| samples.to_string())));
    }
    rows
}

/// What it took.
fn works(runs: &[Compared]) -> Vec<Row> {
    let row = |name: &str, cell: &dyn Fn(&RunResult) -> Option<String>| {
        (name.to_owned(), cells(runs, &|run| run.summary.result.as_ref().and_then(cell)))
    };
    vec![
        row("chosen epoch", &|result| Some(result.best.as_ref()?.epoch.to_string())),
        row("epochs", &|result| Some(result.epochs.to_string())),
        row("parameters", &|result| (result.parameters > 0).then(|| result.parameters.to_string())),
        row("seconds", &|result| Some(format!("{:.1}", result.seconds))),
    ]
}

fn cells(runs: &[Compared], cell: &dyn Fn(&Compared) -> Option<String>) -> Vec<String> {
    runs.iter().map(|run| cell(run).unwrap_or_else(|| "-".to_owned())).collect()
}

fn is_short(runs: &[Compared], key: &str) -> bool {
    runs.iter().all(|run| shown(run, key).is_none_or(|value| value.chars().count() <= LONG))
}

fn short(runs: &[Compared], differing: &[String]) -> Vec<Row> {
    let keys = differing.iter().filter(|key| is_short(runs, key));
    keys.map(|key| (name(key).to_owned(), cells(runs, &|run| shown(run, key)))).collect()
}

/// Long values one below the other, each with the runs that have it.
fn print_long(out: &mut dyn Write, runs: &[Compared], differing: &[String]) -> io::Result<()> {
    for key in differing.iter().filter(|key| !is_short(runs, key)) {
        writeln!(out, "\n{}", name(key))?;
        let mut values: Vec<(String, Vec<String>)> = Vec::new();
        for run in runs {
            let value = shown(run, key).unwrap_or_else(|| "-".to_owned());
            match values.iter_mut().find(|(known, _)| *known == value) {
                Some((_, numbers)) => numbers.push(run.number.to_string()),
                None => values.push((value, vec![run.number.to_string()])),
            }
        }
        let values: Vec<_> = values.into_iter().map(|(value, numbers)| (numbers.join(", "), value)).collect();
        let width = values.iter().map(|(numbers, _)| numbers.len()).max().unwrap_or(0).max(2);
        for (numbers, value) in values {
            writeln!(out, "{numbers:>width$}  {value}")?;
        }
    }
    Ok(())
}

/// The key as it may be typed: what is said of the task needs no `task.KIND` before it.
fn name(key: &str) -> &str {
    key.strip_prefix("task.").and_then(|key| key.split_once('.')).map_or(key, |(_, key)| key)
}

/// The value as people write it; nothing where the run has no such setting.
fn shown(run: &Compared, key: &str) -> Option<String> {
    let Chosen { value, by_program } = run.settings.get(key)?;
    let text = match value {
        Value::String(text) => text.clone(),
        value => written(value),
    };
    Some(text + if *by_program { " *" } else { "" })
}

/// A value as in an experiment's file, with six significant digits at most.
fn written(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "not set".to_owned(),
        Value::Array(items) => format!("[{}]", list(items.iter().map(written).collect())),
        Value::Object(table) => {
            format!("{{ {} }}", list(table.iter().map(|(key, value)| format!("{key} = {}", written(value))).collect()))
        }
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let short = format!("{number:.5e}").parse().unwrap_or(number);
            format!("{short:?}")
        }
        value => value.to_string(),
    }
}

/// Every setting of a run by its dotted key.
fn settings(run: &Path) -> anyhow::Result<BTreeMap<String, Chosen>> {
    let run = Run::open(run)?;
    let text = run.experiment()?;
    let resolved = Experiment::of_run(&run)?.load()?;
    let shown = resolved.show_json();
    let Some(table) = shown.as_object() else { return Ok(BTreeMap::new()) };
    // In a run's own file the origin of a value stands behind it.
    let lines: Vec<&str> = text.lines().collect();
    let is_chosen = |key: &str| match resolved.provenance.get(key) {
        Origin::File { line, .. } => lines.get(line - 1).is_some_and(|line| line.contains(" # chosen: ")),
        _ => false,
    };
    let chosen = |key: &str, value: &Value| {
        let items = value.as_array().map_or(0, Vec::len);
        is_chosen(key) || (0..items).any(|item| is_chosen(&format!("{key}.{item}")))
    };
    let setting = |(key, setting): (&String, &Value)| {
        let value = setting["value"].clone();
        (key.clone(), Chosen { by_program: chosen(key, &value), value })
    };
    Ok(table.iter().map(setting).collect())
}

/// The keys whose values are not the same in all runs.
fn differing(runs: &[Compared]) -> Vec<String> {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
    let value = |run: &Compared, key: &str| run.settings.get(key).map(|set| set.value.clone());
    keys.into_iter()
        .filter(|key| runs.windows(2).any(|pair| value(&pair[0], key) != value(&pair[1], key)))
        .cloned()
        .collect()
}
