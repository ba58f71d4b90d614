//! Between the protocol's tensors and a model's two doors. It does not know sockets or queues.

use homeostat_deploy::{Query, Reply};
use homeostat_protocol::{
    Contents, Datatype, InferRequest, ModelMetadata, ProtocolError, RequestedOutput, Tensor, TensorMetadata,
};
use homeostat_task::{HostTensor, Signature, TensorSpec, ValueKind, Values};

use crate::ServeError;

/// The name of the raw input of a task without a signature, and of its only output.
const RAW: &str = "input";
const ANSWER: &str = "answer";

/// What a model takes and gives, in the protocol's words.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    signature: Option<Signature>,
    /// The most rows of a request.
    most_rows: usize,
}

impl Doors {
    pub(crate) fn new(signature: Option<Signature>, most_rows: usize) -> Self {
        Self { signature, most_rows }
    }

    /// The names of the classes, in the order of the scores.
    pub(crate) fn labels(&self) -> &[String] {
        self.signature.as_ref().map_or(&[], |signature| &signature.labels)
    }

    /// The name of what is taken unprepared.
    pub(crate) fn raw(&self) -> &str {
        self.signature.as_ref().map_or(RAW, |signature| signature.raw)
    }

    /// Whether the input of this name may be left out: a request comes through one of the doors.
    pub(crate) fn is_optional(&self, name: &str) -> bool {
        let Some(signature) = &self.signature else { return false };
        name == signature.raw || signature.inputs.iter().any(|spec| spec.name == name && spec.is_optional)
    }

    pub(crate) fn inputs(&self) -> Vec<TensorMetadata> {
        let prepared = self.signature.iter().flat_map(|signature| signature.inputs.iter().map(metadata));
        prepared.chain([bytes(self.raw())]).collect()
    }

    pub(crate) fn outputs(&self) -> Vec<TensorMetadata> {
        match &self.signature {
            Some(signature) => signature.outputs.iter().map(metadata).collect(),
            None => vec![bytes(ANSWER)],
        }
    }

    /// A request as a query.
    ///
    /// # Errors
    /// What does not fit the model.
    pub(crate) fn query(&self, request: &InferRequest, metadata: &ModelMetadata) -> Result<Query, ServeError> {
        for (place, input) in request.inputs.iter().enumerate() {
            if request.inputs[..place].iter().any(|other| other.name() == input.name()) {
                return Err(wrong(input.name(), "is there twice"));
            }
            if !metadata.inputs.iter().any(|known| known.name == input.name()) {
                return Err(unknown(input.name(), "input", &metadata.inputs));
            }
        }
        for (place, output) in request.outputs.iter().enumerate() {
            if request.outputs[..place].iter().any(|other| other.name == output.name) {
                return Err(wrong(&output.name, "is asked for twice"));
            }
            if !metadata.outputs.iter().any(|known| known.name == output.name) {
                return Err(unknown(&output.name, "output", &metadata.outputs));
            }
        }
        let query = match (request.input(self.raw()), &self.signature) {
            (Some(raw), _) if request.inputs.len() == 1 => raw_query(raw)?,
            (Some(raw), _) => {
                return Err(wrong(raw.name(), "stands alone: send it, or the prepared tensors, not both"));
            }
            (None, Some(signature)) => prepared_query(request, signature)?,
            (None, None) => return Err(wrong(RAW, "is missing")),
        };
        let rows = query.rows();
        if rows > self.most_rows {
            return Err(ProtocolError::Limit { what: "samples in a request", limit: self.most_rows }.into());
        }
        Ok(query)
    }

    /// A reply as the outputs that were asked for.
    ///
    /// # Errors
    /// An output cannot be given as it was asked for.
    pub(crate) fn outputs_of(&self, reply: Reply, request: &InferRequest) -> Result<Vec<Tensor>, ServeError> {
        match (reply, &self.signature) {
            (Reply::Tensors(tensors), Some(signature)) => {
                let named = signature.outputs.iter().zip(tensors);
                named
                    .filter(|(spec, _)| request.wants(spec.name))
                    .map(|(spec, tensor)| self.output(spec.name, &tensor, request.output(spec.name)))
                    .collect()
            }
            (Reply::Json(answers), _) => {
                let texts: Vec<String> = answers.iter().map(ToString::to_string).collect();
                Ok(vec![Tensor::from_elements(ANSWER, [texts.len(), 1], texts)?])
            }
            (Reply::Tensors(_), None) => {
                Err(ServeError::Failed("the model answers with tensors that it has no names for".into()))
            }
        }
    }

