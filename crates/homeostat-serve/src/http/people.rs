//! Plain HTTP for people: a picture or a text in, labels with probabilities out, and a page to try it. It does not know how a model answers.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Multipart, Query as Parameters, Request, State},
    http::{Request as HttpRequest, header},
    response::{Html, Response},
};
use bytes::Bytes;
use homeostat_deploy::{Job, Query, Reply};
use homeostat_protocol::best_classes;
use homeostat_task::HostTensor;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    App, body,
    describe::{Fault, File, Files, Refused},
    v2,
};
use crate::{ServeError, door::Doors, engine::deadline, traces::Traced};

/// What may stand behind the `?`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// How many classes, the most probable first; 5 if nothing is said.
    top: Option<usize>,
    /// The version, if not the newest.
    version: Option<String>,
}

const WANTED: &str =
    "a picture as it is, multipart/form-data with files, text/plain, or JSON such as {\"text\": \"...\"}";

/// A picture or a text in, labels with probabilities out.
///
/// A model with requests of its own, such as `{"seed": 7}` for a picture or a list of codes, takes these as `application/json`, too.
#[utoipa::path(
    post, path = "/predict/{model}", tag = "people", params(v2::Named, Asked),
    request_body(content(
        (File = "image/*"),
        (Files = "multipart/form-data"),
        (Texts = "application/json", example = json!({ "text": "what is classified" })),
        (String = "text/plain"),
    )),
    responses(
        (status = 200, description = "A prediction for each picture or text: its label, the most probable classes, and `cut`, true, where a \
                                      text was longer than the model reads and lost its end."),
        (status = 415, description = "A body of another type.", body = Fault),
        Refused,
    ),
)]
pub(super) async fn predict(
    State(app): State<Arc<App>>,
    v2::Named { model: name, .. }: v2::Named,
    asked: Result<Parameters<Asked>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, ServeError> {
    let Parameters(asked) = asked.map_err(|_| ServeError::Input("`top` must be a number".to_owned()))?;
    let picked = app.engine.pick(&name, asked.version.as_deref())?;
    let (parts, body) = request.into_parts();
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let read = body::read(&app, &parts.headers, body).await?;
    let items = items(&kind, read.bytes, picked.loaded.takes_json).await?;
    if items.len() > app.engine.most_rows() {
        let limit = app.engine.most_rows();
        return Err(homeostat_protocol::ProtocolError::Limit { what: "samples in a request", limit }.into());
    }
    let (names, items): (Vec<Option<String>>, Vec<Bytes>) = items.into_iter().unzip();
    let job = Job { query: Query::Raw(items), priority: 0, deadline: deadline(None) };
    let (reply, spent) = app.engine.ask(&picked, job).await?;
    if let Some(traced) = parts.extensions.get::<Traced>() {
        traced.answered(&spent);
    }
    drop(read.hold);
    let answers = answers(&reply, &picked.loaded.doors, asked.top.unwrap_or(5));
    let named = |(name, mut answer): (Option<String>, Value)| {
        if let (Some(name), Value::Object(fields)) = (name, &mut answer) {
            fields.insert("name".to_owned(), name.into());
        }
        answer
    };
    let predictions: Vec<Value> = names.into_iter().zip(answers).map(named).collect();
    Ok(super::json(&json!({ "model": name, "version": picked.loaded.version.to_string(), "predictions": predictions })))
}

/// What a body asks about, each with its file's name if it has one.
async fn items(kind: &str, bytes: Bytes, takes_json: bool) -> Result<Vec<(Option<String>, Bytes)>, ServeError> {
    if bytes.is_empty() {
        return Err(ServeError::Input(format!("the body is empty: send {WANTED}")));
    }
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "multipart/form-data" => parts(kind, bytes).await,
        "application/json" => match texts(&bytes) {
            Err(_) if takes_json && is_of_the_model(&bytes) => Ok(vec![(None, bytes)]),
            read => read,
        },
        // What `curl --data-binary` says of any file, where nothing else is said.
        "" | "application/octet-stream" | "application/x-www-form-urlencoded" | "text/plain" => Ok(vec![(None, bytes)]),
        kind if kind.starts_with("image/") => Ok(vec![(None, bytes)]),
        other => Err(ServeError::media_type(other, WANTED)),
    }
}

