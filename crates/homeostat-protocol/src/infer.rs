//! A request for an inference, and its answer. They do not know how they travelled.

use std::time::Duration;

use crate::{Parameters, ProtocolError, Tensor};

/// What a client asks of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferRequest {
    /// The client's name of the request; the answer has the same.
    pub id: Option<String>,
    /// Parameters of the whole request.
    pub parameters: Parameters,
    /// The tensors to answer for.
    pub inputs: Vec<Tensor>,
    /// The outputs that are wanted; all of them, where there is none.
    pub outputs: Vec<RequestedOutput>,
}

/// An output that is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestedOutput {
    /// The output's name.
    pub name: String,
    /// Whether it shall travel as bytes; `None` leaves it to the request's `binary_data_output`.
    pub binary_data: Option<bool>,
    /// The classification extension: the best so many classes, as text, in the place of the scores.
    pub classification: Option<usize>,
    /// Its other parameters.
    pub parameters: Parameters,
}

impl RequestedOutput {
    /// An output whose parameters may say how it is wanted: `binary_data`, `classification`. The others are kept.
    ///
    /// # Errors
    ///
    /// Where one of these has a value of another kind, or the output shall lie in shared memory.
    pub fn new(name: String, mut parameters: Parameters) -> Result<Self, ProtocolError> {
        if parameters.get("shared_memory_region").is_some() {
            return Err(ProtocolError::Unsupported { what: "shared memory" });
        }
        let binary_data = parameters.flag("binary_data")?;
        let classes = parameters.uint("classification")?.filter(|&count| count > 0);
        let classification = classes.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        parameters.take("binary_data");
        parameters.take("classification");
        Ok(Self { name, binary_data, classification, parameters })
    }
}

impl InferRequest {
    /// The input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&Tensor> {
        self.inputs.iter().find(|input| input.name() == name)
    }

    /// What is said of the output of this name.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&RequestedOutput> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// Whether the output of this name shall be in the answer.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.outputs.is_empty() || self.output(name).is_some()
    }

    /// The parameter `timeout`, in microseconds: when the answer is of no use any more. Zero stands for none.
    ///
    /// # Errors
    ///
    /// Where it is no whole number.
    pub fn timeout(&self) -> Result<Option<Duration>, ProtocolError> {
        let micros = self.parameters.uint("timeout")?;
        Ok(micros.filter(|&micros| micros > 0).map(Duration::from_micros))
    }

    /// The parameter `priority`: 1 is the highest, 0 leaves it to the server.
    ///
    /// # Errors
    ///
    /// Where it is no whole number.
    pub fn priority(&self) -> Result<u64, ProtocolError> {
        Ok(self.parameters.uint("priority")?.unwrap_or(0))
    }
}

/// What a model answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferResponse {
    /// The model's name.
    pub model_name: String,
    /// The version that answered.
    pub model_version: String,
    /// The request's name.
    pub id: Option<String>,
    /// Parameters of the whole answer.
    pub parameters: Parameters,
    /// The outputs.
    pub outputs: Vec<Tensor>,
}
