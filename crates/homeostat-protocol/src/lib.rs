//! The Open Inference Protocol (KServe V2, as Triton speaks it) as plain values.
//!
//! An [`InferRequest`] has [`Tensor`]s whose contents always fit their types and shapes; [`ModelMetadata::check`] tells
//! whether a model can answer it. Every [`ProtocolError`] is a fault of the client, in one line.
//!
//! It does not know Burn, models, sockets or a server.

mod datatype;
mod error;
mod infer;
mod limits;
mod metadata;
mod model_config;
mod parameters;
mod repository;
mod statistics;
mod tensor;

pub use datatype::Datatype;
pub use error::ProtocolError;
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
