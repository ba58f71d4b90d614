//! Our side of the comparisons with other systems: times one work and prints one JSON line, as the peers' scripts do.
//!
//! `cargo run --release -p benches --bin peer -- train-step --work cnn --batch 32 --size 32 --threads 2 --seconds 8`
#![expect(clippy::print_stdout, reason = "the line is the product")]

use std::time::Instant;

use burn::{
    module::{Module, ModuleVisitor, Param},
    nn::loss::CrossEntropyLossConfig,
    optim::GradientsParams,
    tensor::{Device, Distribution, Int, Tensor, TensorData},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use homeostat_device::{DeviceChoice, open};
use homeostat_kernels::{Curve, Kernels, class_entropy, dense};
use homeostat_models::{
    CnnConfig, DecoderConfig, ImageModel, ImageModelConfig, ImageShape, KnownNetwork, LanguageNetwork,
    LanguageNetworkConfig, NormPlace, Pooling, ResNetConfig, SequenceClassifier, SequenceInput, SequenceModelConfig,
    Stem, TrainingScores, TransformerConfig,
};
use homeostat_train::{AdamConfig, AdamwConfig, OptimizerConfig, SgdConfig};

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
    /// As `train-step`, of a network of the zoo.
    TrainZoo(ZooOptions),
    /// As `train-step`, of `minilm` or `gpt`.
    TrainText(Options),
    /// A text of `length` tokens: the likeliest behind a prompt of 16, one by one. By `gpt` alone.
    Write(Options),
}

#[derive(Args)]
struct ZooOptions {
    /// Its name, as `homeostat models list` has it.
    #[arg(long)]
    network: String,
    #[arg(long)]
    batch: usize,
    #[arg(long)]
    size: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
}

#[derive(Args, Clone)]
struct Options {
    #[arg(long)]
    work: Work,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// Tokens of a text; by default what the peer's script has: 128 for training, 64 for inference, 256 for writing.
    #[arg(long)]
    length: Option<usize>,
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
    /// ResNet-18 in its CIFAR form: 3x3 stem, no stem pool, 10 classes.
    Resnet18,
    /// ResNet-18 on images of 224x224, 1000 classes: inference alone.
    #[value(name = "resnet18-224")]
    Resnet18At224,
    /// Encoder of texts: 4 blocks of 256 features and 4 heads, normalised before each part, mean pool, 2 classes.
    Transformer,
    /// The shape of MiniLM-L6; trained with 77 classes.
    Minilm,
    /// Decoder of 4 blocks of 256 features and 4 heads, as GPT-2 has them, with 8000 tokens.
    Gpt,
    /// A network of the zoo; `train-zoo` says which.
    #[value(skip)]
    Zoo,
    /// One product of two square matrices of `size`: what the machine gives. Inference alone.
    Product,
}

impl Work {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(|| "zoo".to_owned(), |value| value.get_name().to_owned())
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    Own,
    Burn,
}

fn main() {
    homeostat_kernels::keep_freed_memory();
    let (name, mut options) = match Cli::parse().what {
        What::TrainStep(options) => ("train", options),
        What::Infer(options) => ("infer", options),
        What::TrainText(options) => ("train", options),
        What::Write(options) => ("write", options),
        What::TrainZoo(options) => {
            Kernels::Own.select();
            let line = pool(options.threads).install(|| train_zoo(&options));
            println!("{line}");
            return;
        }
    };
    options.length.get_or_insert(match name {
        "train" => 128,
        "infer" => 64,
        _ => 256,
    });
    match options.kernels {
        Choice::Own => Kernels::Own.select(),
        Choice::Burn => Kernels::Burn.select(),
    }
    // Inside the pool, so that a step is not handed from thread to thread.
    let line = pool(options.threads).install(|| match name {
        "train" => train_step(&options),
        "infer" => infer(&options),
        _ => write(&options),
    });
    println!("{line}");
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool")
}

/// A step of SGD with momentum; further heads count in the loss, as their networks' papers have it.
fn train_zoo(options: &ZooOptions) -> serde_json::Value {
    let &ZooOptions { batch, size, threads, seconds, .. } = options;
    let known = KnownNetwork::find(&options.network).expect("a network of the zoo");
    let device = open(DeviceChoice::Cpu).expect("the CPU").autodiff();
    device.seed(0);
    let shape = ImageShape { height: size, width: size, ..known.input };
    let model = known.config.init(shape, known.classes, &device).expect("a size that the network takes");
    let x = Tensor::<4>::random([batch, shape.channels, size, size], Distribution::Normal(0.0, 1.0), &device);
    let classes = i32::try_from(known.classes).expect("classes are few");
    let y = Tensor::<1, Int>::from_data(labels(classes, batch).as_slice(), &device);
    let criterion = CrossEntropyLossConfig::new().init(&device);
    let options = Options { work: Work::Zoo, batch, size, length: None, threads, seconds, kernels: Choice::Own };
    train(&options, model, &OptimizerConfig::Sgd(SgdConfig::default()), 1e-3, |model| {
        let TrainingScores { main, auxiliary } = model.training_scores(x.clone());
        let main = criterion.forward(main, y.clone());
        auxiliary.into_iter().fold(main, |sum, (weight, scores)| sum + criterion.forward(scores, y.clone()) * weight)
    })
}

