//! The body of a request, read. It does not know the model, but for a body without JSON.

use bytes::Bytes;

use super::raw::raw_request;
use crate::{
    Contents, Datatype, InferRequest, Limits, ModelMetadata, Parameter, Parameters, ProtocolError, RequestedOutput,
    Tensor,
    data::{Wanted, read_data},
    element_count,
    elements::split_elements,
    json::Reader,
    tensor::words,
};

/// The header with the length of the JSON before the tensors' bytes.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// Reads the body of a request. `header_length` is the value of [`HEADER_LENGTH`]; with zero the body is the one input of
/// `model`, as bytes. Tensors that travel as bytes, and strings, share the body's memory.
///
/// # Errors
///
/// Where the body is none, or above the limits. Whether it fits the model is [`ModelMetadata::check`]'s.
pub fn decode_request(
    body: &Bytes,
    header_length: Option<&str>,
    model: &ModelMetadata,
    limits: &Limits,
) -> Result<InferRequest, ProtocolError> {
    if body.len() > limits.body {
        return Err(ProtocolError::Limit { what: "bytes in the body", limit: limits.body });
    }
    let Some(text) = header_length else {
        return Decoder { json: body, binary: None, limits }.request();
    };
    let digits = Some(text.trim()).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse::<usize>().ok()) {
        None => Err(ProtocolError::binary(format!("`{HEADER_LENGTH}` is no length"))),
        Some(0) => raw_request(body, model, limits),
        Some(length) if length > body.len() => {
            let problem = format!("`{HEADER_LENGTH}` says {length} bytes of JSON, the body has {}", body.len());
            Err(ProtocolError::binary(problem))
        }
        Some(length) => {
            let (json, binary) = (body.slice(..length), body.slice(length..));
            Decoder { json: &json, binary: Some(binary), limits }.request()
        }
    }
}

/// The parts of a body; what lies in `binary` is taken from its front.
struct Decoder<'a> {
    json: &'a Bytes,
    binary: Option<Bytes>,
    limits: &'a Limits,
}

/// An input as far as it is read.
#[derive(Default)]
struct InputDraft<'a> {
    name: Option<String>,
    datatype: Option<Datatype>,
    shape: Option<Vec<usize>>,
    parameters: Option<Parameters>,
    data: Option<Data<'a>>,
}

enum Data<'a> {
    Read(Contents),
    /// They came before the type or the shape: here they stand.
    At(Reader<'a>),
}

impl<'a> Decoder<'a> {
    fn request(mut self) -> Result<InferRequest, ProtocolError> {
        let limits = self.limits;
        let mut reader = Reader::new(self.json, limits.depth);
        let (mut id, mut parameters, mut inputs, mut outputs) = (None, None, None, None);
        reader.object(|reader, field| {
            if reader.null() {
                return Ok(());
            }
            match field {
                "id" => once(&mut id, read_text(reader, limits)?, field),
                "parameters" => once(&mut parameters, read_parameters(reader, field, limits)?, field),
                "inputs" => once(&mut inputs, self.inputs(reader)?, field),
                "outputs" => once(&mut outputs, read_outputs(reader, limits)?, field),
                _ => reader.skip(),
            }
        })?;
        reader.end()?;
        if let Some(rest) = self.binary.filter(|rest| !rest.is_empty()) {
            return Err(ProtocolError::binary(format!("{} bytes belong to no input", rest.len())));
        }
        let inputs: Vec<Tensor> = required(inputs, || "inputs".to_owned())?;
        if inputs.is_empty() {
            return Err(ProtocolError::field("inputs", "is empty"));
        }
        Ok(InferRequest {
            id,
            parameters: parameters.unwrap_or_default(),
            inputs,
            outputs: outputs.unwrap_or_default(),
        })
    }

    fn inputs(&mut self, reader: &mut Reader<'a>) -> Result<Vec<Tensor>, ProtocolError> {
        let mut tensors = Vec::new();
        reader.array(|reader| {
            if tensors.len() == self.limits.tensors {
                return Err(ProtocolError::Limit { what: "inputs", limit: self.limits.tensors });
            }
            let draft = self.input(reader, tensors.len())?;
            tensors.push(self.tensor(draft, tensors.len())?);
            Ok(())
        })?;
        Ok(tensors)
    }

