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
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A model is not served.
    #[error(transparent)]
    Model(#[from] ServeError),
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
        let http = listen(options.http).await?;
        let (grpc, metrics) = (listen_at(options.grpc).await?, listen_at(options.metrics).await?);
        let control = listen_at(options.control).await?;
        Ok(Self { engine, options, http, grpc, metrics, control })
    }

    /// Where clients come.
    ///
    /// # Errors
    /// The system does not say.
    pub fn http_address(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// Where clients of gRPC come.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref()?.local_addr().ok()
    }

    /// Where Prometheus comes.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Where models are loaded and unloaded.
    #[must_use]
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control.as_ref()?.local_addr().ok()
    }

    /// Answers until `stop` is ready, and then until all is answered that was taken.
    ///
    /// Connections are answered from the beginning; models are loaded meanwhile, and `is_strict` ends it where one of them cannot be.
    ///
    /// # Errors
    /// [`ServerError::Model`], where it is strict.
    pub async fn run(self, is_strict: bool, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
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
                loaded = engine.refresh() => match loaded {
                    Err(error) if is_strict => Err(error.into()),
                    _ => {
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

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

async fn listen_at(address: Option<SocketAddr>) -> Result<Option<TcpListener>, ServerError> {
    match address {
        Some(address) => listen(address).await.map(Some),
        None => Ok(None),
    }
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
    loop {
        tokio::time::sleep(every).await;
        // What could not be loaded stands in the log already.
        let _ = engine.refresh().await;
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
/// [`ServerError`]; it cannot listen, or `is_strict` and a model cannot be loaded.
pub fn serve(
    engine: Arc<Engine>,
    options: ServerOptions,
    is_strict: bool,
    listening: impl FnOnce(&Server),
    stop: &AtomicBool,
) -> Result<(), ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build();
    let runtime = runtime.map_err(|source| ServerError::Listen { address: options.http, source })?;
    let result = runtime.block_on(async {
        let server = Server::bind(engine, options).await?;
        listening(&server);
        let stopped = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(GLANCE).await;
            }
        };
        server.run(is_strict, stopped).await
    });
    // A model that is still being loaded need not be waited for.
    runtime.shutdown_background();
    result
}
