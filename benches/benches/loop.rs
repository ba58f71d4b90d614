//! What the loop costs beside forward, backward and optimiser step: the reference network (3x32x32, 10 classes, batches
//! of 32, Adam, 32-bit floats) on the CPU, once in plain calls of network, loss and optimiser, and once by `fit`.
//!
//! Criterion times both for the record. Their quotient comes from rounds of its own, in which the two take turns, so
//! that a machine with other work to do slows both alike; the CPU time of the process is told beside the wall time.
//!
//! ```text
//! cargo xtask bench loop
//! cargo xtask bench loop -- --test     one short round, to see that it runs
//! ```
//!
//! It does not know real data: pictures are noise in memory, so that reading and augmenting do not count.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a bench, whose output is its purpose")]

use std::{
    env, fs,
    hint::black_box,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use burn::{
    nn::loss::CrossEntropyLossConfig,
    optim::GradientsParams,
    tensor::{Device, Int, Tensor},
};
use criterion::{Criterion, criterion_group, criterion_main};
use homeostat_artifact::Run;
use homeostat_control::ControlConfig;
use homeostat_data::{DataError, Image, ImagePrepare, Normalize, PrepareStep, Rng, Shape};
use homeostat_device::DeviceChoice;
use homeostat_metrics::{Classes, MetricConfig, MetricSet};
use homeostat_models::{CnnConfig, ImageModelConfig};
use homeostat_task::{Outcome, Task};
use homeostat_tasks::{ImageBatch, ImageClassification, ImageClassificationConfig, InputShape, Target};
use homeostat_train::{
    AdamConfig, Draw, Event, Examples, Job, Meters, OptimizerConfig, Rows, TrainConfig, Workers, fit, global_norm,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
const CLASSES: u64 = 10;
const INPUT: InputShape = InputShape { channels: 3, height: 32, width: 32 };
/// Steps that each side does in a round.
const STEPS: usize = 50;
const ROUNDS: usize = 40;
/// Batches that the bare steps take in turn: as warm in the cache as those that `fit` has just collated.
const KEPT: usize = 8;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(10));
    targets = each_by_itself, parts, overhead
}
criterion_main!(benches);

fn each_by_itself(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("loop");
    group.bench_function("bare-step", |bencher| bencher.iter_custom(|steps| bench.bare(count(steps)).wall));
    group.bench_function("fit-step", |bencher| bencher.iter_custom(|steps| bench.fit(count(steps)).wall));
    group.finish();
}

/// The largest parts of what `fit` does beside the bare step, which no noise can hide.
fn parts(criterion: &mut Criterion) {
    let bench = Bench::new();
    let (device, noise) = (bench.device.clone().autodiff(), Noise::new(BATCH));
    let positions: Vec<usize> = (0..BATCH).collect();
    let model = bench.task.init(&device).unwrap();
    let loss = bench.task.loss(&model, bench.task.collate(&noise.images, &device), &noise.truths).loss();
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let mut group = criterion.benchmark_group("loop");
    group.bench_function("rows", |bencher| bencher.iter(|| noise.rows(&positions, None).unwrap()));
    group.bench_function("collate", |bencher| bencher.iter(|| bench.task.collate(&noise.images, &device)));
    group.bench_function("global-norm", |bencher| bencher.iter(|| global_norm(&model, &gradients)));
    group.finish();
}

/// The two take turns: what a round's `fit` took beyond its bare steps, in percent of `fit`.
fn overhead(_: &mut Criterion) {
    // Inside the pool, as the program runs, so that a step is not handed from thread to thread.
    rayon::scope(|_| take_turns());
}

fn take_turns() {
    let bench = Bench::new();
    let (steps, rounds) = if env::args().any(|arg| arg == "--test") { (2, 1) } else { (STEPS, ROUNDS) };
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            bare.push(bench.bare(steps));
            whole.push(bench.fit(steps));
        } else {
            whole.push(bench.fit(steps));
            bare.push(bench.bare(steps));
        }
    }
    println!("\n{rounds} rounds of {steps} bare steps and {steps} of `fit`; medians, in milliseconds a step");
    row("wall time", steps, &bare, &whole, |cost| cost.wall);
    row("CPU time", steps, &bare, &whole, |cost| cost.cpu);
}

