//! `homeostat runs`: lists and shows runs. Comparing them is beside.

use std::{io::Write, path::Path};

use anyhow::ensure;
use homeostat_artifact::{Figures, Run, RunProgress, RunState, RunSummary};
use homeostat_data::SplitRecord;
use homeostat_experiment::Experiment;

use super::{
    Done, compare,
    table::{print_figures, print_samples, print_table, print_valid_samples},
};
use crate::cli::{Runs, RunsPlace};

pub(crate) fn run(arguments: &Runs) -> anyhow::Result<Done> {
    match arguments {
        Runs::List { place } => list(place),
        Runs::Show { run, json } => show(run, *json),
        Runs::Compare { runs, place } => compare::run(runs, place),
    }
}

/// The runs below a folder; the one where they lie by default may not be there yet.
pub(super) fn below(folder: &Path) -> anyhow::Result<Vec<RunSummary>> {
    let path = folder.display();
    ensure!(
        folder.is_dir() || folder == Path::new("runs"),
        "there is no folder {path}; to make a run there: homeostat train digits --out {path}"
    );
    Ok(Run::list(folder)?)
}

fn list(place: &RunsPlace) -> anyhow::Result<Done> {
    let runs = below(&place.out)?;
    let mut out = std::io::stdout().lock();
    if place.json {
        for run in &runs {
            writeln!(out, "{}", serde_json::to_string(run)?)?;
        }
    } else if runs.is_empty() {
        writeln!(out, "no runs below {}; make one with: homeostat train digits", place.out.display())?;
    } else {
        let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
        print_table(&mut out, &["run", "state", "epochs", "figures of", "loss", "metric"], &rows)?;
    }
    Ok(Done::Well)
}

fn row(run: &RunSummary) -> Vec<String> {
    let path = run.path.display().to_string();
    let reached = match (&run.problem, Reached::of(run)) {
        (None, Ok(reached)) => reached,
        (Some(problem), _) => return unreadable(path, problem),
        (None, Err(error)) => return unreadable(path, &error.to_string()),
    };
    let (part, figures) = reached.figures.unwrap_or_default();
    let loss = figures.get("loss").map_or_else(String::new, |loss| format!("{loss:.4}"));
    let metric = figures.iter().find(|(name, _)| *name != "loss");
    let metric = metric.map_or_else(String::new, |(name, value)| format!("{name} {value:.4}"));
    vec![path, state(run), reached.epochs.to_string(), part.to_owned(), loss, metric]
}

fn unreadable(path: String, problem: &str) -> Vec<String> {
    vec![path, "unreadable".to_owned(), String::new(), String::new(), String::new(), problem.to_owned()]
}

pub(super) fn state(run: &RunSummary) -> String {
    format!("{:?}", run.state).to_lowercase()
}

/// How far a run has come: at its end by its result, before that by its logs.
struct Reached {
    epochs: u64,
    steps: u64,
    seconds: f64,
    /// Of the test, or of validation, which is all that a run before its end or without a test part has.
    figures: Option<(&'static str, Figures)>,
}

impl Reached {
    fn of(summary: &RunSummary) -> anyhow::Result<Self> {
        if let (RunState::Finished, Some(result)) = (summary.state, &summary.result) {
            let parts = [("test", &result.test), ("validation", &result.valid)];
            let figures = parts.into_iter().find(|(_, figures)| !figures.is_empty());
            return Ok(Self {
                epochs: result.epochs,
                steps: result.steps,
                seconds: result.seconds,
                figures: figures.map(|(part, figures)| (part, figures.clone())),
            });
        }
        let RunProgress { steps, epochs, evaluated } = Run::open(&summary.path)?.progress()?;
        let seconds = evaluated.as_ref().map_or(0.0, |line| line.seconds);
        let known = summary.result.as_ref().map_or(0.0, |result| result.seconds);
        let figures = evaluated.map(|line| ("validation", line.figures));
        Ok(Self { epochs, steps, seconds: seconds.max(known), figures })
    }
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
    if summary.state == RunState::Finished {
        show_result(&mut out, &summary)?;
    } else {
        show_progress(&mut out, &run, &summary)?;
    }
    if let Some(problem) = &summary.problem {
        writeln!(out, "problem {problem}")?;
    }
    if let Some(reason) = summary.result.as_ref().and_then(|result| result.reason.as_ref()) {
        writeln!(out, "ended   {reason}")?;
    }
    if let Some(made) = run.provenance()? {
        writeln!(out, "made    homeostat {} on {} ({}), seed {}", made.homeostat, made.device, made.cpu, made.seed)?;
    }
    writeln!(out, "run     {}", run.path().display())?;
    if run.report_file().exists() {
        writeln!(out, "report  {}", run.report_file().display())?;
    }
    if matches!(summary.state, RunState::Interrupted | RunState::Failed) {
        writeln!(out, "next    homeostat resume {}", run.path().display())?;
    }
    Ok(Done::Well)
}

fn show_result(out: &mut dyn Write, summary: &RunSummary) -> anyhow::Result<()> {
    let Some(result) = &summary.result else { return Ok(()) };
    if !result.test.is_empty() {
        print_figures(out, "test", &result.test)?;
        print_samples(out, &result.test, result.samples.test)?;
    }
    if !result.valid.is_empty() {
        print_figures(out, "valid", &result.valid)?;
        print_valid_samples(out, result)?;
    }
    if let Some(best) = &result.best {
        writeln!(
            out,
            "chosen  by validation {}: {:.4}, epoch {}, step {}",
            best.monitor, best.value, best.epoch, best.step
        )?;
    }
    writeln!(
        out,
        "work    epochs {}  steps {}  parameters {}  seconds {:.1}",
        result.epochs, result.steps, result.parameters, result.seconds
    )?;
    Ok(())
}

fn show_progress(out: &mut dyn Write, run: &Run, summary: &RunSummary) -> anyhow::Result<()> {
    let reached = Reached::of(summary)?;
    let train = Experiment::of_run(run)?.load()?.value.train;
    let steps = run
        .split::<SplitRecord>()?
        .map_or_else(String::new, |split| format!(" of {}", train.total_steps(split.train.len())));
    let parameters = summary.result.as_ref().map(|result| result.parameters).filter(|&count| count > 0);
    let parameters = parameters.map_or_else(String::new, |count| format!("  parameters {count}"));
    writeln!(
        out,
        "so far  epochs {} of {}  steps {}{steps}{parameters}  seconds {:.1}",
        reached.epochs, train.epochs, reached.steps, reached.seconds
    )?;
    if let Some((_, figures)) = &reached.figures {
        print_figures(out, "valid", figures)?;
    }
    Ok(())
}