    fn output(&self, name: &str, tensor: &HostTensor, asked: Option<&RequestedOutput>) -> Result<Tensor, ServeError> {
        let shape = tensor.shape().to_vec();
        let plain = match tensor.values() {
            Values::F32(values) => Tensor::from_f32(name, shape, values)?,
            Values::I64(values) => Tensor::from_i64(name, shape, values)?,
        };
        Ok(match asked.and_then(|asked| asked.classification).filter(|&classes| classes > 0) {
            Some(classes) => plain.classified(classes, self.labels())?,
            None => plain,
        })
    }

    /// The output of this name among those of a reply, if the model has one.
    pub(crate) fn output_named<'a>(&self, name: &str, outputs: &'a [HostTensor]) -> Option<&'a HostTensor> {
        let place = self.signature.as_ref()?.outputs.iter().position(|spec| spec.name == name)?;
        outputs.get(place)
    }

    /// The inputs that a body of nothing but a tensor's bytes could mean: the prepared ones, or the raw one where there are none. Of
    /// several, none is meant.
    pub(crate) fn bare_inputs(&self) -> Vec<TensorMetadata> {
        match &self.signature {
            Some(signature) => signature.inputs.iter().map(metadata).collect(),
            None => vec![bytes(self.raw())],
        }
    }
}

fn raw_query(raw: &Tensor) -> Result<Query, ServeError> {
    let Contents::Elements(elements) = raw.contents() else {
        return Err(wrong(raw.name(), &format!("has type {}, the model takes BYTES", raw.datatype())));
    };
    if elements.is_empty() || !matches!(raw.shape(), [_] | [_, 1]) {
        return Err(wrong(raw.name(), "has a shape that is not [n] or [n, 1] with at least one element"));
    }
    Ok(Query::Raw(elements.clone()))
}

fn prepared_query(request: &InferRequest, signature: &Signature) -> Result<Query, ServeError> {
    let find = |spec: &TensorSpec| request.input(spec.name).map(|tensor| host(tensor, spec.kind)).transpose();
    let tensors = signature.inputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let request = signature.request(tensors).map_err(|error| ServeError::Input(error.reason))?;
    Ok(Query::Tensors(request))
}

/// The values of a tensor; narrower ones are widened, nothing is rounded.
fn host(tensor: &Tensor, kind: ValueKind) -> Result<HostTensor, ServeError> {
    use Datatype::{Bf16, Fp16, Fp32, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32};
    let values = match (kind, tensor.datatype()) {
        (ValueKind::F32, Fp32 | Fp16 | Bf16) => Values::F32(tensor.to_f32()?),
        (ValueKind::I64, Int64 | Int32 | Int16 | Int8 | Uint32 | Uint16 | Uint8) => Values::I64(tensor.to_i64()?),
        (kind, found) => {
            return Err(wrong(tensor.name(), &format!("has type {found}, the model takes {}", datatype(kind))));
        }
    };
    Ok(HostTensor::new(tensor.shape(), values))
}

fn datatype(kind: ValueKind) -> Datatype {
    match kind {
        ValueKind::F32 => Datatype::Fp32,
        ValueKind::I64 => Datatype::Int64,
    }
}

fn metadata(spec: &TensorSpec) -> TensorMetadata {
    let shape = spec.shape.iter().map(|size| size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1)).collect();
    TensorMetadata { name: spec.name.to_owned(), datatype: datatype(spec.kind), shape }
}

fn bytes(name: &str) -> TensorMetadata {
    TensorMetadata { name: name.to_owned(), datatype: Datatype::Bytes, shape: vec![-1, 1] }
}

fn wrong(name: &str, problem: &str) -> ServeError {
    ProtocolError::Tensor { name: name.chars().take(64).collect(), problem: problem.to_owned() }.into()
}

fn unknown(name: &str, what: &str, known: &[TensorMetadata]) -> ServeError {
    let known: Vec<_> = known.iter().map(|tensor| format!("`{}`", tensor.name)).collect();
    wrong(
        &name.replace(char::is_control, "\u{fffd}"),
        &format!("is no {what} of the model, which has {}", known.join(", ")),
    )
}
