//! The body of an answer, written. It does not know the model.

use bytes::Bytes;

use crate::{
    Contents, InferRequest, InferResponse, Parameter, Parameters, ProtocolError, Tensor,
    data::write_data,
    elements::{join_elements, joined_length},
    json::{write_f64, write_integer, write_string},
};

/// Which outputs travel as bytes. Kept while the request itself goes to the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputForms {
    binary: bool,
    named: Vec<(String, bool)>,
}

impl OutputForms {
    /// What a request asks for: `binary_data` of an output, else `binary_data_output` of the request, else JSON.
    ///
    /// # Errors
    ///
    /// Where `binary_data_output` is no flag.
    pub fn of(request: &InferRequest) -> Result<Self, ProtocolError> {
        let binary = request.parameters.flag("binary_data_output")?.unwrap_or(false);
        let said = |output: &crate::RequestedOutput| Some((output.name.clone(), output.binary_data?));
        Ok(Self { binary, named: request.outputs.iter().filter_map(said).collect() })
    }

    fn is_binary(&self, output: &str) -> bool {
        self.named.iter().find(|(name, _)| name == output).map_or(self.binary, |(_, binary)| *binary)
    }
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Bytes,
    /// How much of it is JSON, where bytes follow: the value of [`HEADER_LENGTH`](crate::HEADER_LENGTH).
    pub header_length: Option<usize>,
}

/// Writes an answer.
///
/// # Errors
///
/// Where an output of BYTES is asked for as JSON, and is no text.
pub fn encode_response(response: &InferResponse, forms: &OutputForms) -> Result<Encoded, ProtocolError> {
    let mut body = Vec::with_capacity(256 + response.outputs.iter().map(|output| room(output, forms)).sum::<usize>());
    body.extend_from_slice(b"{\"model_name\":");
    write_string(&mut body, &response.model_name);
    body.extend_from_slice(b",\"model_version\":");
    write_string(&mut body, &response.model_version);
    if let Some(id) = &response.id {
        body.extend_from_slice(b",\"id\":");
        write_string(&mut body, id);
    }
    if !response.parameters.is_empty() {
        body.extend_from_slice(b",\"parameters\":");
        write_parameters(&mut body, &response.parameters, None);
    }
    body.extend_from_slice(b",\"outputs\":[");
    for (i, output) in response.outputs.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        write_output(&mut body, output, forms.is_binary(output.name()))?;
    }
    body.extend_from_slice(b"]}");

    let length = body.len();
    let mut binary = response.outputs.iter().filter(|output| forms.is_binary(output.name())).peekable();
    let header_length = binary.peek().is_some().then_some(length);
    binary.for_each(|output| match output.contents() {
        Contents::Raw(bytes) => body.extend_from_slice(bytes),
        Contents::Elements(elements) => join_elements(&mut body, elements),
    });
    Ok(Encoded { body: body.into(), header_length })
}

/// About as many bytes as an output takes.
fn room(output: &Tensor, forms: &OutputForms) -> usize {
    let data = binary_size(output);
    128 + output.name().len() + if forms.is_binary(output.name()) { data } else { data.saturating_mul(3) }
}

fn binary_size(output: &Tensor) -> usize {
    match output.contents() {
        Contents::Raw(bytes) => bytes.len(),
        Contents::Elements(elements) => joined_length(elements),
    }
}

fn write_output(body: &mut Vec<u8>, output: &Tensor, binary: bool) -> Result<(), ProtocolError> {
    body.extend_from_slice(b"{\"name\":");
    write_string(body, output.name());
    body.extend_from_slice(b",\"datatype\":\"");
    body.extend_from_slice(output.datatype().name().as_bytes());
    body.extend_from_slice(b"\",\"shape\":[");
    for (i, &size) in output.shape().iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        write_integer(body, size);
    }
    body.push(b']');
    let size = binary.then(|| binary_size(output));
    if size.is_some() || !output.parameters().is_empty() {
        body.extend_from_slice(b",\"parameters\":");
        write_parameters(body, output.parameters(), size);
    }
    if !binary {
        body.extend_from_slice(b",\"data\":");
        write_data(body, output)?;
    }
    body.push(b'}');
    Ok(())
}

fn write_parameters(body: &mut Vec<u8>, parameters: &Parameters, binary_size: Option<usize>) {
    body.push(b'{');
    if let Some(size) = binary_size {
        body.extend_from_slice(b"\"binary_data_size\":");
        write_integer(body, size);
    }
    let mut first = binary_size.is_none();
    for (name, value) in parameters.iter().filter(|(name, _)| binary_size.is_none() || *name != "binary_data_size") {
        if !first {
            body.push(b',');
        }
        first = false;
        write_string(body, name);
        body.push(b':');
        match value {
            Parameter::Bool(true) => body.extend_from_slice(b"true"),
            Parameter::Bool(false) => body.extend_from_slice(b"false"),
            Parameter::Int(value) => write_integer(body, *value),
            Parameter::Uint(value) => write_integer(body, *value),
            Parameter::Float(value) => write_f64(body, *value),
            Parameter::Text(value) => write_string(body, value),
        }
    }
    body.push(b'}');
}
