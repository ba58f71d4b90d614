//! Sockets, and a life from the first connection to the last answer. It does not know what is asked.
//!
//! The end: not ready at once, so that who shares out requests goes elsewhere; for a while all is answered as before, each answer
//! with the wish to close the connection; then nothing new is accepted, what was taken is answered, and only then it is over.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{Request, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tower::ServiceExt;

use crate::{Engine, HttpOptions, ServeError, Tls, apps};

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where clients come.
    pub http: SocketAddr,
    /// Where clients of gRPC come; nowhere where there is nothing.
    pub grpc: Option<SocketAddr>,
    /// Where Prometheus comes; nowhere where there is nothing.
    pub metrics: Option<SocketAddr>,
    /// Where whoever runs the server comes to load and unload models; nowhere where there is nothing.
    pub control: Option<SocketAddr>,
    /// What is shown to clients to encrypt connections.
    pub tls: Option<Tls>,
    /// How requests are taken in.
    pub requests: HttpOptions,
    /// The most connections.
    pub connections: usize,
    /// How long the head of a request may take to arrive, also between two requests of one connection.
    pub head_time: Duration,
    /// How long all is answered as before once the end has begun.
    pub pre_stop: Duration,
    /// How long what was taken may take to be answered after that.
    pub drain: Duration,
    /// How often models and keys are looked at for changes; never where there is nothing.
    pub poll: Option<Duration>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8000)),
            grpc: Some(SocketAddr::from(([127, 0, 0, 1], 8001))),
            metrics: Some(SocketAddr::from(([127, 0, 0, 1], 8002))),
            control: None,
            tls: None,
            requests: HttpOptions::default(),
            connections: 10_000,
            head_time: Duration::from_secs(75),
            pre_stop: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            poll: None,
        }
    }
}

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address} (--{option}): {source}{}", how_to_mend(.source))]
    Listen {
        /// What it was for: `http`, `grpc`, `metrics` or `control`.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A model is not served.
    #[error(transparent)]
    Model(#[from] ServeError),
    /// A repository has nothing to serve, and nothing can come later.
    #[error(
        "nothing can be served: {0} (a model lies at MODEL/1/; what is put there later is loaded with --poll, --control or \
         --allow-control)"
    )]
    Nothing(String),
}

fn how_to_mend(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => "; another program has it: choose another port",
        _ => "",
    }
}

/// Where a server listens; nowhere where there is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Where clients come.
    pub http: SocketAddr,
    /// Where clients of gRPC come.
    pub grpc: Option<SocketAddr>,
    /// Where Prometheus comes.
    pub metrics: Option<SocketAddr>,
    /// Where models are loaded and unloaded.
    pub control: Option<SocketAddr>,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    engine: Arc<Engine>,
    options: ServerOptions,
    http: TcpListener,
    grpc: Option<TcpListener>,
    metrics: Option<TcpListener>,
    control: Option<TcpListener>,
}

