//! Gathers what a run's page shows. It does not know how the page looks.

use homeostat_artifact::{Best, Figures, MetricsLine, Part, Run, RunResult};
use homeostat_control::{ControlEvent, Observation};
use homeostat_metrics::wilson;
use homeostat_report::{Command, Decision, Headline, Point, Report, Series, Shown, Skipped, State, Value};
use homeostat_task::Task;

use crate::{ExperimentError, evaluate_run::Measured, kind::Kind, plan::Plan};

/// The report of a finished run: what all runs have, and what its kind of task adds.
pub(crate) fn report_of_run<K: Kind>(
    plan: &Plan<K>,
    model: &<K::Task as Task>::Model,
    run: &Run,
    result: &RunResult,
    measured: &Measured<K::Findings>,
    skipped: &[homeostat_data::Skipped],
) -> Result<Report, ExperimentError> {
    let lines = run.metrics()?;
    let events: Vec<ControlEvent> = run.events()?;
    let provenance = run.provenance()?.unwrap_or_default();
    let path = run.path().display().to_string();
    let measure_again = || command("measure it again", format!("homeostat eval {path}"));
    let measure_elsewhere =
        || command("measure it on data that it has not seen", format!("homeostat eval {path} --data SOURCE"));
    let measure = match plan.splits.test.is_empty() {
        false => Some(measure_again()),
        true => K::TAKES_OTHER_DATA.then(measure_elsewhere),
    };
    let further = [
        command("ask it", K::ask(&path)),
        command("check that it still answers alike", format!("homeostat verify {path}")),
        command("compare it with other runs", "homeostat runs compare".to_owned()),
    ];
    let mut report = Report {
        title: plan.experiment().name.clone(),
        when: provenance.started.clone(),
        state: State::Finished,
        headlines: headlines(result, measured),
        curves: curves(&lines, &events),
        rate: lines.iter().filter(|line| line.part == Part::Train).map(|line| point(line, line.rate)).collect(),
        chosen_step: result.best.as_ref().map(|best| best.step),
        decisions: decisions(&events),
        skipped: skipped.iter().map(|s| Skipped { name: s.name.clone(), reason: s.reason.clone() }).collect(),
        config: run.experiment()?,
        environment: environment(&provenance, result),
        next: measure.into_iter().chain(further).collect(),
        ..Report::default()
    };
    K::report(plan, model, measured, &mut report)?;
    Ok(report)
}

/// The pictures of a page by name, for whoever keeps pictures apart: samples as the network saw them, its worst mistakes, and what it makes.
pub(crate) fn pictures(report: &Report) -> Vec<(String, Vec<u8>)> {
    let augmented = report.augmented.iter().enumerate();
    let augmented = augmented.map(|(at, picture)| (format!("augmented/{at:02}"), picture.png.clone()));
    let mistakes = report.classification.iter().flat_map(|found| &found.mistakes).take(8).enumerate();
    let mistakes = mistakes.filter_map(|(at, mistake)| match &mistake.shown {
        Shown::Picture(png) => Some((format!("mistakes/{at:02}"), png.clone())),
        Shown::Text(_) => None,
    });
    let made = report.made.iter().enumerate();
    let made = made.map(|(at, sheet)| (format!("made/{at:02}"), sheet.png.clone()));
    augmented.chain(mistakes).chain(made).collect()
}

fn command(what: &str, line: String) -> Command {
    Command { what: what.to_owned(), line }
}

