//! What Prometheus is told. It does not know who serves it, nor what a request was about.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use homeostat_deploy::{Answer, Finished, Outcome, WritersLevel};
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

/// Times in seconds: three a decade, from a tenth of a millisecond to half a minute.
const SECONDS: &[f64] =
    &[1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 2.5e-1, 5e-1, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Times of whole texts in seconds.
const LONG_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];
/// Rows of a batch.
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How far two probabilities are apart.
const DIFFERENCES: &[f64] = &[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// All figures of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    phases: HistogramVec,
    rows: HistogramVec,
    rejections: IntCounterVec,
    in_flight: IntGauge,
    queue: IntGaugeVec,
    queue_limit: IntGaugeVec,
    wait: GaugeVec,
    ready: IntGaugeVec,
    replaced: IntCounterVec,
    reloads: IntCounterVec,
    shadow: IntCounterVec,
    shadow_difference: HistogramVec,
    shadow_duration: HistogramVec,
    tokens: IntCounterVec,
    generation: HistogramVec,
    first_piece: HistogramVec,
    generations: IntGaugeVec,
    generations_waiting: IntGaugeVec,
    dropped_spans: IntCounter,
    is_ready: IntGauge,
    connections: IntGauge,
    memory: IntGauge,
    descriptors: IntGauge,
    cpu: prometheus::Counter,
}

/// The figures of one version of a model, found once.
#[derive(Debug)]
pub(crate) struct VersionMetrics {
    pub(crate) succeeded: IntCounter,
    pub(crate) failed: IntCounter,
    duration: Histogram,
    phases: [Histogram; 4],
    rows: Histogram,
    shadow: [IntCounter; 3],
    shadow_difference: Histogram,
    shadow_duration: Histogram,
    /// By reason: panic, stuck.
    replaced: [Replaced; 2],
}

/// Instances that were replaced. They are counted where they are, anew for each version that is opened; here by what was added.
#[derive(Debug)]
struct Replaced {
    counter: IntCounter,
    told: AtomicU64,
}

/// The figures of the texts that a version writes, found once.
#[derive(Debug)]
pub(crate) struct WriterMetrics {
    succeeded: IntCounter,
    failed: IntCounter,
    tokens: IntCounter,
    whole: Histogram,
    first: Histogram,
}

/// What came of asking a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shadowed {
    Agrees,
    Differs,
    Failed,
}

