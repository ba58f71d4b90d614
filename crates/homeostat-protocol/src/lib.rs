//! The Open Inference Protocol (KServe V2, as Triton speaks it) as plain values.
//!
//! [`decode_request`] reads the body of a request over HTTP, [`encode_response`] writes the answer's; [`Limits`] say how much a
//! request may bring. An [`InferRequest`] has [`Tensor`]s whose contents always fit their types and shapes; [`ModelMetadata::check`] tells
//! whether a model can answer it. Every [`ProtocolError`] is a fault of the client, in one line.
//!
//! ```
//! use bytes::Bytes;
//! use homeostat_protocol::*;
//!
//! let tensor = |name: &str, size| TensorMetadata { name: name.into(), datatype: Datatype::Fp32, shape: vec![-1, size] };
//! let model = ModelMetadata {
//!     name: "digits".into(),
//!     versions: vec!["1".into()],
//!     platform: "homeostat".into(),
//!     inputs: vec![tensor("pixels", 2)],
//!     outputs: vec![tensor("scores", 3)],
//! };
//! let body = r#"{"id":"a","inputs":[{"name":"pixels","shape":[1,2],"datatype":"FP32","data":[[0.5,1]]}],
//!     "outputs":[{"name":"scores","parameters":{"classification":2}}]}"#;
//! let request = decode_request(&Bytes::from(body), None, &model, &Limits::default())?;
//! model.check(&request)?;
//! assert_eq!(request.inputs[0].to_f32()?, [0.5, 1.0]);
//!
//! let scores = Tensor::from_f32("scores", [1, 3], &[0.25, 0.5, 0.125])?;
//! let count = request.output("scores").and_then(|output| output.classification).unwrap_or(0);
//! let response = InferResponse {
//!     model_name: "digits".into(),
//!     model_version: "1".into(),
//!     id: request.id.clone(),
//!     outputs: vec![scores.classified(count, &["zero".into(), "one".into()])?],
//!     ..InferResponse::default()
//! };
//! let answer = encode_response(&response, &OutputForms::of(&request)?)?;
//! let wanted = r#"{"model_name":"digits","model_version":"1","id":"a","outputs":[{"name":"scores","datatype":"BYTES","shape":[1,2],"data":["0.5:1:one","0.25:0:zero"]}]}"#;
//! assert_eq!(answer.body, wanted);
//! # Ok::<(), ProtocolError>(())
//! ```
//!
//! [`GenerateRequest`] and [`GenerateResponse`] are the same for texts that a model writes.
//!
//! It does not know Burn, models, sockets or a server.

mod classification;
mod data;
mod datatype;
mod elements;
mod error;
mod generate;
mod http;
mod infer;
mod json;
mod limits;
mod metadata;
mod model_config;
mod parameters;
mod repository;
mod statistics;
mod tensor;

pub use classification::best_classes;
pub use datatype::Datatype;
pub use elements::{join_elements, joined_length, split_elements};
pub use error::ProtocolError;
pub use generate::{GenerateRequest, GenerateResponse, GenerateSettings};
pub use http::{Encoded, HEADER_LENGTH, OutputForms, decode_request, encode_response};
pub use infer::{InferRequest, InferResponse, RequestedOutput};
pub use limits::Limits;
pub use metadata::{ModelMetadata, ModelReady, ServerMetadata, TensorMetadata};
pub use model_config::{
    ConfigParameter, ConfigTensor, DynamicBatching, InstanceGroup, InstanceKind, ModelConfig, QueuePolicy,
    TimeoutAction, VersionPolicy,
};
pub use parameters::{Parameter, Parameters};
pub use repository::{ModelState, RepositoryEntry, RepositoryQuery};
pub use statistics::{BatchStatistics, Duration, InferenceStatistics, ModelStatistics, VersionStatistics};
pub use tensor::{Contents, Tensor, element_count};
