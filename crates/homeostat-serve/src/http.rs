//! HTTP: the routes, and what is done for each request whatever its path. It does not know sockets.

mod body;
mod coding;
mod describe;
mod generate;
mod people;
mod v2;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use homeostat_protocol::Limits;
use serde::Serialize;

use crate::{
    Collector, Engine, Keys, Rate, ServeError,
    budget::Budget,
    keys::{Buckets, Caller, bearer},
    traces::Tracer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How requests are taken in.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The most that a request may bring.
    pub limits: Limits,
    /// Bytes of bodies that may be in memory at once.
    pub memory: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// The most requests that are taken and not yet answered.
    pub in_flight: usize,
    /// Whether models can be loaded and unloaded where clients come.
    pub allow_control: bool,
    /// Who may ask; everybody where there is nothing.
    pub keys: Option<Arc<Keys>>,
    /// How often a caller may ask.
    pub rate: Option<Rate>,
    /// Where traces of requests are sent; nowhere where there is nothing.
    pub traces: Option<Collector>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            memory: 512 << 20,
            body_time: Duration::from_secs(30),
            in_flight: 4096,
            allow_control: false,
            keys: None,
            rate: None,
            traces: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) options: HttpOptions,
    pub(crate) budget: Budget,
    pub(crate) tracer: Option<Tracer>,
    buckets: Option<Buckets>,
    requests: AtomicU64,
    /// What requests of this process are called, before their number.
    prefix: u64,
}

/// All that is served to clients over HTTP. Tests use it without a socket. Within a runtime, where traces are sent.
pub fn app(engine: Arc<Engine>, options: HttpOptions) -> Router {
    routes(App::new(engine, options))
}

/// What is served to clients, by the protocol.
#[derive(Clone, Debug)]
pub struct Apps {
    /// HTTP.
    pub http: Router,
    /// gRPC.
    pub grpc: Router,
    /// Loading and unloading over HTTP, whatever [`HttpOptions::allow_control`] says: for a listener of its own.
    pub control: Router,
    tracer: Option<Tracer>,
}

/// As [`app`], and gRPC besides it, with the same keys, rates and memory.
///
/// # Errors
/// [`ServeError::Failed`]: gRPC was built wrong.
pub fn apps(engine: Arc<Engine>, options: HttpOptions) -> Result<Apps, ServeError> {
    let app = App::new(engine, options);
    let (grpc, tracer) = (crate::grpc::router(&app)?, app.tracer.clone());
    Ok(Apps { grpc, control: control(Arc::clone(&app)), http: routes(app), tracer })
}

impl Apps {
    /// Sends the traces that are not sent yet; gives up after a while.
    pub async fn flush(&self) {
        if let Some(tracer) = &self.tracer {
            tracer.flush().await;
        }
    }
}

