//! A linear probe: where nothing before the head learns, what the head sees of each sample is computed once. It does not know
//! networks.

use std::sync::Arc;

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::{DType, Device, Tensor, TensorData},
};
use homeostat_artifact::Checkpoint;
use homeostat_data::{Buckets, DataError, Skipped};
use homeostat_task::{Headed, InputError, Task, TaskError};

use crate::{Draw, Event, Examples, Job, Rows, TrainError, Workers, examples::evaluation_batches, fit::first_model};

/// The most memory that features may take.
const LIMIT: usize = 2 << 30;
/// How far the features of training and of evaluation may be apart, of their largest: they round differently.
const ROUNDING: f32 = 1e-4;

/// A task whose inputs are what the head sees of its samples.
#[derive(Clone, Debug)]
pub struct Probe<T>(T);

impl<T: Headed> Task for Probe<T> {
    type Sample = T::Sample;
    type Truth = T::Truth;
    /// The features of a sample.
    type Input = Vec<f32>;
    type Batch = Tensor<2>;
    type Model = T::Model;
    type Outcome = T::Outcome;
    type Response = T::Response;

    fn init(&self, device: &Device) -> Result<T::Model, TaskError> {
        self.0.init(device)
    }

    fn read(&self, bytes: &[u8]) -> Result<T::Sample, InputError> {
        self.0.read(bytes)
    }

    fn prepare(&self, _: T::Sample) -> Result<Vec<f32>, InputError> {
        Err(InputError::new("features come from the network, not from a sample"))
    }

    fn collate(&self, inputs: &[Vec<f32>], device: &Device) -> Tensor<2> {
        let width = inputs.first().map_or(0, Vec::len);
        Tensor::from_data(TensorData::new(inputs.concat(), [inputs.len(), width]), device)
    }

    fn loss(&self, model: &T::Model, features: Tensor<2>, truths: &[T::Truth]) -> T::Outcome {
        self.0.loss_of_features(model, features, truths)
    }

    fn respond(&self, model: &T::Model, features: Tensor<2>) -> Vec<T::Response> {
        self.0.respond_to_features(model, features)
    }

    fn agree(&self, expected: &T::Response, found: &T::Response, tolerance: f64) -> bool {
        self.0.agree(expected, found, tolerance)
    }
}

/// What a probe learns from and is chosen by.
#[allow(missing_debug_implementations, reason = "examples are of any type")]
pub struct Probed<T: Headed> {
    /// The task.
    pub task: Probe<T>,
    /// What is learnt from.
    pub train: Arc<dyn Examples<Probe<T>>>,
    /// What choices are made by.
    pub valid: Arc<dyn Examples<Probe<T>>>,
}

/// Why features cannot stand for samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProbe {
    /// More than the head learns: nobody expects it.
    Learns,
    /// What comes before the head learns nothing, but its features are not always the same, or too many.
    Moves(String),
}

/// Whether the head alone learns in all epochs.
fn head_alone_learns<T: Headed, M>(job: &Job<'_, T, M>, model: &T::Model) -> bool {
    let head = job.task.head(model);
    let mut of_head = Learning::default();
    head.visit(&mut of_head);
    let mut all = Learning::default();
    model.visit(&mut all);
    job.config.unfreeze.is_empty() && !of_head.ids.is_empty() && all.ids.iter().all(|id| of_head.ids.contains(id))
}

