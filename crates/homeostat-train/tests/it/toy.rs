//! A task of its own, small enough to train in a test: which of three directions a vector points in. It shows that the
//! loop is open to any task, and can be told to meet broken samples, poisoned batches, and a disk that fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{
        Device, Tensor, TensorData,
        activation::{gelu, log_softmax},
    },
};
use homeostat_artifact::{Checkpoint, Run, RunWriter};
use homeostat_control::ControlConfig;
use homeostat_data::{DataError, Rng, Skipped, stream};
use homeostat_task::{InputError, Outcome, Task, TaskError};
use homeostat_train::{
    Draw, End, Event, Examples, Job, Meters, Rows, TrainConfig, TrainError, Workers, fit,
    metrics::{Classes, Loss, MetricConfig, MetricSet, Predictions, Truth},
};

pub(crate) const FEATURES: usize = 4;
pub(crate) const CLASSES: usize = 3;

/// The CPU, without gradients.
pub(crate) fn device() -> Device {
    homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap()
}

/// Burn has one generator a process: tests that draw from it (weights, dropout) take turns.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which of three directions a vector points in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directions {
    pub(crate) dropout: f64,
    /// Whether the hidden layer is normalised by its batch: then there are running statistics.
    pub(crate) norm: bool,
    /// A weight a class, if they differ.
    pub(crate) weights: Option<[f32; CLASSES]>,
}

#[derive(Module, Debug)]
pub(crate) struct Net {
    hidden: Linear,
    norm: Option<BatchNorm>,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    /// `[batch, features] -> [batch, classes]`
    fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        let hidden = self.hidden.forward(vectors);
        let hidden = match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        };
        self.head.forward(self.dropout.forward(gelu(hidden)))
    }
}

#[derive(Debug)]
pub(crate) struct Scored {
    loss: Tensor<1>,
    weight: f64,
    scores: Tensor<2>,
    labels: Vec<u32>,
}

impl Outcome for Scored {
    type Record = Predictions;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn record(self) -> Predictions {
        let loss = Loss { mean: self.loss.into_scalar::<f64>(), weight: self.weight };
        let probabilities = log_softmax(self.scores, 1).exp().into_data().iter::<f32>().collect();
        Predictions::new(CLASSES, probabilities, Truth::OneOf(self.labels), loss)
    }
}

fn rows<const N: usize>(values: &[[f32; N]], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.concat(), [values.len(), N]), device)
}

impl Task for Directions {
    type Sample = [f32; FEATURES];
    /// The probability of each class.
    type Truth = [f32; CLASSES];
    type Input = [f32; FEATURES];
    type Batch = Tensor<2>;
    type Model = Net;
    type Outcome = Scored;
    type Response = Vec<f32>;

    fn init(&self, device: &Device) -> Result<Net, TaskError> {
        Ok(Net {
            hidden: LinearConfig::new(FEATURES, 8).init(device),
            norm: self.norm.then(|| BatchNormConfig::new(8).init(device)),
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(8, CLASSES).init(device),
        })
    }

    fn read(&self, _: &[u8]) -> Result<[f32; FEATURES], InputError> {
        Err(InputError::new("vectors are made, not read"))
    }

    fn prepare(&self, sample: [f32; FEATURES]) -> Result<[f32; FEATURES], InputError> {
        Ok(sample)
    }

    fn collate(&self, inputs: &[[f32; FEATURES]], device: &Device) -> Tensor<2> {
        rows(inputs, device)
    }

    fn loss(&self, model: &Net, batch: Tensor<2>, truths: &[[f32; CLASSES]]) -> Scored {
        let scores = model.forward(batch);
        let device = scores.device();
        let weights = rows(&[self.weights.unwrap_or([1.0; CLASSES])], &device);
        let weighted = rows(truths, &device) * weights;
        let weight = weighted.clone().sum().into_scalar::<f64>();
        let loss = (log_softmax(scores.clone(), 1) * weighted).sum().neg().div_scalar(weight);
        let label = |truth: &[f32; CLASSES]| (0u32..).zip(truth).max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        Scored { loss, weight, scores: scores.inner(), labels: truths.iter().map(label).collect() }
    }

    fn respond(&self, model: &Net, batch: Tensor<2>) -> Vec<Vec<f32>> {
        model
            .forward(batch)
            .into_data()
            .iter::<f32>()
            .collect::<Vec<_>>()
            .chunks(CLASSES)
            .map(<[f32]>::to_vec)
            .collect()
    }

    fn agree(&self, expected: &Vec<f32>, found: &Vec<f32>, _: f64) -> bool {
        expected == found
    }
}

/// Vectors around three directions, and what goes wrong with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vectors {
    pub(crate) samples: Vec<([f32; FEATURES], usize)>,
    /// Whether training mixes each sample with another one of its batch.
    pub(crate) mixed: bool,
    /// What the inputs of a training batch (epoch, batch) are multiplied by.
    pub(crate) poison: BTreeMap<(u64, u64), f32>,
    /// Samples that cannot be read and are skipped.
    pub(crate) broken: BTreeSet<usize>,
    /// A training batch (epoch, batch) that cannot be read at all.
    pub(crate) error: Option<(u64, u64)>,
}

