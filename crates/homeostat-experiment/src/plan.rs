//! From an experiment to what can be trained: the data opened and divided, and every blank filled in, each with the
//! reason of the choice. It does not know runs, nor whether samples are pictures or texts.

use std::sync::Arc;

use burn::tensor::Device;
use homeostat_config::Resolved;
use homeostat_data::{
    DataError, DataRoot, LabelKind, Loader, LoaderOptions, OnCorrupt, Skipped, Source, Splits, Store, Weigh,
};
use homeostat_metrics::{Classes, MetricSet};
use homeostat_task::Task;
use homeostat_tasks::{ClassWeights, LossConfig, Probabilities};
use homeostat_train::{Examples, Meters, Workers};

use crate::{Experiment, ExperimentError, kind::Kind};

/// An experiment with its data, ready to be trained.
pub(crate) struct Plan<K: Kind> {
    pub(crate) resolved: Resolved<Experiment>,
    pub(crate) task: K::Task,
    pub(crate) source: Arc<Source<K::Store>>,
    pub(crate) splits: Splits,
}

impl<K: Kind> Plan<K> {
    /// Opens the data and fills in what the experiment leaves to it.
    pub(crate) fn make(
        mut resolved: Resolved<Experiment>,
        roots: &DataRoot,
        workers: Workers,
    ) -> Result<Self, ExperimentError> {
        let source = Arc::new(K::open(&resolved.value.data, roots)?);
        choose_split(&mut resolved, &source)?;
        resolved.value.data.sampling.check_classes("data.sampling", source.classes())?;
        let splits = resolved.value.data.split.split(&source, resolved.value.seed)?;
        let splits = splits.with_fraction(resolved.value.data.fraction, &source, resolved.value.seed);
        choose_labels::<K>(&mut resolved, &source)?;
        choose_class_weights::<K>(&mut resolved, &source, &splits)?;
        let task = K::choose(&mut resolved, &source, &splits, (roots, workers))?;
        Ok(Self { resolved, task, source, splits })
    }

    /// The same, whose answers are calibrated: scores are divided by this.
    pub(crate) fn at_temperature(&self, temperature: f64) -> Result<Self, ExperimentError> {
        let mut resolved = self.resolved.clone();
        resolved.choose(&format!("{}.temperature", K::KEY), temperature, "fitted on the validation part")?;
        let task = K::at_temperature(&self.task, temperature);
        Ok(Self { resolved, task, source: Arc::clone(&self.source), splits: self.splits.clone() })
    }

    pub(crate) fn experiment(&self) -> &Experiment {
        &self.resolved.value
    }

    /// The names of the classes, in the order of the scores.
    pub(crate) fn labels(&self) -> &[String] {
        K::settings(&self.experiment().task).0
    }

    /// Refuses what would stop the first step, or all that comes after the last, before a directory is made.
    pub(crate) fn check(&self, device: &Device, workers: Workers) -> Result<(), ExperimentError> {
        let Experiment { train, .. } = self.experiment();
        train.check_network(&self.task.init(&device.clone().autodiff())?)?;
        if train.calibrate && K::settings(&self.experiment().task).1.probabilities() == Probabilities::AnyOf {
            let problem =
                "is of classes of which one is right, but binary-cross-entropy makes each a question of its own";
            return Err(ExperimentError::setting("train.calibrate", problem));
        }
        self.meters()?;
        self.check_samples(workers)
    }

    /// Reads the parts that are measured: what is broken in them would else be met when the training is done. Those that
    /// are to be left out are left out then.
    fn check_samples(&self, workers: Workers) -> Result<(), ExperimentError> {
        if self.experiment().data.on_corrupt == OnCorrupt::Skip {
            return Ok(());
        }
        let measured = [self.splits.valid.as_slice(), &self.splits.test].concat();
        let (examples, positions) = (self.examples(&measured), (0..measured.len()).collect());
        let read = move |positions: &[usize]| examples.rows(positions, None).map(drop);
        Ok(in_pieces(positions, workers, read).collect::<Result<(), _>>()?)
    }

    /// A part of the data as the loop sees it.
    pub(crate) fn examples(&self, indices: &[usize]) -> Arc<dyn Examples<K::Task>> {
        K::examples(self, indices, None)
    }

