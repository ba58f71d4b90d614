//! Our server with faults to order: instances that panic, and a network that gets slower. Otherwise it is `homeostat serve`, whose
//! options of the same names it has. It does not know who asks, nor what comes of it.
//!
//! `cargo run --release -p benches --bin faulty -- cnn=runs/serve/latest --panic-every 200`
#![expect(clippy::print_stdout, reason = "the address is the product")]

use std::{
    hint::black_box,
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use homeostat_control::LatencyConfig;
use homeostat_deploy::{BatcherConfig, Endpoint, Query, Served, WritersConfig};
use homeostat_device::DeviceChoice;
use homeostat_serve::{Engine, Opening, ServerOptions, Source, serve};
use homeostat_task::{InputError, Signature};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    /// NAME=RUN
    run: String,
    #[arg(long, default_value = "127.0.0.1:0")]
    http: SocketAddr,
    #[arg(long, default_value_t = 1024)]
    queue: u32,
    /// Microseconds.
    #[arg(long, default_value_t = 500)]
    longest_wait: u64,
    /// Milliseconds.
    #[arg(long)]
    target_p99: Option<f64>,
    /// Panics on each batch of this number; 0 is never.
    #[arg(long, default_value_t = 0)]
    panic_every: u64,
    /// FROM:TO:FACTOR: between these seconds after the first tensors came, a batch takes so many times as long.
    #[arg(long)]
    slow: Option<Slow>,
}

/// A time in which all is slower.
#[derive(Clone, Copy, Debug)]
struct Slow {
    from: f64,
    to: f64,
    factor: f64,
}

impl FromStr for Slow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> = text.split(':').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[from, to, factor]) if from <= to && factor >= 1.0 => Ok(Self { from, to, factor }),
            _ => Err(format!("`{text}`: give FROM:TO:FACTOR, such as 40:60:2")),
        }
    }
}

/// What goes wrong, and how far it is. It belongs to the process, for an endpoint is wrapped by a plain function.
static FAULTS: OnceLock<Faults> = OnceLock::new();

struct Faults {
    panic_every: u64,
    slow: Option<Slow>,
    batches: AtomicU64,
    begun: OnceLock<Instant>,
}

/// A network with faults.
struct Faulty(Box<dyn Endpoint>);

impl Endpoint for Faulty {
    fn answer(&self, requests: &[&[u8]]) -> Vec<Result<serde_json::Value, InputError>> {
        self.0.answer(requests)
    }

    fn agree(&self, expected: &serde_json::Value, found: &serde_json::Value, tolerance: f64) -> bool {
        self.0.agree(expected, found, tolerance)
    }

    fn signature(&self) -> Option<Signature> {
        self.0.signature()
    }

    fn serve(&self, queries: &[Query], largest_batch: usize) -> Served {
        let begun = Instant::now();
        let mut served = self.0.serve(queries, largest_batch);
        // Golden requests are raw: they are not counted, so that the server gets ready and well again.
        let Some(faults) = FAULTS.get().filter(|_| queries.iter().any(|query| matches!(query, Query::Tensors(_))))
        else {
            return served;
        };
        let number = faults.batches.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(faults.panic_every == 0 || number % faults.panic_every != 0, "to order");
        let second = faults.begun.get_or_init(Instant::now).elapsed().as_secs_f64();
        if let Some(slow) = faults.slow.filter(|slow| (slow.from..slow.to).contains(&second)) {
            let end = begun + begun.elapsed().mul_f64(slow.factor);
            // It computes, as a slower network does: nobody else gets the core.
            while Instant::now() < end {
                black_box(());
            }
            served.phases.compute = served.phases.compute.mul_f64(slow.factor);
        }
        served
    }

    fn replicate(&self) -> Box<dyn Endpoint> {
        Box::new(Self(self.0.replicate()))
    }
}

fn main() {
    homeostat_kernels::keep_freed_memory();
    let cli = Cli::parse();
    let faults =
        Faults { panic_every: cli.panic_every, slow: cli.slow, batches: AtomicU64::new(0), begun: OnceLock::new() };
    assert!(FAULTS.set(faults).is_ok(), "it is set once");
    let batcher = BatcherConfig {
        queue: cli.queue as usize,
        longest_wait: Duration::from_micros(cli.longest_wait),
        ..BatcherConfig::default()
    };
    let latency = cli.target_p99.map(|millis| {
        let default = LatencyConfig::default();
        let shortest_queue = default.shortest_queue.min(cli.queue);
        LatencyConfig { target: millis / 1e3, longest_queue: cli.queue, shortest_queue, ..default }
    });
    let opening = Opening {
        device: homeostat_device::open(DeviceChoice::Cpu).expect("the CPU"),
        batcher,
        writers: WritersConfig::default(),
        most_rows: 4096,
        latency,
        wrap: Some(|endpoint| Box::new(Faulty(endpoint))),
    };
    let (name, run) = cli.run.split_once('=').expect("a run as NAME=RUN");
    let source = Source::named([(name.to_owned(), PathBuf::from(run))]).expect("a name that can be served");
    let metrics = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let options = ServerOptions { http: cli.http, grpc: None, metrics, ..ServerOptions::default() };
    let announce = |homeostat_serve::Addresses { http, metrics, .. }: homeostat_serve::Addresses| {
        if let Some(metrics) = metrics {
            println!("metrics  http://{metrics}/metrics\nhttp     http://{http}/");
        }
    };
    if let Err(error) = serve(Engine::new(source, opening), options, true, announce, &AtomicBool::new(false)) {
        panic!("{error}");
    }
}