fn headlines<F>(result: &RunResult, measured: &Measured<F>) -> Vec<Headline> {
    let is_test = measured.part == "test";
    let samples = measured.samples;
    let mut headlines = Vec::new();
    let figures: &Figures = &measured.figures;
    let share = |name: &str| {
        matches!(name, "accuracy" | "macro-f1" | "auroc") || name.starts_with("top-") || name.contains("hit-rate-")
    };
    for (name, value) in figures.iter().filter(|(name, _)| *name != "loss").take(2) {
        let note = match (is_test, name) {
            (true, "accuracy") => {
                let (low, high) = wilson(value, measured.samples as u64);
                let [low, high] = [low, high].map(|bound| format!("{:.1}", 100.0 * bound));
                format!("{samples} samples, measured once; 95 % interval {low} to {high} %")
            }
            (true, _) => format!("{samples} samples, measured once"),
            (false, _) => format!("{samples} samples, by which the weights were chosen"),
        };
        let value = if share(name) { Value::Share(value) } else { Value::Number(value) };
        headlines.push(Headline { label: format!("{} {name}", measured.part), value, note });
    }
    let of_monitor = |best: &Best| format!("validation {}", best.monitor);
    let is_shown = |best: &&Best| headlines.iter().any(|shown| shown.label == of_monitor(best));
    if let Some(best) = result.best.as_ref().filter(|best| !is_shown(best)) {
        headlines.push(Headline {
            label: of_monitor(best),
            value: if share(&best.monitor) { Value::Share(best.value) } else { Value::Number(best.value) },
            note: format!("best of {} epochs, at epoch {}", result.epochs, best.epoch),
        });
    }
    headlines.push(Headline {
        label: "parameters".to_owned(),
        value: Value::Count(result.parameters),
        note: String::new(),
    });
    headlines.push(Headline {
        label: "trained in".to_owned(),
        value: Value::Seconds(result.seconds),
        note: result.reason.clone().unwrap_or_default(),
    });
    headlines
}

fn point(line: &MetricsLine, value: f64) -> Point {
    Point { step: line.step, epoch: line.epoch as f64, value }
}

/// A curve a figure and part; without evaluations of an epoch, the loss of the steps stands for training.
fn curves(lines: &[MetricsLine], events: &[ControlEvent]) -> Vec<Series> {
    let mut curves: Vec<Series> = Vec::new();
    for line in lines {
        let part = match line.part {
            Part::Train => "train",
            Part::Valid => "valid",
            Part::Test => "test",
        };
        for (name, value) in line.figures.iter() {
            let found = curves.iter().position(|series| series.name == name && series.part == part);
            let at = found.unwrap_or_else(|| {
                curves.push(Series { name: name.to_owned(), part: part.to_owned(), points: Vec::new() });
                curves.len() - 1
            });
            curves[at].points.push(point(line, value));
        }
    }
    let steps = events.iter().filter_map(|event| match event.observation {
        Observation::Step { loss, .. } => Some(Point { step: event.step + 1, epoch: event.epoch as f64, value: loss }),
        Observation::Unfrozen { .. } | Observation::Evaluation { .. } => None,
    });
    let steps = Series { name: "loss of each step".to_owned(), part: "train".to_owned(), points: steps.collect() };
    curves.extend((!steps.points.is_empty()).then_some(steps));
    curves
}

fn decisions(events: &[ControlEvent]) -> Vec<Decision> {
    let all = events.iter().flat_map(|event| event.decisions.iter().map(move |decision| (event.step, decision)));
    all.map(|(step, decision)| Decision {
        step,
        controller: decision.controller.to_string(),
        action: decision.action.to_string(),
        reason: decision.reason.clone(),
    })
    .collect()
}

fn environment(provenance: &homeostat_artifact::Provenance, result: &RunResult) -> Vec<(String, String)> {
    let rows = [
        ("Homeostat", provenance.homeostat.clone()),
        ("Burn", provenance.burn.clone()),
        ("compiler", provenance.rustc.clone()),
        ("features", provenance.features.join(", ")),
        ("device", provenance.device.clone()),
        ("processor", format!("{}, {} cores", provenance.cpu, provenance.cores)),
        ("system", provenance.os.clone()),
        ("command", provenance.command.join(" ")),
        ("seed", provenance.seed.to_string()),
        ("steps", result.steps.to_string()),
        ("git", provenance.git.clone().unwrap_or_default()),
        ("experiment", provenance.hashes.experiment.clone()),
        ("data", provenance.hashes.data.clone()),
        ("split", provenance.hashes.split.clone()),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)).collect()
}