    fn input(&self, reader: &mut Reader<'a>, index: usize) -> Result<InputDraft<'a>, ProtocolError> {
        let mut draft = InputDraft::default();
        reader.object(|reader, field| {
            if reader.null() {
                return Ok(());
            }
            let path = || format!("inputs[{index}].{field}");
            match field {
                "name" => once(&mut draft.name, read_text(reader, self.limits)?, path()),
                "datatype" => once(&mut draft.datatype, read_text(reader, self.limits)?.parse()?, path()),
                "shape" => once(&mut draft.shape, read_shape(reader, &path(), self.limits)?, path()),
                "parameters" => once(&mut draft.parameters, read_parameters(reader, &path(), self.limits)?, path()),
                "data" => {
                    let data = self.data(reader, &draft)?;
                    once(&mut draft.data, data, path())
                }
                _ => reader.skip(),
            }
        })?;
        Ok(draft)
    }

    /// Reads the data where they can be understood, and notes where they stand otherwise.
    fn data(&self, reader: &mut Reader<'a>, draft: &InputDraft<'a>) -> Result<Data<'a>, ProtocolError> {
        if let (Some(datatype), Some(shape)) = (draft.datatype, &draft.shape) {
            let name = draft.name.as_deref().unwrap_or_default();
            return Ok(Data::Read(read_data(reader, self.wanted(name, datatype, shape)?, self.json)?));
        }
        let place = reader.clone();
        reader.skip()?;
        Ok(Data::At(place))
    }

    fn tensor(&mut self, draft: InputDraft<'a>, index: usize) -> Result<Tensor, ProtocolError> {
        let path = |field: &str| format!("inputs[{index}].{field}");
        let name = required(draft.name, || path("name"))?;
        let datatype = required(draft.datatype, || path("datatype"))?;
        let shape = required(draft.shape, || path("shape"))?;
        let mut parameters = draft.parameters.unwrap_or_default();
        if parameters.get("shared_memory_region").is_some() {
            return Err(ProtocolError::Unsupported { what: "shared memory" });
        }
        let size = parameters.uint("binary_data_size")?;
        parameters.take("binary_data_size");
        let wanted = self.wanted(&name, datatype, &shape)?;
        let contents = match (draft.data, size) {
            (Some(Data::Read(contents)), None) => contents,
            (Some(Data::At(mut place)), None) => read_data(&mut place, wanted, self.json)?,
            (None, Some(size)) => binary_contents(self.take_binary(size)?, wanted)?,
            (None, None) => return Err(wanted.error("has neither `data` nor the parameter `binary_data_size`")),
            (Some(_), Some(_)) => return Err(wanted.error("has both `data` and the parameter `binary_data_size`")),
        };
        Ok(Tensor::new(name, datatype, shape, contents)?.with_parameters(parameters))
    }

    fn wanted<'b>(&self, name: &'b str, datatype: Datatype, shape: &'b [usize]) -> Result<Wanted<'b>, ProtocolError> {
        wanted(name, datatype, shape, self.limits)
    }

    fn take_binary(&mut self, size: u64) -> Result<Bytes, ProtocolError> {
        let Some(rest) = &mut self.binary else {
            return Err(ProtocolError::binary(format!("`binary_data_size` needs the header `{HEADER_LENGTH}`")));
        };
        match usize::try_from(size).ok().filter(|size| *size <= rest.len()) {
            Some(size) => Ok(rest.split_to(size)),
            None => Err(ProtocolError::binary(format!("{size} bytes are announced, {} follow", rest.len()))),
        }
    }
}

/// What a tensor's name, type and shape ask for, within the limits.
pub(super) fn wanted<'a>(
    name: &'a str,
    datatype: Datatype,
    shape: &'a [usize],
    limits: &Limits,
) -> Result<Wanted<'a>, ProtocolError> {
    let Some(elements) = element_count(shape) else {
        return Err(ProtocolError::tensor(name, format!("has a shape beyond any memory: {}", words(shape))));
    };
    let (what, limit) = match datatype.size() {
        Some(_) => ("elements", limits.elements),
        None => ("elements of BYTES", limits.strings),
    };
    if elements > limit {
        return Err(ProtocolError::Limit { what, limit });
    }
    Ok(Wanted { name, datatype, shape, elements })
}

