//! The Open Inference Protocol over gRPC, on the same engine as HTTP, with the health service and reflection. It does not know
//! sockets, certificates or keys: [`router`] is served by whoever listens.

pub(crate) mod codec;
mod convert;
mod health;
mod service;
mod status;

use std::sync::Arc;

use homeostat_protocol::Limits;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::HealthServer;

use crate::{Engine, ServeError};
use health::Health;
use service::Service;

/// The messages, the service and a client of it, as `proto/inference.proto` says.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::must_use_candidate,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::use_self,
    reason = "generated"
)]
pub mod messages {
    tonic::include_proto!("inference");
}

/// `proto/inference.proto`, compiled: what reflection answers with.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("inference");

/// What clients of gRPC may do.
#[derive(Clone, Copy, Debug)]
pub struct GrpcConfig {
    /// How much a message may bring; `body` is also the most bytes of one, decompressed.
    pub limits: Limits,
    /// Whether models may be loaded and unloaded.
    pub allow_control: bool,
}

/// All services of gRPC, as a router for HTTP/2.
///
/// # Errors
///
/// Where the compiled protocol cannot be read again, which is a fault of the build.
pub fn router(engine: Arc<Engine>, config: GrpcConfig) -> Result<axum::Router, ServeError> {
    let health = HealthServer::new(Health::new(Arc::clone(&engine)));
    let most = config.limits.body;
    let service = Service::new(engine, config);
    let mut inference = messages::grpc_inference_service_server::GrpcInferenceServiceServer::new(service)
        .max_decoding_message_size(most)
        .max_encoding_message_size(usize::MAX);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        inference = inference.accept_compressed(encoding).send_compressed(encoding);
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let broken = |error: tonic_reflection::server::Error| ServeError::Failed(format!("reflection: {error}"));
    let routes = Routes::new(inference)
        .add_service(health)
        .add_service(reflection().build_v1().map_err(broken)?)
        .add_service(reflection().build_v1alpha().map_err(broken)?);
    Ok(routes.prepare().into_axum_router())
}
