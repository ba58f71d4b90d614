//! Our side of what is measured of sources and the loader: a whole epoch, decoding against packed files, and the listing of a large
//! folder. Prints one JSON line. It knows `homeostat-data` alone.
//!
//! `cargo run --release -p benches --bin loader -- --work epoch --data DIR --workers 2`
#![expect(clippy::print_stdout, reason = "the line is the product")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use homeostat_data::{
    AugmentStep, DataRoot, Flip, IdxConfig, ImageAugment, ImageFolderConfig, ImagePrepare, Loader, LoaderOptions,
    Normalize, OnCorrupt, PackedConfig, RandomCrop, SampleKey, SamplingConfig, Source, SourceConfig, Weigh,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[arg(long)]
    work: Work,
    /// The folder with `fashion-mnist` and `cifar10-jpeg`; for `index` and `packed`, where a temporary folder is made as well.
    #[arg(long)]
    data: PathBuf,
    #[arg(long, default_value_t = 2)]
    workers: usize,
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Files of the folder that `index` makes.
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Work {
    /// Fashion-MNIST: random crop, flip, normalise, in batches.
    Epoch,
    /// CIFAR-10 as JPEG files in an archive, decoded.
    Decode,
    /// The same from a packed file.
    Packed,
    /// Lists a folder of many files.
    Index,
}

/// Floats of a batch, or its bytes.
struct Batch<T>(Vec<Vec<T>>);

impl<T> Weigh for Batch<T> {
    fn bytes(&self) -> usize {
        self.0.iter().map(|row| size_of_val(row.as_slice())).sum()
    }
}

fn main() {
    let cli = Cli::parse();
    let root = DataRoot::new([&cli.data]);
    let (images, seconds) = match cli.work {
        Work::Epoch => {
            let config = IdxConfig { folder: "fashion-mnist".into(), ..IdxConfig::default() };
            epoch(&cli, &open(&SourceConfig::Idx(config), &root))
        }
        Work::Decode => read(&cli, &open(&cifar(), &root)),
        Work::Packed => {
            let folder = tempfile::tempdir().expect("a folder");
            let (out, options) = (folder.path().join("cifar10.pack"), LoaderOptions::default());
            let source = open(&cifar(), &root);
            source.pack(&ImagePrepare(vec![]), (&out, options), OnCorrupt::Error, &mut |_| {}).expect("a pack");
            let config = PackedConfig { file: "cifar10.pack".into() };
            read(&cli, &open(&SourceConfig::Packed(config), &DataRoot::new([folder.path()])))
        }
        Work::Index => index(cli.entries),
    };
    let line = serde_json::json!({
        "system": "homeostat", "version": env!("CARGO_PKG_VERSION"), "work": cli.work.to_possible_value().map(|v| v.get_name().to_owned()),
        "workers": cli.workers, "seconds": seconds, "images_per_second": images as f64 / seconds, "peak_rss_mb": peak_megabytes(),
    });
    println!("{line}");
}

fn cifar() -> SourceConfig {
    SourceConfig::ImageFolder(ImageFolderConfig { folder: "cifar10-jpeg".into() })
}

fn open(config: &SourceConfig, root: &DataRoot) -> Arc<Source> {
    Arc::new(config.open(root).unwrap_or_else(|error| panic!("{error}")))
}

/// All training pictures once, in random order, as a network takes them.
fn epoch(cli: &Cli, source: &Arc<Source>) -> (usize, f64) {
    let crop = RandomCrop { padding: 2, ..RandomCrop::default() };
    let steps = ImageAugment(vec![AugmentStep::RandomCrop(crop), AugmentStep::FlipHorizontal(Flip::default())]);
    let normalize = Normalize { mean: vec![0.286], std: vec![0.353] };
    through(cli, 60_000, source, move |source, i| {
        let key = SampleKey { seed: 1, epoch: 0, sample: i as u64 };
        normalize.planes(&steps.apply(source.get(i).expect("a picture"), key))
    })
}

/// All pictures once, in random order, as they are.
fn read(cli: &Cli, source: &Arc<Source>) -> (usize, f64) {
    through(cli, source.len(), source, |source, i| source.get(i).expect("a picture").into_pixels())
}

fn through<T: Send + 'static>(
    cli: &Cli,
    count: usize,
    source: &Arc<Source>,
    make: impl Fn(&Source, usize) -> Vec<T> + Send + Sync + 'static,
) -> (usize, f64) {
    let (source, batch) = (Arc::clone(source), cli.batch);
    let order = SamplingConfig::Shuffle.order(&vec![0; count], &[], (1, 0));
    let options = LoaderOptions { workers: cli.workers, ..LoaderOptions::default() };
    let batches = count.div_ceil(batch);
    let batch_of = move |at: usize| {
        let rows = &order[at * batch..order.len().min((at + 1) * batch)];
        Ok(Batch(rows.iter().map(|&i| make(&source, i)).collect()))
    };
    let start = Instant::now();
    let images = Loader::start(0..batches, options, Arc::new(batch_of))
        .map(|batch| black_box(batch.expect("a batch")).0.len())
        .sum();
    (images, start.elapsed().as_secs_f64())
}

/// Makes a folder of empty files, and lists it.
fn index(entries: usize) -> (usize, f64) {
    const CLASSES: usize = 1000;
    let folder = tempfile::tempdir().expect("a folder");
    for class in 0..CLASSES {
        let class_folder = folder.path().join(format!("set/class-{class:04}"));
        std::fs::create_dir_all(&class_folder).expect("a folder");
        (class..entries).step_by(CLASSES).for_each(|i| make_file(&class_folder, i));
    }
    let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "set".into() });
    let start = Instant::now();
    let source = open(&config, &DataRoot::new([folder.path()]));
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(source.len(), entries);
    (entries, seconds)
}

fn make_file(folder: &Path, i: usize) {
    std::fs::File::create(folder.join(format!("picture-{i:07}.jpg"))).expect("a file");
}

/// The most memory that this process had, as Linux tells it.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
