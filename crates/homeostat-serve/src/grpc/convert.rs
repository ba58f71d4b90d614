//! Between the messages of gRPC and the protocol's values. It does not know models or connections.

use std::collections::HashMap;

use bytes::Bytes;
use homeostat_protocol::{
    BatchStatistics, ConfigTensor, Contents, Datatype, Duration, InferRequest, InferResponse, InferenceStatistics,
    InstanceKind, Limits, Parameter, Parameters, ProtocolError, RepositoryEntry, RequestedOutput, Tensor,
    TensorMetadata, TimeoutAction, VersionPolicy, VersionStatistics, element_count, join_elements, joined_length,
    split_elements,
};

use super::messages::{
    self, InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse, StatisticDuration,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_infer_response::InferOutputTensor,
};

/// Whether the contents of tensors travel as they lie in memory, or in the fields of their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Typed,
}

/// The request of a message, and the form that its tensors have. Raw contents share the message's memory.
///
/// # Errors
///
/// What does not follow the protocol, or is above the limits.
pub(crate) fn request(message: ModelInferRequest, limits: &Limits) -> Result<(InferRequest, Form), ProtocolError> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents, .. } = message;
    for (what, found) in [("inputs", inputs.len()), ("outputs", outputs.len())] {
        if found > limits.tensors {
            return Err(ProtocolError::Limit { what, limit: limits.tensors });
        }
    }
    if inputs.is_empty() {
        return Err(field("inputs", "is empty"));
    }
    let form = if raw_input_contents.is_empty() { Form::Typed } else { Form::Raw };
    let inputs = match form {
        Form::Typed => inputs.into_iter().map(|input| typed_tensor(input, limits)).collect::<Result<_, _>>()?,
        Form::Raw => {
            if raw_input_contents.len() != inputs.len() {
                let problem = format!("has {} items for {} inputs", raw_input_contents.len(), inputs.len());
                return Err(field("raw_input_contents", problem));
            }
            let pairs = inputs.into_iter().zip(raw_input_contents);
            pairs.map(|(input, raw)| raw_tensor(input, raw, limits)).collect::<Result<_, _>>()?
        }
    };
    let request = InferRequest {
        id: Some(id).filter(|id| !id.is_empty()),
        parameters: read_parameters(parameters, limits)?,
        inputs,
        outputs: outputs.into_iter().map(|output| requested(output, limits)).collect::<Result<_, _>>()?,
    };
    Ok((request, form))
}

fn requested(output: InferRequestedOutputTensor, limits: &Limits) -> Result<RequestedOutput, ProtocolError> {
    RequestedOutput::new(output.name, read_parameters(output.parameters, limits)?)
}

fn read_parameters(map: HashMap<String, InferParameter>, limits: &Limits) -> Result<Parameters, ProtocolError> {
    if map.len() > limits.parameters {
        return Err(ProtocolError::Limit { what: "parameters", limit: limits.parameters });
    }
    let value = |value: InferParameter| match value.parameter_choice? {
        ParameterChoice::BoolParam(value) => Some(Parameter::Bool(value)),
        ParameterChoice::Int64Param(value) => Some(Parameter::Int(value)),
        ParameterChoice::Uint64Param(value) => {
            Some(i64::try_from(value).map_or(Parameter::Uint(value), Parameter::Int))
        }
        ParameterChoice::DoubleParam(value) => Some(Parameter::Float(value)),
        ParameterChoice::StringParam(value) => Some(Parameter::Text(value)),
    };
    // A map has no order of its own.
    let mut pairs: Vec<_> = map.into_iter().filter_map(|(name, choice)| Some((name, value(choice)?))).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pairs.into_iter().collect())
}

/// What an input says of itself, checked against the limits.
struct Head {
    name: String,
    datatype: Datatype,
    shape: Vec<usize>,
    elements: usize,
    parameters: Parameters,
}

fn head(
    name: String,
    datatype: &str,
    shape: &[i64],
    parameters: HashMap<String, InferParameter>,
    limits: &Limits,
) -> Result<Head, ProtocolError> {
    let datatype: Datatype = datatype.parse()?;
    if shape.len() > limits.dimensions {
        return Err(ProtocolError::Limit { what: "dimensions", limit: limits.dimensions });
    }
    let wrong = |problem: String| tensor(&name, problem);
    let size = |&size: &i64| usize::try_from(size).map_err(|_| wrong(format!("has the size {size} in its shape")));
    let shape = shape.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let elements = element_count(&shape).ok_or_else(|| wrong("has a shape beyond any memory".to_owned()))?;
    let (what, limit) = match datatype {
        Datatype::Bytes => ("elements of BYTES", limits.strings),
        _ => ("elements", limits.elements),
    };
    if elements > limit {
        return Err(ProtocolError::Limit { what, limit });
    }
    let parameters = read_parameters(parameters, limits)?;
    if parameters.get("shared_memory_region").is_some() {
        return Err(ProtocolError::Unsupported { what: "shared memory" });
    }
    Ok(Head { name, datatype, shape, elements, parameters })
}

