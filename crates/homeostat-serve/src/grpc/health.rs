//! `grpc.health.v1`: whether the server, or a model of it, answers. It does not know why.

use std::{sync::Arc, time::Duration};

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health as Service,
};

use crate::Engine;

/// How often a watched service is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The service of this name is the server, as is the one without a name; any other is a model.
const INFERENCE: &str = "inference.GRPCInferenceService";

/// Answers from the engine each time, so that it cannot be out of date.
#[derive(Debug)]
pub(crate) struct Health {
    engine: Arc<Engine>,
}

impl Health {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

/// The state of a service; `None` where there is none of this name.
fn state(engine: &Engine, service: &str) -> Option<ServingStatus> {
    let ready = match service {
        "" | INFERENCE => engine.is_ready(),
        model => engine.model_ready(model, None).ok()?,
    };
    Some(if ready { ServingStatus::Serving } else { ServingStatus::NotServing })
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Service for Health {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match state(&self.engine, &request.get_ref().service) {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Status::not_found("there is no such service or model")),
        }
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let engine = Arc::clone(&self.engine);
        let service = request.into_inner().service;
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let now = state(&engine, &service).unwrap_or(ServingStatus::ServiceUnknown);
                if last != Some(now) && sender.send(Ok(answer(now))).await.is_err() {
                    return;
                }
                last = Some(now);
                tokio::select! {
                    () = sender.closed() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
