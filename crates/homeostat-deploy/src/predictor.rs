//! A task with its weights, at work. It does not know where requests come from.

use std::{fs, time::Instant};

use burn::tensor::Device;
use homeostat_artifact::{Artifact, ArtifactError};
use homeostat_task::{InputError, Say, Signature, Task, TaskError, TaskVisitor, TensorDoor, Told, Weights};
use serde::Serialize;
use serde_json::Value;

use crate::{
    DeployError,
    query::{Query, Served, Written},
    serve::serve,
};

/// A task with its weights on a device, without gradients.
#[derive(Debug)]
pub struct Predictor<T: Task> {
    pub(crate) task: T,
    pub(crate) model: T::Model,
    pub(crate) device: Device,
}

impl<T: Task> Predictor<T> {
    /// Puts a task and its network together; `model` must be without gradients (`module.valid()`).
    #[must_use]
    pub fn new(task: T, model: T::Model, device: Device) -> Self {
        Self { task, model, device: device.inner() }
    }

    /// Loads the weights of an artifact.
    ///
    /// # Errors
    /// As for [`published`].
    pub fn open(task: T, artifact: &Artifact, device: &Device) -> Result<Self, DeployError> {
        let model = published(&task, artifact, device)?;
        Ok(Self::new(task, model, device.clone()))
    }

    /// Answers raw requests in one batch; an answer or an error each, in their order.
    #[must_use]
    pub fn answer(&self, requests: &[&[u8]]) -> Vec<Result<T::Response, InputError>> {
        let inputs = requests.iter().map(|bytes| self.task.read(bytes).and_then(|sample| self.task.prepare(sample)));
        let mut good = Vec::new();
        let refused: Vec<Option<InputError>> = inputs
            .map(|input| match input {
                Ok(input) => {
                    good.push(input);
                    None
                }
                Err(error) => Some(error),
            })
            .collect();
        let answers = if good.is_empty() {
            Vec::new()
        } else {
            self.task.respond(&self.model, self.task.collate(&good, &self.device))
        };
        assert_eq!(answers.len(), good.len(), "an answer an input");
        let mut answers = answers.into_iter();
        refused
            .into_iter()
            .map(|error| match error {
                Some(error) => Err(error),
                None => answers.next().ok_or_else(|| InputError::new("no answer")),
            })
            .collect()
    }
}

/// The network of an artifact, without gradients.
///
/// # Errors
/// The weights cannot be read, are not finite, or are of another network.
pub fn published<T: Task>(task: &T, artifact: &Artifact, device: &Device) -> Result<T::Model, DeployError> {
    let fresh = task
        .init(&device.clone().inner())
        .map_err(|source| DeployError::Task { path: artifact.path().display().to_string(), source })?;
    let path = artifact.model();
    let bytes = fs::read(&path).map_err(ArtifactError::read(&path))?;
    Weights::restore(fresh, &bytes).map_err(|source| DeployError::Weights { path: path.display().to_string(), source })
}

/// A [`Predictor`] without its types.
pub trait Endpoint: Send {
    /// Answers raw requests in one batch; an answer or an error each, in their order.
    fn answer(&self, requests: &[&[u8]]) -> Vec<Result<Value, InputError>>;

    /// Whether two answers are the same but for rounding.
    fn agree(&self, expected: &Value, found: &Value, tolerance: f64) -> bool;

    /// What goes through the tensor door; nothing where there is none.
    fn signature(&self) -> Option<Signature>;

    /// Answers queries together, in batches of at most so many rows.
    fn serve(&self, queries: &[Query], largest_batch: usize) -> Served;

    /// Whether answers are texts that come while they are written.
    fn is_writer(&self) -> bool {
        false
    }

    /// Answers a raw request, and tells the text while it is written; `say` may break off behind each token.
    ///
    /// # Errors
    /// The request cannot be answered, or not so.
    fn write(&self, _request: &[u8], _say: Say<'_>) -> Result<Written, InputError> {
        Err(InputError::new("the model writes no texts"))
    }

    /// The same once more, for another thread; the weights are shared.
    fn replicate(&self) -> Box<dyn Endpoint>;
}

impl<T: Task> Endpoint for Predictor<T> {
    fn answer(&self, requests: &[&[u8]]) -> Vec<Result<Value, InputError>> {
        Self::answer(self, requests).into_iter().map(|answer| answer.and_then(to_json)).collect()
    }

    fn agree(&self, expected: &Value, found: &Value, tolerance: f64) -> bool {
        let typed = |value: &Value| serde_json::from_value::<T::Response>(value.clone()).ok();
        match (typed(expected), typed(found)) {
            (Some(expected), Some(found)) => self.task.agree(&expected, &found, tolerance),
            _ => false,
        }
    }

    fn signature(&self) -> Option<Signature> {
        self.task.tensor_door().map(TensorDoor::signature)
    }

    fn serve(&self, queries: &[Query], largest_batch: usize) -> Served {
        serve(self, queries, largest_batch)
    }

    fn is_writer(&self) -> bool {
        self.task.text_door().is_some()
    }

    fn write(&self, request: &[u8], say: Say<'_>) -> Result<Written, InputError> {
        let Some(door) = self.task.text_door() else { return Err(InputError::new("the model writes no texts")) };
        let begun = Instant::now();
        let input = self.task.read(request).and_then(|sample| self.task.prepare(sample))?;
        let prepare = begun.elapsed();
        let Told { tokens, cut } = door.write(&self.model, &input, say);
        Ok(Written { tokens, cut, prepare, compute: begun.elapsed().saturating_sub(prepare) })
    }

    fn replicate(&self) -> Box<dyn Endpoint> {
        Box::new(Self { task: self.task.clone(), model: self.model.clone(), device: self.device.clone() })
    }
}

pub(crate) fn to_json(response: impl Serialize) -> Result<Value, InputError> {
    serde_json::to_value(response).map_err(|error| InputError::new(error.to_string()))
}

/// Opens an artifact as an endpoint, whatever its task: `task_config.open(OpenEndpoint { .. })`.
#[derive(Debug)]
pub struct OpenEndpoint<'a> {
    /// The artifact.
    pub artifact: &'a Artifact,
    /// Where to compute.
    pub device: &'a Device,
}

impl TaskVisitor for OpenEndpoint<'_> {
    type Output = Result<Box<dyn Endpoint>, DeployError>;

    fn asset(&self, name: &str) -> Result<Vec<u8>, TaskError> {
        self.artifact.asset(name).map_err(|error| TaskError::new(error.to_string()))
    }

    fn visit<T: Task>(self, task: T) -> Self::Output {
        Ok(Box::new(Predictor::open(task, self.artifact, self.device)?))
    }
}