    /// What is measured in training and in evaluation.
    pub(crate) fn meters(&self) -> Result<Meters<MetricSet>, ExperimentError> {
        // Each answer is scored as one of the classes, also where a sigmoid a class was trained.
        let valid = MetricSet::init(&self.experiment().train.metrics, Classes::OneOf(self.labels().len()))?;
        Ok(Meters { train: valid.clone().streaming_only(), valid })
    }

    /// How many samples of each class a part has.
    pub(crate) fn counts(&self, indices: &[usize]) -> Vec<usize> {
        counts(&self.source, indices)
    }
}

/// Refuses data that name no class, or several, for a sample, and says what was left out.
pub(crate) fn check_source<S: Store>(source: &Source<S>, key: &str, what: &str) -> Result<(), ExperimentError> {
    let problem = match source.label_kind() {
        LabelKind::One => None,
        LabelKind::Several => Some("several labels"),
        LabelKind::None => Some("no label"),
    };
    if let Some(problem) = problem {
        let problem = format!("has {problem} for a {what}, but classification takes one");
        return Err(ExperimentError::setting(key, problem));
    }
    if let Some(first) = source.left_out().first() {
        let (count, Skipped { name, reason }) = (source.left_out().len(), first);
        tracing::warn!(count, first = name, reason, "samples are left out, for they cannot be read");
    }
    Ok(())
}

fn counts<S: Store>(source: &Source<S>, indices: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; source.classes().len()];
    indices.iter().for_each(|&index| counts[source.label(index)] += 1);
    counts
}

fn choose_split<S: Store>(resolved: &mut Resolved<Experiment>, source: &Source<S>) -> Result<(), ExperimentError> {
    match resolved.value.data.split.resolve(source) {
        Some((split, reason)) => Ok(resolved.choose("data.split", split, &reason)?),
        None => Ok(()),
    }
}

fn choose_labels<K: Kind>(
    resolved: &mut Resolved<Experiment>,
    source: &Source<K::Store>,
) -> Result<(), ExperimentError> {
    let key = format!("{}.labels", K::KEY);
    let (labels, _) = K::settings(&resolved.value.task);
    if labels.is_empty() {
        return Ok(resolved.choose(&key, source.classes(), "the classes of the data")?);
    }
    if labels != source.classes() {
        let problem = format!(
            "names {} classes ({}), but the data have {} ({})",
            labels.len(),
            labels.join(", "),
            source.classes().len(),
            source.classes().join(", ")
        );
        return Err(ExperimentError::setting(&key, problem));
    }
    Ok(())
}

/// What a worker found out about some samples.
struct Found<R>(R);

impl<R> Weigh for Found<R> {
    fn bytes(&self) -> usize {
        size_of::<R>()
    }
}

/// What `find` gives for these samples, some at a time, by all workers and in order; the first error is the last.
pub(crate) fn in_pieces<R: Send + 'static>(
    samples: Vec<usize>,
    workers: Workers,
    find: impl Fn(&[usize]) -> Result<R, DataError> + Send + Sync + 'static,
) -> impl Iterator<Item = Result<R, DataError>> {
    const PIECE: usize = 64;
    let pieces = samples.len().div_ceil(PIECE);
    let make = move |piece: usize| find(&samples[piece * PIECE..samples.len().min((piece + 1) * PIECE)]).map(Found);
    let options = LoaderOptions { workers: workers.threads, prefetch_bytes: workers.prefetch_bytes };
    Loader::start(0..pieces, options, Arc::new(make)).map(|found| found.map(|Found(found)| found))
}

fn choose_class_weights<K: Kind>(
    resolved: &mut Resolved<Experiment>,
    source: &Source<K::Store>,
    splits: &Splits,
) -> Result<(), ExperimentError> {
    let mut loss = K::settings(&resolved.value.task).1.clone();
    let Some(weights) = loss.resolve(&counts(source, &splits.train)) else { return Ok(()) };
    let key = match loss {
        LossConfig::CrossEntropy(_) => "cross-entropy",
        LossConfig::BinaryCrossEntropy(_) => "binary-cross-entropy",
        LossConfig::Focal(_) => "focal",
        LossConfig::MeanSquaredError => return Ok(()),
    };
    let key = format!("{}.loss.{key}.class-weights", K::KEY);
    Ok(resolved.choose(&key, ClassWeights::Given(weights), "balanced, from the training part")?)
}
