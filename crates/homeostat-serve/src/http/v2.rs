//! The routes of the Open Inference Protocol. They do not know how a model answers.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use homeostat_protocol::{
    HEADER_LENGTH, InferRequest, Limits, ModelMetadata, ModelReady, OutputForms, ProtocolError, RepositoryQuery,
    decode_request, encode_response,
};
use serde::Deserialize;

use super::{
    App,
    body::{self, LARGE},
    coding::Coding,
    describe::{self, File, NoModel, NotControlled, Refused},
    json,
};
use crate::{ServeError, traces::Traced};

/// The model in a path, and its version if it is there.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Named {
    /// The model's name.
    pub(super) model: String,
    #[param(ignore)]
    pub(super) version: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ServeError;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, ServeError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(named),
            Err(_) => Err(ServeError::Input("the path is no UTF-8".to_owned())),
        }
    }
}

type Answer = Result<Response, ServeError>;

/// Whether the process answers.
#[utoipa::path(get, path = "/v2/health/live", tag = "health", security(()), responses((status = 200, description = "It does.")))]
pub(super) async fn live() -> Response {
    json(&serde_json::json!({ "live": true }))
}

/// Whether all models answer and the server is not about to stop.
#[utoipa::path(
    get, path = "/v2/health/ready", tag = "health", security(()),
    responses((status = 200, description = "It is ready."), (status = 503, description = "It is not.")),
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.engine.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json(&serde_json::json!({ "ready": ready }))).into_response()
}

/// The server's name, version and extensions.
#[utoipa::path(get, path = "/v2", tag = "protocol", responses((status = 200, description = "They are.")))]
pub(super) async fn server(State(app): State<Arc<App>>) -> Response {
    json(&app.engine.server())
}

/// What the model takes and gives.
#[utoipa::path(
    get, path = "/v2/models/{model}", tag = "protocol", params(Named),
    responses((status = 200, description = "Its inputs and outputs, with types and shapes; -1 stands for any size."), NoModel),
)]
pub(super) async fn model(State(app): State<Arc<App>>, named: Named) -> Answer {
    Ok(json(&app.engine.model(&named.model, named.version.as_deref())?))
}

/// Whether the model answers.
#[utoipa::path(
    get, path = "/v2/models/{model}/ready", tag = "health", params(Named),
    responses((status = 200, description = "It does."), NoModel, (status = 503, description = "It does not.")),
)]
pub(super) async fn model_ready(State(app): State<Arc<App>>, named: Named) -> Answer {
    let ready = app.engine.model_ready(&named.model, named.version.as_deref())?;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, json(&ModelReady { name: named.model, ready })).into_response())
}

/// How the model is served: instances, batches, queue.
#[utoipa::path(
    get, path = "/v2/models/{model}/config", tag = "protocol", params(Named),
    responses((status = 200, description = "It is so."), NoModel),
)]
pub(super) async fn config(State(app): State<Arc<App>>, named: Named) -> Answer {
    Ok(json(&app.engine.config(&named.model, named.version.as_deref())?))
}

/// How often the model was asked, and where the time went.
#[utoipa::path(
    get, path = "/v2/models/{model}/stats", tag = "protocol", params(Named),
    responses((status = 200, description = "Since it was loaded."), NoModel),
)]
pub(super) async fn statistics(State(app): State<Arc<App>>, named: Named) -> Answer {
    Ok(json(&app.engine.statistics(Some(&named.model), named.version.as_deref())?))
}

/// How often each model was asked, and where the time went.
#[utoipa::path(
    get, path = "/v2/models/stats", tag = "protocol", responses((status = 200, description = "Since they were loaded.")),
)]
pub(super) async fn all_statistics(State(app): State<Arc<App>>) -> Answer {
    Ok(json(&app.engine.statistics(None, None)?))
}

