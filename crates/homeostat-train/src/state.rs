//! The loop's state, whole: what a checkpoint holds, so that resuming needs nothing else. It does not know the loop.

use std::{collections::BTreeMap, fs, ops::Deref, path::Path};

use burn::{module::Module, tensor::Device};
use homeostat_artifact::{Best, Checkpoint, LogLengths, RunWriter};
use homeostat_control::Controllers;
use homeostat_data::Skipped;
use homeostat_task::Weights;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{Event, Optimizer, TrainError};

/// Where a training stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Place {
    /// Epochs done.
    pub(crate) epoch: usize,
    /// Batches done in the epoch under way.
    pub(crate) batch: usize,
    /// Optimiser steps done.
    pub(crate) step: usize,
}

/// How far a training has come, for who tells of one that did not reach its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reached {
    /// Epochs done.
    pub epochs: usize,
    /// Optimiser steps done.
    pub steps: usize,
    /// Parameters of the network; 0 before it was made.
    pub parameters: usize,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Wall time of the sessions before this one.
    pub seconds: f64,
}

impl Reached {
    /// At a checkpoint, from which the session goes on.
    ///
    /// # Errors
    /// The checkpoint's state cannot be read.
    pub fn at(checkpoint: &Checkpoint) -> Result<Self, TrainError> {
        let Memory { place, best, seconds, .. } = remember::<IgnoredAny>(checkpoint)?;
        Ok(Self { epochs: place.epoch, steps: place.step, parameters: 0, best, seconds })
    }

    /// Takes in what happens.
    pub fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { parameters, .. } => self.parameters = *parameters,
            Event::Step(report) => self.steps = report.step,
            Event::Epoch { epoch, best, .. } => {
                self.epochs = *epoch;
                self.best = best.cloned();
            }
            _ => {}
        }
    }
}

/// The part of the state that is plain data: `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Memory<M> {
    pub(crate) place: Place,
    pub(crate) controllers: Controllers,
    pub(crate) best: Option<Best>,
    /// The step and the monitored figure of each evaluation; none where it was no number.
    #[serde(default)]
    pub(crate) evaluations: Vec<(u64, Option<f64>)>,
    /// Running figures of the epoch under way.
    pub(crate) meter: M,
    pub(crate) skipped: Vec<Skipped>,
    /// Why the training ended, if it has.
    pub(crate) ended: Option<String>,
    pub(crate) logs: LogLengths,
    /// Wall time over all sessions.
    pub(crate) seconds: f64,
}

impl<M> Memory<M> {
    /// Each sample is counted once, however many epochs meet it.
    pub(crate) fn note_skipped(&mut self, skipped: &[Skipped], observe: &mut dyn FnMut(Event<'_>)) {
        for skipped in skipped {
            if !self.skipped.iter().any(|known| known.name == skipped.name) {
                self.skipped.push(skipped.clone());
                observe(Event::Skipped(skipped));
            }
        }
    }
}

/// What a rewind brings back. It is no `Clone`: clones of a network share its running statistics.
#[derive(Debug)]
pub(crate) struct Snapshot<N> {
    pub(crate) model: Moving<N>,
    pub(crate) optimizer: Optimizer,
    /// The moving average of the weights, without gradients.
    pub(crate) average: Option<Moving<N>>,
}

/// A network that is moved through functions of itself, as Burn's modules are: nobody else holds its tensors then, so
/// they can change in place.
#[derive(Debug)]
pub(crate) struct Moving<N>(Option<N>);

impl<N> Moving<N> {
    pub(crate) fn new(network: N) -> Self {
        Self(Some(network))
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(N) -> N) {
        self.0 = self.0.take().map(change);
    }

    fn try_change<E>(&mut self, change: impl FnOnce(N) -> Result<N, E>) -> Result<(), E> {
        self.0 = self.0.take().map(change).transpose()?;
        Ok(())
    }
}

impl<N> Deref for Moving<N> {
    type Target = N;

    fn deref(&self) -> &N {
        self.0.as_ref().unwrap_or_else(|| panic!("a change that failed ends the training"))
    }
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State<N, M> {
    pub(crate) now: Snapshot<N>,
    /// Where the guard rewinds to; none while it is off.
    pub(crate) good: Option<Snapshot<N>>,
    pub(crate) memory: Memory<M>,
}

const STATE: &str = "state.json";
const GOOD: &str = "good-";

impl<N: Module> Snapshot<N> {
    /// The same state, untouched by what becomes of this one.
    pub(crate) fn copy(&self) -> Self {
        Self {
            model: Moving::new(self.model.valid().train()),
            optimizer: self.optimizer.clone(),
            average: self.average.as_ref().map(|average| Moving::new(average.valid())),
        }
    }

