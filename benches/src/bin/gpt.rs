//! A small GPT, timed: a step of training, or the tokens that it writes a second. Prints one JSON line, as `gpt.py` does for
//! torch and transformers.
//!
//! `cargo run --release -p benches --bin gpt -- generate --threads 2 --seconds 8`
#![expect(clippy::print_stdout, reason = "the line is the product")]

use std::time::Instant;

use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Int, Tensor, TensorData},
};
use clap::{Args, Parser, Subcommand};
use homeostat_device::{DeviceChoice, open};
use homeostat_kernels::{Kernels, class_entropy};
use homeostat_models::{DecoderConfig, LanguageNetwork, LanguageNetworkConfig, SequenceInput};
use homeostat_train::{AdamwConfig, OptimizerConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens that the network knows.
const VOCABULARY: i32 = 8000;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Forward, loss, backward and AdamW.
    Train(Options),
    /// The likeliest tokens behind a prompt, one by one.
    Generate(Options),
}

#[derive(Args)]
struct Options {
    /// Texts of a step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Tokens of a text.
    #[arg(long, default_value_t = 256)]
    length: usize,
    /// Tokens of the prompt; the rest of the length is written.
    #[arg(long, default_value_t = 16)]
    prompt: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
}

fn main() {
    homeostat_kernels::keep_freed_memory();
    let what = Cli::parse().what;
    let (What::Train(options) | What::Generate(options)) = &what;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().expect("a thread pool");
    // Inside the pool, so that a step is not handed from thread to thread.
    let line = pool.install(|| if matches!(what, What::Train(_)) { train(options) } else { generate(options) });
    println!("{line}");
}

fn network(length: usize, device: &burn::tensor::Device) -> LanguageNetwork {
    let config = DecoderConfig {
        width: 256,
        depth: 4,
        heads: 4,
        hidden: 1024,
        positions: length,
        dropout: 0.0,
        ..DecoderConfig::default()
    };
    let vocabulary = VOCABULARY.unsigned_abs() as usize;
    LanguageNetworkConfig::Decoder(config).init(vocabulary, true, device).expect("settings of a network")
}

/// Words at random, the same in each run.
fn texts([batch, length]: [usize; 2], device: &burn::tensor::Device) -> Tensor<2, Int> {
    let mut state = 1_u32;
    let ids = (0..batch * length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8).cast_signed() % VOCABULARY
    });
    Tensor::from_data(TensorData::new(ids.collect(), [batch, length]), device)
}

fn train(options: &Options) -> serde_json::Value {
    let device = open(DeviceChoice::Cpu).expect("the CPU").autodiff();
    device.seed(0);
    let (mut model, shape) = (Some(network(options.length, &device)), [options.batch, options.length]);
    let (ids, rows) = (texts(shape, &device), options.batch * options.length);
    let config = OptimizerConfig::Adamw(AdamwConfig::default());
    let mut optimizer = config.init(model.as_ref().expect("just made"), &[]).expect("default settings");
    let step = || {
        let network = model.take().expect("put back after each step");
        let scores =
            network.scores(&SequenceInput::full(ids.clone())).reshape([rows, VOCABULARY.unsigned_abs() as usize]);
        let loss = class_entropy(scores, ids.clone().reshape([rows]), Kernels::selected()).mean();
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        model = Some(optimizer.step(1e-4, network, gradients));
        value
    };
    let (times, loss) = time(options.seconds, step);
    let mut line = told("train", options, &times);
    line["tokens_per_second"] = (rows as f64 / median(&times)).round().into();
    line["loss_last"] = loss.into();
    line
}

fn generate(options: &Options) -> serde_json::Value {
    let device = open(DeviceChoice::Cpu).expect("the CPU");
    device.seed(0);
    let network = network(options.length, &device).valid();
    let prompt = texts([1, options.prompt], &device);
    let written = options.length - options.prompt;
    let write = || {
        let mut writer = network.writer();
        let mut next = writer.read(prompt.clone()).argmax(1);
        for _ in 1..written {
            next = writer.read(next).argmax(1);
        }
        next.into_scalar::<i32>()
    };
    let (times, last) = time(options.seconds, write);
    let mut line = told("generate", options, &times);
    line["tokens_per_second"] = (written as f64 / median(&times)).round().into();
    line["last_token"] = last.into();
    line
}

/// Two runs to warm up, then runs until the time is over: the seconds of each, and what the last one gave.
fn time<T>(seconds: f64, mut run: impl FnMut() -> T) -> (Vec<f64>, T) {
    run();
    let (mut last, mut times, start) = (run(), Vec::new(), Instant::now());
    while start.elapsed().as_secs_f64() < seconds || times.len() < 5 {
        let start = Instant::now();
        last = run();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (times, last)
}

fn median(times: &[f64]) -> f64 {
    times[times.len() / 2]
}

fn told(what: &str, options: &Options, times: &[f64]) -> serde_json::Value {
    let Options { batch, length, prompt, threads, .. } = options;
    serde_json::json!({
        "system": "homeostat", "work": format!("gpt-{what}"), "batch": if what == "train" { *batch } else { 1 }, "length": length,
        "prompt": prompt, "threads": threads, "runs": times.len(), "median_ms": (1e6 * median(times)).round() / 1e3,
    })
}
