//! The directory of one training run. Does not know how training works, or what the figures mean.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::json_lines::JsonLines;
use crate::{ArtifactError, Checkpoints, MetricsLine, Part, Provenance, RunResult, RunState, atomic, digest};

const LATEST: &str = "latest";
const LOCK: &str = ".lock";
const EXPERIMENT: &str = "experiment.toml";
const RESULT: &str = "result.json";

/// A run as anybody may read it, while it trains or later. To write, [`Run::lock`] it.
#[derive(Clone, Debug)]
pub struct Run {
    path: PathBuf,
}

/// The one process that may write to a run; reads as a [`Run`] does. The lock ends with this value, or with the process.
#[derive(Debug)]
pub struct RunWriter {
    run: Run,
    metrics: JsonLines,
    events: JsonLines,
    _lock: File,
}

/// The lengths of `metrics.jsonl` and `events.jsonl` at a checkpoint, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLengths {
    /// Of `metrics.jsonl`.
    pub metrics: u64,
    /// Of `events.jsonl`.
    pub events: u64,
}

/// How far a run has come: see [`Run::progress`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunProgress {
    /// Optimiser steps done, but for the one that is under way or was the last.
    pub steps: u64,
    /// Epochs done.
    pub epochs: u64,
    /// The last evaluation on the validation part.
    pub evaluated: Option<MetricsLine>,
}

/// What is read of `experiment.toml` here.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What every line of `events.jsonl` begins with.
#[derive(Default, Deserialize)]
struct EventPlace {
    step: u64,
    epoch: u64,
}

