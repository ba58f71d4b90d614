//! A network and a task of one's own: what follows from a number, learnt from noisy samples of a wave. Everything that a task needs
//! stands in this crate; the loop, checkpoints, the artifact, and the check that it answers alike are Homeostat's.
//!
//! It does not know Homeostat's networks and tasks.

mod wave;

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use homeostat_artifact::{Artifact, Golden, Parts, Run, Weights as ArtifactWeights};
use homeostat_control::ControlConfig;
use homeostat_deploy::{Endpoint, Predictor, verify};
use homeostat_device::{DeviceChoice, open};
use homeostat_task::Weights;
use homeostat_train::{AdamwConfig, End, Examples, Job, Meters, OptimizerConfig, TrainConfig, Workers, fit};

pub use wave::{Answer, MeanSquares, Samples, Wave};

/// The kind of task that stands in the artifact.
const KIND: &str = "wave";

/// Trains a network on samples of a wave, and publishes it with requests that check it; gives the artifact's folder.
///
/// # Errors
/// The disk is full.
pub fn train(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let task = Wave { waves: 6, hidden: 32 };
    let [train, valid]: [Arc<dyn Examples<Wave>>; 2] = [Arc::new(Samples::new(400, 1)), Arc::new(Samples::new(100, 2))];
    let config = TrainConfig {
        epochs: 30,
        batch_size: 32,
        optimizer: OptimizerConfig::Adamw(AdamwConfig { learning_rate: 1e-2, ..AdamwConfig::default() }),
        metrics: Vec::new(),
        monitor: "loss".to_owned(),
        ..TrainConfig::default()
    };
    let device = open(DeviceChoice::Cpu)?;
    let control = ControlConfig::default();
    let run = Run::create(folder, KIND, "first", &toml::to_string(&task)?)?;
    let job = Job {
        task: &task,
        train: &train,
        valid: &valid,
        initial: None,
        config: &config,
        control: &control,
        meters: &Meters { train: MeanSquares::default(), valid: MeanSquares::default() },
        seed: 1,
        device: &device,
        workers: Workers::default(),
        stop: &AtomicBool::new(false),
    };
    let End::Finished(finished) = fit(&job, &run, None, &mut |_| ())? else { return Err("nothing stops it".into()) };

    let model = ArtifactWeights::Bytes(Weights::of(&finished.model).to_safetensors(&BTreeMap::new()));
    let predictor = Predictor::new(task.clone(), finished.model, device);
    let golden = ["0.1", "0.45", "0.8"].into_iter().enumerate().map(|(at, request)| {
        let answer = Endpoint::answer(&predictor, &[request.as_bytes()]).pop().ok_or("no answer")??;
        Ok::<_, Box<dyn Error>>(Golden { name: format!("{at:02}"), request: request.into(), answer })
    });
    let parts = Parts {
        kind: KIND.to_owned(),
        created: "2026-11-24T00:00:00Z".to_owned(),
        task: toml::to_string(&task)?,
        model,
        assets: BTreeMap::new(),
        golden: golden.collect::<Result<_, _>>()?,
    };
    Ok(Artifact::publish(&run.artifact_dir(), &parts)?.path().to_owned())
}

/// Opens an artifact, checks that it answers as at the end of its training, and asks it for these numbers.
///
/// # Errors
/// The artifact is broken, answers otherwise, or a request is no number.
pub fn predict(artifact: &Path, numbers: &[&str]) -> Result<Vec<Answer>, Box<dyn Error>> {
    let artifact = Artifact::open(artifact)?;
    let task: Wave = toml::from_str(&artifact.task()?)?;
    let predictor = Predictor::open(task, &artifact, &open(DeviceChoice::Cpu)?)?;
    verify(&predictor, &artifact)?;
    let requests: Vec<&[u8]> = numbers.iter().map(|number| number.as_bytes()).collect();
    Ok(predictor.answer(&requests).into_iter().collect::<Result<_, _>>()?)
}

/// What a run wrote of itself, a line an evaluation.
///
/// # Errors
/// There is no such file.
pub fn metrics(artifact: &Path) -> Result<String, Box<dyn Error>> {
    Ok(fs::read_to_string(artifact.with_file_name("metrics.jsonl"))?)
}
