//! Our side of the comparisons with other systems: times one work and prints one JSON line, as the peers' scripts do.
//!
//! `cargo run --release -p benches --bin peer -- train-step --work cnn --batch 32 --size 32 --threads 2 --seconds 8`
#![expect(clippy::print_stdout, reason = "the line is the product")]

use std::time::Instant;

use burn::{
    nn::loss::CrossEntropyLossConfig,
    optim::GradientsParams,
    tensor::{Device, Distribution, Int, Tensor},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use homeostat_device::{DeviceChoice, open};
use homeostat_kernels::Kernels;
use homeostat_models::{CnnConfig, ImageModel, ImageModelConfig, ImageShape};
use homeostat_train::{AdamConfig, OptimizerConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Forward, loss, backward and optimiser.
    TrainStep(Options),
    /// Forward, without gradients.
    Infer(Options),
}

#[derive(Args, Clone)]
struct Options {
    #[arg(long)]
    work: Work,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[arg(long, default_value_t = 32)]
    size: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Burn's own operations, or ours.
    #[arg(long, default_value = "own")]
    kernels: Choice,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// conv 3x3x32, ReLU, max-pool 2, conv 3x3x64, ReLU, max-pool 2, dense 64, ReLU, dense 10.
    Cnn,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    Own,
    Burn,
}

fn main() {
    let (name, options) = match Cli::parse().what {
        What::TrainStep(options) => ("train", options),
        What::Infer(options) => ("infer", options),
    };
    match options.kernels {
        Choice::Own => Kernels::Own.select(),
        Choice::Burn => Kernels::Burn.select(),
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().expect("a thread pool");
    // Inside the pool, so that a step is not handed from thread to thread.
    let line = pool.install(|| if name == "train" { train_step(&options) } else { infer(&options) });
    println!("{line}");
}

fn network(options: &Options, device: &Device) -> ImageModel {
    let shape = ImageShape { channels: 3, height: options.size, width: options.size };
    let Work::Cnn = options.work;
    ImageModelConfig::Cnn(CnnConfig::default()).init(shape, 10, device).expect("a size that the network takes")
}

fn images(options: &Options, device: &Device) -> Tensor<4> {
    Tensor::random([options.batch, 3, options.size, options.size], Distribution::Normal(0.0, 1.0), device)
}

fn train_step(options: &Options) -> serde_json::Value {
    let device = open(DeviceChoice::Cpu).expect("the CPU").autodiff();
    device.seed(0);
    let model = network(options, &device);
    let x = images(options, &device);
    let labels: Vec<i32> = (0..10).cycle().take(options.batch).collect();
    let y = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
    let criterion = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = OptimizerConfig::Adam(AdamConfig::default()).init(&model, &[]).expect("Adam's defaults");
    let mut taken = Some(model);
    time(options, || {
        let model = taken.take().expect("the model is put back after each step");
        let loss = criterion.forward(model.forward(x.clone()), y.clone());
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        taken = Some(optimizer.step(1e-3, model, gradients));
        value
    })
}

fn infer(options: &Options) -> serde_json::Value {
    let device = open(DeviceChoice::Cpu).expect("the CPU");
    device.seed(0);
    let model = network(options, &device);
    let x = images(options, &device);
    time(options, || model.forward(x.clone()).into_data().num_elements() as f32)
}

/// Five runs to warm up, then runs until the time is over.
fn time(options: &Options, mut run: impl FnMut() -> f32) -> serde_json::Value {
    let first = run();
    for _ in 0..4 {
        run();
    }
    let (mut times, mut last) = (vec![], first);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    while start.elapsed().as_secs_f64() < options.seconds || times.len() < 10 {
        let start = Instant::now();
        last = run();
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    let cpu_ms = 1e3 * (cpu_seconds() - cpu) / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let at = |share: usize| (1e4 * times[times.len() * share / 10]).round() / 1e4;
    serde_json::json!({
        "system": "homeostat", "version": env!("CARGO_PKG_VERSION"), "work": "cnn", "batch": options.batch,
        "size": options.size, "threads": options.threads, "steps": times.len(), "median_ms": at(5), "p10_ms": at(1),
        "p90_ms": at(9), "cpu_ms": (1e3 * cpu_ms).round() / 1e3, "peak_rss_mb": peak_memory(), "loss_first": first, "loss_last": last,
    })
}

/// Processor time of this process so far, on Linux.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The largest resident set so far, in MB, on Linux.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.map_or(0.0, |kb| (kb / 102.4).round() / 10.0)
}