/// A run in a list.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// The experiment's name.
    pub name: String,
    /// When it was created.
    pub when: String,
    /// Its directory.
    pub path: PathBuf,
    /// Where it stands.
    pub state: RunState,
    /// How it ended, if it has.
    pub result: Option<RunResult>,
    /// What is wrong with its `result.json`, if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Run {
    /// Makes the directory `root/name/when` (with `-2`, `-3` ... if there is one) with the text of the experiment as run, locks it, and
    /// lets `root/latest` point to it. `when` is a UTC time that can be a folder's name: `2026-11-23T17-13-05Z`.
    ///
    /// # Errors
    /// [`ArtifactError::Name`], [`ArtifactError::Write`].
    pub fn create(root: &Path, name: &str, when: &str, experiment: &str) -> Result<RunWriter, ArtifactError> {
        Self::check_name(name)?;
        Self::check_name(when)?;
        let folder = root.join(name);
        atomic::create_dir(&folder)?;
        let (path, when) = create_unique(&folder, when)?;
        let writer = Self { path }.lock()?;
        atomic::write_file(&writer.path.join(EXPERIMENT), experiment.as_bytes())?;
        atomic::sync(&folder)?;
        if let Err(error) = point_latest(root, &Path::new(name).join(when)) {
            tracing::warn!("{} could not be set to the new run: {error}", root.join(LATEST).display());
        }
        Ok(writer)
    }

    /// Refuses what cannot name a run.
    ///
    /// # Errors
    /// [`ArtifactError::Name`].
    pub fn check_name(name: &str) -> Result<(), ArtifactError> {
        if can_name(name) { Ok(()) } else { Err(ArtifactError::Name { name: name.to_owned() }) }
    }

    /// The run at `path`, or that a link at `path` points to (`runs/latest`).
    ///
    /// # Errors
    /// [`ArtifactError::NotARun`].
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let not_a_run = |missing: &str| ArtifactError::NotARun { path: path.to_owned(), missing: missing.to_owned() };
        if !path.is_dir() {
            return Err(not_a_run("the folder"));
        }
        let run = Self { path: resolve(path)? };
        if run.path.join(EXPERIMENT).is_file() { Ok(run) } else { Err(not_a_run(EXPERIMENT)) }
    }

    /// Takes the right to write, and removes what a killed process left half-written.
    ///
    /// # Errors
    /// [`ArtifactError::Locked`] if another process has it, [`ArtifactError::Write`].
    pub fn lock(&self) -> Result<RunWriter, ArtifactError> {
        let path = self.path.join(LOCK);
        let file = File::options().append(true).create(true).open(&path).map_err(ArtifactError::write(&path))?;
        let mut attempts = 20; // someone who lists the runs holds the lock for a moment, too
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::WouldBlock if attempts > 0 => thread::sleep(Duration::from_millis(10)),
                TryLockError::WouldBlock => return Err(ArtifactError::Locked { path: self.path.clone() }),
                TryLockError::Error(source) => return Err(ArtifactError::Write { path, source }),
            }
            attempts -= 1;
        }
        let (metrics, events) = (self.metrics_log(), self.events_log());
        let writer = RunWriter { run: self.clone(), metrics, events, _lock: file };
        atomic::clean(&writer.path)?;
        atomic::clean(&writer.checkpoints_dir())?;
        Ok(writer)
    }

    /// All runs under `root`, in the order of their times.
    ///
    /// # Errors
    /// [`ArtifactError::Read`]; a root that is not there has no runs.
    pub fn list(root: &Path) -> Result<Vec<RunSummary>, ArtifactError> {
        let mut runs = Vec::new();
        for folder in folders(root)? {
            for path in folders(&folder)? {
                runs.extend(Self::open(&path).map(|run| run.summary()));
            }
        }
        runs.sort_by(|a, b| (&a.when, &a.name).cmp(&(&b.when, &b.name)));
        Ok(runs)
    }

    /// Its name, where it stands, and how it ended. A damaged `result.json` counts as none, and is told of.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        let (result, problem) = match self.result() {
            Ok(result) => (result, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let full = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        RunSummary {
            name: self.name(),
            when: last_name(Some(&full)),
            path: self.path.clone(),
            state: self.state(result.as_ref()),
            result,
            problem,
        }
    }

    /// The experiment's name, wherever the run was copied to; that of the folder above where it cannot be read.
    #[must_use]
    pub fn name(&self) -> String {
        let named = self.experiment().ok().and_then(|text| toml::from_str(&text).ok());
        let of_folder = || last_name(self.path.canonicalize().ok().as_deref().and_then(Path::parent));
        named.map_or_else(of_folder, |Named { name }| name)
    }

    fn state(&self, result: Option<&RunResult>) -> RunState {
        let lock = File::open(self.path.join(LOCK)).map(|file| file.try_lock_shared());
        match (lock, result) {
            (Ok(Err(TryLockError::WouldBlock)), _) => RunState::Running,
            (_, Some(result)) => result.state,
            (_, None) => RunState::Interrupted,
        }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `checkpoints/`
    #[must_use]
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// `tensorboard/`
    #[must_use]
    pub fn tensorboard_dir(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// `artifact/`
    #[must_use]
    pub fn artifact_dir(&self) -> PathBuf {
        self.path.join("artifact")
    }

    /// `report.html`
    #[must_use]
    pub fn report_file(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The text of `experiment.toml`: the experiment as run.
    ///
    /// # Errors
    /// [`ArtifactError::Read`].
    pub fn experiment(&self) -> Result<String, ArtifactError> {
        let path = self.path.join(EXPERIMENT);
        fs::read_to_string(&path).map_err(ArtifactError::read(&path))
    }

    /// The checkpoints of this run's experiment.
    ///
    /// # Errors
    /// As [`Self::experiment`].
    pub fn checkpoints(&self) -> Result<Checkpoints, ArtifactError> {
        Ok(Checkpoints::new(self.checkpoints_dir(), digest::sha256(self.experiment()?.as_bytes())))
    }

    /// The content of `provenance.json`, if it has been written.
    ///
    /// # Errors
    /// [`ArtifactError::Read`], [`ArtifactError::Malformed`].
    pub fn provenance(&self) -> Result<Option<Provenance>, ArtifactError> {
        read_json(&self.path.join("provenance.json"))
    }

    /// The content of `split.json`, if it has been written.
    ///
    /// # Errors
    /// [`ArtifactError::Read`], [`ArtifactError::Malformed`].
    pub fn split<T: DeserializeOwned>(&self) -> Result<Option<T>, ArtifactError> {
        read_json(&self.path.join("split.json"))
    }

    /// The content of `result.json`, if it has been written.
    ///
    /// # Errors
    /// [`ArtifactError::Read`], [`ArtifactError::Malformed`].
    pub fn result(&self) -> Result<Option<RunResult>, ArtifactError> {
        read_json(&self.path.join(RESULT))
    }

    /// The lines of `metrics.jsonl`.
    ///
    /// # Errors
    /// [`ArtifactError::Read`], [`ArtifactError::Malformed`].
    pub fn metrics(&self) -> Result<Vec<MetricsLine>, ArtifactError> {
        self.metrics_log().read()
    }

    /// The lines of `events.jsonl`.
    ///
    /// # Errors
    /// [`ArtifactError::Read`], [`ArtifactError::Malformed`].
    pub fn events<T: DeserializeOwned>(&self) -> Result<Vec<T>, ArtifactError> {
        self.events_log().read()
    }

    /// How far it has come by its logs, also while it trains or after it was killed.
    ///
    /// # Errors
    /// [`ArtifactError::Read`], [`ArtifactError::Malformed`].
    pub fn progress(&self) -> Result<RunProgress, ArtifactError> {
        let evaluated = self.metrics()?.into_iter().rfind(|line| line.part == Part::Valid);
        let event: EventPlace = self.events_log().last()?.unwrap_or_default();
        let (steps, epochs) = evaluated.as_ref().map_or((0, 0), |line| (line.step, line.epoch));
        Ok(RunProgress { steps: event.step.max(steps), epochs: event.epoch.max(epochs), evaluated })
    }

    fn metrics_log(&self) -> JsonLines {
        JsonLines::new(self.path.join("metrics.jsonl"))
    }

    fn events_log(&self) -> JsonLines {
        JsonLines::new(self.path.join("events.jsonl"))
    }
}

impl Deref for RunWriter {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl RunWriter {
    /// Writes `provenance.json`.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn write_provenance(&self, provenance: &Provenance) -> Result<(), ArtifactError> {
        write_json(&self.path.join("provenance.json"), provenance)
    }

    /// Writes `split.json`.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn write_split(&self, split: &impl Serialize) -> Result<(), ArtifactError> {
        write_json(&self.path.join("split.json"), split)
    }

    /// Writes `result.json`.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn write_result(&self, result: &RunResult) -> Result<(), ArtifactError> {
        write_json(&self.path.join(RESULT), result)
    }

    /// Takes `result.json` away: what it says of an earlier session is no longer true when the run goes on.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn remove_result(&self) -> Result<(), ArtifactError> {
        let path = self.path.join(RESULT);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ArtifactError::write(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Writes `report.html`.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn write_report(&self, html: &str) -> Result<(), ArtifactError> {
        atomic::write_file(&self.report_file(), html.as_bytes())
    }

    /// Appends a line to `metrics.jsonl`; it outlives the process.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn append_metrics(&self, line: &MetricsLine) -> Result<(), ArtifactError> {
        self.metrics.append(line)
    }

    /// Appends a line to `events.jsonl`; it outlives the process.
    ///
    /// # Errors
    /// [`ArtifactError::Write`]; [`ArtifactError::Malformed`] for a value that JSON has no form for.
    pub fn append_event(&self, event: &impl Serialize) -> Result<(), ArtifactError> {
        self.events.append(event)
    }

    /// The lengths of the two logs, synced to the disk: a checkpoint keeps them.
    ///
    /// # Errors
    /// [`ArtifactError::Write`].
    pub fn log_lengths(&self) -> Result<LogLengths, ArtifactError> {
        Ok(LogLengths { metrics: self.metrics.sync()?, events: self.events.sync()? })
    }

    /// Cuts the two logs back to where they were at a checkpoint (`LogLengths::default()`: at the beginning), so that no line that is going to be
    /// written again is there twice.
    ///
    /// # Errors
    /// [`ArtifactError::Malformed`] if a log is shorter, or no line ends there; [`ArtifactError::Write`].
    pub fn truncate_logs(&self, keep: LogLengths) -> Result<(), ArtifactError> {
        self.metrics.truncate(keep.metrics)?;
        self.events.truncate(keep.events)
    }
}

