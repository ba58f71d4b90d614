//! What a server says of itself and its models, and whether a request fits a model. It does not know models.

use serde::{Deserialize, Serialize};

use crate::{Datatype, InferRequest, ProtocolError, Tensor, tensor::words};

/// `GET /v2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// The server's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The extensions of the protocol that it has.
    pub extensions: Vec<String>,
}

/// `GET /v2/models/{m}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMetadata {
    /// The model's name.
    pub name: String,
    /// Its versions that can be asked.
    pub versions: Vec<String>,
    /// What it runs on, such as `homeostat_burn`.
    pub platform: String,
    /// What it takes.
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata>,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorMetadata {
    /// Its name.
    pub name: String,
    /// Its type.
    pub datatype: Datatype,
    /// Its sizes; -1 stands for any.
    pub shape: Vec<i64>,
}

/// `GET /v2/models/{m}/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReady {
    /// The model's name.
    pub name: String,
    /// Whether it answers.
    pub ready: bool,
}

impl ModelMetadata {
    /// Whether a request can be answered by this model: its inputs are there, once each, with their types and shapes, and
    /// the outputs that it asks for exist.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit.
    pub fn check(&self, request: &InferRequest) -> Result<(), ProtocolError> {
        for (i, input) in request.inputs.iter().enumerate() {
            if request.inputs[..i].iter().any(|other| other.name() == input.name()) {
                return Err(ProtocolError::tensor(input.name(), "is there twice"));
            }
            let Some(wanted) = self.inputs.iter().find(|wanted| wanted.name == input.name()) else {
                return Err(unknown(input.name(), "input", &self.inputs));
            };
            wanted.check(input)?;
        }
        if let Some(missing) = self.inputs.iter().find(|wanted| request.input(&wanted.name).is_none()) {
            return Err(ProtocolError::tensor(&missing.name, "is missing"));
        }
        for (i, output) in request.outputs.iter().enumerate() {
            if request.outputs[..i].iter().any(|other| other.name == output.name) {
                return Err(ProtocolError::tensor(&output.name, "is asked for twice"));
            }
            if !self.outputs.iter().any(|known| known.name == output.name) {
                return Err(unknown(&output.name, "output", &self.outputs));
            }
        }
        Ok(())
    }
}

impl TensorMetadata {
    /// Whether a tensor has this type and fits this shape. -1 stands for any size but zero.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn check(&self, tensor: &Tensor) -> Result<(), ProtocolError> {
        if tensor.datatype() != self.datatype {
            let problem = format!("has type {}, the model takes {}", tensor.datatype(), self.datatype);
            return Err(ProtocolError::tensor(&self.name, problem));
        }
        let fits = |(&wanted, &found): (&i64, &usize)| match usize::try_from(wanted) {
            Ok(wanted) => wanted == found,
            Err(_) => found > 0,
        };
        if tensor.shape().len() == self.shape.len() && self.shape.iter().zip(tensor.shape()).all(fits) {
            return Ok(());
        }
        let problem = format!("has shape {}, the model takes {}", words(tensor.shape()), words(&self.shape));
        Err(ProtocolError::tensor(&self.name, problem))
    }
}

fn unknown(name: &str, what: &str, known: &[TensorMetadata]) -> ProtocolError {
    let known: Vec<_> = known.iter().map(|tensor| format!("`{}`", tensor.name)).collect();
    ProtocolError::tensor(name, format!("is no {what} of the model, which has {}", known.join(", ")))
}
