//! Gathers what a run's page shows. It does not know how the page looks.

use homeostat_artifact::{Best, Figures, MetricsLine, Part, Run, RunResult};
use homeostat_control::{ControlEvent, Observation};
use homeostat_metrics::wilson;
use homeostat_report::{
    ClassRow, Classification, Command, DataSummary, Decision, Headline, Picture, Point, Reliability, ReliabilityBin,
    Report, Series, Skipped, State, Value,
};

use crate::{ExperimentError, evaluate_run::Measured, kind::Kind, plan::Plan};

/// Augmented samples that a report shows.
const PICTURES: usize = 24;

/// Training samples as the network saw them, the first of each class in turn; none where they are no pictures.
pub(crate) fn augmented_pictures<K: Kind>(plan: &Plan<K>) -> Vec<Picture> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); plan.labels().len()];
    for &index in &plan.splits.train {
        by_class[plan.source.label(index)].push(index);
    }
    let rounds = by_class.iter().map(Vec::len).max().unwrap_or(0).min(PICTURES);
    let in_turn = (0..rounds).flat_map(|round| by_class.iter().filter_map(move |class| class.get(round)));
    in_turn.filter_map(|&index| K::augmented(plan, index)).take(PICTURES).collect()
}

/// The report of a finished run.
pub(crate) fn report_of_run<K: Kind>(
    plan: &Plan<K>,
    run: &Run,
    result: &RunResult,
    measured: &Measured,
    pictures: &[Picture],
    skipped: &[homeostat_data::Skipped],
) -> Result<Report, ExperimentError> {
    let lines = run.metrics()?;
    let events: Vec<ControlEvent> = run.events()?;
    let provenance = run.provenance()?.unwrap_or_default();
    let path = run.path().display().to_string();
    let measure_again = match plan.splits.test.is_empty() {
        false => command("measure it again", format!("homeostat eval {path}")),
        true => command("measure it on data that it has not seen", format!("homeostat eval {path} --data SOURCE")),
    };
    Ok(Report {
        title: plan.experiment().name.clone(),
        when: provenance.started.clone(),
        state: State::Finished,
        headlines: headlines(result, measured).into_iter().chain(calibration(plan, measured)).collect(),
        curves: curves(&lines, &events),
        rate: lines.iter().filter(|line| line.part == Part::Train).map(|line| point(line, line.rate)).collect(),
        chosen_step: result.best.as_ref().map(|best| best.step),
        decisions: decisions(&events),
        classification: Some(classification(plan, measured)),
        augmented: pictures.to_vec(),
        data: data_summary(plan),
        skipped: skipped.iter().map(|s| Skipped { name: s.name.clone(), reason: s.reason.clone() }).collect(),
        config: run.experiment()?,
        environment: environment(&provenance, result),
        next: vec![
            measure_again,
            command("ask it", format!("homeostat predict {path} FILE...")),
            command("check that it still answers alike", format!("homeostat verify {path}")),
            command("compare it with other runs", "homeostat runs compare".to_owned()),
        ],
    })
}

fn command(what: &str, line: String) -> Command {
    Command { what: what.to_owned(), line }
}

fn headlines(result: &RunResult, measured: &Measured) -> Vec<Headline> {
    let is_test = measured.part == "test";
    let samples = measured.samples;
    let mut headlines = Vec::new();
    let figures: &Figures = &measured.figures;
    let share = |name: &str| matches!(name, "accuracy" | "macro-f1" | "auroc") || name.starts_with("top-");
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

/// How far the confidence is from the accuracy, where it was calibrated.
fn calibration<K: Kind>(plan: &Plan<K>, measured: &Measured) -> Option<Headline> {
    let temperature = plan.experiment().task.temperature();
    plan.experiment().train.calibrate.then(|| Headline {
        label: format!("{} calibration error", measured.part),
        value: Value::Share(measured.reliability.calibration_error()),
        note: format!(
            "{:.2} % before scores were divided by {temperature:.3}, fitted on the validation part",
            100.0 * measured.uncalibrated
        ),
    })
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
        Observation::Evaluation { .. } => None,
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

fn classification<K: Kind>(plan: &Plan<K>, measured: &Measured) -> Classification {
    let labels = plan.labels();
    let per_class = labels.iter().zip(measured.confusion.per_class()).map(|(name, class)| ClassRow {
        name: name.clone(),
        precision: class.precision,
        recall: class.recall,
        f1: class.f1,
        support: class.support,
    });
    let confusion = measured.confusion.rows();
    let right: u64 = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
    let accuracy = right as f64 / confusion.iter().flatten().sum::<u64>().max(1) as f64;
    let bins = measured.reliability.bins().into_iter().map(|bin| ReliabilityBin {
        count: bin.count,
        confidence: bin.confidence,
        accuracy: bin.accuracy,
    });
    Classification {
        part: measured.part.to_owned(),
        classes: labels.to_vec(),
        confusion: confusion.to_vec(),
        per_class: per_class.collect(),
        reliability: Some(Reliability {
            bins: bins.collect(),
            accuracy_interval: wilson(accuracy, measured.samples as u64),
            calibration_error: measured.reliability.calibration_error(),
        }),
        mistakes: measured.mistakes.clone(),
    }
}

fn data_summary<K: Kind>(plan: &Plan<K>) -> DataSummary {
    let parts = [("train", &plan.splits.train), ("valid", &plan.splits.valid), ("test", &plan.splits.test)];
    let counts: Vec<Vec<usize>> = parts.iter().map(|(_, indices)| plan.counts(indices)).collect();
    let row = |(class, name): (usize, &String)| (name.clone(), counts.iter().map(|part| part[class] as u64).collect());
    DataSummary {
        parts: parts.iter().map(|(name, _)| (*name).to_owned()).collect(),
        classes: plan.labels().iter().enumerate().map(row).collect(),
    }
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