    /// The network that is evaluated and published, without gradients.
    pub(crate) fn chosen(&self) -> N {
        self.average.as_deref().unwrap_or(&self.model).valid()
    }

    fn save(&self, folder: &Path, prefix: &str) -> Result<(), TrainError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(format!("{prefix}{name}"));
            fs::write(&path, bytes).map_err(homeostat_artifact::ArtifactError::write(&path)).map_err(TrainError::from)
        };
        let none = BTreeMap::new();
        // Running statistics are one update behind until somebody asks for them: this does.
        write("model.safetensors", &Weights::of(&self.model.valid()).to_safetensors(&none))?;
        write("optimizer.safetensors", &self.optimizer.to_safetensors())?;
        match &self.average {
            Some(average) => write("average.safetensors", &Weights::of(&**average).to_safetensors(&none)),
            None => Ok(()),
        }
    }

    fn load(mut self, checkpoint: &Checkpoint, prefix: &str, device: &Device) -> Result<Self, TrainError> {
        self.model.try_change(|model| load_weights(model, checkpoint, &format!("{prefix}model.safetensors")))?;
        let state = read(checkpoint, &format!("{prefix}optimizer.safetensors"))?;
        self.optimizer.load_safetensors(&state, &device.clone().inner())?;
        if let Some(average) = &mut self.average {
            average.try_change(|average| load_weights(average, checkpoint, &format!("{prefix}average.safetensors")))?;
        }
        Ok(self)
    }
}

impl<N: Module, M: Serialize + for<'de> Deserialize<'de>> State<N, M> {
    /// Writes a checkpoint of everything.
    pub(crate) fn save(&mut self, run: &RunWriter, keep_last: usize, also: &[u64]) -> Result<(), TrainError> {
        self.memory.logs = run.log_lengths()?;
        let checkpoints = run.checkpoints()?;
        let best = self.memory.best.as_ref().map(|best| best.step);
        checkpoints.save(self.memory.place.step as u64, best, |folder| {
            self.now.save(folder, "")?;
            if let Some(good) = &self.good {
                good.save(folder, GOOD)?;
            }
            let path = folder.join(STATE);
            let text = serde_json::to_vec_pretty(&self.memory)
                .map_err(|error| TrainError::State { file: path.display().to_string(), reason: error.to_string() })?;
            fs::write(&path, text).map_err(homeostat_artifact::ArtifactError::write(&path)).map_err(TrainError::from)
        })?;
        checkpoints.prune(keep_last, also)?;
        Ok(())
    }

    /// Takes over a checkpoint into a fresh state, and cuts the run's logs back to it.
    pub(crate) fn load(self, run: &RunWriter, checkpoint: &Checkpoint, device: &Device) -> Result<Self, TrainError> {
        let memory: Memory<M> = remember(checkpoint)?;
        let now = self.now.load(checkpoint, "", device)?;
        let good = self.good.map(|good| good.load(checkpoint, GOOD, device)).transpose()?;
        run.truncate_logs(memory.logs)?;
        Ok(Self { now, good, memory })
    }
}

fn remember<M: for<'de> Deserialize<'de>>(checkpoint: &Checkpoint) -> Result<Memory<M>, TrainError> {
    serde_json::from_slice(&read(checkpoint, STATE)?).map_err(|error| TrainError::State {
        file: checkpoint.path().join(STATE).display().to_string(),
        reason: error.to_string(),
    })
}

/// The evaluated and published weights of a checkpoint.
pub(crate) fn load_chosen<N: Module>(model: N, checkpoint: &Checkpoint) -> Result<N, TrainError> {
    let name = "average.safetensors";
    let name = if checkpoint.file(name).is_ok() { name } else { "model.safetensors" };
    load_weights(model, checkpoint, name)
}

pub(crate) fn load_weights<N: Module>(model: N, checkpoint: &Checkpoint, name: &str) -> Result<N, TrainError> {
    let wrong = |source| TrainError::Weights { file: checkpoint.path().join(name).display().to_string(), source };
    Weights::restore(model, &read(checkpoint, name)?).map_err(wrong)
}

fn read(checkpoint: &Checkpoint, name: &str) -> Result<Vec<u8>, TrainError> {
    let path = checkpoint.file(name)?;
    fs::read(&path).map_err(homeostat_artifact::ArtifactError::read(&path)).map_err(TrainError::from)
}