/// Counts a request as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let of_version = &["model", "version"];
        let build = kept(
            &registry,
            IntGaugeVec::new(Opts::new("homeostat_build_info", "The version of Homeostat, as a label."), &["version"]),
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let started = kept(
            &registry,
            IntGauge::new("process_start_time_seconds", "When the process was started, in seconds since 1970."),
        );
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        started.set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        Self {
            requests: counters(
                &registry,
                "homeostat_requests_total",
                "Requests that a model answered (success) or failed on (error).",
                &["model", "version", "outcome"],
            ),
            duration: histograms(
                &registry,
                "homeostat_request_duration_seconds",
                "From the arrival of a request at its model to its answer.",
                of_version,
                SECONDS,
            ),
            phases: histograms(
                &registry,
                "homeostat_phase_duration_seconds",
                "What a request spent in each phase: queue, prepare, compute, respond.",
                &["model", "version", "phase"],
                SECONDS,
            ),
            rows: histograms(
                &registry,
                "homeostat_batch_rows",
                "Samples that were computed together, seen from each request.",
                of_version,
                ROWS,
            ),
            rejections: counters(
                &registry,
                "homeostat_rejections_total",
                "Requests that were refused, by the reason.",
                &["reason"],
            ),
            in_flight: kept(
                &registry,
                IntGauge::new("homeostat_in_flight_requests", "Requests that were taken and not yet answered."),
            ),
            queue: gauges(&registry, "homeostat_queue_requests", "Requests that wait for an instance.", of_version),
            queue_limit: gauges(
                &registry,
                "homeostat_queue_limit_requests",
                "The most requests that may wait.",
                of_version,
            ),
            wait: kept(
                &registry,
                GaugeVec::new(
                    Opts::new("homeostat_longest_wait_seconds", "How long a request may wait for others."),
                    of_version,
                ),
            ),
            ready: gauges(&registry, "homeostat_model_ready", "1 for a version that answers.", of_version),
            replaced: counters(
                &registry,
                "homeostat_instances_replaced_total",
                "Instances that were replaced, by the reason: panic or stuck.",
                &["model", "version", "reason"],
            ),
            reloads: counters(
                &registry,
                "homeostat_reloads_total",
                "Versions that were loaded (success) or could not be (failure).",
                &["model", "result"],
            ),
            shadow: counters(
                &registry,
                "homeostat_shadow_requests_total",
                "Requests that a shadow version was asked too, by what came of it: agrees, differs, failed.",
                &["model", "version", "result"],
            ),
            shadow_difference: histograms(
                &registry,
                "homeostat_shadow_difference",
                "The largest difference between an output of the shadow and the answer that was given.",
                of_version,
                DIFFERENCES,
            ),
            shadow_duration: histograms(
                &registry,
                "homeostat_shadow_duration_seconds",
                "From the asking of a shadow to its answer.",
                of_version,
                SECONDS,
            ),
            tokens: counters(
                &registry,
                "homeostat_generated_tokens_total",
                "Tokens that were written, also of texts that were broken off.",
                of_version,
            ),
            generation: histograms(
                &registry,
                "homeostat_generation_duration_seconds",
                "From the arrival of a request for a text to the text's end.",
                of_version,
                LONG_SECONDS,
            ),
            first_piece: histograms(
                &registry,
                "homeostat_generation_first_piece_seconds",
                "From the arrival of a request for a text to the text's first piece.",
                of_version,
                LONG_SECONDS,
            ),
            generations: gauges(
                &registry,
                "homeostat_generations_in_progress",
                "Texts that are being written.",
                of_version,
            ),
            generations_waiting: gauges(
                &registry,
                "homeostat_generations_waiting",
                "Texts that wait to be begun.",
                of_version,
            ),
            dropped_spans: kept(
                &registry,
                IntCounter::new("homeostat_dropped_spans_total", "Spans of traces that the collector did not take."),
            ),
            is_ready: kept(
                &registry,
                IntGauge::new("homeostat_ready", "1 as long as the server takes requests for all its models."),
            ),
            connections: kept(&registry, IntGauge::new("homeostat_open_connections", "Connections that are open.")),
            memory: kept(
                &registry,
                IntGauge::new("process_resident_memory_bytes", "Memory of the process that is resident, in bytes."),
            ),
            descriptors: kept(&registry, IntGauge::new("process_open_fds", "File descriptors that are open.")),
            cpu: kept(
                &registry,
                prometheus::Counter::new("process_cpu_seconds_total", "Processor time of the process, in seconds."),
            ),
            registry,
        }
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        self.look_at_process();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Where the system tells it, as Linux does.
    fn look_at_process(&self) {
        let page = 4096;
        let resident = std::fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<i64>().ok());
        if let Some(pages) = resident {
            self.memory.set(pages.saturating_mul(page));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            self.descriptors.set(i64::try_from(open.count()).unwrap_or(i64::MAX));
        }
        // After the name, which may hold spaces: fields 14 and 15 are the ticks in user and system mode, a hundred a second.
        let ticks = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| {
            let fields = text.rsplit_once(')')?.1;
            let ticks: Vec<f64> =
                fields.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
            Some(ticks.iter().sum::<f64>() / 100.0)
        });
        if let Some(seconds) = ticks {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
    }

    pub(crate) fn version(&self, model: &str, version: &str) -> VersionMetrics {
        let of = [model, version];
        let phase = |phase| self.phases.with_label_values(&[model, version, phase]);
        let shadow = |result| self.shadow.with_label_values(&[model, version, result]);
        VersionMetrics {
            succeeded: self.requests.with_label_values(&[model, version, "success"]),
            failed: self.requests.with_label_values(&[model, version, "error"]),
            duration: self.duration.with_label_values(&of),
            phases: [phase("queue"), phase("prepare"), phase("compute"), phase("respond")],
            rows: self.rows.with_label_values(&of),
            shadow: [shadow("agrees"), shadow("differs"), shadow("failed")],
            shadow_difference: self.shadow_difference.with_label_values(&of),
            shadow_duration: self.shadow_duration.with_label_values(&of),
            replaced: ["panic", "stuck"].map(|reason| Replaced {
                counter: self.replaced.with_label_values(&[model, version, reason]),
                told: AtomicU64::new(0),
            }),
        }
    }

    pub(crate) fn writers(&self, model: &str, version: &str) -> WriterMetrics {
        let of = [model, version];
        WriterMetrics {
            succeeded: self.requests.with_label_values(&[model, version, "success"]),
            failed: self.requests.with_label_values(&[model, version, "error"]),
            tokens: self.tokens.with_label_values(&of),
            whole: self.generation.with_label_values(&of),
            first: self.first_piece.with_label_values(&of),
        }
    }

    pub(crate) fn dropped_spans(&self) -> IntCounter {
        self.dropped_spans.clone()
    }

    pub(crate) fn rejected(&self, reason: &str) {
        self.rejections.with_label_values(&[reason]).inc();
    }

    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    pub(crate) fn connection(&self) -> InFlight {
        self.connections.inc();
        InFlight(self.connections.clone())
    }

    pub(crate) fn reloaded(&self, model: &str, is_well: bool) {
        self.reloads.with_label_values(&[model, if is_well { "success" } else { "failure" }]).inc();
    }

    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.is_ready.set(is_ready.into());
    }

    pub(crate) fn set_version(&self, model: &str, version: &str, state: VersionState) {
        let of = [model, version];
        self.ready.with_label_values(&of).set(state.is_ready.into());
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.queue.with_label_values(&of).set(number(state.waiting));
        self.queue_limit.with_label_values(&of).set(number(state.limit));
        self.wait.with_label_values(&of).set(state.wait.as_secs_f64());
        if let Some(WritersLevel { busy, waiting }) = state.writers {
            self.generations.with_label_values(&of).set(number(busy));
            self.generations_waiting.with_label_values(&of).set(number(waiting));
        }
    }

    /// Forgets the gauges of a version that is gone; its counters stay.
    pub(crate) fn forget(&self, model: &str, version: &str) {
        let _ = self.wait.remove_label_values(&[model, version]);
        let of_queues = [&self.ready, &self.queue, &self.queue_limit];
        for gauges in of_queues.into_iter().chain([&self.generations, &self.generations_waiting]) {
            // It may never have had one.
            let _ = gauges.remove_label_values(&[model, version]);
        }
    }
}

