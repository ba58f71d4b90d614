//! What an endpoint is asked and what it answers, without a task's types. It does not know how either travels.

use std::time::Duration;

use bytes::Bytes;
use homeostat_task::{HostTensor, InputError, TensorRequest};
use serde_json::Value;

/// What is asked, through one of the two doors.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Files or texts as they are: they are read and prepared as in training.
    Raw(Vec<Bytes>),
    /// Tensors that are prepared already.
    Tensors(TensorRequest),
}

impl Query {
    /// How many samples it asks about.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Raw(items) => items.len(),
            Self::Tensors(request) => request.rows(),
        }
    }
}

/// The answer to a [`Query`], a row a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The outputs of the task's signature.
    Tensors(Vec<HostTensor>),
    /// The answers of a task without a signature.
    Json(Vec<Value>),
}

/// What came of some queries that were asked together.
#[derive(Debug)]
pub struct Served {
    /// An answer or an error each, in their order.
    pub replies: Vec<Result<Reply, InputError>>,
    /// Where the time went.
    pub phases: Phases,
}

/// What it took to write a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Tokens that were written.
    pub tokens: usize,
    /// Whether the beginning of the prompt was cut off, for it was too long.
    pub cut: bool,
    /// Reading and preparing the prompt.
    pub prepare: Duration,
    /// The network, and what is done with its scores.
    pub compute: Duration,
}

/// Where time goes while queries are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Reading, preparing, and the way to the device.
    pub prepare: Duration,
    /// The network, and the way back from the device.
    pub compute: Duration,
    /// From the task's answers to replies.
    pub respond: Duration,
}