impl Server {
    /// Listens; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub async fn bind(engine: Arc<Engine>, options: ServerOptions) -> Result<Self, ServerError> {
        let http = listen("http", options.http).await?;
        let grpc = listen_at("grpc", options.grpc).await?;
        let metrics = listen_at("metrics", options.metrics).await?;
        let control = listen_at("control", options.control).await?;
        Ok(Self { engine, options, http, grpc, metrics, control })
    }

    /// Where it listens, as asked for but for ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let of = |listener: &Option<TcpListener>| listener.as_ref()?.local_addr().ok();
        Addresses {
            http: self.http.local_addr().unwrap_or(self.options.http),
            grpc: of(&self.grpc),
            metrics: of(&self.metrics),
            control: of(&self.control),
        }
    }

    /// Answers until `stop` is ready, and then until all is answered that was taken.
    ///
    /// Connections are answered from the beginning; models are loaded meanwhile, and `is_strict` ends it where one of them cannot be.
    /// `listening` is called once they are loaded.
    ///
    /// # Errors
    /// [`ServerError::Model`], where it is strict; [`ServerError::Nothing`], where it is not.
    pub async fn run(
        self,
        is_strict: bool,
        listening: impl FnOnce(Addresses),
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let addresses = self.addresses();
        let Self { engine, options, http, grpc, metrics, control } = self;
        let apps = apps(Arc::clone(&engine), options.requests.clone())?;
        let of_traces = apps.clone();
        let (close, closing) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let room = Arc::new(Semaphore::new(options.connections.clamp(1, Semaphore::MAX_PERMITS)));
        // Who loads models never waits behind clients for a connection.
        let few = Arc::new(Semaphore::new(FEW));
        let doors = [(Some(http), apps.http, &room), (grpc, apps.grpc, &room), (control, apps.control, &few)];
        for (listener, service, room) in doors {
            let Some(listener) = listener else { continue };
            let tls = options.tls.clone();
            let door = Door { engine: Arc::clone(&engine), service, tls, head_time: options.head_time };
            tasks.spawn(door.accept(listener, Arc::clone(room), closing.clone(), options.drain));
        }
        if let Some(listener) = metrics {
            let service = Router::new().route("/metrics", get(metrics_text)).with_state(Arc::clone(&engine));
            let door = Door { engine: Arc::clone(&engine), service, tls: None, head_time: options.head_time };
            tasks.spawn(door.accept(listener, Arc::new(Semaphore::new(FEW)), closing, Duration::from_secs(1)));
        }
        let poll = tokio::spawn(look_again(Arc::clone(&engine), options.poll, options.requests.keys.clone()));
        let control = tokio::spawn(turn_again(Arc::clone(&engine)));
        let result = {
            let mut stop = std::pin::pin!(stop);
            tokio::select! {
                loaded = load_first(&engine, is_strict, &options) => match loaded {
                    Err(error) => Err(error),
                    Ok(()) => {
                        listening(addresses);
                        stop.await;
                        Ok(())
                    }
                },
                () = &mut stop => Ok(()),
            }
        };
        poll.abort();
        control.abort();
        engine.begin_drain();
        if result.is_ok() {
            tracing::info!(seconds = options.pre_stop.as_secs_f64(), "stopping: not ready any more");
            tokio::time::sleep(options.pre_stop).await;
        }
        // Nobody listens where the tasks have ended already.
        let _ = close.send(true);
        while tasks.join_next().await.is_some() {}
        of_traces.flush().await;
        tracing::info!("stopped: all that was taken is answered");
        result
    }
}

async fn listen(option: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { option, address, source })
}

async fn listen_at(option: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, ServerError> {
    match address {
        Some(address) => listen(option, address).await.map(Some),
        None => Ok(None),
    }
}

/// Loads all models for the first time. What cannot be loaded ends the server where it is strict, or where nothing else answers and
/// nothing can come later; otherwise it stands in the log.
async fn load_first(engine: &Arc<Engine>, is_strict: bool, options: &ServerOptions) -> Result<(), ServerError> {
    if is_strict {
        return Ok(engine.refresh().await?);
    }
    let troubles = engine.look().await;
    let can_come = options.poll.is_some() || options.control.is_some() || options.requests.allow_control;
    if !can_come && !engine.has_any() {
        let none = || "there is no model in the repository".to_owned();
        return Err(ServerError::Nothing(troubles.first().map_or_else(none, ToString::to_string)));
    }
    tell(troubles, &mut Vec::new());
    Ok(())
}

/// Tells what could not be loaded, unless it was told when it was looked before.
fn tell(troubles: Vec<ServeError>, told: &mut Vec<ServeError>) {
    troubles.iter().filter(|error| !told.contains(error)).for_each(ServeError::log_not_loaded);
    *told = troubles;
}

/// The most connections where only a few come.
const FEW: usize = 64;

/// How long controllers measure before they decide.
const INTERVAL: Duration = Duration::from_millis(250);

/// Lets controllers decide and asks after ill models, again and again.
async fn turn_again(engine: Arc<Engine>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        engine.turn();
    }
}

/// Loads what has changed, again and again.
async fn look_again(engine: Arc<Engine>, every: Option<Duration>, keys: Option<Arc<crate::Keys>>) {
    let Some(every) = every else { return };
    let mut told = Vec::new();
    loop {
        tokio::time::sleep(every).await;
        tell(engine.look().await, &mut told);
        if let Some(keys) = &keys
            && let Err(problem) = keys.refresh()
        {
            tracing::error!(problem, "the keys stay as they are");
        }
    }
}

async fn metrics_text(State(engine): State<Arc<Engine>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], engine.metrics_text()).into_response()
}

/// What a listener leads to.
#[derive(Clone)]
struct Door {
    engine: Arc<Engine>,
    service: Router,
    tls: Option<Tls>,
    head_time: Duration,
}