/// Answers tensors that are prepared (as in training), or files and texts as BYTES.
///
/// As `application/octet-stream`: the JSON, of the length that the header `Inference-Header-Content-Length` says, and behind it the bytes
/// of the tensors.
#[utoipa::path(
    post, path = "/v2/models/{model}/infer", tag = "protocol", params(Named),
    request_body(content(
        (describe::InferRequest = "application/json", example = json!({
            "id": "1",
            "inputs": [{ "name": "image", "shape": [1, 1, 2, 2], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4] }],
            "outputs": [{ "name": "probabilities", "parameters": { "classification": 3 } }],
        })),
        (File = "application/octet-stream"),
    )),
    responses((status = 200, description = "The outputs."), Refused),
)]
pub(super) async fn infer(State(app): State<Arc<App>>, named: Named, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    // A stranger's word is refused before his body is read.
    let length = parts.headers.get(HEADER_LENGTH).and_then(|length| length.to_str().ok());
    let is_bare = length.is_some_and(|length| length.trim().parse() == Ok(0_usize));
    let only = app.engine.bare_model(&named.model, named.version.as_deref(), is_bare)?;
    let body::Read { bytes, hold } = body::read(&app, &parts.headers, body).await?;
    let picked = app.engine.pick(&named.model, named.version.as_deref())?;
    // Under overload most are refused, and that should cost little: it is not decoded for that.
    picked.loaded.check_room()?;
    let request = decode(&app.options.limits, &parts.headers, bytes, only).await?;
    let forms = OutputForms::of(&request)?;
    let (answer, spent) = app.engine.answer(&picked, request).await?;
    if let Some(traced) = parts.extensions.get::<Traced>() {
        traced.answered(&spent);
    }
    drop(hold);
    let encoded = encode_response(&answer, &forms)?;
    let mut response = packed(&parts.headers, encoded.body);
    let kind = if encoded.header_length.is_some() { "application/octet-stream" } else { "application/json" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(length) = encoded.header_length {
        response.headers_mut().insert(HeaderName::from_static(HEADER_LENGTH), HeaderValue::from(length));
    }
    Ok(response)
}

/// Parses a body; a large one on a thread that may block, so that others are not held up.
async fn decode(
    limits: &Limits,
    headers: &HeaderMap,
    bytes: Bytes,
    only: ModelMetadata,
) -> Result<InferRequest, ServeError> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let length = headers.get(HEADER_LENGTH).map(text);
    if bytes.len() < LARGE {
        return Ok(decode_request(&bytes, length.as_deref(), &only, limits)?);
    }
    let limits = *limits;
    let parse = move || decode_request(&bytes, length.as_deref(), &only, &limits);
    let parsed = tokio::task::spawn_blocking(parse).await;
    Ok(parsed.map_err(|_| ServeError::Failed("the body could not be parsed".into()))??)
}

/// A body, packed if the caller takes it so.
pub(super) fn packed(headers: &HeaderMap, plain: Bytes) -> Response {
    let Some(coding) = Coding::of_answer(headers, plain.len()) else { return Body::from(plain).into_response() };
    match coding.pack(&plain) {
        Ok(packed) => {
            let head = [(header::CONTENT_ENCODING, coding.name()), (header::VARY, "accept-encoding")];
            (head, Body::from(packed)).into_response()
        }
        Err(_) => Body::from(plain).into_response(),
    }
}

/// Which models there are, and in what state.
#[utoipa::path(
    post, path = "/v2/repository/index", tag = "control",
    request_body(content(("application/json", example = json!({ "ready": true })))),
    responses((status = 200, description = "One entry a version.")),
)]
pub(super) async fn index(State(app): State<Arc<App>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let read = body::read(&app, &parts.headers, body).await?;
    let query = if read.bytes.iter().all(u8::is_ascii_whitespace) {
        RepositoryQuery::default()
    } else {
        serde_json::from_slice(&read.bytes).map_err(|error| malformed(&error))?
    };
    Ok(json(&app.engine.index(query)))
}

/// Lets through who loads and unloads, where that is allowed to clients.
pub(super) async fn may_control(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.options.allow_control {
        return next.run(request).await;
    }
    ServeError::no_control().into_response()
}

/// Loads a model, or what has changed of it; the old version answers until the new one is verified and warm.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/load", tag = "control", params(Named),
    responses((status = 200, description = "Done."), NotControlled),
)]
pub(super) async fn load(State(app): State<Arc<App>>, named: Named, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let read = body::read(&app, &parts.headers, body).await?;
    if !read.bytes.iter().all(u8::is_ascii_whitespace) {
        let asked: LoadBody = serde_json::from_slice(&read.bytes).map_err(|error| malformed(&error))?;
        if asked.parameters.is_some_and(|parameters| !parameters.is_empty()) {
            return Err(ServeError::Unsupported("loading with another configuration or with files of the request"));
        }
    }
    app.engine.load(&named.model).await?;
    Ok(json(&serde_json::json!({})))
}

/// The body of a request to load; parameters that we know none of.
#[derive(Debug, Deserialize)]
struct LoadBody {
    parameters: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Takes a model out of service; what it has taken is answered.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/unload", tag = "control", params(Named),
    responses((status = 200, description = "Done."), NotControlled),
)]
pub(super) async fn unload(State(app): State<Arc<App>>, named: Named) -> Answer {
    app.engine.unload(&named.model)?;
    Ok(json(&serde_json::json!({})))
}

pub(super) async fn no_trace() -> ServeError {
    ServeError::Unsupported("the trace extension")
}

pub(super) async fn no_logging() -> ServeError {
    ServeError::Unsupported("the logging extension")
}

pub(super) async fn no_memory() -> ServeError {
    ServeError::Unsupported("shared memory that a client names")
}

fn malformed(error: &serde_json::Error) -> ServeError {
    ProtocolError::Json { at: error.column(), problem: "no such request".to_owned() }.into()
}
