//! How far made pictures are from true ones: the Fréchet distance of what a network that sorts pictures sees of both. It does not know
//! how pictures are made.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use burn::tensor::{DType, Device, TensorData};
use homeostat_artifact::Artifact;
use homeostat_data::{DataError, Image, ImagePrepare, Rng, stream};
use homeostat_deploy::published;
use homeostat_metrics::{Moments, frechet_distance};
use homeostat_models::{CnnConfig, Head, ImageModel, ImageModelConfig, Padding};
use homeostat_task::{Headed, Task, Weights};
use homeostat_tasks::{
    GenerativeModel, ImageClassification, ImageClassificationConfig, InputShape, PictureRequest, TaskConfig,
};
use homeostat_train::FrechetConfig;

use super::{Generation, prepared};
use crate::{ExperimentError, Setting, plan::Plan};

const KEY: &str = "train.frechet";
/// Pictures that are made, or looked at, in one batch.
const BATCH: usize = 64;
/// Fewer pictures tell nothing.
const FEWEST: usize = 16;

/// Distances from the measured pictures.
pub(crate) struct Distance {
    /// Of made pictures.
    pub(crate) made: f64,
    /// Of as many pictures of the training part: what a perfect network would reach.
    true_ones: f64,
    /// Pictures of each kind.
    samples: usize,
    /// What looked at them, in words.
    eye: String,
}

impl Distance {
    pub(super) fn note(&self) -> String {
        format!("of {} pictures each, seen by {}; training pictures have {:.3}", self.samples, self.eye, self.true_ones)
    }
}

/// Refuses what cannot be measured, before anything is learnt.
pub(super) fn check(
    plan: &Plan<Generation>,
    frechet: &FrechetConfig,
    setting: &Setting<'_>,
) -> Result<(), ExperimentError> {
    let splits = &plan.splits;
    let measured = if splits.test.is_empty() { splits.valid.len() } else { splits.test.len() };
    let fewest = frechet.samples.min(measured).min(splits.train.len());
    if fewest < FEWEST {
        let problem = format!("compares {fewest} pictures, but fewer than {FEWEST} tell nothing: take more");
        return Err(ExperimentError::setting(&format!("{KEY}.samples"), problem));
    }
    Eye::open(plan.task.input(), frechet, setting).map(drop)
}

/// Measures the distances; gives nothing if it is stopped from outside.
pub(super) fn measure_distance(
    plan: &Plan<Generation>,
    model: &GenerativeModel,
    indices: &[usize],
    frechet: &FrechetConfig,
    setting: &Setting<'_>,
) -> Result<Option<Distance>, ExperimentError> {
    let eye = Eye::open(plan.task.input(), frechet, setting)?;
    let samples = frechet.samples.min(indices.len()).min(plan.splits.train.len());
    let part = |indices: &[usize]| {
        let mut moments = Moments::new(eye.width);
        for indices in spread(indices, samples).chunks(BATCH) {
            eye.look(prepared(plan, indices.iter())?, &mut moments)?;
        }
        Ok::<_, ExperimentError>(moments)
    };
    let (measured, true_ones) = (part(indices)?, part(&plan.splits.train)?);
    let mut made = Moments::new(eye.width);
    let seeds: Vec<u64> = (0..samples as u64).map(|at| seed_of(plan.experiment().seed, at)).collect();
    for seeds in seeds.chunks(BATCH) {
        if setting.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let requests: Vec<PictureRequest> = seeds.iter().map(|&seed| PictureRequest::Seed(seed)).collect();
        eye.look(plan.task.make(model, &requests, &eye.device)?, &mut made)?;
    }
    Ok(Some(Distance {
        made: frechet_distance(&made, &measured),
        true_ones: frechet_distance(&true_ones, &measured),
        samples,
        eye: eye.name,
    }))
}

/// So many, evenly from first to last: sources often list their pictures class by class.
fn spread(indices: &[usize], samples: usize) -> Vec<usize> {
    (0..samples).map(|at| indices[at * indices.len() / samples]).collect()
}

