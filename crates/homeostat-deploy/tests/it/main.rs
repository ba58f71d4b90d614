//! The promises of `homeostat-deploy`, on artifacts that each test publishes for itself.
#![allow(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

mod batcher;
mod predictor;
mod text_index;
mod texts;
mod verify;
mod writers;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use burn::tensor::Device;
use homeostat_artifact::{Artifact, Golden, Parts, Weights as ArtifactWeights};
use homeostat_config::to_toml;
use homeostat_data::{CenterCrop, Image, ImagePrepare, Normalize, PrepareStep, Resize, Rng, Shape, Size};
use homeostat_deploy::{DeployError, Endpoint, OpenEndpoint, Predictor};
use homeostat_models::{ImageModelConfig, ImageShape, MlpConfig};
use homeostat_task::{Task, Weights};
use homeostat_tasks::{ImageClassificationConfig, InputShape, LossConfig, TaskConfig};
use tempfile::TempDir;

const GOLDEN: u64 = 5;

fn device() -> Device {
    homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap()
}

/// The networks of the zoo that take pictures of 12 x 12 pixels.
fn networks() -> Vec<ImageModelConfig> {
    let shape = ImageShape { channels: 3, height: 12, width: 12 };
    let device = device();
    let takes = |config: &ImageModelConfig| config.parameters(shape, 3, &device).is_ok();
    let networks: Vec<_> = ImageModelConfig::examples().into_iter().filter(takes).collect();
    assert!(networks.len() > 8, "{networks:?}");
    networks
}

fn mlp() -> ImageModelConfig {
    ImageModelConfig::Mlp(MlpConfig { hidden: vec![8], dropout: 0.0 })
}

/// Three classes of colour pictures, which every step of the preparation changes.
fn config(model: ImageModelConfig) -> ImageClassificationConfig {
    ImageClassificationConfig {
        labels: vec!["ant".into(), "bee".into(), "cat".into()],
        input: Some(InputShape { channels: 3, height: 12, width: 12 }),
        prepare: ImagePrepare(vec![
            PrepareStep::CenterCrop(CenterCrop { size: Size::Square(15), fill: 0 }),
            PrepareStep::Resize(Resize { size: Size::Square(12), ..Resize::default() }),
            PrepareStep::Normalize(Normalize { mean: vec![0.5, 0.4, 0.6], std: vec![0.25, 0.2, 0.3] }),
        ]),
        model,
        loss: LossConfig::default(),
        temperature: 1.0,
        tta: None,
    }
}

/// The device's generator belongs to the process, so one test at a time draws from it.
static DRAWING: Mutex<()> = Mutex::new(());

/// Fresh weights of this seed.
fn weights(config: &ImageClassificationConfig, seed: u64) -> Weights {
    let _guard = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    let device = device();
    device.seed(seed);
    Weights::of(&config.init().unwrap().init(&device).unwrap())
}

/// A picture file of noise.
fn request(number: u64) -> Vec<u8> {
    let mut rng = Rng::keyed(11, [number, 0, 0]);
    let shape = Shape { height: 18, width: 16, channels: 3 };
    Image::new(shape, (0..shape.len()).map(|_| rng.next_u64().to_le_bytes()[3]).collect()).encode_png()
}

/// An artifact as training leaves it, to be published changed or not.
fn parts(config: &ImageClassificationConfig, seed: u64) -> Parts {
    let (task, weights) = (config.init().unwrap(), weights(config, seed));
    let network = weights.apply(task.init(&device()).unwrap()).unwrap();
    let predictor = Predictor::new(task, network, device());
    let golden = (0..GOLDEN).map(|number| {
        let request = request(number);
        let answer = Endpoint::answer(&predictor, &[&request]).remove(0).unwrap();
        Golden { name: format!("{number:02}"), request, answer }
    });
    Parts {
        kind: "image-classification".into(),
        created: "2026-11-23T17:13:05Z".into(),
        task: to_toml(&TaskConfig::ImageClassification(config.clone())),
        model: bytes(&weights),
        assets: BTreeMap::new(),
        golden: golden.collect(),
    }
}

fn bytes(weights: &Weights) -> ArtifactWeights {
    ArtifactWeights::Bytes(weights.to_safetensors(&BTreeMap::new()))
}

fn publish(parts: &Parts) -> (TempDir, Artifact) {
    let root = tempfile::tempdir().unwrap();
    let artifact = Artifact::publish(&root.path().join("artifact"), parts).unwrap();
    (root, artifact)
}

/// As a server opens it: all that it knows is the folder.
fn open(artifact: &Artifact) -> Result<Box<dyn Endpoint>, DeployError> {
    let task = TaskConfig::parse(artifact.kind(), &artifact.task().unwrap()).unwrap();
    task.open(OpenEndpoint { artifact, device: &device() }).unwrap()
}

/// The message, which must be one line.
fn line(error: &impl ToString) -> String {
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}
