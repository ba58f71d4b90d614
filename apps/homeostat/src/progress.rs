//! Shows a run: a bar on a terminal, plain lines otherwise, JSON lines for machines, or nothing. It does not know the
//! loop, only its events.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use homeostat_artifact::Figures;
use homeostat_experiment::Stage;
use homeostat_train::{Event, StepReport};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::Output;

/// How often a plain log has a line within an epoch.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Shows the stages of a run on standard error, or as JSON lines on standard output.
pub(crate) struct Progress {
    manner: Manner,
    total_steps: usize,
    steps_per_epoch: usize,
    epochs: usize,
    warmup_steps: usize,
    /// Epochs done, and the step after which the one under way began.
    epoch: (usize, usize),
    /// Samples of this epoch that were learnt from, and until when.
    samples: usize,
    last_step: Instant,
    epoch_began: Instant,
    /// When the loop began, or went on, and after which step.
    began: (Instant, usize),
    last_line: Instant,
    loss: Option<f64>,
    /// The metric of the last validation.
    valid: String,
    has_header: bool,
    /// A closed standard output, found while nobody could be told.
    failure: Option<io::Error>,
}

enum Manner {
    Quiet,
    Json,
    Plain,
    Bar(ProgressBar),
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        let manner = match output {
            Output { quiet: true, .. } => Manner::Quiet,
            Output { json: true, .. } => Manner::Json,
            _ if io::stderr().is_terminal() => Manner::Bar(ProgressBar::hidden()),
            _ => Manner::Plain,
        };
        let now = Instant::now();
        Self {
            manner,
            total_steps: 0,
            steps_per_epoch: 1,
            epochs: 0,
            warmup_steps: 0,
            epoch: (0, 0),
            samples: 0,
            last_step: now,
            epoch_began: now,
            began: (now, 0),
            last_line: now,
            loss: None,
            valid: String::new(),
            has_header: false,
            failure: None,
        }
    }

    /// The first error of writing, if any.
    pub(crate) fn finish(self) -> io::Result<()> {
        if let Manner::Bar(bar) = &self.manner {
            bar.finish_and_clear();
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// Takes in a stage.
    pub(crate) fn observe(&mut self, stage: &Stage<'_>) {
        if let Manner::Json = self.manner {
            if let Some(line) = as_json(stage) {
                let written = writeln!(io::stdout(), "{line}");
                self.note(written);
            }
            return;
        }
        match stage {
            Stage::Prepared { run, experiment, data, samples: [train, valid, test], resumed } => {
                if let Manner::Bar(bar) = &mut self.manner {
                    bar.finish_and_clear();
                    *bar = ProgressBar::hidden();
                }
                self.epochs = experiment.train.epochs;
                self.warmup_steps = experiment.train.schedule.warmup_steps();
                let test = if *test == 0 { "no test part".to_owned() } else { format!("{test} to test with") };
                self.say(&format!("{}: {train} samples to learn from, {valid} to choose by, {test}", experiment.name));
                if let Some(folder) = data {
                    self.say(&format!("data {}", folder.display()));
                }
                self.say(&format!("run {}", run.display()));
                if let Some(step) = resumed {
                    self.say(&format!("goes on from the checkpoint of step {step}"));
                }
            }
            Stage::Fetching(progress) => self.fetching(progress),
            Stage::Adopted { from, applied, kept, unused } => {
                let [kept_fresh, left_out] = [listed("kept fresh", kept), listed("unused", unused)];
                let all = applied + kept.len();
                self.say(&format!("{applied} of {all} tensors applied from {from}{kept_fresh}{left_out}"));
            }
            Stage::Training(event) => self.training(event),
            Stage::Testing => self.say("testing, once"),
            Stage::Published { golden, .. } => {
                self.say(&format!("published and verified: {golden} golden requests answered alike"));
            }
        }
    }

    fn fetching(&mut self, progress: &homeostat_fetch::Progress<'_>) {
        match progress {
            homeostat_fetch::Progress::Waiting => self.say("another process fetches the weights; waiting for that"),
            homeostat_fetch::Progress::Failed { tried, .. } => self.say(&tried.to_string()),
            homeostat_fetch::Progress::Bytes { name, have, total } => match &mut self.manner {
                Manner::Bar(bar) => {
                    if bar.is_hidden() {
                        *bar = fetching_bar();
                    }
                    bar.set_message((*name).to_owned());
                    total.iter().for_each(|total| bar.set_length(*total));
                    bar.set_position(*have);
                }
                _ if self.last_line.elapsed() >= PLAIN_EVERY => {
                    let of = total.map_or_else(String::new, |total| format!(" of {}", HumanBytes(total)));
                    self.say(&format!("fetching {name}: {}{of}", HumanBytes(*have)));
                    self.last_line = Instant::now();
                }
                _ => {}
            },
        }
    }

    fn training(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { total_steps, steps_per_epoch, step, parameters, learning } => {
                (self.total_steps, self.steps_per_epoch) = (*total_steps, *steps_per_epoch);
                self.began = (Instant::now(), *step);
                // `train.max-steps` may end it before the last epoch.
                self.epochs = self.epochs.min(total_steps.div_ceil((*steps_per_epoch).max(1)));
                let learn = if learning < parameters { format!(", of which {learning} learn") } else { String::new() };
                let steps = if *total_steps == 1 { "step" } else { "steps" };
                self.say(&format!("{parameters} parameters{learn}, {total_steps} {steps}"));
                let warmup = self.warmup_steps;
                if (1..warmup).contains(total_steps) {
                    self.say(&format!("train.schedule warms up for {warmup} steps: the rate ends below learning-rate"));
                }
                let epoch = step / steps_per_epoch;
                self.start_epoch(epoch, epoch * steps_per_epoch);
                if let Manner::Bar(bar) = &self.manner {
                    bar.set_position((step % steps_per_epoch) as u64);
                }
            }
            Event::Step(report) => self.step(report),
            Event::Decided { step, decision } => {
                self.say(&format!(
                    "step {step}: {} decides to {}: {}",
                    decision.controller, decision.action, decision.reason
                ));
            }
            Event::Skipped(skipped) => self.say(&format!("left out {}: {}", skipped.name, skipped.reason)),
            Event::Features { done, total } => {
                if let Manner::Bar(bar) = &mut self.manner {
                    if bar.is_hidden() {
                        *bar = ProgressBar::new(*total as u64);
                        bar.set_style(style());
                        bar.set_prefix("features");
                    }
                    bar.set_position(*done as u64);
                }
                if done == total {
                    self.say(&format!("only the head learns: the features of {total} samples are computed once"));
                }
            }
            Event::Evaluated { done, total } => {
                if let Manner::Bar(bar) = &self.manner {
                    bar.set_message(format!("validating {done}/{total}"));
                }
            }
            Event::Checkpoint { .. } => {}
            Event::Epoch { epoch, step, rate, train, valid, improved, .. } => {
                let figures = [("train", *train), ("valid", *valid)];
                let mut columns: Vec<(String, String)> = figures.into_iter().flat_map(columns).collect();
                columns.push(("rate".to_owned(), format!("{rate:.2e}")));
                columns.push(("samples/s".to_owned(), format!("{:.0}", self.per_second())));
                self.epoch_line(*epoch, &columns, *improved);
                let metric = valid.iter().find(|(name, _)| *name != "loss");
                self.valid = metric.map_or_else(String::new, |(name, value)| format!("  valid {name} {value:.4}"));
                self.start_epoch(*epoch, *step);
            }
        }
    }

    /// A row of a table, whose header comes before the first.
    fn epoch_line(&mut self, epoch: usize, columns: &[(String, String)], improved: bool) {
        let digits = self.epochs.to_string().len();
        let epoch = format!("{epoch:>digits$}/{}", self.epochs);
        let width = |title: &str| title.len().max(7);
        let line = |first: &str, cell: &dyn Fn(&(String, String)) -> String| {
            let cells = columns.iter().map(|column| format!("  {:>width$}", cell(column), width = width(&column.0)));
            format!("{first:>width$}{}", cells.collect::<String>(), width = epoch.len().max(5))
        };
        if !self.has_header {
            self.say(&line("epoch", &|(title, _)| title.clone()));
            self.has_header = true;
        }
        let mark = if improved { "  best" } else { "" };
        self.say(&format!("{}{mark}", line(&epoch, &|(_, value)| value.clone())));
    }

    fn start_epoch(&mut self, done: usize, step: usize) {
        self.epoch = (done, step);
        self.samples = 0;
        self.epoch_began = Instant::now();
        (self.last_step, self.last_line) = (self.epoch_began, self.epoch_began);
        if let Manner::Bar(bar) = &mut self.manner {
            bar.finish_and_clear();
            if step < self.total_steps {
                *bar = ProgressBar::new(self.steps_per_epoch.min(self.total_steps - step) as u64);
                bar.set_style(style());
                bar.set_prefix(format!("epoch {}/{}", done + 1, self.epochs));
            }
        }
    }

    fn step(&mut self, report: &StepReport) {
        self.samples += report.samples;
        self.last_step = Instant::now();
        // A running mean over some twenty steps: single batches jump.
        let smooth = self.loss.map_or(report.loss, |loss| 0.95 * loss + 0.05 * report.loss);
        self.loss = Some(smooth).filter(|loss| loss.is_finite());
        let (done, first) = self.epoch;
        let position = report.step - first;
        match &self.manner {
            Manner::Bar(bar) => {
                let (valid, left) = (&self.valid, self.left(report.step));
                bar.set_message(format!("loss {smooth:.4}{valid}  {:.0}/s  {left} left", self.per_second()));
                bar.set_position(position as u64);
            }
            Manner::Plain if self.last_line.elapsed() >= PLAIN_EVERY => {
                let line = format!(
                    "epoch {}/{} step {position}/{}  loss {smooth:.4}  {:.0}/s  {} left",
                    done + 1,
                    self.epochs,
                    self.steps_per_epoch.min(self.total_steps - first),
                    self.per_second(),
                    self.left(report.step)
                );
                self.say(&line);
                self.last_line = Instant::now();
            }
            _ => {}
        }
    }

    /// Samples a second in this epoch, validation apart.
    fn per_second(&self) -> f64 {
        self.samples as f64 / (self.last_step - self.epoch_began).as_secs_f64().max(1e-9)
    }

    /// How long the rest of the training takes, at the pace so far, validation included: `3m 20s`.
    fn left(&self, step: usize) -> String {
        let (began, first) = self.began;
        let each = began.elapsed().as_secs_f64() / step.saturating_sub(first).max(1) as f64;
        let seconds = each * self.total_steps.saturating_sub(step) as f64;
        let seconds = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => format!("{seconds}s"),
            (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
            (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
        }
    }

    fn say(&mut self, line: &str) {
        match &self.manner {
            Manner::Quiet | Manner::Json => {}
            Manner::Plain => {
                let written = writeln!(io::stderr(), "{line}");
                self.note(written);
            }
            Manner::Bar(bar) => bar.suspend(|| {
                // A terminal that has gone shows no bar either.
                let _ = writeln!(io::stderr(), "{line}");
            }),
        }
    }

    fn note(&mut self, written: io::Result<()>) {
        if let (Err(error), None) = (written, &self.failure) {
            self.failure = Some(error);
        }
    }
}

/// For files on their way.
pub(crate) fn fetching_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The first of these names under a heading; nothing where there are none.
fn listed(heading: &str, names: &[String]) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let first = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.is_empty() { String::new() } else { format!("; {heading}: {first}{more}") }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A figure in seven characters or so, diverged or not.
fn figure(value: f64) -> String {
    if value.abs() < 1e5 || value.is_nan() { format!("{value:.4}") } else { format!("{value:.2e}") }
}

/// The first two figures of a part, the loss and the metric that people look at: their titles and values.
fn columns((part, figures): (&str, &Figures)) -> Vec<(String, String)> {
    let title = |(at, name): (usize, &str)| if at == 0 { format!("{part} {name}") } else { name.to_owned() };
    let column = |(at, (name, value))| (title((at, name)), figure(value));
    figures.iter().take(2).enumerate().map(column).collect()
}

fn as_json(stage: &Stage<'_>) -> Option<serde_json::Value> {
    let value = match stage {
        Stage::Prepared { run, data, samples: [train, valid, test], resumed, .. } => {
            json!({ "event": "prepared", "run": run, "data": data, "train": train, "valid": valid, "test": test, "resumed": resumed })
        }
        Stage::Training(event) => match event {
            Event::Begin { total_steps, steps_per_epoch, step, parameters, learning } => {
                json!({ "event": "begin", "step": step, "total-steps": total_steps, "steps-per-epoch": steps_per_epoch, "parameters": parameters, "learning": learning })
            }
            Event::Step(report) => {
                json!({ "event": "step", "step": report.step, "epoch": report.epoch, "loss": report.loss, "gradient-norm": report.gradient_norm, "rate": report.rate, "samples": report.samples, "waited": report.waited })
            }
            Event::Decided { step, decision } => json!({ "event": "decided", "step": step, "decision": decision }),
            Event::Skipped(skipped) => json!({ "event": "skipped", "name": skipped.name, "reason": skipped.reason }),
            Event::Epoch { epoch, step, rate, train, valid, improved, .. } => {
                json!({ "event": "epoch", "epoch": epoch, "step": step, "rate": rate, "train": train, "valid": valid, "improved": improved })
            }
            Event::Checkpoint { step } => json!({ "event": "checkpoint", "step": step }),
            Event::Evaluated { .. } | Event::Features { .. } => return None,
        },
        Stage::Fetching(_) => return None,
        Stage::Adopted { from, applied, kept, unused } => {
            json!({ "event": "adopted", "from": from, "applied": applied, "kept": kept, "unused": unused })
        }
        Stage::Testing => json!({ "event": "testing" }),
        Stage::Published { artifact, golden } => {
            json!({ "event": "published", "artifact": artifact, "golden": golden })
        }
    };
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn a_figure_that_has_diverged_keeps_to_its_column() {
        for (value, text) in [
            (0.5, "0.5000"),
            (-1e5, "-1.00e5"),
            (4_515_302_253_987_338.0, "4.52e15"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
