//! The Open Inference Protocol (KServe V2, as Triton speaks it) as plain values.
//!
//! [`decode_request`] reads the body of a request over HTTP, [`encode_response`] writes the answer's; [`Limits`] say how much a
//! request may bring. An [`InferRequest`] has [`Tensor`]s whose contents always fit their types and shapes; [`ModelMetadata::check`] tells
//! whether a model can answer it. Every [`ProtocolError`] is a fault of the client, in one line.
//!
//! It does not know Burn, models, sockets or a server.

mod classification;
mod data;
mod datatype;
mod elements;
mod error;
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

pub use datatype::Datatype;
pub use elements::{join_elements, joined_length, split_elements};
pub use error::ProtocolError;
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
