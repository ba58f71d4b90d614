//! Bodies for the tests, and the model that they ask.

use bytes::Bytes;
use homeostat_protocol::{
    Datatype, HEADER_LENGTH, InferRequest, Limits, ModelMetadata, ProtocolError, TensorMetadata, decode_request,
};

/// A model with one input `x` of `[any, 3]` numbers and one output `y`.
pub(crate) fn model() -> ModelMetadata {
    ModelMetadata {
        name: "m".to_owned(),
        versions: vec!["1".to_owned()],
        platform: "test".to_owned(),
        inputs: vec![metadata("x", Datatype::Fp32, &[-1, 3])],
        outputs: vec![metadata("y", Datatype::Fp32, &[-1, 2])],
    }
}

pub(crate) fn metadata(name: &str, datatype: Datatype, shape: &[i64]) -> TensorMetadata {
    TensorMetadata { name: name.to_owned(), datatype, shape: shape.to_vec() }
}

/// JSON alone.
pub(crate) fn decode(json: &str) -> Result<InferRequest, ProtocolError> {
    decode_bytes(json.as_bytes(), None)
}

/// JSON with `binary` behind it.
pub(crate) fn decode_binary(json: &str, binary: &[u8]) -> Result<InferRequest, ProtocolError> {
    let body = [json.as_bytes(), binary].concat();
    decode_bytes(&body, Some(&json.len().to_string()))
}

pub(crate) fn decode_bytes(body: &[u8], header_length: Option<&str>) -> Result<InferRequest, ProtocolError> {
    assert_eq!(HEADER_LENGTH, "inference-header-content-length");
    decode_request(&Bytes::copy_from_slice(body), header_length, &model(), &Limits::default())
}

/// A request with one input of these fields.
pub(crate) fn input(fields: &str) -> String {
    format!(r#"{{"inputs":[{{{fields}}}]}}"#)
}

/// A request with one input `x`.
pub(crate) fn tensor(datatype: &str, shape: &str, data: &str) -> String {
    input(&format!(r#""name":"x","shape":{shape},"datatype":"{datatype}","data":{data}"#))
}