fn seed_of(seed: u64, at: u64) -> u64 {
    Rng::keyed(seed, [at, 0, stream("frechet", 0)]).next_u64()
}

/// A network that sorts pictures, of which only what its head sees counts.
struct Eye {
    task: ImageClassification,
    model: ImageModel,
    device: Device,
    /// Numbers that the head sees.
    width: usize,
    name: String,
}

impl Eye {
    fn open(input: InputShape, frechet: &FrechetConfig, setting: &Setting<'_>) -> Result<Self, ExperimentError> {
        let device = setting.device.clone().inner();
        let (task, model, name) = match &frechet.network {
            Some(run) => {
                let wrong = |error: DataError| ExperimentError::setting(&format!("{KEY}.network"), error.to_string());
                let artifact = Artifact::open(&setting.roots.find(run).map_err(wrong)?)?;
                let TaskConfig::ImageClassification(config) = TaskConfig::parse(artifact.kind(), &artifact.task()?)?
                else {
                    let problem = format!("{run} is no run that sorts pictures");
                    return Err(ExperimentError::setting(&format!("{KEY}.network"), problem));
                };
                let task = config.init()?;
                let model = published(&task, &artifact, &device)?;
                (task, model, format!("the network of {run}"))
            }
            None => {
                let task = drawn_config(input).init()?;
                let model = drawn(task.init(&device)?);
                (task, model, "a convolutional network whose weights are drawn".to_owned())
            }
        };
        let width = task.head(&model).weight.dims()[0];
        Ok(Self { task, model, device, width, name })
    }

    /// Adds what it sees of these pictures.
    fn look(&self, pictures: Vec<Image>, moments: &mut Moments) -> Result<(), ExperimentError> {
        let inputs = pictures.into_iter().map(|picture| self.task.prepare(picture)).collect::<Result<Vec<_>, _>>()?;
        if inputs.is_empty() {
            return Ok(());
        }
        let features = self.task.features(&self.model, self.task.collate(&inputs, &self.device));
        let features = features.into_data_dtype(DType::F32);
        features.as_slice::<f32>().unwrap_or_default().chunks_exact(self.width).for_each(|row| moments.add(row));
        Ok(())
    }
}

/// Three convolutions, and the mean of each of 64 channels over all pixels.
fn drawn_config(input: InputShape) -> ImageClassificationConfig {
    let network =
        CnnConfig { widths: vec![16, 32, 64], padding: Padding::Same, head: Head::Mean, hidden: vec![], dropout: 0.0 };
    ImageClassificationConfig {
        labels: vec!["one".to_owned(), "other".to_owned()],
        input: Some(input),
        prepare: ImagePrepare::default(),
        model: ImageModelConfig::Cnn(network),
        ..ImageClassificationConfig::default()
    }
}

/// The network with weights that are the same on every device: normal, as He et al. 2015 scale them, and no biases.
#[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit floats")]
fn drawn(model: ImageModel) -> ImageModel {
    let fresh = Weights::of(&model);
    let mut tensors = BTreeMap::new();
    for (at, (name, data)) in fresh.tensors().iter().enumerate() {
        let shape = data.shape().to_vec();
        let inputs: usize = shape.iter().skip(1).product();
        let scale = (2.0 / inputs as f64).sqrt() as f32;
        let mut rng = Rng::keyed(0, [at as u64, 0, stream("eye", 0)]);
        let is_bias = shape.len() == 1;
        let values: Vec<f32> =
            (0..data.num_elements()).map(|_| if is_bias { 0.0 } else { scale * rng.normal() }).collect();
        tensors.insert(name.clone(), TensorData::new(values, shape));
    }
    Weights::from_tensors(tensors).apply(model).unwrap_or_else(|error| panic!("weights of the same names: {error}"))
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn samples_come_from_all_of_a_part() {
        let indices: Vec<usize> = (100..110).collect();
        assert_eq!(spread(&indices, 4), [100, 102, 105, 107]);
        assert_eq!(spread(&indices, 10), indices);
    }
}