fn row(what: &str, steps: usize, bare: &[Cost], whole: &[Cost], of: impl Fn(&Cost) -> Duration) {
    let times = |costs: &[Cost]| costs.iter().map(|cost| of(cost).as_secs_f64() * 1e3 / steps as f64).collect();
    let (bare, whole): (Vec<f64>, Vec<f64>) = (times(bare), times(whole));
    let shares = bare.iter().zip(&whole).map(|(bare, whole)| (whole - bare) / whole * 100.0).collect();
    let [low, share, high] = quartiles(shares);
    let ([_, bare, _], [_, whole, _]) = (quartiles(bare), quartiles(whole));
    println!("{what:<9}  bare {bare:.3}  fit {whole:.3}  overhead {share:.2} % (quartiles {low:.2} and {high:.2} %)");
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

/// The optimiser of both sides: a step of it is no part of the overhead.
fn adam() -> OptimizerConfig {
    OptimizerConfig::Adam(AdamConfig { learning_rate: 1e-3, ..AdamConfig::default() })
}

fn count(steps: u64) -> usize {
    usize::try_from(steps).unwrap()
}

/// What some steps took.
struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// A clock at work.
struct Watch {
    since: Instant,
    cpu: Duration,
}

impl Watch {
    fn start() -> Self {
        Self { cpu: cpu_time(), since: Instant::now() }
    }

    fn stop(&self) -> Cost {
        Cost { wall: self.since.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

/// The CPU time of all threads of this process; zero where the system does not tell it as Linux does.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold spaces. Behind it, user and system time are the 12th and 13th field, in 1/100 s.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    Duration::from_millis(10 * fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}

struct Bench {
    task: ImageClassification,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let config = ImageClassificationConfig {
            labels: (0..CLASSES).map(|class| class.to_string()).collect(),
            input: Some(INPUT),
            prepare: ImagePrepare(vec![PrepareStep::Normalize(Normalize { mean: vec![0.5], std: vec![0.25] })]),
            model: ImageModelConfig::Cnn(CnnConfig::default()),
            ..ImageClassificationConfig::default()
        };
        Self { task: config.init().unwrap(), device: homeostat_device::open(DeviceChoice::Cpu).unwrap() }
    }

    /// Forward, loss, backward and optimiser step on batches that are on the device already.
    fn bare(&self, steps: usize) -> Cost {
        let device = self.device.clone().autodiff();
        let noise = Noise::new(KEPT * BATCH);
        let batches: Vec<(Tensor<4>, Tensor<1, Int>)> = (0..KEPT)
            .map(|step| {
                let samples = step * BATCH..(step + 1) * BATCH;
                let ImageBatch(images) = self.task.collate(&noise.images[samples.clone()], &device);
                let labels: Vec<i64> = noise.truths[samples].iter().map(|truth| i64::from(truth.label())).collect();
                (images, Tensor::from_data(labels.as_slice(), &device))
            })
            .collect();
        let mut model = self.task.init(&device).unwrap();
        let loss = CrossEntropyLossConfig::new().init(&device);
        let mut optimizer = adam().init(&model, &[]).unwrap();
        let watch = Watch::start();
        for (images, labels) in batches.into_iter().cycle().take(steps) {
            let loss = loss.forward(model.forward(images), labels);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(1e-3, model, gradients);
        }
        black_box(&model);
        watch.stop()
    }

    /// The same by the loop, from its beginning to the last step of its only epoch.
    fn fit(&self, steps: usize) -> Cost {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::create(folder.path(), "loop", "now", "").unwrap();
        let train: Arc<dyn Examples<ImageClassification>> = Arc::new(Noise::new(steps * BATCH));
        let valid: Arc<dyn Examples<ImageClassification>> = Arc::new(Noise::new(BATCH));
        let config = TrainConfig { epochs: 1, batch_size: BATCH, optimizer: adam(), ..TrainConfig::default() };
        let meter = MetricSet::init(&[MetricConfig::Accuracy], Classes::OneOf(count(CLASSES))).unwrap();
        let job = Job {
            task: &self.task,
            train: &train,
            valid: &valid,
            initial: None,
            config: &config,
            control: &ControlConfig::default(),
            meters: &Meters { train: meter.clone(), valid: meter },
            seed: 1,
            device: &self.device,
            workers: Workers::default(),
            stop: &AtomicBool::new(false),
        };
        let (mut watch, mut cost) = (None, None);
        let mut observe = |event: Event<'_>| match event {
            Event::Begin { .. } => watch = Some(Watch::start()),
            Event::Step(report) if report.step == steps => cost = watch.as_ref().map(Watch::stop),
            _ => {}
        };
        fit(&job, &run, None, &mut observe).unwrap();
        cost.unwrap()
    }
}

/// Pictures and labels without any meaning, in memory.
struct Noise {
    images: Vec<Image>,
    truths: Vec<Target>,
}

impl Noise {
    fn new(samples: usize) -> Self {
        let mut rng = Rng::keyed(1, [0, 0, 0]);
        let shape = Shape { height: INPUT.height, width: INPUT.width, channels: INPUT.channels };
        let mut byte = || rng.next_u64().to_le_bytes()[0];
        let images = (0..samples).map(|_| Image::new(shape, (0..shape.len()).map(|_| byte()).collect())).collect();
        let truths = (0..samples as u64).map(|sample| Target::Class(u32::try_from(sample % CLASSES).unwrap()));
        Self { images, truths: truths.collect() }
    }
}

impl Examples<ImageClassification> for Noise {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn rows(&self, positions: &[usize], _: Option<Draw>) -> Result<Rows<ImageClassification>, DataError> {
        let inputs: Vec<Image> = positions.iter().map(|&at| self.images[at].clone()).collect();
        let bytes = inputs.iter().map(|image| image.pixels().len()).sum();
        let truths = positions.iter().map(|&at| self.truths[at].clone()).collect();
        Ok(Rows { inputs, truths, positions: positions.to_vec(), skipped: vec![], bytes })
    }
}
