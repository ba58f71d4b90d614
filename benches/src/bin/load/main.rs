//! An independent client: it measures a server of the Open Inference Protocol over HTTP, and prints one JSON line. It knows sockets
//! and bytes, and neither our server nor its crates: what it counts is what a stranger would count.
//!
//! One thread, so that it never takes more than one core. It reads the server's processor time and memory from `/proc`.
//!
//! `cargo run --release -p benches --bin load -- closed --address 127.0.0.1:8000 --model cnn --connections 16 --seconds 5`
#![expect(clippy::print_stdout, reason = "the line is the product")]

mod callers;
mod connection;
mod nuisance;
mod process;
mod record;
mod request;
mod schedule;

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Parser, Subcommand};

use process::Watch;
use request::Format;
use schedule::Schedule;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Callers that ask anew as soon as they are answered.
    Closed(Closed),
    /// Requests at random times of a given rate, whatever becomes of those before.
    Open(Open),
    /// Clients that misbehave.
    Nuisance(Nuisance),
}

/// What is asked of whom.
#[derive(Args, Clone)]
struct Target {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    model: String,
    #[arg(long, default_value = "binary")]
    format: Format,
    /// The server's process; its processor time and memory are measured, with those of its children.
    #[arg(long)]
    pid: Option<u32>,
    /// Seconds of a line of the series.
    #[arg(long, default_value_t = 1.0)]
    every: f64,
    /// Milliseconds that an answer may take to be in time.
    #[arg(long, default_value_t = 100.0)]
    target_ms: f64,
}

#[derive(Args)]
struct Closed {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    seconds: f64,
    /// Seconds before them that do not count.
    #[arg(long, default_value_t = 0.0)]
    warm: f64,
    /// Ends as soon as nobody listens any more.
    #[arg(long)]
    until_gone: bool,
}

#[derive(Args)]
struct Open {
    #[command(flatten)]
    target: Target,
    /// Steps of requests a second: SECONDS:RATE,...
    #[arg(long)]
    rates: Schedule,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections, open from the beginning; what comes while all are busy waits in the client, and that counts.
    #[arg(long, default_value_t = 2048)]
    connections: usize,
}

#[derive(Args)]
struct Nuisance {
    #[command(flatten)]
    target: Target,
    /// Clients that send one byte of a body a second.
    #[arg(long, default_value_t = 0)]
    slow: usize,
    /// Clients that connect and say nothing.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Clients that close their sending side after each request.
    #[arg(long, default_value_t = 0)]
    half_closed: usize,
    #[arg(long)]
    seconds: f64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let line = local.block_on(&runtime, async {
        match Cli::parse().mode {
            Mode::Closed(closed) => measure_closed(closed).await,
            Mode::Open(open) => measure_open(open).await,
            Mode::Nuisance(nuisance) => nuisance::run(&nuisance).await,
        }
    });
    println!("{line}");
}

async fn measure_closed(closed: Closed) -> serde_json::Value {
    let Closed { target, connections, seconds, warm, until_gone } = closed;
    let plan = callers::Plan::new(&target, until_gone);
    let (warm, seconds) = (Duration::from_secs_f64(warm), Duration::from_secs_f64(seconds));
    let callers = callers::closed(&plan, connections, warm + seconds);
    tokio::time::sleep(warm).await;
    plan.begin();
    let watch = Watch::start(target.pid);
    callers.await;
    plan.line(&watch.end())
}

async fn measure_open(open: Open) -> serde_json::Value {
    let Open { target, rates, seed, connections } = open;
    let plan = callers::Plan::new(&target, false);
    let (desk, callers) = callers::connect(&plan, connections).await;
    plan.begin();
    let watch = Watch::start(target.pid);
    callers::send(&desk, callers, rates.arrivals(seed)).await;
    plan.line(&watch.end())
}
