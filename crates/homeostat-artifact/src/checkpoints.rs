//! The states of training that a run can be resumed from. Does not know what is in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;
use crate::{ArtifactError, atomic};

const MANIFEST: &str = "checkpoint.json";

/// The folder `checkpoints/` of a run: `step-00000120/` and so on.
///
/// Got from [`crate::Run::checkpoints`]. Only the holder of the run's lock ([`crate::RunWriter`]) may save or prune.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    experiment: String,
}

/// What `checkpoint.json` says beside the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    step: u64,
    experiment: String,
    best: Option<u64>,
}

/// One checkpoint, of this experiment, whose every file was as it was written when this was made.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest<Head>,
}

impl Checkpoint {
    /// Optimiser steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.manifest.head.step
    }

    /// The step of the checkpoint with the best weights at that time.
    #[must_use]
    pub fn best(&self) -> Option<u64> {
        self.manifest.head.best
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file `name` is.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] if it is not among the files that were saved.
    pub fn file(&self, name: &str) -> Result<PathBuf, ArtifactError> {
        if self.manifest.files.contains_key(name) {
            return Ok(self.path.join(name));
        }
        Err(ArtifactError::Missing { path: self.path.clone(), file: name.to_owned() })
    }
}

impl Checkpoints {
    /// The checkpoints in `folder`, all of them of the experiment with the SHA-256 `experiment`.
    pub(crate) fn new(folder: PathBuf, experiment: String) -> Self {
        Self { folder, experiment }
    }

    /// Saves what `fill` writes into an empty folder, whole or not at all, in the place of one that was at that step.
    ///
    /// `best` is the step of the checkpoint with the best weights so far (it may be this one); it is kept for as long as this one is.
    /// Later checkpoints than `step` belong to a history that a rewind has undone, and go.
    ///
    /// # Errors
    /// [`ArtifactError::Write`] (a full disk), or what `fill` returns; all older checkpoints are intact.
    pub fn save<E: From<ArtifactError>>(
        &self,
        step: u64,
        best: Option<u64>,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Checkpoint, E> {
        let path = self.path(step);
        atomic::write_dir(&path, |temporary| {
            fill(temporary)?;
            let head = Head { step, experiment: self.experiment.clone(), best };
            Ok::<_, E>(Manifest::write(temporary, MANIFEST, head)?)
        })?;
        for later in self.steps()?.into_iter().filter(|&other| other > step && Some(other) != best) {
            atomic::remove_dir(&self.path(later))?;
        }
        Ok(Checkpoint { manifest: Manifest::read(&path, MANIFEST)?, path })
    }

    /// The steps that there are checkpoints of, in order.
    ///
    /// # Errors
    /// [`ArtifactError::Read`].
    pub fn steps(&self) -> Result<Vec<u64>, ArtifactError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(ArtifactError::read(&self.folder))?,
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(ArtifactError::read(&self.folder))?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix("step-")).and_then(|step| step.parse().ok());
            steps.extend(step.filter(|&step| self.path(step).file_name() == Some(&name)));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The checkpoint of that step, every file of it checked.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`], [`ArtifactError::OtherExperiment`], [`ArtifactError::Changed`] and what else a damaged folder gives.
    pub fn open(&self, step: u64) -> Result<Checkpoint, ArtifactError> {
        let checkpoint = self.peek(step)?;
        checkpoint.manifest.verify(&checkpoint.path)?;
        Ok(checkpoint)
    }

    /// The newest checkpoint that is whole; `None` if none was ever saved. Damaged ones are passed over with a warning.
    ///
    /// # Errors
    /// The newest one's damage if all are damaged; at once what is not damage: another experiment, a newer format, no right to read.
    pub fn latest(&self) -> Result<Option<Checkpoint>, ArtifactError> {
        let mut newest = None;
        for step in self.steps()?.into_iter().rev() {
            match self.open(step) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) if is_damage(&error) => {
                    tracing::warn!(%error, step, "this checkpoint is damaged, trying the one before it");
                    newest.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        newest.map_or(Ok(None), Err)
    }

    /// The checkpoint with the best weights, as the [latest](Self::latest) knows it.
    ///
    /// # Errors
    /// As [`Self::latest`] and [`Self::open`].
    pub fn best(&self) -> Result<Option<Checkpoint>, ArtifactError> {
        let best = self.latest()?.and_then(|latest| latest.best());
        best.map(|step| self.open(step)).transpose()
    }

    /// Removes all but the newest `keep_last` (at least one), the best of each of those, and those of the steps `also`. Damaged ones do
    /// not count.
    ///
    /// # Errors
    /// [`ArtifactError::Read`] or [`ArtifactError::Write`].
    pub fn prune(&self, keep_last: usize, also: &[u64]) -> Result<(), ArtifactError> {
        let steps = self.steps()?;
        let newest = steps.iter().rev().filter_map(|&step| self.peek(step).ok()).take(keep_last.max(1));
        let keep: Vec<u64> = newest.flat_map(|kept| [Some(kept.step()), kept.best()]).flatten().collect();
        for step in steps.into_iter().filter(|step| !keep.contains(step) && !also.contains(step)) {
            atomic::remove_dir(&self.path(step))?;
        }
        Ok(())
    }

    /// The checkpoint of that step, its files not yet checked.
    fn peek(&self, step: u64) -> Result<Checkpoint, ArtifactError> {
        let path = self.path(step);
        let name = || path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !path.is_dir() {
            return Err(ArtifactError::Missing { file: name(), path: self.folder.clone() });
        }
        let manifest: Manifest<Head> = Manifest::read(&path, MANIFEST)?;
        if manifest.head.experiment != self.experiment {
            let (expected, found) = (self.experiment.clone(), manifest.head.experiment);
            return Err(ArtifactError::OtherExperiment { path, expected, found });
        }
        if manifest.head.step != step {
            let (expected, found) = (name(), format!("a checkpoint of step {}", manifest.head.step));
            return Err(ArtifactError::Changed { path, file: MANIFEST.to_owned(), expected, found });
        }
        Ok(Checkpoint { path, manifest })
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}"))
    }
}

fn is_damage(error: &ArtifactError) -> bool {
    use ArtifactError::{Changed, Escapes, Malformed, Missing, TooLarge};
    matches!(error, Changed { .. } | Escapes { .. } | Malformed { .. } | Missing { .. } | TooLarge { .. })
}
