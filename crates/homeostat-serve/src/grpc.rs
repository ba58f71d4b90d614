//! The Open Inference Protocol over gRPC, on the same engine as HTTP, with the health service and reflection. It does not know
//! sockets or certificates: whoever listens serves the router.

pub(crate) mod codec;
mod convert;
mod health;
mod intake;
mod service;
mod status;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::HealthServer;

use crate::{ServeError, http::App};
use health::Health;
use messages::grpc_inference_service_server::GrpcInferenceServiceServer;
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

/// All services of gRPC, as a router for HTTP/2.
///
/// # Errors
///
/// Where the compiled protocol cannot be read again, which is a fault of the build.
pub(crate) fn router(app: &Arc<App>) -> Result<axum::Router, ServeError> {
    let most = app.options.limits.body;
    let mut inference = GrpcInferenceServiceServer::new(Service::new(Arc::clone(app)))
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
    let guarded = Routes::new(inference)
        .add_service(reflection().build_v1().map_err(broken)?)
        .add_service(reflection().build_v1alpha().map_err(broken)?)
        .into_axum_router()
        .layer(from_fn_with_state(Arc::clone(app), intake::admit));
    // Who asks whether the server is well needs no key.
    let health = HealthServer::new(Health::new(Arc::clone(&app.engine)));
    let health = Routes::default().add_service(health);
    Ok(health.into_axum_router().reset_fallback().merge(guarded))
}