impl Head {
    fn with(self, contents: Contents) -> Result<Tensor, ProtocolError> {
        Ok(Tensor::new(self.name, self.datatype, self.shape, contents)?.with_parameters(self.parameters))
    }
}

fn raw_tensor(input: InferInputTensor, raw: Bytes, limits: &Limits) -> Result<Tensor, ProtocolError> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    if contents.is_some_and(|contents| contents != InferTensorContents::default()) {
        return Err(tensor(&name, "has `contents` besides the raw ones"));
    }
    let head = head(name, &datatype, &shape, parameters, limits)?;
    if head.datatype != Datatype::Bytes {
        return head.with(Contents::Raw(raw));
    }
    match split_elements(raw, head.elements) {
        Some(elements) => head.with(Contents::Elements(elements)),
        None => {
            let problem = format!("has bytes that are not {} elements, each after its length", head.elements);
            Err(tensor(&head.name, problem))
        }
    }
}

fn typed_tensor(input: InferInputTensor, limits: &Limits) -> Result<Tensor, ProtocolError> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    let head = head(name, &datatype, &shape, parameters, limits)?;
    let contents = contents.unwrap_or_default();
    let wrong = |problem: String| Err(tensor(&head.name, problem));
    let narrow = || wrong(format!("has a value that {} does not hold", head.datatype));
    let found = contents.bool_contents.len()
        + contents.int_contents.len()
        + contents.int64_contents.len()
        + contents.uint_contents.len()
        + contents.uint64_contents.len()
        + contents.fp32_contents.len()
        + contents.fp64_contents.len()
        + contents.bytes_contents.len();
    let raw = match head.datatype {
        Datatype::Bool => bytes(&contents.bool_contents, |value| [u8::from(value)]),
        Datatype::Int8 => match narrowed::<i32, i8>(&contents.int_contents) {
            Some(values) => bytes(&values, i8::to_le_bytes),
            None => return narrow(),
        },
        Datatype::Int16 => match narrowed::<i32, i16>(&contents.int_contents) {
            Some(values) => bytes(&values, i16::to_le_bytes),
            None => return narrow(),
        },
        Datatype::Int32 => bytes(&contents.int_contents, i32::to_le_bytes),
        Datatype::Int64 => bytes(&contents.int64_contents, i64::to_le_bytes),
        Datatype::Uint8 => match narrowed::<u32, u8>(&contents.uint_contents) {
            Some(values) => bytes(&values, u8::to_le_bytes),
            None => return narrow(),
        },
        Datatype::Uint16 => match narrowed::<u32, u16>(&contents.uint_contents) {
            Some(values) => bytes(&values, u16::to_le_bytes),
            None => return narrow(),
        },
        Datatype::Uint32 => bytes(&contents.uint_contents, u32::to_le_bytes),
        Datatype::Uint64 => bytes(&contents.uint64_contents, u64::to_le_bytes),
        Datatype::Fp32 => bytes(&contents.fp32_contents, f32::to_le_bytes),
        Datatype::Fp64 => bytes(&contents.fp64_contents, f64::to_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 => {
            return wrong(format!("is {}, which travels in `raw_input_contents` only", head.datatype));
        }
        Datatype::Bytes if found == contents.bytes_contents.len() => {
            return head.with(Contents::Elements(contents.bytes_contents));
        }
        Datatype::Bytes => return wrong("is BYTES, but has contents of another type".to_owned()),
    };
    let held = raw.len() / head.datatype.size().unwrap_or(1);
    if held != found {
        return wrong(format!("is {}, but has contents of another type", head.datatype));
    }
    head.with(Contents::Raw(raw.into()))
}

fn bytes<T: Copy, const N: usize>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * N);
    values.iter().for_each(|&value| bytes.extend_from_slice(&write(value)));
    bytes
}

fn narrowed<T: Copy, U: TryFrom<T>>(values: &[T]) -> Option<Vec<U>> {
    values.iter().map(|&value| U::try_from(value).ok()).collect()
}

fn field(field: &str, problem: impl Into<String>) -> ProtocolError {
    ProtocolError::Field { field: field.to_owned(), problem: problem.into() }
}

fn tensor(name: &str, problem: impl Into<String>) -> ProtocolError {
    let printable = name.chars().take(64).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    ProtocolError::Tensor { name: printable.collect(), problem: problem.into() }
}

