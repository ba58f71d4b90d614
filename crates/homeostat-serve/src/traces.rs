//! Traces of requests, by OpenTelemetry: a span for each request, below it one for each phase, under the trace that the caller's
//! `traceparent` (W3C Trace Context) names. A collector gets them; where it does not keep up, spans are dropped and counted, and no
//! request waits. It does not know what is asked.

mod context;
mod export;
mod otlp;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use homeostat_deploy::{Finished, Phases};
use tokio::sync::{mpsc, oneshot};

pub use export::{Collector, CollectorError};

use crate::{engine::Spent, loaded::Loaded};
use context::Context;
use export::Parcel;
use otlp::{INTERNAL, SERVER, Span};

/// Requests whose spans wait to be sent; beyond, they are dropped.
const MOST_WAITING: usize = 4096;

/// Takes spans, and sends them to a collector in the background.
#[derive(Clone, Debug)]
pub(crate) struct Tracer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: mpsc::Sender<Parcel>,
    numbers: Numbers,
    /// The two clocks at one moment: instants become times of day.
    epoch: (Instant, SystemTime),
    dropped: prometheus::IntCounter,
}

impl Tracer {
    /// Begins to send; must be called within a runtime.
    pub(crate) fn start(collector: &Collector, dropped: prometheus::IntCounter) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(export::send(collector.clone(), receiver, dropped.clone()));
        let epoch = (Instant::now(), SystemTime::now());
        Self(Arc::new(Inner { sender, numbers: Numbers::default(), epoch, dropped }))
    }

    /// Begins the span of a request, under its caller's if he names one by `traceparent`. Nothing where the caller has decided that
    /// this trace is not kept.
    pub(crate) fn begin(&self, name: String, traceparent: Option<&str>) -> Option<Traced> {
        let parent = traceparent.and_then(Context::parse);
        if parent.as_ref().is_some_and(|parent| !parent.is_sampled) {
            return None;
        }
        let numbers = &self.0.numbers;
        let trace =
            parent.as_ref().map_or_else(|| [numbers.next(), numbers.next()].concat(), |parent| parent.trace.to_vec());
        let span = Span {
            trace_id: trace,
            span_id: numbers.next().to_vec(),
            parent_span_id: parent.map(|parent| parent.span.to_vec()).unwrap_or_default(),
            name,
            kind: SERVER,
            flags: SAMPLED,
            ..Span::default()
        };
        let state = Mutex::new(State { span, phases: Vec::new() });
        Some(Traced(Arc::new(Request { tracer: self.clone(), begun: Instant::now(), state })))
    }

    /// Sends all that was taken so far; gives up after a while.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let flushed = async {
            if self.0.sender.send(Parcel::Flush(done)).await.is_ok() {
                // Where the task has ended, there is nothing to wait for.
                let _ = wait.await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, flushed).await.is_err() {
            tracing::warn!("the collector of traces did not take the last ones");
        }
    }

    /// Nanoseconds since 1970.
    fn nanos(&self, when: Instant) -> u64 {
        let (instant, time) = self.0.epoch;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanos = (since + when.saturating_duration_since(instant)).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// How long the last spans may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// The flag of a trace that is kept.
const SAMPLED: u32 = 1;

/// The span of a request that is being answered. It ends when the last copy is dropped: with the answer, or with its last piece.
#[derive(Clone, Debug)]
pub(crate) struct Traced(Arc<Request>);

struct Request {
    tracer: Tracer,
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    span: Span,
    phases: Vec<Span>,
}

impl Traced {
    /// Says something of the request.
    pub(crate) fn say(&self, name: &str, value: impl Into<otlp::Said>) {
        self.with(|state| state.span.attributes.push(otlp::said(name, value.into())));
    }

    /// The request failed by the server's fault.
    pub(crate) fn fail(&self, why: &str) {
        self.with(|state| state.span.status = Some(otlp::error(why)));
    }

    /// Who answered, and a span for each phase.
    pub(crate) fn answered(&self, spent: &Spent) {
        let Spent { by, since, queue, phases, batch } = spent;
        let Phases { prepare, compute, respond } = *phases;
        self.by(by);
        self.say("homeostat.batch", *batch as u64);
        self.phases(*since, &[("queue", *queue), ("prepare", prepare), ("compute", compute), ("respond", respond)]);
    }

    /// Who wrote, and a span for each phase.
    pub(crate) fn written(&self, by: &Loaded, since: Instant, finished: &Finished) {
        let Finished { tokens, queue, prepare, work, .. } = *finished;
        self.by(by);
        self.say("homeostat.tokens", tokens as u64);
        let compute = work.saturating_sub(prepare);
        self.phases(since, &[("queue", queue), ("prepare", prepare), ("compute", compute)]);
    }

    fn by(&self, loaded: &Loaded) {
        self.say("homeostat.model", loaded.model.as_str());
        self.say("homeostat.version", loaded.version.to_string());
    }

    /// Phases, one behind the other.
    fn phases(&self, mut begun: Instant, phases: &[(&str, Duration)]) {
        for &(name, took) in phases {
            self.phase(name, begun, took);
            begun += took;
        }
    }

    fn phase(&self, name: &str, begun: Instant, took: Duration) {
        let tracer = &self.0.tracer;
        let (begun, ended) = (tracer.nanos(begun), tracer.nanos(begun + took));
        let span_id = tracer.0.numbers.next().to_vec();
        self.with(|state| {
            let phase = Span {
                trace_id: state.span.trace_id.clone(),
                parent_span_id: state.span.span_id.clone(),
                span_id,
                name: name.to_owned(),
                kind: INTERNAL,
                start_time_unix_nano: begun,
                end_time_unix_nano: ended,
                flags: SAMPLED,
                ..Span::default()
            };
            state.phases.push(phase);
        });
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut span = std::mem::take(&mut state.span);
        (span.start_time_unix_nano, span.end_time_unix_nano) =
            (self.tracer.nanos(self.begun), self.tracer.nanos(Instant::now()));
        let mut spans = vec![span];
        spans.append(&mut state.phases);
        let count = spans.len() as u64;
        if self.tracer.0.sender.try_send(Parcel::Spans(spans)).is_err() {
            self.tracer.0.dropped.inc_by(count);
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// Numbers that no other process has: counted from a start by chance, and mixed (Steele et al. 2014, `splitmix64`).
#[derive(Debug)]
struct Numbers(AtomicU64);

impl Default for Numbers {
    fn default() -> Self {
        // The standard library draws the keys of a hasher from the system.
        Self(AtomicU64::new(RandomState::new().hash_one(0_u8)))
    }
}

impl Numbers {
    fn next(&self) -> [u8; 8] {
        let at = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let z = (at ^ (at >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // All zeros would mean that there is none.
        (z ^ (z >> 31)).max(1).to_be_bytes()
    }
}