/// Bytes as contents: numbers as they are, elements taken apart.
pub(super) fn binary_contents(bytes: Bytes, wanted: Wanted<'_>) -> Result<Contents, ProtocolError> {
    if wanted.datatype.size().is_some() {
        return Ok(Contents::Raw(bytes));
    }
    let elements = split_elements(bytes, wanted.elements);
    let problem = || format!("has bytes that are not {} elements, each after its length", wanted.elements);
    Ok(Contents::Elements(elements.ok_or_else(|| wanted.error(problem()))?))
}

fn read_text(reader: &mut Reader<'_>, limits: &Limits) -> Result<String, ProtocolError> {
    let text = reader.string()?;
    if text.len() > limits.name {
        return Err(ProtocolError::Limit { what: "bytes in a name or a parameter", limit: limits.name });
    }
    Ok(text.into_owned())
}

fn read_shape(reader: &mut Reader<'_>, path: &str, limits: &Limits) -> Result<Vec<usize>, ProtocolError> {
    let mut sizes = Vec::new();
    reader.array(|reader| {
        if sizes.len() == limits.dimensions {
            return Err(ProtocolError::Limit { what: "dimensions", limit: limits.dimensions });
        }
        let size: i128 = reader.integer("size")?;
        let Ok(size) = usize::try_from(size) else {
            return Err(ProtocolError::field(path, format!("has the size {size}")));
        };
        sizes.push(size);
        Ok(())
    })?;
    Ok(sizes)
}

fn read_parameters(reader: &mut Reader<'_>, path: &str, limits: &Limits) -> Result<Parameters, ProtocolError> {
    let mut parameters = Parameters::new();
    reader.object(|reader, name| {
        if parameters.len() == limits.parameters {
            return Err(ProtocolError::Limit { what: "parameters", limit: limits.parameters });
        }
        if name.len() > limits.name {
            return Err(ProtocolError::Limit { what: "bytes in a name or a parameter", limit: limits.name });
        }
        if parameters.get(name).is_some() {
            return Err(ProtocolError::field(format!("{path}.{name}"), "is there twice"));
        }
        let value = match reader.peek() {
            Some(b'n') if reader.null() => return Ok(()),
            Some(b'"') => Parameter::Text(read_text(reader, limits)?),
            Some(b't' | b'f') => Parameter::Bool(reader.boolean()?),
            Some(b'{' | b'[') => {
                return Err(ProtocolError::field(format!("{path}.{name}"), "must be text, a number, true or false"));
            }
            _ => read_number(reader)?,
        };
        parameters.insert(name, value);
        Ok(())
    })?;
    Ok(parameters)
}

fn read_number(reader: &mut Reader<'_>) -> Result<Parameter, ProtocolError> {
    if !reader.is_whole() {
        return Ok(Parameter::Float(reader.float64()?));
    }
    let value: i128 = reader.integer("integer")?;
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Ok(Parameter::Int(value)),
        (_, Ok(value)) => Ok(Parameter::Uint(value)),
        _ => reader.error("the number before is beyond 64 bits"),
    }
}

fn read_outputs(reader: &mut Reader<'_>, limits: &Limits) -> Result<Vec<RequestedOutput>, ProtocolError> {
    let mut outputs = Vec::new();
    reader.array(|reader| {
        if outputs.len() == limits.tensors {
            return Err(ProtocolError::Limit { what: "outputs", limit: limits.tensors });
        }
        outputs.push(read_output(reader, outputs.len(), limits)?);
        Ok(())
    })?;
    Ok(outputs)
}

fn read_output(reader: &mut Reader<'_>, index: usize, limits: &Limits) -> Result<RequestedOutput, ProtocolError> {
    let (mut name, mut parameters) = (None, None);
    reader.object(|reader, field| {
        if reader.null() {
            return Ok(());
        }
        let path = || format!("outputs[{index}].{field}");
        match field {
            "name" => once(&mut name, read_text(reader, limits)?, path()),
            "parameters" => once(&mut parameters, read_parameters(reader, &path(), limits)?, path()),
            _ => reader.skip(),
        }
    })?;
    let name = required(name, || format!("outputs[{index}].name"))?;
    RequestedOutput::new(name, parameters.unwrap_or_default())
}

fn once<T>(place: &mut Option<T>, value: T, path: impl Into<String>) -> Result<(), ProtocolError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ProtocolError::field(path, "is there twice")),
    }
}

fn required<T>(value: Option<T>, path: impl FnOnce() -> String) -> Result<T, ProtocolError> {
    value.ok_or_else(|| ProtocolError::field(path(), "is missing"))
}