/// The classes one after the other.
fn labels(classes: i32, batch: usize) -> Vec<i32> {
    (0..classes).cycle().take(batch).collect()
}

fn cnn(options: &Options, device: &Device) -> ImageModel {
    let shape = ImageShape { channels: 3, height: options.size, width: options.size };
    ImageModelConfig::Cnn(CnnConfig::default()).init(shape, 10, device).expect("a size that the network takes")
}

fn resnet18(stem: Stem, size: usize, classes: usize, device: &Device) -> ImageModel {
    let config = ResNetConfig { stem, ..ResNetConfig::default() };
    let shape = ImageShape { channels: 3, height: size, width: size };
    ImageModelConfig::ResNet(config).init(shape, classes, device).expect("a size that the network takes")
}

fn images(options: &Options, size: usize, device: &Device) -> Tensor<4> {
    Tensor::random([options.batch, 3, size, size], Distribution::Normal(0.0, 1.0), device)
}

fn transformer(length: usize, device: &Device) -> SequenceClassifier {
    let config = TransformerConfig {
        width: 256,
        depth: 4,
        heads: 4,
        hidden: 1024,
        positions: length,
        types: 0,
        norm: NormPlace::Before,
        epsilon: 1e-5,
        dropout: 0.0,
        adapter: 0,
        prefix: 0,
    };
    let network = SequenceModelConfig::Transformer(config);
    SequenceClassifier::init(&network, 0.0, [8000, 2], device).expect("settings of a network")
}

fn minilm() -> SequenceModelConfig {
    SequenceModelConfig::Transformer(TransformerConfig {
        width: 384,
        depth: 6,
        heads: 12,
        hidden: 1536,
        dropout: 0.0,
        ..TransformerConfig::default()
    })
}

fn gpt(length: usize, device: &Device) -> LanguageNetwork {
    let config = DecoderConfig {
        width: 256,
        depth: 4,
        heads: 4,
        hidden: 1024,
        positions: length,
        dropout: 0.0,
        ..DecoderConfig::default()
    };
    LanguageNetworkConfig::Decoder(config).init(8000, true, device).expect("settings of a network")
}

/// The scores of texts of one length.
fn scores(model: &SequenceClassifier, ids: &Tensor<2, Int>) -> Tensor<2> {
    model.forward(&SequenceInput::full(ids.clone()), Pooling::Mean)
}

/// Words at random, the same in each run.
fn texts(options: &Options, length: usize, vocabulary: i32, device: &Device) -> Tensor<2, Int> {
    let mut state = 1_u32;
    let ids = (0..options.batch * length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8).cast_signed() % vocabulary
    });
    Tensor::from_data(TensorData::new(ids.collect(), [options.batch, length]), device)
}

fn train_step(options: &Options) -> serde_json::Value {
    let device = open(DeviceChoice::Cpu).expect("the CPU").autodiff();
    device.seed(0);
    let length = options.length.expect("set in main");
    match options.work {
        Work::Cnn => {
            let (model, x) = (cnn(options, &device), images(options, options.size, &device));
            let optimizer = OptimizerConfig::Adam(AdamConfig::default());
            train(
                options,
                model,
                &optimizer,
                1e-3,
                classed(options, 10, &device, |model: &ImageModel| model.forward(x.clone())),
            )
        }
        Work::Transformer => {
            let (model, x) = (transformer(length, &device), texts(options, length, 8000, &device));
            let optimizer = OptimizerConfig::Adamw(AdamwConfig::default());
            train(
                options,
                model,
                &optimizer,
                1e-4,
                classed(options, 2, &device, |model: &SequenceClassifier| scores(model, &x)),
            )
        }
        Work::Resnet18 => {
            let model = resnet18(Stem::Small, options.size, 10, &device);
            let x = images(options, options.size, &device);
            let optimizer = OptimizerConfig::Sgd(SgdConfig::default());
            train(
                options,
                model,
                &optimizer,
                0.01,
                classed(options, 10, &device, |model: &ImageModel| model.forward(x.clone())),
            )
        }
        Work::Minilm => {
            let model = SequenceClassifier::init(&minilm(), 0.0, [30_522, 77], &device).expect("settings of a network");
            let x = texts(options, length, 30_000, &device);
            let optimizer = OptimizerConfig::Adamw(AdamwConfig::default());
            train(
                options,
                model,
                &optimizer,
                1e-4,
                classed(options, 77, &device, |model: &SequenceClassifier| scores(model, &x)),
            )
        }
        Work::Gpt => {
            let (model, ids) = (gpt(length, &device), texts(options, length, 8000, &device));
            let rows = options.batch * length;
            train(options, model, &OptimizerConfig::Adamw(AdamwConfig::default()), 1e-4, |model: &LanguageNetwork| {
                let scores = model.scores(&SequenceInput::full(ids.clone())).reshape([rows, 8000]);
                class_entropy(scores, ids.clone().reshape([rows]), Kernels::selected()).mean()
            })
        }
        Work::Resnet18At224 | Work::Product | Work::Zoo => {
            panic!("{}: inference alone", options.work.name())
        }
    }
}

