//! Shows a run: a bar on a terminal, plain lines otherwise, JSON lines for machines, or nothing. It does not know the
//! loop, only its events.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use homeostat_artifact::Figures;
use homeostat_experiment::Stage;
use homeostat_train::{Event, StepReport};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::Output;

/// How often a plain log has a line within an epoch.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Shows the stages of a run on standard error, or as JSON lines on standard output.
pub(crate) struct Progress {
    manner: Manner,
    steps_per_epoch: usize,
    epochs: usize,
    samples: usize,
    epoch_began: Instant,
    last_line: Instant,
    loss: Option<f64>,
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
            steps_per_epoch: 1,
            epochs: 0,
            samples: 0,
            epoch_began: now,
            last_line: now,
            loss: None,
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
            Stage::Prepared { run, experiment, samples: [train, valid, test], resumed } => {
                self.epochs = experiment.train.epochs;
                self.say(&format!(
                    "{}: {train} samples to learn from, {valid} to choose by, {test} to test with",
                    experiment.name
                ));
                self.say(&format!("run {}", run.display()));
                if let Some(step) = resumed {
                    self.say(&format!("goes on from the checkpoint of step {step}"));
                }
            }
            Stage::Training(event) => self.training(event),
            Stage::Testing => self.say("testing, once"),
            Stage::Published { golden, .. } => {
                self.say(&format!("published and verified: {golden} golden requests answered alike"))
            }
        }
    }

    fn training(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { total_steps, steps_per_epoch, step, parameters } => {
                self.steps_per_epoch = *steps_per_epoch;
                self.say(&format!("{parameters} parameters, {total_steps} steps"));
                self.start_epoch(*step);
            }
            Event::Step(report) => self.step(report),
            Event::Decided { step, decision } => {
                self.say(&format!(
                    "step {step}: {} decides to {}: {}",
                    decision.controller, decision.action, decision.reason
                ));
            }
            Event::Skipped(skipped) => self.say(&format!("left out {}: {}", skipped.name, skipped.reason)),
            Event::Evaluated { .. } | Event::Checkpoint { .. } => {}
            Event::Epoch { epoch, step, rate, train, valid, improved, .. } => {
                let rate_of_samples = self.samples as f64 / self.epoch_began.elapsed().as_secs_f64().max(1e-9);
                let mark = if *improved { "  best" } else { "" };
                let width = self.epochs.to_string().len();
                self.say(&format!(
                    "epoch {epoch:>width$}/{}  train {}  valid {}  rate {rate:.2e}  {rate_of_samples:.0}/s{mark}",
                    self.epochs,
                    brief(train),
                    brief(valid)
                ));
                self.start_epoch(*step);
            }
        }
    }

    fn start_epoch(&mut self, step: usize) {
        self.samples = 0;
        self.epoch_began = Instant::now();
        self.last_line = self.epoch_began;
        if let Manner::Bar(bar) = &mut self.manner {
            bar.finish_and_clear();
            let epoch = step / self.steps_per_epoch;
            if epoch < self.epochs {
                *bar =
                    ProgressBar::new(self.steps_per_epoch as u64).with_position((step % self.steps_per_epoch) as u64);
                bar.set_style(style());
                bar.set_prefix(format!("epoch {}/{}", epoch + 1, self.epochs));
            }
        }
    }

    fn step(&mut self, report: &StepReport) {
        self.samples += report.samples;
        // A running mean over some twenty steps: single batches jump.
        let smooth = self.loss.map_or(report.loss, |loss| 0.95 * loss + 0.05 * report.loss);
        self.loss = Some(smooth).filter(|loss| loss.is_finite());
        let per_second = self.samples as f64 / self.epoch_began.elapsed().as_secs_f64().max(1e-9);
        let position = (report.step - 1) % self.steps_per_epoch + 1;
        match &self.manner {
            Manner::Bar(bar) => {
                bar.set_message(format!("loss {smooth:.4}  rate {:.1e}  {per_second:.0}/s", report.rate));
                bar.set_position(position as u64);
            }
            Manner::Plain if self.last_line.elapsed() >= PLAIN_EVERY => {
                let line = format!(
                    "epoch {}/{} step {position}/{}  loss {smooth:.4}  {per_second:.0}/s",
                    report.epoch + 1,
                    self.epochs,
                    self.steps_per_epoch
                );
                self.say(&line);
                self.last_line = Instant::now();
            }
            _ => {}
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

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {msg}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The first two figures: the loss and the metric that people look at.
fn brief(figures: &Figures) -> String {
    figures.iter().take(2).map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(" ")
}

fn as_json(stage: &Stage<'_>) -> Option<serde_json::Value> {
    let value = match stage {
        Stage::Prepared { run, samples: [train, valid, test], resumed, .. } => {
            json!({ "event": "prepared", "run": run.display().to_string(), "train": train, "valid": valid, "test": test, "resumed": resumed })
        }
        Stage::Training(event) => match event {
            Event::Begin { total_steps, steps_per_epoch, step, parameters } => {
                json!({ "event": "begin", "step": step, "total_steps": total_steps, "steps_per_epoch": steps_per_epoch, "parameters": parameters })
            }
            Event::Step(report) => {
                json!({ "event": "step", "step": report.step, "epoch": report.epoch, "loss": report.loss, "gradient_norm": report.gradient_norm, "rate": report.rate, "samples": report.samples, "waited": report.waited })
            }
            Event::Decided { step, decision } => json!({ "event": "decided", "step": step, "decision": decision }),
            Event::Skipped(skipped) => json!({ "event": "skipped", "name": skipped.name, "reason": skipped.reason }),
            Event::Epoch { epoch, step, rate, train, valid, improved, .. } => {
                json!({ "event": "epoch", "epoch": epoch, "step": step, "rate": rate, "train": train, "valid": valid, "improved": improved })
            }
            Event::Checkpoint { step } => json!({ "event": "checkpoint", "step": step }),
            Event::Evaluated { .. } => return None,
        },
        Stage::Testing => json!({ "event": "testing" }),
        Stage::Published { artifact, golden } => {
            json!({ "event": "published", "artifact": artifact.display().to_string(), "golden": golden })
        }
    };
    Some(value)
}