/// The message of an answer. Types that have no field of their own travel raw, and then all do.
pub(crate) fn response(response: InferResponse, form: Form) -> ModelInferResponse {
    let half = |output: &Tensor| matches!(output.datatype(), Datatype::Fp16 | Datatype::Bf16);
    let raw = form == Form::Raw || response.outputs.iter().any(half);
    let mut message = ModelInferResponse {
        model_name: response.model_name,
        model_version: response.model_version,
        id: response.id.unwrap_or_default(),
        parameters: write_parameters(&response.parameters),
        ..ModelInferResponse::default()
    };
    for output in response.outputs {
        let typed = if raw { None } else { Some(typed_contents(&output)) };
        message.outputs.push(InferOutputTensor {
            name: output.name().to_owned(),
            datatype: output.datatype().name().to_owned(),
            shape: output.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect(),
            parameters: write_parameters(output.parameters()),
            contents: typed,
        });
        if raw {
            message.raw_output_contents.push(match output.into_contents() {
                Contents::Raw(bytes) => bytes,
                Contents::Elements(elements) => {
                    let mut joined = Vec::with_capacity(joined_length(&elements));
                    join_elements(&mut joined, &elements);
                    joined.into()
                }
            });
        }
    }
    message
}

fn write_parameters(parameters: &Parameters) -> HashMap<String, InferParameter> {
    let choice = |value: &Parameter| match value {
        Parameter::Bool(value) => ParameterChoice::BoolParam(*value),
        Parameter::Int(value) => ParameterChoice::Int64Param(*value),
        Parameter::Uint(value) => ParameterChoice::Uint64Param(*value),
        Parameter::Float(value) => ParameterChoice::DoubleParam(*value),
        Parameter::Text(value) => ParameterChoice::StringParam(value.clone()),
    };
    let message = |value: &Parameter| InferParameter { parameter_choice: Some(choice(value)) };
    parameters.iter().map(|(name, value)| (name.to_owned(), message(value))).collect()
}

fn typed_contents(output: &Tensor) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    let raw = match output.contents() {
        Contents::Raw(bytes) => bytes,
        Contents::Elements(elements) => {
            contents.bytes_contents = elements.clone();
            return contents;
        }
    };
    match output.datatype() {
        Datatype::Bool => contents.bool_contents = numbers(raw, |[byte]| byte != 0),
        Datatype::Int8 => contents.int_contents = numbers(raw, |value| i8::from_le_bytes(value).into()),
        Datatype::Int16 => contents.int_contents = numbers(raw, |value| i16::from_le_bytes(value).into()),
        Datatype::Int32 => contents.int_contents = numbers(raw, i32::from_le_bytes),
        Datatype::Int64 => contents.int64_contents = numbers(raw, i64::from_le_bytes),
        Datatype::Uint8 => contents.uint_contents = numbers(raw, |value| u8::from_le_bytes(value).into()),
        Datatype::Uint16 => contents.uint_contents = numbers(raw, |value| u16::from_le_bytes(value).into()),
        Datatype::Uint32 => contents.uint_contents = numbers(raw, u32::from_le_bytes),
        Datatype::Uint64 => contents.uint64_contents = numbers(raw, u64::from_le_bytes),
        Datatype::Fp32 => contents.fp32_contents = numbers(raw, f32::from_le_bytes),
        Datatype::Fp64 => contents.fp64_contents = numbers(raw, f64::from_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => unreachable!("these travel otherwise"),
    }
    contents
}

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&value| read(value)).collect()
}

/// The metadata of an input or output.
pub(crate) fn metadata(tensor: TensorMetadata) -> messages::model_metadata_response::TensorMetadata {
    let TensorMetadata { name, datatype, shape } = tensor;
    messages::model_metadata_response::TensorMetadata { name, datatype: datatype.name().to_owned(), shape }
}

/// An entry of the repository's index.
pub(crate) fn index_entry(entry: RepositoryEntry) -> messages::repository_index_response::ModelIndex {
    let state = entry.state.map_or_else(String::new, |state| state.name().to_owned());
    messages::repository_index_response::ModelIndex {
        name: entry.name,
        version: entry.version,
        state,
        reason: entry.reason,
    }
}

/// The statistics of a version.
pub(crate) fn statistics(version: &VersionStatistics) -> messages::ModelStatistics {
    messages::ModelStatistics {
        name: version.name.clone(),
        version: version.version.clone(),
        last_inference: version.last_inference,
        inference_count: version.inference_count,
        execution_count: version.execution_count,
        inference_stats: Some(phases(&version.inference_stats)),
        batch_stats: version.batch_stats.iter().map(batch).collect(),
    }
}

fn phases(stats: &InferenceStatistics) -> messages::InferStatistics {
    messages::InferStatistics {
        success: duration(stats.success),
        fail: duration(stats.fail),
        queue: duration(stats.queue),
        compute_input: duration(stats.compute_input),
        compute_infer: duration(stats.compute_infer),
        compute_output: duration(stats.compute_output),
        cache_hit: duration(stats.cache_hit),
        cache_miss: duration(stats.cache_miss),
    }
}

