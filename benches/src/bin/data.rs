//! Our side of the comparison with torchvision and albumentations: times one operation on pictures, and prints one JSON line, as the
//! peers' script does. It knows `homeostat-data` alone.
//!
//! `cargo run --release -p benches --bin data -- --op pipeline --images DIR --threads 1 --seconds 5`
#![expect(clippy::print_stdout, reason = "the line is the product")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use homeostat_data::{
    AugmentStep, ColorJitter, Erasing, Filter, Flip, Image, ImageAugment, Normalize, RandAugment, RandomCrop,
    RandomResizedCrop, Rotate, SampleKey, resize,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[arg(long)]
    op: Op,
    /// A folder with JPEG files, at any depth; the first 256 are taken.
    #[arg(long)]
    images: PathBuf,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// All but `decode` and `pipeline` work on decoded pictures kept in memory.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Op {
    Decode,
    /// To 160 x 160, antialiased.
    Resize,
    /// Random resized crop to 224 x 224.
    Rrc,
    Flip,
    /// Brightness, contrast and saturation by 0.4, hue by 0.1.
    Jitter,
    /// To floats, `[channels, height, width]`, less a mean, over a deviation.
    Normalize,
    /// Two operations of magnitude 9.
    #[value(name = "randaugment")]
    RandAugment,
    /// By at most 15 degrees.
    Rotate,
    Erasing,
    /// Decode, random resized crop, flip, jitter without hue, normalise.
    Pipeline,
    /// 32 x 32: pad by 4 and crop, flip, normalise.
    Cifar,
}

fn main() {
    let cli = Cli::parse();
    let files: Vec<Vec<u8>> =
        jpeg_files(&cli.images).into_iter().map(|file| std::fs::read(file).expect("a file")).collect();
    assert!(!files.is_empty(), "no JPEG files in {}", cli.images.display());
    let images: Vec<Image> = files.iter().map(|bytes| picture(bytes, cli.op)).collect();
    let work = work(cli.op, &files, &images);
    let ready = Barrier::new(cli.threads);
    let time = |first: usize| {
        (0..32).for_each(&work);
        ready.wait();
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < cli.seconds {
            (done..done + 64).for_each(|i| work(first + i * cli.threads));
            done += 64;
        }
        done as f64 / start.elapsed().as_secs_f64()
    };
    let rate = std::thread::scope(|scope| {
        let time = &time;
        let workers: Vec<_> = (0..cli.threads).map(|first| scope.spawn(move || time(first))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).sum::<f64>()
    });
    let op = cli.op.to_possible_value().map(|value| value.get_name().to_owned());
    let line = serde_json::json!({
        "system": "homeostat", "version": env!("CARGO_PKG_VERSION"), "op": op, "threads": cli.threads,
        "images_per_second": (10.0 * rate).round() / 10.0,
    });
    println!("{line}");
}

fn jpeg_files(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "jpg") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.truncate(256);
    files
}

fn picture(bytes: &[u8], op: Op) -> Image {
    let image = Image::decode(bytes).expect("a picture").to_channels(3);
    if op == Op::Cifar { resize(&image, 32, 32, Filter::Bicubic) } else { image }
}

/// What is done to the picture of a number, which goes round.
fn work<'a>(op: Op, files: &'a [Vec<u8>], images: &'a [Image]) -> Box<dyn Fn(usize) + Sync + 'a> {
    let rrc = || AugmentStep::RandomResizedCrop(RandomResizedCrop::default());
    let flip = |probability| AugmentStep::FlipHorizontal(Flip { probability });
    let jitter = |hue| AugmentStep::ColorJitter(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue });
    let normalize = Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
    let (file, image) = (|i: usize| &files[i % files.len()], |i: usize| &images[i % images.len()]);
    let key = |i: usize| SampleKey { seed: 1, epoch: 0, sample: i as u64 };
    let augment = |steps: Vec<AugmentStep>| -> Box<dyn Fn(usize) + Sync + 'a> {
        let steps = ImageAugment(steps);
        Box::new(move |i| drop(black_box(steps.apply(image(i).clone(), key(i)))))
    };
    match op {
        Op::Decode => Box::new(move |i| drop(black_box(Image::decode(file(i)).expect("a picture")))),
        Op::Resize => Box::new(move |i| drop(black_box(resize(image(i), 160, 160, Filter::Bilinear)))),
        Op::Rrc => augment(vec![rrc()]),
        Op::Flip => augment(vec![flip(1.0)]),
        Op::Jitter => augment(vec![jitter(0.1)]),
        Op::Normalize => Box::new(move |i| drop(black_box(normalize.planes(image(i))))),
        Op::RandAugment => augment(vec![AugmentStep::RandAugment(RandAugment::default())]),
        Op::Rotate => augment(vec![AugmentStep::Rotate(Rotate { degrees: 15.0, fill: 0 })]),
        Op::Erasing => {
            augment(vec![AugmentStep::RandomErasing(Erasing { probability: 1.0, fill: Some(0), ..Erasing::default() })])
        }
        Op::Pipeline => {
            let steps = ImageAugment(vec![rrc(), flip(0.5), jitter(0.0)]);
            Box::new(move |i| {
                let image = Image::decode(file(i)).expect("a picture").to_channels(3);
                drop(black_box(normalize.planes(&steps.apply(image, key(i)))));
            })
        }
        Op::Cifar => {
            let crop = RandomCrop { padding: 4, ..RandomCrop::default() };
            let steps = ImageAugment(vec![AugmentStep::RandomCrop(crop), flip(0.5)]);
            Box::new(move |i| drop(black_box(normalize.planes(&steps.apply(image(i).clone(), key(i))))))
        }
    }
}