impl Door {
    /// Accepts until it is time to close, and then waits for the connections that are open.
    async fn accept(
        self,
        listener: TcpListener,
        room: Arc<Semaphore>,
        mut closing: watch::Receiver<bool>,
        drain: Duration,
    ) {
        let graceful = GracefulShutdown::new();
        loop {
            // A connection beyond the most waits in the system's queue.
            let permit = tokio::select! {
                permit = Arc::clone(&room).acquire_owned() => permit,
                _ = closing.changed() => break,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = closing.changed() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.spawn(Guest { stream, peer, closing: closing.clone() }, permit, graceful.watcher());
                }
                Err(error) => {
                    // Too many open files, or a client that has gone already: others go on.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        // Who has come before the end is answered, too.
        while let Ok(Ok((stream, peer))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { break };
            self.spawn(Guest { stream, peer, closing: closing.clone() }, permit, graceful.watcher());
        }
        drop(listener);
        if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!(seconds = drain.as_secs_f64(), "connections were still open at the end");
        }
    }

    fn spawn(&self, guest: Guest, permit: OwnedSemaphorePermit, watcher: Watcher) {
        let door = self.clone();
        tokio::spawn(async move {
            let Guest { stream, peer, closing } = guest;
            let _connection = door.engine.metrics().connection();
            // Small answers go out at once.
            let _ = stream.set_nodelay(true);
            let talked = match &door.tls {
                None => door.plain(Guest { stream, peer, closing }, watcher).await,
                Some(tls) => door.encrypted(tls, Guest { stream, peer, closing }, watcher).await,
            };
            if let Err(reason) = talked {
                tracing::debug!(%peer, reason, "a connection ended early");
            }
            drop(permit);
        });
    }

    async fn plain(&self, guest: Guest, watcher: Watcher) -> Result<(), String> {
        let Guest { stream, peer, closing } = guest;
        let begins = self.in_time(closing, begins_with_http2(&stream)).await;
        let is_http2 = begins.ok_or("it said nothing")?.map_err(|error| error.to_string())?;
        self.serve(stream, peer, is_http2, watcher).await
    }

    async fn encrypted(&self, tls: &Tls, guest: Guest, watcher: Watcher) -> Result<(), String> {
        let Guest { stream, peer, closing } = guest;
        let handshake = self.in_time(closing, tls.acceptor().accept(stream)).await;
        let stream = handshake.ok_or("no handshake")?.map_err(|error| error.to_string())?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.serve(stream, peer, is_http2, watcher).await
    }

    /// What a guest does first; nothing where that takes too long, or the end has come and he still does nothing.
    async fn in_time<T>(&self, mut closing: watch::Receiver<bool>, first: impl Future<Output = T>) -> Option<T> {
        let end = async {
            // A sender that is gone has closed, too.
            let _ = closing.wait_for(|is_closing| *is_closing).await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            first = first => Some(first),
            () = tokio::time::sleep(self.head_time) => None,
            () = end => None,
        }
    }

    async fn serve<S>(&self, stream: S, peer: SocketAddr, is_http2: bool, watcher: Watcher) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let io = TokioIo::new(stream);
        let ended = if is_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(256).max_header_list_size(32 << 10);
            builder.keep_alive_interval(self.head_time);
            watcher.watch(builder.serve_connection(io, service)).await
        } else {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(self.head_time);
            watcher.watch(builder.serve_connection(io, service)).await
        };
        ended.map_err(|error| error.to_string())
    }
}

/// A connection that was accepted.
struct Guest {
    stream: TcpStream,
    peer: SocketAddr,
    closing: watch::Receiver<bool>,
}

/// How long a connection may take, at the end, to say its first word.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Whether the first bytes of a connection are those of HTTP/2; they are left where they are.
async fn begins_with_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut first = [0; 3];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || count == PREFACE.len() || !PREFACE.starts_with(&first[..count]) {
            return Ok(count == PREFACE.len() && first == PREFACE);
        }
        // There is no waiting for more than there is: it is looked again.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How often is looked whether it is time to stop.
const GLANCE: Duration = Duration::from_millis(20);

/// Serves on a runtime of its own until `stop` is set, and then until all is answered that was taken. Blocks.
///
/// # Errors
/// [`ServerError`]; it cannot listen, `is_strict` and a model cannot be loaded, or there is nothing to serve.
pub fn serve(
    engine: Arc<Engine>,
    options: ServerOptions,
    is_strict: bool,
    listening: impl FnOnce(Addresses),
    stop: &AtomicBool,
) -> Result<(), ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build();
    let runtime = runtime.map_err(|source| ServerError::Listen { option: "http", address: options.http, source })?;
    let result = runtime.block_on(async {
        let server = Server::bind(engine, options).await?;
        let stopped = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(GLANCE).await;
            }
        };
        server.run(is_strict, listening, stopped).await
    });
    // A model that is still being loaded need not be waited for.
    runtime.shutdown_background();
    result
}
