//! TensorBoard listens to the loop: scalars as they come. It does not know what else listens.
//! It is a listener and no more: where it cannot write, it says so at once, and the training goes on without it.

use std::time::{SystemTime, UNIX_EPOCH};

use homeostat_artifact::{Figures, Run};
use homeostat_report::{ReportError, tensorboard::EventWriter};
use homeostat_train::Event;

/// Steps are written this far apart: a curve of a million points helps nobody.
const EVERY: usize = 10;

/// Writes what happens to a run's `tensorboard/` folder, until that fails.
pub(crate) struct TensorBoard {
    writer: Option<EventWriter>,
}

impl TensorBoard {
    /// Begins, or goes on after the checkpoint of this step.
    pub(crate) fn open(run: &Run, resumed: Option<u64>) -> Self {
        let dir = run.tensorboard_dir();
        let opened = match resumed {
            None => EventWriter::open(&dir, wall()),
            Some(step) => EventWriter::append(&dir, wall(), step + 1),
        };
        Self { writer: opened.map_err(|error| give_up(&error)).ok() }
    }

    /// Takes in an event.
    pub(crate) fn observe(&mut self, event: &Event<'_>) {
        self.write(|writer| match event {
            Event::Step(report) if report.step.is_multiple_of(EVERY) => scalars(
                writer,
                report.step,
                &[("step/loss", report.loss), ("step/gradient-norm", report.gradient_norm), ("step/rate", report.rate)],
            ),
            Event::Epoch { step, train, valid, .. } => {
                figures(writer, *step, "train", train)?;
                figures(writer, *step, "valid", valid)?;
                writer.flush()
            }
            _ => Ok(()),
        });
    }

    /// Adds the pictures and the settings of a run at its end.
    pub(crate) fn finish(mut self, step: u64, pictures: &[(String, Vec<u8>)], config: &str) {
        self.write(|writer| {
            for (tag, png) in pictures {
                writer.image(step, wall(), tag, png)?;
            }
            writer.text(step, wall(), "experiment", &format!("```toml\n{config}\n```"))?;
            writer.flush()
        });
    }

    fn write(&mut self, write: impl FnOnce(&mut EventWriter) -> Result<(), ReportError>) {
        if let Some(Err(error)) = self.writer.as_mut().map(write) {
            give_up(&error);
            self.writer = None;
        }
    }
}

fn give_up(error: &ReportError) {
    tracing::error!("{error}; the run goes on without its TensorBoard log");
}

fn figures(writer: &mut EventWriter, step: usize, part: &str, figures: &Figures) -> Result<(), ReportError> {
    let tagged: Vec<(String, f64)> = figures.iter().map(|(name, value)| (format!("{name}/{part}"), value)).collect();
    scalars(writer, step, &tagged.iter().map(|(tag, value)| (tag.as_str(), *value)).collect::<Vec<_>>())
}

fn scalars(writer: &mut EventWriter, step: usize, scalars: &[(&str, f64)]) -> Result<(), ReportError> {
    scalars.iter().try_for_each(|(tag, value)| writer.scalar(step as u64, wall(), tag, *value))
}

fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