fn batch(stats: &BatchStatistics) -> messages::InferBatchStatistics {
    messages::InferBatchStatistics {
        batch_size: stats.batch_size,
        compute_input: duration(stats.compute_input),
        compute_infer: duration(stats.compute_infer),
        compute_output: duration(stats.compute_output),
    }
}

fn duration(duration: Duration) -> Option<StatisticDuration> {
    Some(StatisticDuration { count: duration.count, ns: duration.ns })
}

/// The configuration of a model.
pub(crate) fn config(config: homeostat_protocol::ModelConfig) -> messages::ModelConfig {
    use messages::{model_config::SchedulingChoice, model_version_policy as policy};
    let choice = match config.version_policy {
        VersionPolicy::Latest { num_versions } => policy::PolicyChoice::Latest(policy::Latest { num_versions }),
        VersionPolicy::All {} => policy::PolicyChoice::All(policy::All {}),
        VersionPolicy::Specific { versions } => policy::PolicyChoice::Specific(policy::Specific { versions }),
    };
    let parameter =
        |value: homeostat_protocol::ConfigParameter| messages::ModelParameter { string_value: value.string_value };
    messages::ModelConfig {
        name: config.name,
        platform: config.platform,
        backend: config.backend,
        version_policy: Some(messages::ModelVersionPolicy { policy_choice: Some(choice) }),
        max_batch_size: small(config.max_batch_size),
        input: config.input.into_iter().map(config_input).collect(),
        output: config.output.into_iter().map(config_output).collect(),
        instance_group: config.instance_group.into_iter().map(instances).collect(),
        scheduling_choice: config.dynamic_batching.map(|found| SchedulingChoice::DynamicBatching(batching(found))),
        parameters: config.parameters.into_iter().map(|(name, value)| (name, parameter(value))).collect(),
    }
}

fn config_input(tensor: ConfigTensor) -> messages::ModelInput {
    messages::ModelInput { name: tensor.name, data_type: data_type(tensor.data_type).into(), dims: tensor.dims }
}

fn config_output(tensor: ConfigTensor) -> messages::ModelOutput {
    messages::ModelOutput {
        name: tensor.name,
        data_type: data_type(tensor.data_type).into(),
        dims: tensor.dims,
        label_filename: tensor.label_filename,
    }
}

fn instances(group: homeostat_protocol::InstanceGroup) -> messages::ModelInstanceGroup {
    let kind = match group.kind {
        InstanceKind::Cpu => messages::model_instance_group::Kind::Cpu,
        InstanceKind::Gpu => messages::model_instance_group::Kind::Gpu,
    };
    messages::ModelInstanceGroup { name: group.name, count: small(group.count.into()), kind: kind.into() }
}

fn batching(batching: homeostat_protocol::DynamicBatching) -> messages::ModelDynamicBatching {
    let policy = batching.default_queue_policy;
    let action = match policy.timeout_action {
        TimeoutAction::Reject => messages::model_queue_policy::TimeoutAction::Reject,
        TimeoutAction::Delay => messages::model_queue_policy::TimeoutAction::Delay,
    };
    messages::ModelDynamicBatching {
        preferred_batch_size: batching.preferred_batch_size.into_iter().map(small).collect(),
        max_queue_delay_microseconds: batching.max_queue_delay_microseconds,
        priority_levels: batching.priority_levels,
        default_priority_level: batching.default_priority_level,
        default_queue_policy: Some(messages::ModelQueuePolicy {
            timeout_action: action.into(),
            default_timeout_microseconds: policy.default_timeout_microseconds,
            allow_timeout_override: policy.allow_timeout_override,
            max_queue_size: policy.max_queue_size,
        }),
    }
}

fn small(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn data_type(datatype: Datatype) -> messages::DataType {
    match datatype {
        Datatype::Bool => messages::DataType::TypeBool,
        Datatype::Uint8 => messages::DataType::TypeUint8,
        Datatype::Uint16 => messages::DataType::TypeUint16,
        Datatype::Uint32 => messages::DataType::TypeUint32,
        Datatype::Uint64 => messages::DataType::TypeUint64,
        Datatype::Int8 => messages::DataType::TypeInt8,
        Datatype::Int16 => messages::DataType::TypeInt16,
        Datatype::Int32 => messages::DataType::TypeInt32,
        Datatype::Int64 => messages::DataType::TypeInt64,
        Datatype::Fp16 => messages::DataType::TypeFp16,
        Datatype::Bf16 => messages::DataType::TypeBf16,
        Datatype::Fp32 => messages::DataType::TypeFp32,
        Datatype::Fp64 => messages::DataType::TypeFp64,
        Datatype::Bytes => messages::DataType::TypeString,
    }
}