/// What is read off a version when Prometheus asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionState {
    pub(crate) is_ready: bool,
    pub(crate) waiting: usize,
    pub(crate) limit: usize,
    pub(crate) wait: Duration,
    /// Nothing where it writes no texts.
    pub(crate) writers: Option<WritersLevel>,
}

impl VersionMetrics {
    pub(crate) fn answered(&self, begun: Instant, answer: &Answer) {
        self.succeeded.inc();
        self.duration.observe(begun.elapsed().as_secs_f64());
        let times = [answer.queue, answer.phases.prepare, answer.phases.compute, answer.phases.respond];
        for (histogram, time) in self.phases.iter().zip(times) {
            histogram.observe(time.as_secs_f64());
        }
        self.rows.observe(answer.batch as f64);
    }

    /// Tells how many instances were replaced so far.
    pub(crate) fn replaced(&self, panics: u64, stuck: u64) {
        for (Replaced { counter, told }, count) in self.replaced.iter().zip([panics, stuck]) {
            counter.inc_by(count.saturating_sub(told.fetch_max(count, Ordering::Relaxed)));
        }
    }

    pub(crate) fn shadowed(&self, result: Shadowed, difference: Option<f64>, took: Duration) {
        self.shadow[result as usize].inc();
        self.shadow_duration.observe(took.as_secs_f64());
        if let Some(difference) = difference {
            self.shadow_difference.observe(difference);
        }
    }
}

impl WriterMetrics {
    pub(crate) fn finished(&self, finished: &Finished) {
        self.tokens.inc_by(finished.tokens as u64);
        if let Some(first) = finished.first {
            self.first.observe(first.as_secs_f64());
        }
        match finished.outcome {
            Outcome::Written => {
                self.succeeded.inc();
                self.whole.observe(finished.whole.as_secs_f64());
            }
            Outcome::Failed => self.failed.inc(),
            // As with other requests: who has gone is neither answered nor failed.
            Outcome::Abandoned => {}
        }
    }
}

/// Names and labels are ours, so that none of them is refused.
fn kept<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.unwrap_or_else(|error| panic!("a metric of ours is wrong: {error}"));
    if let Err(error) = registry.register(Box::new(collector.clone())) {
        panic!("a metric of ours is there twice: {error}");
    }
    collector
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    kept(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    kept(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    kept(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}