/// The cross-entropy of scores, where each class is right in turn.
fn classed<M>(
    options: &Options,
    classes: i32,
    device: &Device,
    scores: impl Fn(&M) -> Tensor<2>,
) -> impl Fn(&M) -> Tensor<1> {
    let y = Tensor::<1, Int>::from_data(labels(classes, options.batch).as_slice(), device);
    let criterion = CrossEntropyLossConfig::new().init(device);
    move |model| criterion.forward(scores(model), y.clone())
}

fn train<M: Module>(
    options: &Options,
    model: M,
    optimizer: &OptimizerConfig,
    rate: f64,
    loss: impl Fn(&M) -> Tensor<1>,
) -> serde_json::Value {
    let mut optimizer = optimizer.init(&model, &[]).expect("default settings");
    let parameters = parameters(&model);
    let mut taken = Some(model);
    time(options, parameters, || {
        let model = taken.take().expect("the model is put back after each step");
        let loss = loss(&model);
        let value = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        taken = Some(optimizer.step(rate, model, gradients));
        value
    })
}

fn infer(options: &Options) -> serde_json::Value {
    let device = open(DeviceChoice::Cpu).expect("the CPU");
    device.seed(0);
    let length = options.length.expect("set in main");
    let read = |y: Tensor<2>| y.into_data().num_elements() as f32;
    match options.work {
        Work::Cnn => {
            let (model, x) = (cnn(options, &device), images(options, options.size, &device));
            time(options, parameters(&model), || read(model.forward(x.clone())))
        }
        Work::Transformer => {
            let (model, x) = (transformer(length, &device), texts(options, length, 8000, &device));
            time(options, parameters(&model), || read(scores(&model, &x)))
        }
        Work::Resnet18 => {
            let model = resnet18(Stem::Small, options.size, 10, &device);
            let x = images(options, options.size, &device);
            time(options, parameters(&model), || read(model.forward(x.clone())))
        }
        Work::Resnet18At224 => {
            let (model, x) = (resnet18(Stem::Large, 224, 1000, &device), images(options, 224, &device));
            time(options, parameters(&model), || read(model.forward(x.clone())))
        }
        Work::Minilm => {
            let model = minilm().init(30_522, &device).expect("settings of a network");
            let x = SequenceInput::full(texts(options, length, 30_000, &device));
            time(options, parameters(&model), || read(Pooling::Mean.of(model.forward(&x), &x)))
        }
        Work::Zoo | Work::Gpt => panic!("{}: only trained here", options.work.name()),
        Work::Product => {
            let matrix = || Tensor::random([options.size; 2], Distribution::Normal(0.0, 1.0), &device);
            let (a, b): (Tensor<2>, Tensor<2>) = (matrix(), matrix());
            time(options, 0, || read(dense(a.clone(), b.clone(), None, Curve::Straight, Kernels::selected())))
        }
    }
}

fn write(options: &Options) -> serde_json::Value {
    const PROMPT: usize = 16;
    assert!(matches!(options.work, Work::Gpt), "{}: writes nothing", options.work.name());
    let device = open(DeviceChoice::Cpu).expect("the CPU");
    device.seed(0);
    let length = options.length.expect("set in main");
    let model = gpt(length, &device).valid();
    let prompt = texts(&Options { batch: 1, ..options.clone() }, PROMPT, 8000, &device);
    time(options, parameters(&model), || {
        let mut writer = model.writer();
        let mut next = writer.read(prompt.clone()).argmax(1);
        for _ in PROMPT + 1..length {
            next = writer.read(next).argmax(1);
        }
        next.into_scalar::<i32>() as f32
    })
}

/// What is learnt: running statistics do not count.
fn parameters<M: Module>(model: &M) -> usize {
    #[derive(Default)]
    struct Learnt {
        running: bool,
        count: usize,
    }
    impl ModuleVisitor for Learnt {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.running = name.starts_with("running_");
        }

        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.count += if self.running { 0 } else { parameter.dims().iter().product() };
        }
    }
    let mut learnt = Learnt::default();
    model.visit(&mut learnt);
    learnt.count
}

/// Five runs to warm up, then runs until the time is over.
fn time(options: &Options, parameters: usize, mut run: impl FnMut() -> f32) -> serde_json::Value {
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
        "system": "homeostat", "version": env!("CARGO_PKG_VERSION"), "work": options.work.name(), "parameters": parameters, "batch": options.batch,
        "size": options.size, "length": options.length, "threads": options.threads, "steps": times.len(), "median_ms": at(5), "p10_ms": at(1),
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