fn create_unique(folder: &Path, when: &str) -> Result<(PathBuf, String), ArtifactError> {
    let mut unique = when.to_owned();
    for number in 2.. {
        let path = folder.join(&unique);
        match fs::create_dir(&path) {
            Ok(()) => return Ok((path, unique)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => unique = format!("{when}-{number}"),
            Err(error) => return Err(ArtifactError::write(&path)(error)),
        }
    }
    unreachable!("a folder has fewer entries than there are numbers")
}

/// The link is relative, so that the root can be moved, and it is replaced in one step.
fn point_latest(root: &Path, run: &Path) -> io::Result<()> {
    let temporary = root.join(".tmp-latest");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => symlink(run, &temporary)?,
    }
    fs::rename(&temporary, root.join(LATEST))
}

/// Follows a link at `path` to where it points now: it may point elsewhere before the run has ended.
fn resolve(path: &Path) -> Result<PathBuf, ArtifactError> {
    let path: PathBuf = path.components().collect(); // without a slash at the end, which would hide the link
    match (fs::read_link(&path), path.parent()) {
        (Ok(target), Some(parent)) => resolve(&parent.join(target)),
        _ => Ok(path),
    }
}

fn last_name(path: Option<&Path>) -> String {
    path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}

fn can_name(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    plain && !name.is_empty() && !name.starts_with('.') && name != LATEST && name.len() <= 200
}

/// The folders in `folder` that are neither links nor hidden.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, ArtifactError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(ArtifactError::read(folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ArtifactError::read(folder))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !hidden {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ArtifactError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(ArtifactError::read(path))?,
    };
    let malformed =
        |error: serde_json::Error| ArtifactError::Malformed { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(malformed)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ArtifactError> {
    let malformed =
        |error: serde_json::Error| ArtifactError::Malformed { path: path.to_owned(), reason: error.to_string() };
    let mut text = serde_json::to_vec_pretty(value).map_err(malformed)?;
    text.push(b'\n');
    atomic::write_file(path, &text)
}
