//! Each call of `GRPCInferenceService`, answered by the engine. It does not know how models work.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use homeostat_protocol::{Parameter, ProtocolError, RepositoryQuery};
use prost::Message;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    convert,
    intake::Held,
    messages::{self, grpc_inference_service_server::GrpcInferenceService},
    status::{status, timeout},
};
use crate::{ServeError, http::App, traces::Traced};

/// Requests of one stream that are worked on at the same time.
const TOGETHER: usize = 32;

/// Bytes before each message.
const FRAME: usize = 5;

/// The engine, as gRPC sees it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    app: Arc<App>,
}

impl Service {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Answers a request; `left` is what the caller's deadline leaves.
    async fn infer(
        &self,
        message: messages::ModelInferRequest,
        left: Option<Duration>,
        traced: Option<&Traced>,
    ) -> Result<messages::ModelInferResponse, ServeError> {
        let picked = self.app.engine.pick(&message.model_name, chosen(&message.model_version))?;
        picked.loaded.check_room()?;
        let (mut request, form) = convert::request(message, &self.app.options.limits)?;
        if let Some(left) = left {
            let own = request.timeout()?.unwrap_or(Duration::MAX);
            let micros = own.min(left).as_micros().clamp(1, i64::MAX as u128);
            // The queue drops the work by itself, also while nobody polls this call.
            request.parameters.insert("timeout", Parameter::Int(i64::try_from(micros).unwrap_or(i64::MAX)));
        }
        let answer = self.app.engine.answer(&picked, request);
        let (response, spent) = within(left, answer).await?;
        if let Some(traced) = traced {
            traced.answered(&spent);
        }
        Ok(convert::response(response, form))
    }

    /// The status of an error, which is counted by its reason.
    fn refuse(&self, error: &ServeError) -> Status {
        self.app.engine.metrics().rejected(error.reason());
        status(error)
    }

    fn unsupported(&self, what: &'static str) -> Status {
        self.refuse(&ProtocolError::Unsupported { what }.into())
    }

    fn check_control(&self) -> Result<(), Status> {
        if self.app.options.allow_control {
            return Ok(());
        }
        Err(self.refuse(&ServeError::no_control()))
    }
}

/// An empty version leaves the choice to the server.
fn chosen(version: &str) -> Option<&str> {
    Some(version).filter(|version| !version.is_empty())
}

async fn within<T>(
    left: Option<Duration>,
    answer: impl Future<Output = Result<T, ServeError>>,
) -> Result<T, ServeError> {
    match left {
        None => answer.await,
        Some(left) => tokio::time::timeout(left, answer).await.unwrap_or(Err(ServeError::Expired)),
    }
}

/// What the caller's deadline leaves.
fn left(metadata: &MetadataMap) -> Result<Option<Duration>, Status> {
    let Some(value) = metadata.get("grpc-timeout") else { return Ok(None) };
    timeout(value.as_bytes()).map(Some).ok_or_else(|| Status::invalid_argument("`grpc-timeout` is no time"))
}

/// An answer is compressed where the request was: most clients say that they would take it, few want to pay for it.
fn answered<T>(answer: T, request: &MetadataMap) -> Response<T> {
    let mut response = Response::new(answer);
    if request.get("grpc-encoding").is_none_or(|encoding| encoding == "identity") {
        response.disable_compression();
    }
    response
}