/// Whether it is a list or an object in JSON, and none that was meant as texts.
fn is_of_the_model(bytes: &[u8]) -> bool {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => !["text", "texts", "pair"].iter().any(|key| fields.contains_key(*key)),
        Ok(Value::Array(_)) => true,
        _ => false,
    }
}

async fn parts(kind: &str, bytes: Bytes) -> Result<Vec<(Option<String>, Bytes)>, ServeError> {
    let wrong = |_| ServeError::Input("the body is no multipart/form-data".to_owned());
    let request = HttpRequest::builder().header(header::CONTENT_TYPE, kind).body(Body::from(bytes));
    let request = request.map_err(|_| ServeError::Input("the type of the body cannot be read".to_owned()))?;
    let no_boundary = |_| ServeError::Input("the body is no multipart/form-data: it has no boundary".to_owned());
    let mut parts = Multipart::from_request(request, &()).await.map_err(no_boundary)?;
    let mut items = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(wrong)? {
        let name = part.file_name().map(|name| name.chars().filter(|c| !c.is_control()).take(128).collect());
        items.push((name, part.bytes().await.map_err(wrong)?));
    }
    if items.is_empty() {
        return Err(ServeError::Input("there is no part in the body".to_owned()));
    }
    Ok(items)
}

/// A text, several, or a pair.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum Texts {
    Many { texts: Vec<String> },
    Pair { text: String, pair: String },
    One { text: String },
}

fn texts(bytes: &Bytes) -> Result<Vec<(Option<String>, Bytes)>, ServeError> {
    let wrong = |_| {
        ServeError::Input(
            "the JSON is none of {\"text\": \"...\"}, {\"text\": \"...\", \"pair\": \"...\"}, {\"texts\": [\"...\"]}"
                .to_owned(),
        )
    };
    let item = |text: String| (None, Bytes::from(text));
    Ok(match serde_json::from_slice(bytes).map_err(wrong)? {
        Texts::Many { texts } if texts.is_empty() => return Err(ServeError::Input("`texts` is empty".to_owned())),
        Texts::Many { texts } => texts.into_iter().map(item).collect(),
        // As a raw request has a pair.
        Texts::Pair { text, pair } => vec![item(json!({ "text": text, "pair": pair }).to_string())],
        Texts::One { text } => vec![item(text)],
    })
}

/// For people: the label, the most probable classes, and whether the end of a text was cut off.
fn answers(reply: &Reply, doors: &Doors, most: usize) -> Vec<Value> {
    let tensors = match reply {
        Reply::Json(answers) => return answers.clone(),
        Reply::Tensors(tensors) => tensors,
    };
    let Some(scores) = tensors.first() else { return Vec::new() };
    let (labels, classes) = (doors.labels(), doors.labels().len().max(1));
    let cut = doors.output_named("cut", tensors).map_or(&[][..], HostTensor::integers);
    let one = |(place, row): (usize, &[f32])| {
        let label = |class: usize| labels.get(class).map_or_else(|| class.to_string(), Clone::clone);
        let of = |class: usize| json!({ "label": label(class), "probability": rounded(row[class]) });
        let order = best_classes(row, most.clamp(1, classes));
        let mut answer = json!({
            "label": label(order[0]),
            "probability": rounded(row[order[0]]),
            "top": order.iter().map(|&class| of(class)).collect::<Vec<_>>(),
        });
        if cut.get(place).is_some_and(|&cut| cut > 0) {
            answer["cut"] = true.into();
        }
        answer
    };
    scores.floats().chunks_exact(classes).enumerate().map(one).collect()
}

/// A probability to six decimals: more digits would be those of the conversion to another width.
fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e6).round() / 1e6
}

pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
