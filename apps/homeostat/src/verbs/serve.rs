//! `homeostat serve`: artifacts answer requests over the network. How is in the crate `homeostat-serve`.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Write},
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use homeostat_artifact::Run;
use homeostat_control::{LatencyConfig, Pace};
use homeostat_deploy::{BatcherConfig, WritersConfig};
use homeostat_protocol::{Limits, VersionPolicy};
use homeostat_serve::{
    Addresses, CollectorError, Engine, HttpOptions, Keys, Opening, ServerOptions, Source, Tls, Traffic, parse_rate,
    serve,
};
use signal_hook::{consts::TERM_SIGNALS, iterator::Signals, low_level};

use super::Done;
use crate::cli::{Admission, Batching, Serve, Writing};

pub(crate) fn run(arguments: &Serve, threads: Option<u16>) -> anyhow::Result<Done> {
    let device = homeostat_device::open(arguments.device.parse()?)?;
    let batcher = batcher(&arguments.batching, &arguments.admission, threads)?;
    let latency = arguments.batching.target_p99.map(|millis| latency(millis, &batcher)).transpose()?;
    let writers = writers(&arguments.writing, &batcher);
    let most_rows = arguments.admission.samples as usize;
    let opening = Opening { device, batcher, writers, most_rows, latency, wrap: None };
    let engine = Engine::new(source(arguments)?, opening);
    let options = options(arguments)?;
    let stop = stop_by_signal()?;
    // A repository may be mended while it is served; a run that was named must be there.
    let is_strict = arguments.repository.is_none();
    serve(engine, options, is_strict, announce, &stop)?;
    Ok(Done::Well)
}

fn source(arguments: &Serve) -> anyhow::Result<Source> {
    let mut source = match &arguments.repository {
        Some(folder) => Source::repository(folder, policy(arguments.versions.as_deref().unwrap_or("latest"))?)?,
        None if arguments.versions.is_some() => bail!("--versions chooses among those of a --repository: leave it out"),
        None => Source::named(arguments.artifacts.iter().map(|word| named(word)).collect::<anyhow::Result<Vec<_>>>()?)?,
    };
    let mut traffic: BTreeMap<String, Traffic> = BTreeMap::new();
    for word in &arguments.canary {
        let wrong = || anyhow!("--canary {word}: give MODEL:VERSION=PERCENT, such as digits:2=10");
        let (of, percent) = word.rsplit_once('=').with_context(wrong)?;
        let (model, version) = model_and_version(of).with_context(wrong)?;
        let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent)).with_context(wrong)?;
        traffic.entry(model).or_default().canary = Some((version, percent));
    }
    for word in &arguments.shadow {
        let wrong = || anyhow!("--shadow {word}: give MODEL:VERSION, such as digits:2");
        let (model, version) = model_and_version(word).with_context(wrong)?;
        traffic.entry(model).or_default().shadow = Some(version);
    }
    for (model, traffic) in traffic {
        source = source.with_traffic(&model, traffic)?;
    }
    Ok(source)
}

fn model_and_version(word: &str) -> Option<(String, u64)> {
    let (model, version) = word.rsplit_once(':')?;
    Some((model.to_owned(), version.parse().ok().filter(|&version| version > 0)?))
}

/// A run with the name that it goes by.
fn named(word: &str) -> anyhow::Result<(String, PathBuf)> {
    match word.split_once('=') {
        Some((name, path)) => Ok((name.to_owned(), PathBuf::from(path))),
        None => Ok((name_of(Path::new(word))?, PathBuf::from(word))),
    }
}

/// A run goes by the name of its experiment, any other folder by its own.
fn name_of(path: &Path) -> anyhow::Result<String> {
    let whole = match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("{}: there is no such folder", path.display()),
        whole => whole.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let whole =
        if whole.ends_with("artifact") { whole.parent().map_or(whole.clone(), Path::to_path_buf) } else { whole };
    if let Ok(run) = Run::open(&whole) {
        return Ok(run.name());
    }
    let name = whole.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{}: name it, as in NAME={}", path.display(), path.display()))?.to_owned())
}

fn policy(word: &str) -> anyhow::Result<VersionPolicy> {
    let wrong = || anyhow!("--versions {word}: give latest, latest:N, all, or numbers such as 1,3");
    Ok(match word.split_once(':') {
        None if word == "latest" => VersionPolicy::Latest { num_versions: 1 },
        None if word == "all" => VersionPolicy::All {},
        Some(("latest", count)) => {
            VersionPolicy::Latest { num_versions: count.parse().ok().filter(|&count| count > 0).with_context(wrong)? }
        }
        _ => {
            let numbers: Result<Vec<i64>, _> = word.split(',').map(str::parse).collect();
            let versions = numbers.ok().filter(|numbers| numbers.iter().all(|&number| number > 0));
            VersionPolicy::Specific { versions: versions.with_context(wrong)? }
        }
    })
}

fn batcher(batching: &Batching, admission: &Admission, threads: Option<u16>) -> anyhow::Result<BatcherConfig> {
    let largest = batching.largest_batch;
    if let Some(wrong) = batching.preferred_batches.iter().find(|&&size| size == 0 || size > largest) {
        bail!("--preferred-batches: {wrong} is not within 1 to {largest} (--largest-batch)");
    }
    Ok(BatcherConfig {
        instances: batching.instances.into(),
        threads: threads.map_or(0, usize::from),
        largest_batch: largest.into(),
        preferred_batches: batching.preferred_batches.iter().copied().map(usize::from).collect(),
        longest_wait: Duration::from_micros(batching.longest_wait.into()),
        queue: admission.queue as usize,
        priorities: batching.priorities.into(),
        deadline: admission.deadline.map(|millis| Duration::from_millis(millis.into())),
        stuck_after: seconds("--stuck-after", admission.stuck_after, 0.001)?,
    })
}