/// Computes the features of all samples of a job in which the head alone learns, and `moves` gives no reason why samples are not
/// always the same. The training is then the same as without it, but for rounding.
///
/// # Errors
/// The network cannot be made, or a sample not be read.
pub fn probe<T: Headed, M>(
    job: &Job<'_, T, M>,
    resume: Option<&Checkpoint>,
    moves: Option<String>,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<Result<Probed<T>, NoProbe>, TrainError> {
    if job.config.freeze.is_empty() && job.config.learn.is_empty() {
        return Ok(Err(NoProbe::Learns));
    }
    let device = job.device.clone().autodiff();
    let model = first_model(job, resume, &device)?;
    if !head_alone_learns(job, &model) {
        return Ok(Err(NoProbe::Learns));
    }
    if let Some(reason) = moves {
        return Ok(Err(NoProbe::Moves(reason)));
    }
    let width = job.task.head(&model).weight.dims()[0];
    let total = job.train.len() + job.valid.len();
    if total.saturating_mul(width).saturating_mul(size_of::<f32>()) > LIMIT {
        let reason = format!("{width} features of {total} samples are more than {} GiB", LIMIT >> 30);
        return Ok(Err(NoProbe::Moves(reason)));
    }
    if !stays(job, &model, &device)? {
        let reason = "what comes before the head differs between training and evaluation (statistics, dropout)";
        return Ok(Err(NoProbe::Moves(reason.to_owned())));
    }
    let (still, mut done) = (model.valid(), 0);
    let mut part = |examples: &Arc<dyn Examples<T>>| -> Result<Arc<dyn Examples<Probe<T>>>, TrainError> {
        let mut features = Features::of(examples);
        for rows in evaluation_batches(examples, sizing(job).0, job.workers) {
            let rows = rows?;
            done += rows.inputs.len() + rows.skipped.len();
            features.add(job.task, &still, rows, &job.device.clone().inner());
            observe(Event::Features { done, total });
        }
        Ok(Arc::new(features))
    };
    let (train, valid) = (part(job.train)?, part(job.valid)?);
    Ok(Ok(Probed { task: Probe(job.task.clone()), train, valid }))
}

fn sizing<T: Task, M>(job: &Job<'_, T, M>) -> (usize, Workers) {
    (job.config.batch_size.max(64), job.workers)
}

/// Whether training sees the features that evaluation sees: without dropout, noise, or statistics that follow the batch.
fn stays<T: Headed, M>(job: &Job<'_, T, M>, model: &T::Model, device: &Device) -> Result<bool, TrainError> {
    let inner = device.clone().inner();
    for rows in evaluation_batches(job.train, job.config.batch_size.min(32), job.workers) {
        let rows = rows?;
        if rows.inputs.is_empty() {
            continue;
        }
        let moving = job.task.features(model, job.task.collate(&rows.inputs, device)).inner();
        let still = job.task.features(&model.valid(), job.task.collate(&rows.inputs, &inner));
        let largest = still.clone().abs().max().into_scalar::<f32>();
        let apart = (moving - still).abs().max().into_scalar::<f32>();
        return Ok(apart <= ROUNDING * largest);
    }
    Ok(true)
}

/// The parameters that learn.
#[derive(Default)]
struct Learning {
    ids: Vec<ParamId>,
}

impl ModuleVisitor for Learning {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.ids.push(param.id);
        }
    }
}

/// The features of a part, in the place of its samples.
struct Features<T: Task> {
    /// Whose order and batches these are.
    samples: Arc<dyn Examples<T>>,
    /// Of each sample, unless it could not be read.
    rows: Vec<Option<(Vec<f32>, T::Truth)>>,
    skipped: Vec<Skipped>,
}

impl<T: Headed> Features<T> {
    fn of(samples: &Arc<dyn Examples<T>>) -> Self {
        Self { samples: Arc::clone(samples), rows: vec![None; samples.len()], skipped: Vec::new() }
    }

    fn add(&mut self, task: &T, model: &T::Model, rows: Rows<T>, device: &Device) {
        self.skipped.extend(rows.skipped);
        if rows.inputs.is_empty() {
            return;
        }
        let features = task.features(model, task.collate(&rows.inputs, device));
        let [_, width] = features.dims();
        let values: Vec<f32> = features.into_data_dtype(DType::F32).iter::<f32>().collect();
        for ((at, truth), row) in rows.positions.into_iter().zip(rows.truths).zip(values.chunks_exact(width)) {
            self.rows[at] = Some((row.to_vec(), truth));
        }
    }
}

impl<T: Headed> Examples<Probe<T>> for Features<T> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        self.samples.order(seed, epoch)
    }

    fn buckets(&self) -> Option<&Buckets> {
        self.samples.buckets()
    }

    fn rows(&self, positions: &[usize], _: Option<Draw>) -> Result<Rows<Probe<T>>, DataError> {
        let mut rows =
            Rows { inputs: Vec::new(), truths: Vec::new(), positions: Vec::new(), skipped: Vec::new(), bytes: 0 };
        for at in positions.iter().map(|at| at % self.rows.len()) {
            match &self.rows[at] {
                Some((features, truth)) => {
                    rows.bytes += size_of_val(features.as_slice());
                    rows.inputs.push(features.clone());
                    rows.truths.push(truth.clone());
                    rows.positions.push(at);
                }
                None => rows.skipped.clone_from(&self.skipped),
            }
        }
        Ok(rows)
    }
}
