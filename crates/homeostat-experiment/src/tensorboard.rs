//! TensorBoard listens to the loop: scalars as they come. It does not know what else listens.

use std::time::{SystemTime, UNIX_EPOCH};

use homeostat_artifact::{Figures, Run};
use homeostat_report::{ReportError, tensorboard::EventWriter};
use homeostat_train::Event;

/// Steps are written this far apart: a curve of a million points helps nobody.
const EVERY: usize = 10;

/// Writes what happens to a run's `tensorboard/` folder.
pub(crate) struct TensorBoard {
    writer: EventWriter,
    /// The first thing that went wrong; said at the end, since a listener cannot answer.
    failure: Option<ReportError>,
}

impl TensorBoard {
    /// Begins, or goes on after the checkpoint of this step.
    pub(crate) fn open(run: &Run, resumed: Option<u64>) -> Result<Self, ReportError> {
        let dir = run.tensorboard_dir();
        let writer = match resumed {
            None => EventWriter::open(&dir, wall())?,
            Some(step) => EventWriter::append(&dir, wall(), step + 1)?,
        };
        Ok(Self { writer, failure: None })
    }

    /// Takes in an event.
    pub(crate) fn observe(&mut self, event: &Event<'_>) {
        let written = match event {
            Event::Step(report) if report.step.is_multiple_of(EVERY) => self.scalars(
                report.step,
                &[("step/loss", report.loss), ("step/gradient-norm", report.gradient_norm), ("step/rate", report.rate)],
            ),
            Event::Epoch { step, train, valid, .. } => self
                .figures(*step, "train", train)
                .and_then(|()| self.figures(*step, "valid", valid))
                .and_then(|()| self.writer.flush()),
            _ => Ok(()),
        };
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    /// Adds the pictures and the settings of a run at its end.
    pub(crate) fn finish(mut self, step: u64, pictures: &[(String, Vec<u8>)], config: &str) -> Result<(), ReportError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        for (tag, png) in pictures {
            self.writer.image(step, wall(), tag, png)?;
        }
        self.writer.text(step, wall(), "experiment", &format!("```toml\n{config}\n```"))?;
        self.writer.flush()
    }

    fn figures(&mut self, step: usize, part: &str, figures: &Figures) -> Result<(), ReportError> {
        let tagged: Vec<(String, f64)> =
            figures.iter().map(|(name, value)| (format!("{name}/{part}"), value)).collect();
        let scalars: Vec<(&str, f64)> = tagged.iter().map(|(tag, value)| (tag.as_str(), *value)).collect();
        self.scalars(step, &scalars)
    }

    fn scalars(&mut self, step: usize, scalars: &[(&str, f64)]) -> Result<(), ReportError> {
        scalars.iter().try_for_each(|(tag, value)| self.writer.scalar(step as u64, wall(), tag, *value))
    }
}

fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