/// Threads and times are those of what answers batches.
fn writers(writing: &Writing, batcher: &BatcherConfig) -> WritersConfig {
    WritersConfig {
        at_once: writing.texts.into(),
        threads: batcher.threads,
        queue: writing.texts_queue.into(),
        most_tokens: writing.tokens as usize,
        deadline: batcher.deadline,
        stuck_after: batcher.stuck_after,
    }
}

/// The controller that holds a percentile, in milliseconds.
fn latency(millis: f64, batcher: &BatcherConfig) -> anyhow::Result<LatencyConfig> {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (default, longest_queue) = (LatencyConfig::default(), number(batcher.queue));
    let config = LatencyConfig {
        target: millis / 1000.0,
        batch: number(batcher.largest_batch),
        shortest_queue: default.shortest_queue.min(longest_queue),
        longest_queue,
        ..default
    };
    let pace = Pace { wait: batcher.longest_wait.as_secs_f64(), queue: longest_queue };
    config.init(pace).map_err(|error| anyhow!("--target-p99 {millis}: {error}"))?;
    Ok(config)
}

fn options(arguments: &Serve) -> anyhow::Result<ServerOptions> {
    let Serve { listeners, admission, .. } = arguments;
    let limits = Limits { body: usize::from(admission.body) << 20, ..Limits::default() };
    let requests = HttpOptions {
        limits,
        memory: HttpOptions::default().memory.max(4 * limits.body),
        allow_control: admission.allow_control,
        keys: admission
            .keys
            .as_deref()
            .map(Keys::open)
            .transpose()
            .map_err(|problem| anyhow!("--keys {problem}"))?
            .map(Arc::new),
        rate: admission.rate.as_deref().map(parse_rate).transpose().map_err(|error| anyhow!("--rate: {error}"))?,
        traces: arguments
            .otlp
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: CollectorError| anyhow!("--otlp: {error}"))?,
        ..HttpOptions::default()
    };
    let tls = listeners.tls_certificate.as_deref().zip(listeners.tls_key.as_deref());
    Ok(ServerOptions {
        http: address("--http", &listeners.http)?,
        grpc: address_or_off("--grpc", &listeners.grpc)?,
        metrics: address_or_off("--metrics", &listeners.metrics)?,
        control: address_or_off("--control", &listeners.control)?,
        tls: tls
            .map(|(chain, key)| Tls::open(chain, key))
            .transpose()
            .map_err(|problem| anyhow!("--tls-certificate: {problem}"))?,
        requests,
        pre_stop: seconds("--pre-stop", arguments.pre_stop, 0.0)?,
        drain: seconds("--drain", arguments.drain, 0.0)?,
        poll: arguments.poll.map(|poll| seconds("--poll", poll, 0.01)).transpose()?,
        ..ServerOptions::default()
    })
}

fn address_or_off(option: &str, word: &str) -> anyhow::Result<Option<SocketAddr>> {
    match word {
        "off" => Ok(None),
        word => address(option, word).map(Some).map_err(|error| anyhow!("{error}, or off")),
    }
}

/// The address that is written, or that a name such as `localhost:8000` stands for: of several, one of IPv4.
fn address(option: &str, word: &str) -> anyhow::Result<SocketAddr> {
    let found: Vec<SocketAddr> = word.to_socket_addrs().into_iter().flatten().collect();
    let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
    address.copied().with_context(|| format!("{option} {word}: give an address such as 127.0.0.1:8000"))
}

fn seconds(option: &str, value: f64, least: f64) -> anyhow::Result<Duration> {
    if (least..=1e6).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    bail!("{option} {value}: give seconds, at least {least}")
}

/// Says where it listens, for who has asked for any free port, and for people.
fn announce(Addresses { http, grpc, metrics, control }: Addresses) {
    let mut out = std::io::stdout().lock();
    // Nobody may read it: the server serves all the same.
    let _ = writeln!(out, "http     http://{http}/");
    if let Some(address) = grpc {
        let _ = writeln!(out, "grpc     {address}");
    }
    if let Some(address) = metrics {
        let _ = writeln!(out, "metrics  http://{address}/metrics");
    }
    if let Some(address) = control {
        let _ = writeln!(out, "control  http://{address}/v2/repository/index");
    }
    let _ = out.flush();
}

/// One wish to stop may come as several signals: `timeout`, a shell and a supervisor each tell the whole group.
const ECHO: Duration = Duration::from_millis(500);

/// Set by the first signal; the second one, unless it is the first one's echo, ends the program at once.
fn stop_by_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let mut signals = Signals::new(TERM_SIGNALS).context("cannot listen to signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let listen = move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            told.store(true, Ordering::Relaxed);
            if first.get_or_insert_with(Instant::now).elapsed() >= ECHO {
                tracing::warn!("told to stop a second time: ends at once, without an answer to what was taken");
                low_level::exit(crate::INTERRUPTED.into());
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen).context("cannot listen to signals")?;
    Ok(stop)
}
