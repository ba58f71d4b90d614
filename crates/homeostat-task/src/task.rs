//! The trait itself: five verbs, in the order in which data meets them. It does not know labels' files, optimisers or
//! requests' protocols.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{TensorDoor, TextDoor};

/// A task: how bytes become a network's input, and its scores a loss or an answer.
///
/// A value of it is plain data (it was read from an experiment or an artifact); the living network is passed in.
pub trait Task: Clone + Send + Sync + 'static {
    /// What a person would recognise: an image, a text.
    type Sample: Send;
    /// What a label says about a sample.
    type Truth: Clone + Send + Sync + 'static;
    /// A sample made ready: sizes agreed, plain numbers, still on the host.
    type Input: Send + 'static;
    /// Inputs on the device.
    type Batch;
    /// The network.
    type Model: Module + 'static;
    /// The loss, and what metrics need.
    type Outcome: Outcome;
    /// What a caller gets.
    type Response: Serialize + DeserializeOwned + Clone + Send + 'static;

    /// Makes the network live on `device`, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The description does not make a network.
    fn init(&self, device: &Device) -> Result<Self::Model, TaskError>;

    /// Understands the bytes of a file or a request.
    ///
    /// # Errors
    /// The bytes are not such a sample.
    fn read(&self, bytes: &[u8]) -> Result<Self::Sample, InputError>;

    /// Makes a sample ready; deterministic, the same in training and serving.
    ///
    /// # Errors
    /// The sample cannot be used by this task.
    fn prepare(&self, sample: Self::Sample) -> Result<Self::Input, InputError>;

    /// Puts inputs on the device; the only door from host data to tensors.
    fn collate(&self, inputs: &[Self::Input], device: &Device) -> Self::Batch;

    /// Scores a batch against the truth; `truths` has an entry an input.
    fn loss(&self, model: &Self::Model, batch: Self::Batch, truths: &[Self::Truth]) -> Self::Outcome;

    /// Answers a batch: a response an input.
    fn respond(&self, model: &Self::Model, batch: Self::Batch) -> Vec<Self::Response>;

    /// Whether two answers to one request are the same but for rounding; `tolerance` is absolute, on probabilities.
    fn agree(&self, expected: &Self::Response, found: &Self::Response, tolerance: f64) -> bool;

    /// How long an input is, where [`collate`](Self::collate) fills the shorter ones up: inputs of one length are best answered
    /// together. 0 where all are alike.
    fn length(&self, _input: &Self::Input) -> usize {
        0
    }

    /// The door for prepared tensors; nothing where the task takes files or texts alone.
    fn tensor_door(&self) -> Option<&dyn TensorDoor<Self>> {
        None
    }

    /// The door out of which answers come while they are written; nothing where they are there all at once.
    fn text_door(&self) -> Option<&dyn TextDoor<Self>> {
        None
    }
}

/// Something that can be done with any task, for whoever finds out only at run time which it is.
pub trait TaskVisitor {
    /// What comes of it.
    type Output;

    /// A further file that the task needs, such as a tokenizer.
    ///
    /// # Errors
    /// There is none of this name.
    fn asset(&self, name: &str) -> Result<Vec<u8>, TaskError> {
        Err(TaskError::new(format!("{name}: there is no such file")))
    }

    /// Does it.
    fn visit<T: Task>(self, task: T) -> Self::Output;
}

/// What [`Task::loss`] gives.
pub trait Outcome {
    /// What metrics need, on the host.
    type Record: Send;

    /// The mean loss of the batch, `[1]`.
    fn loss(&self) -> Tensor<1>;

    /// What the mean was taken over: the number of samples, or the sum of their weights. Batches are averaged by it.
    fn weight(&self) -> f64;

    /// Fetches what metrics need; waits for the device.
    fn record(self) -> Self::Record;
}

/// Bytes or a sample that a task cannot use: the fault of who sent it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct InputError {
    /// What is wrong, in one line.
    pub reason: String,
}

impl InputError {
    /// An error with this line.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A task whose description does not make a network.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct TaskError {
    /// What is wrong, in one line.
    pub reason: String,
}

impl TaskError {
    /// An error with this line.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