impl Vectors {
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let sample = |index: usize| {
            let mut rng = Rng::keyed(seed, [0, index as u64, stream("toy", 0)]);
            let class = index % CLASSES;
            let mut vector = [0.0; FEATURES];
            vector.iter_mut().for_each(|value| *value = 0.6 * (2.0 * rng.uniform() - 1.0));
            vector[class] += 1.0;
            (vector, class)
        };
        Self { samples: (0..count).map(sample).collect(), ..Self::default() }
    }
}

impl Examples<Directions> for Vectors {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<Directions>, DataError> {
        if draw.is_some_and(|draw| self.error == Some((draw.epoch, draw.batch))) {
            return Err(DataError::Corrupt { name: "vector-7".into(), why: "it was cut short".into() });
        }
        let (broken, positions): (Vec<usize>, Vec<usize>) = positions.iter().partition(|at| self.broken.contains(at));
        let skip = |at: &usize| Skipped { name: format!("vector-{at}"), reason: "it is broken".into() };
        let mut inputs: Vec<_> = positions.iter().map(|&at| self.samples[at].0).collect();
        let mut truths: Vec<_> = positions.iter().map(|&at| one_hot(self.samples[at].1)).collect();
        if let Some(Draw { seed, epoch, batch }) = draw {
            let factor = self.poison.get(&(epoch, batch)).copied().unwrap_or(1.0);
            inputs.iter_mut().flatten().for_each(|value| *value *= factor);
            if self.mixed && !inputs.is_empty() {
                let share = Rng::keyed(seed, [epoch, batch, stream("mix", 0)]).uniform();
                mix(&mut inputs, share);
                mix(&mut truths, share);
            }
        }
        Ok(Rows { inputs, truths, positions, skipped: broken.iter().map(skip).collect(), bytes: 100 })
    }
}

pub(crate) fn one_hot(class: usize) -> [f32; CLASSES] {
    let mut truth = [0.0; CLASSES];
    truth[class] = 1.0;
    truth
}

/// Mixes each row with the next one.
fn mix<const N: usize>(rows: &mut [[f32; N]], share: f32) {
    let mut others = rows.to_vec();
    others.rotate_left(1);
    for (row, other) in rows.iter_mut().zip(others) {
        row.iter_mut().zip(other).for_each(|(value, other)| *value = share * *value + (1.0 - share) * other);
    }
}

/// Everything of a training but its run.
#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) task: Directions,
    pub(crate) train: Vectors,
    pub(crate) valid: Vectors,
    pub(crate) config: TrainConfig,
    pub(crate) control: ControlConfig,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

impl Trial {
    pub(crate) fn new(config: TrainConfig) -> Self {
        Self {
            task: Directions::default(),
            train: Vectors::new(93, 1),
            valid: Vectors::new(30, 2),
            config,
            control: ControlConfig::default(),
            seed: 1,
            threads: 0,
        }
    }

    /// Trains until the end, or until `stop_at` optimiser steps are done.
    pub(crate) fn run(
        &self,
        run: &RunWriter,
        resume: Option<&Checkpoint>,
        stop_at: Option<usize>,
        mut observe: impl FnMut(&Event<'_>),
    ) -> Result<End<Net>, TrainError> {
        self.run_until(run, resume, |event| {
            observe(event);
            matches!(event, Event::Step(report) if stop_at == Some(report.step))
        })
    }

    /// Trains until the end, or until an event is the one to stop at.
    pub(crate) fn run_until(
        &self,
        run: &RunWriter,
        resume: Option<&Checkpoint>,
        mut stop_at: impl FnMut(&Event<'_>) -> bool,
    ) -> Result<End<Net>, TrainError> {
        let train: Arc<dyn Examples<Directions>> = Arc::new(self.train.clone());
        let valid: Arc<dyn Examples<Directions>> = Arc::new(self.valid.clone());
        let all = MetricSet::init(&[MetricConfig::Accuracy, MetricConfig::MacroF1], Classes::OneOf(CLASSES)).unwrap();
        let stop = AtomicBool::new(false);
        let job = Job {
            task: &self.task,
            train: &train,
            valid: &valid,
            initial: None,
            config: &self.config,
            control: &self.control,
            meters: &Meters { train: all.clone().streaming_only(), valid: all },
            seed: self.seed,
            device: &device(),
            workers: Workers { threads: self.threads, prefetch_bytes: 1 << 20 },
            stop: &stop,
        };
        fit(&job, run, resume, &mut |event| {
            if stop_at(&event) {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        })
    }

    /// Trains to the end without a stop.
    pub(crate) fn finish(&self, run: &RunWriter) -> homeostat_train::Finished<Net> {
        match self.run(run, None, None, |_| {}).unwrap() {
            End::Finished(finished) => finished,
            End::Interrupted { step } => panic!("stopped at step {step}"),
        }
    }
}

/// A folder for a run; in memory where that can be had, for thousands of checkpoints are synced.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A new run in `root`.
pub(crate) fn new_run(root: &Path) -> RunWriter {
    Run::create(root, "toy", "now", "seed = 1").unwrap()
}

pub(crate) fn latest(run: &RunWriter) -> Option<Checkpoint> {
    run.checkpoints().unwrap().latest().unwrap()
}

/// The JSON lines of a log of a run.
pub(crate) fn lines(run: &RunWriter, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.path().join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
