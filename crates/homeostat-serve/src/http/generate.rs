//! The generate extension: a text to go on with in, what comes behind it out, at once or piece by piece as server-sent events. It
//! does not know how a model writes.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use homeostat_protocol::{GenerateRequest, GenerateResponse};

use super::{
    App, body,
    describe::{self, Refused},
    v2,
};
use crate::{ServeError, budget::Taken, generation::Generation, traces::Traced};

/// Goes on with a text, and answers once it is written. For language models.
#[utoipa::path(
    post, path = "/v2/models/{model}/generate", operation_id = "generate", tag = "protocol", params(v2::Named),
    request_body(content(
        (describe::GenerateRequest = "application/json", example = json!({
            "text_input": "The king",
            "parameters": { "max_tokens": 40, "temperature": 0.8, "seed": 7 },
        })),
    )),
    responses(
        (status = 200, description = "The model's name and version, the text in `text_output`, and `cut`, true, where `text_input` was \
                                      longer than the model reads and lost its beginning."),
        Refused,
    ),
)]
pub(super) async fn whole(
    State(app): State<Arc<App>>,
    named: v2::Named,
    request: Request,
) -> Result<Response, ServeError> {
    let mut begun = begin(&app, &named, request, false).await?;
    let mut text = String::new();
    while let Some(piece) = begun.next().await {
        text.push_str(&piece?);
    }
    let answer = begun.answer(&text, begun.generation.is_cut());
    let mut response = v2::packed(&begun.headers, answer.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Goes on with a text, and sends it piece by piece while it is written. For language models.
///
/// What comes are server-sent events, each `data: {"model_name": ..., "model_version": ..., "text_output": ...}` with the next piece; where
/// the text breaks off, the last one is `data: {"error": ...}`. Where `text_input` was longer than the model reads and lost its beginning,
/// one more event at the end, with an empty piece, says `"cut": true`.
#[utoipa::path(
    post, path = "/v2/models/{model}/generate_stream", operation_id = "generate_stream", tag = "protocol", params(v2::Named),
    request_body(content(
        (describe::GenerateRequest = "application/json", example = json!({
            "text_input": "The king",
            "parameters": { "max_tokens": 40, "temperature": 0.8, "seed": 7 },
        })),
    )),
    responses((status = 200, content_type = "text/event-stream", description = "The pieces."), Refused),
)]
pub(super) async fn pieces(
    State(app): State<Arc<App>>,
    named: v2::Named,
    request: Request,
) -> Result<Response, ServeError> {
    let mut begun = begin(&app, &named, request, true).await?;
    // What is wrong with a request shows before the first piece: as long as that is not there, the status can tell it.
    let first = begun.next().await.transpose()?;
    let first = event(&begun.answer(first.as_deref().unwrap_or_default(), false));
    let rest = stream::unfold(Some((app, begun)), |state| async move {
        let (app, mut begun) = state?;
        match begun.next().await {
            None if begun.generation.is_cut() => Some((Ok(event(&begun.answer("", true))), None)),
            None => None,
            Some(Ok(piece)) => {
                let event = event(&begun.answer(&piece, false));
                Some((Ok::<_, std::convert::Infallible>(event), Some((app, begun))))
            }
            Some(Err(error)) => {
                app.engine.metrics().rejected(error.reason());
                let (model, _) = begun.generation.by();
                tracing::debug!(model, %error, "a text broke off");
                let error = serde_json::json!({ "error": error.to_string() });
                Some((Ok(event(error.to_string().as_bytes())), None))
            }
        }
    });
    let events = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let head = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(events)).into_response())
}

/// A text that has been taken.
struct Begun {
    generation: Generation,
    headers: HeaderMap,
    id: Option<String>,
    traced: Option<Traced>,
    /// The prompt's memory.
    _hold: Taken,
}

impl Begun {
    async fn next(&mut self) -> Option<Result<String, ServeError>> {
        let next = self.generation.next().await;
        if let (None | Some(Err(_)), Some(traced)) = (&next, &self.traced) {
            self.generation.trace(traced);
        }
        next
    }

    fn answer(&self, text: &str, cut: bool) -> Vec<u8> {
        let (model_name, model_version) = self.generation.by();
        GenerateResponse { model_name, model_version: &model_version, id: self.id.as_deref(), text, cut }.encode()
    }
}

async fn begin(app: &App, named: &v2::Named, request: Request, is_stream: bool) -> Result<Begun, ServeError> {
    let v2::Named { model, version } = named;
    let (parts, body) = request.into_parts();
    // A stranger's word is refused before his body is read.
    app.engine.check_writes(model, version.as_deref())?;
    let body::Read { bytes, hold } = body::read(app, &parts.headers, body).await?;
    let request = GenerateRequest::decode(&bytes, &app.options.limits)?;
    if request.stream.is_some_and(|stream| stream != is_stream) {
        let path = if is_stream { "generate" } else { "generate_stream" };
        return Err(ServeError::Input(format!("`stream` says otherwise than the path: use `{path}`, or leave it out")));
    }
    let generation = app.engine.generate(model, version.as_deref(), &request)?;
    let traced = parts.extensions.get().cloned();
    Ok(Begun { generation, headers: parts.headers, id: request.id, traced, _hold: hold })
}

/// A server-sent event of one line of JSON.
fn event(json: &[u8]) -> Bytes {
    [&b"data: "[..], json, b"\n\n"].concat().into()
}