fn routes(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v2", get(v2::server))
        .route("/v2/models/stats", get(v2::all_statistics))
        .route("/v2/models/{model}", get(v2::model))
        .route("/v2/models/{model}/ready", get(v2::model_ready))
        .route("/v2/models/{model}/infer", post(v2::infer))
        .route("/v2/models/{model}/generate", post(generate::whole))
        .route("/v2/models/{model}/generate_stream", post(generate::pieces))
        .route("/v2/models/{model}/config", get(v2::config))
        .route("/v2/models/{model}/stats", get(v2::statistics))
        .route("/v2/models/{model}/versions/{version}", get(v2::model))
        .route("/v2/models/{model}/versions/{version}/ready", get(v2::model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(v2::infer))
        .route("/v2/models/{model}/versions/{version}/generate", post(generate::whole))
        .route("/v2/models/{model}/versions/{version}/generate_stream", post(generate::pieces))
        .route("/v2/models/{model}/versions/{version}/config", get(v2::config))
        .route("/v2/models/{model}/versions/{version}/stats", get(v2::statistics))
        .route("/v2/repository/index", post(v2::index))
        .route("/v2/trace/setting", get(v2::no_trace).post(v2::no_trace))
        .route("/v2/models/{model}/trace/setting", get(v2::no_trace).post(v2::no_trace))
        .route("/v2/logging", get(v2::no_logging).post(v2::no_logging))
        .route("/v2/systemsharedmemory/{*rest}", get(v2::no_memory).post(v2::no_memory))
        .route("/v2/cudasharedmemory/{*rest}", get(v2::no_memory).post(v2::no_memory))
        .route("/predict/{model}", post(people::predict))
        .merge(loading().route_layer(from_fn_with_state(Arc::clone(&app), v2::may_control)))
        .route_layer(from_fn_with_state(Arc::clone(&app), admit));
    let open = Router::new().route("/", get(people::page)).merge(describe::pages());
    watched(guarded.merge(open), app)
}

/// What whoever runs the server may ask where nobody else comes: the models that there are, to load and to unload them.
fn control(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v2/repository/index", post(v2::index))
        .merge(loading())
        .route_layer(from_fn_with_state(Arc::clone(&app), admit));
    watched(guarded, app)
}

fn loading() -> Router<Arc<App>> {
    Router::new()
        .route("/v2/repository/models/{model}/load", post(v2::load))
        .route("/v2/repository/models/{model}/unload", post(v2::unload))
}

/// These routes, health, and what is done whatever the path.
fn watched(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .route("/v2/health/live", get(v2::live))
        .route("/v2/health/ready", get(v2::ready))
        .fallback(async || ServeError::Nothing(false))
        .method_not_allowed_fallback(async || ServeError::Nothing(true))
        .layer(from_fn_with_state(Arc::clone(&app), watch))
        .with_state(app)
}

/// Gives each request a name, and tells the log and the metrics what came of it.
async fn watch(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = app.name(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_http1 = request.version() < Version::HTTP_2;
    let trace = request.headers().get("traceparent").cloned();
    // Who asks every second whether the server is well leaves no trace.
    let tracer = app.tracer.as_ref().filter(|_| !path.starts_with("/v2/health/"));
    let traced = tracer.and_then(|tracer| {
        let route = request.extensions().get::<MatchedPath>().map_or("?", MatchedPath::as_str);
        tracer.begin(format!("{method} {route}"), trace.as_ref().and_then(|trace| trace.to_str().ok()))
    });
    if let Some(traced) = &traced {
        traced.say("http.request.method", method.as_str());
        traced.say("url.path", path.as_str());
        request.extensions_mut().insert(traced.clone());
    }
    let mut response = next.run(request).await;
    let status = response.status();
    let fault = response.extensions().get::<Fault>().map(|fault| fault.0.clone());
    if let Some(error) = &fault {
        app.engine.metrics().rejected(error.reason());
    }
    if let Some(traced) = &traced {
        traced.say("http.response.status_code", u64::from(status.as_u16()));
        traced.say("homeostat.request", id.to_str().unwrap_or_default());
        if status.is_server_error() {
            traced.fail(&fault.as_ref().map(ToString::to_string).unwrap_or_default());
        }
    }
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (id_text, trace) = (id.to_str().unwrap_or_default(), trace.as_ref().and_then(|trace| trace.to_str().ok()));
    let error = fault.map(|fault| fault.to_string());
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(request = id_text, trace, %method, path, status = status.as_u16(), micros, error, "failed");
    } else {
        tracing::debug!(request = id_text, trace, %method, path, status = status.as_u16(), micros, error, "answered");
    }
    response.headers_mut().insert(REQUEST_ID, id);
    if is_http1 && app.engine.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Lets in who may ask, as often as he may, as long as not too many are in.
async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl App {
    fn new(engine: Arc<Engine>, options: HttpOptions) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(options.memory),
            tracer: options.traces.as_ref().map(|to| Tracer::start(to, engine.metrics().dropped_spans())),
            buckets: options.rate.map(Buckets::new),
            requests: AtomicU64::new(0),
            prefix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            engine,
            options,
        })
    }

    fn name(&self, headers: &HeaderMap) -> HeaderValue {
        let is_fit =
            |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
        headers.get(REQUEST_ID).filter(is_fit).cloned().unwrap_or_else(|| {
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let mut name = String::with_capacity(24);
            // Writing to a string does not fail.
            let _ = write!(name, "{:x}-{number:x}", self.prefix);
            HeaderValue::from_str(&name).unwrap_or_else(|_| HeaderValue::from_static("request"))
        })
    }

    pub(crate) fn admit(&self, request: &Request) -> Result<(), ServeError> {
        let holder = match &self.options.keys {
            None => None,
            Some(keys) => {
                let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                Some(bearer(header).and_then(|key| keys.holder(key)).ok_or(ServeError::Unauthorized)?)
            }
        };
        if let Some(buckets) = &self.buckets {
            let address =
                request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
            let caller = holder.map(Caller::Holder).or(address.map(Caller::Address)).unwrap_or(Caller::Unknown);
            buckets.take(caller, Instant::now())?;
        }
        if usize::try_from(self.engine.in_flight()).is_ok_and(|taken| taken >= self.options.in_flight) {
            return Err(ServeError::Overloaded { reason: "too much is asked at once", after: Duration::from_secs(1) });
        }
        Ok(())
    }
}

/// The error behind a response, for the log and the metrics.
#[derive(Clone, Debug)]
struct Fault(ServeError);

impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, json(&serde_json::json!({ "error": self.to_string() }))).into_response();
        match &self {
            Self::Overloaded { after, .. } => {
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
            }
            Self::Unauthorized => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is not read, so that nothing can follow on this connection.
            Self::TooLarge { .. } | Self::Slow(_) => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Fault(self));
        response
    }
}

/// A body of JSON.
fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], Body::from(text)).into_response(),
        Err(error) => ServeError::Failed(format!("the answer cannot be written: {error}")).into_response(),
    }
}
