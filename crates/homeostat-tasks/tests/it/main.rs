//! The promises of `homeostat-tasks`: losses are PyTorch's, training and serving see the same, and what comes from a file
//! is refused in one line.
#![allow(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

mod image_classification;
mod image_generation;
mod language_model;
mod learning;
mod loss;
mod recommendation;
mod sentence_embedding;
mod sequences;
mod shared_data;
mod task_config;
mod text_classification;

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use homeostat_data::{Image, ImagePrepare, Normalize, PrepareStep, Rng, Shape};
use homeostat_models::{ImageModelConfig, ImageShape};
use homeostat_tasks::{
    BinaryCrossEntropyConfig, ClassWeights, CrossEntropyConfig, FocalConfig, ImageClassificationConfig, InputShape,
    LossConfig,
};

fn device() -> Device {
    homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap()
}

/// The device, seeded. Its generator belongs to the process: who draws from it holds the guard.
fn seeded(seed: u64) -> (Device, MutexGuard<'static, ()>) {
    static DRAWING: Mutex<()> = Mutex::new(());
    let guard = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    let device = device();
    device.seed(seed);
    (device, guard)
}

/// Small networks with dropout may be drawn with too few units alive, and which is drawn depends on the other tests, with which
/// the process shares its generator. Three such draws in a row are no accident.
fn in_one_of_three_draws(learn: impl Fn() -> Result<(), String>) {
    let failures: Vec<String> = (0..3).map_while(|_| learn().err()).collect();
    assert!(failures.len() < 3, "{failures:#?}");
}

/// The networks of the zoo that take pictures of 12 x 14 pixels.
fn networks() -> Vec<ImageModelConfig> {
    let shape = ImageShape { channels: 3, height: 12, width: 14 };
    let device = device();
    let takes = |config: &ImageModelConfig| config.parameters(shape, 3, &device).is_ok();
    let networks: Vec<_> = ImageModelConfig::examples().into_iter().filter(takes).collect();
    assert!(networks.len() > 8, "{networks:?}");
    networks
}

/// Every loss for three classes, with each of its settings at work in one of them.
fn losses() -> Vec<LossConfig> {
    let class_weights = ClassWeights::Given(vec![0.5, 1.0, 2.0]);
    vec![
        LossConfig::default(),
        LossConfig::CrossEntropy(CrossEntropyConfig { label_smoothing: 0.1, class_weights: class_weights.clone() }),
        LossConfig::BinaryCrossEntropy(BinaryCrossEntropyConfig::default()),
        LossConfig::BinaryCrossEntropy(BinaryCrossEntropyConfig {
            label_smoothing: 0.1,
            class_weights: class_weights.clone(),
        }),
        LossConfig::Focal(FocalConfig::default()),
        LossConfig::Focal(FocalConfig { gamma: 0.5, class_weights }),
        LossConfig::MeanSquaredError,
    ]
}

/// A complete task of three classes on colour pictures of 12 x 14 pixels.
fn config(model: ImageModelConfig, loss: LossConfig) -> ImageClassificationConfig {
    let normalize = Normalize { mean: vec![0.5, 0.25, 0.75], std: vec![0.25, 0.5, 0.125] };
    ImageClassificationConfig {
        labels: vec!["ant".into(), "bee".into(), "cat".into()],
        input: Some(InputShape { channels: 3, height: 12, width: 14 }),
        prepare: ImagePrepare(vec![PrepareStep::Normalize(normalize)]),
        model,
        loss,
        temperature: 1.0,
        tta: None,
    }
}

/// Pictures without meaning, all different.
fn noise(count: u64, height: usize, width: usize, channels: usize) -> Vec<Image> {
    let picture = |number| {
        let mut rng = Rng::keyed(7, [number, 0, 0]);
        let shape = Shape { height, width, channels };
        Image::new(shape, (0..shape.len()).map(|_| rng.next_u64().to_le_bytes()[3]).collect())
    };
    (0..count).map(picture).collect()
}

/// The message, which must be one line.
fn line(error: &impl ToString) -> String {
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}
