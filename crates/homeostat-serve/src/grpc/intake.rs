//! What comes before a call of gRPC: whether the caller may ask, and how many bytes he may bring and in what time. It does not
//! know what is asked.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::status::status;
use crate::{ServeError, budget::Taken, http::App};

/// The one call whose messages may come as late as they like.
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// Lets in who may ask, and counts what he brings.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let traced = app.tracer.as_ref().and_then(|tracer| {
        let parent = request.headers().get("traceparent").and_then(|parent| parent.to_str().ok());
        tracer.begin(request.uri().path().trim_start_matches('/').to_owned(), parent)
    });
    if let Some(traced) = &traced {
        traced.say("rpc.system", "grpc");
    }
    if let Err(error) = app.admit(&request) {
        app.engine.metrics().rejected(error.reason());
        return status(&error).into_http();
    }
    let held = Held(Arc::new(Mutex::new(app.budget.nothing())));
    let patience = (request.uri().path() != STREAM).then(|| Box::pin(tokio::time::sleep(app.options.body_time)));
    let mut request = request.map(|body| Body::new(Metered { body, held: held.clone(), patience }));
    request.extensions_mut().insert(held);
    if let Some(traced) = traced {
        request.extensions_mut().insert(traced);
    }
    next.run(request).await
}

/// The bytes of a call that are in memory; they are free when the call is over.
#[derive(Clone, Debug)]
pub(crate) struct Held(Arc<Mutex<Taken>>);

impl Held {
    /// One message of a stream is answered: its bytes are free.
    pub(crate) fn release(&self, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shrink(bytes);
    }

    fn grow(&self, bytes: usize) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes)
    }
}

/// A body whose bytes are counted.
struct Metered {
    body: Body,
    held: Held,
    /// When the body must be there.
    patience: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if polled.is_pending()
            && let Some(patience) = &mut this.patience
        {
            ready!(patience.as_mut().poll(context));
            return Poll::Ready(Some(Err(Status::deadline_exceeded("the message did not arrive in time"))));
        }
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) if !this.held.grow(data.len()) => {
                    let after = std::time::Duration::from_secs(1);
                    let error = ServeError::Overloaded { reason: "too many bytes are in memory", after };
                    Some(Err(status(&error)))
                }
                _ => Some(Ok(frame)),
            },
            Some(Err(error)) => Some(Err(Status::cancelled(format!("the message broke off: {error}")))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