type Answers = Pin<Box<dyn Stream<Item = Result<messages::ModelStreamInferResponse, Status>> + Send>>;

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    type ModelStreamInferStream = Answers;

    async fn server_live(
        &self,
        _: Request<messages::ServerLiveRequest>,
    ) -> Result<Response<messages::ServerLiveResponse>, Status> {
        Ok(Response::new(messages::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<messages::ServerReadyRequest>,
    ) -> Result<Response<messages::ServerReadyResponse>, Status> {
        Ok(Response::new(messages::ServerReadyResponse { ready: self.app.engine.is_ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<messages::ModelReadyRequest>,
    ) -> Result<Response<messages::ModelReadyResponse>, Status> {
        let messages::ModelReadyRequest { name, version } = request.into_inner();
        let ready = self.app.engine.model_ready(&name, chosen(&version)).map_err(|error| self.refuse(&error))?;
        Ok(Response::new(messages::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<messages::ServerMetadataRequest>,
    ) -> Result<Response<messages::ServerMetadataResponse>, Status> {
        let homeostat_protocol::ServerMetadata { name, version, extensions } = self.app.engine.server();
        Ok(Response::new(messages::ServerMetadataResponse { name, version, extensions }))
    }

    async fn model_metadata(
        &self,
        request: Request<messages::ModelMetadataRequest>,
    ) -> Result<Response<messages::ModelMetadataResponse>, Status> {
        let messages::ModelMetadataRequest { name, version } = request.into_inner();
        let model = self.app.engine.model(&name, chosen(&version)).map_err(|error| self.refuse(&error))?;
        Ok(Response::new(messages::ModelMetadataResponse {
            name: model.name,
            versions: model.versions,
            platform: model.platform,
            inputs: model.inputs.into_iter().map(convert::metadata).collect(),
            outputs: model.outputs.into_iter().map(convert::metadata).collect(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<messages::ModelInferRequest>,
    ) -> Result<Response<messages::ModelInferResponse>, Status> {
        // The extensions hold what the message takes of the memory.
        let (metadata, extensions, message) = request.into_parts();
        let (left, traced) = (left(&metadata)?, extensions.get::<Traced>());
        let answer = self.infer(message, left, traced).await.map_err(|error| {
            if let Some(traced) = traced.filter(|_| error.status() >= 500) {
                traced.fail(&error.to_string());
            }
            self.refuse(&error)
        })?;
        Ok(answered(answer, &metadata))
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<messages::ModelInferRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (metadata, extensions, incoming) = request.into_parts();
        let (held, traced) = (extensions.get::<Held>().cloned(), extensions.get::<Traced>().cloned());
        let deadline = left(&metadata)?.and_then(|left| tokio::time::Instant::now().checked_add(left));
        let service = self.clone();
        let answers = incoming.map(move |message| {
            let (service, held, traced) = (service.clone(), held.clone(), traced.clone());
            let left = deadline.map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
            async move {
                let message = message?;
                let bytes = FRAME + message.encoded_len();
                let answer = service.answer(message, left).await;
                // The span of a stream lasts as long as the stream.
                drop(traced);
                if let Some(held) = held {
                    held.release(bytes);
                }
                Ok(answer)
            }
        });
        Ok(answered(Box::pin(answers.buffered(TOGETHER)), &metadata))
    }

    async fn model_config(
        &self,
        request: Request<messages::ModelConfigRequest>,
    ) -> Result<Response<messages::ModelConfigResponse>, Status> {
        let messages::ModelConfigRequest { name, version } = request.into_inner();
        let config = self.app.engine.config(&name, chosen(&version)).map_err(|error| self.refuse(&error))?;
        Ok(Response::new(messages::ModelConfigResponse { config: Some(convert::config(config)) }))
    }

    async fn model_statistics(
        &self,
        request: Request<messages::ModelStatisticsRequest>,
    ) -> Result<Response<messages::ModelStatisticsResponse>, Status> {
        let messages::ModelStatisticsRequest { name, version } = request.into_inner();
        let statistics =
            self.app.engine.statistics(chosen(&name), chosen(&version)).map_err(|error| self.refuse(&error))?;
        let model_stats = statistics.model_stats.iter().map(convert::statistics).collect();
        Ok(Response::new(messages::ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<messages::RepositoryIndexRequest>,
    ) -> Result<Response<messages::RepositoryIndexResponse>, Status> {
        let entries = self.app.engine.index(RepositoryQuery { ready: request.get_ref().ready });
        let models = entries.into_iter().map(convert::index_entry).collect();
        Ok(Response::new(messages::RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<messages::RepositoryModelLoadRequest>,
    ) -> Result<Response<messages::RepositoryModelLoadResponse>, Status> {
        self.check_control()?;
        let message = request.into_inner();
        // Triton takes a configuration, and files, from the client; here a model is what its folder says.
        if message.parameters.keys().any(|name| name == "config" || name.starts_with("file:")) {
            return Err(self.unsupported("loading with a configuration or files of the client"));
        }
        self.app.engine.load(&message.model_name).await.map_err(|error| self.refuse(&error))?;
        Ok(Response::new(messages::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<messages::RepositoryModelUnloadRequest>,
    ) -> Result<Response<messages::RepositoryModelUnloadResponse>, Status> {
        self.check_control()?;
        self.app.engine.unload(&request.get_ref().model_name).map_err(|error| self.refuse(&error))?;
        Ok(Response::new(messages::RepositoryModelUnloadResponse {}))
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<messages::SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<messages::SystemSharedMemoryStatusResponse>, Status> {
        Err(self.unsupported("shared memory"))
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<messages::SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<messages::SystemSharedMemoryRegisterResponse>, Status> {
        Err(self.unsupported("shared memory"))
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<messages::SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<messages::SystemSharedMemoryUnregisterResponse>, Status> {
        Err(self.unsupported("shared memory"))
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<messages::CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<messages::CudaSharedMemoryStatusResponse>, Status> {
        Err(self.unsupported("shared memory"))
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<messages::CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<messages::CudaSharedMemoryRegisterResponse>, Status> {
        Err(self.unsupported("shared memory"))
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<messages::CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<messages::CudaSharedMemoryUnregisterResponse>, Status> {
        Err(self.unsupported("shared memory"))
    }

    async fn trace_setting(
        &self,
        _: Request<messages::TraceSettingRequest>,
    ) -> Result<Response<messages::TraceSettingResponse>, Status> {
        Err(self.unsupported("changing trace settings"))
    }

    async fn log_settings(
        &self,
        _: Request<messages::LogSettingsRequest>,
    ) -> Result<Response<messages::LogSettingsResponse>, Status> {
        Err(self.unsupported("changing log settings"))
    }
}

impl Service {
    /// The answer of one request of a stream: an error is an answer, too, with the request's id.
    async fn answer(
        &self,
        message: messages::ModelInferRequest,
        left: Option<Duration>,
    ) -> messages::ModelStreamInferResponse {
        let id = message.id.clone();
        match self.infer(message, left, None).await {
            Ok(response) => {
                messages::ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) }
            }
            Err(error) => messages::ModelStreamInferResponse {
                error_message: self.refuse(&error).message().to_owned(),
                infer_response: Some(messages::ModelInferResponse { id, ..Default::default() }),
            },
        }
    }
}
