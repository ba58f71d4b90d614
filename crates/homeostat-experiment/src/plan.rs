//! From an experiment to what can be trained: the data opened and divided, and every blank filled in, each with the
//! reason of the choice. It does not know runs, nor what the task is.

use std::sync::Arc;

use homeostat_config::Resolved;
use homeostat_data::{
    DataError, DataRoot, Loader, LoaderOptions, OnCorrupt, Source, SplitConfig, Splits, Store, Weigh,
};
use homeostat_task::Task;
use homeostat_train::{Examples, Workers};

use crate::{Experiment, ExperimentError, Setting, kind::Kind};

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
        if let Some((split, reason)) = K::division(&resolved.value.data.split, &source)? {
            resolved.choose("data.split", split, &reason)?;
        }
        resolved.value.data.sampling.check_classes("data.sampling", source.classes())?;
        let splits = divided(&resolved.value, &source, None)?;
        let task = K::choose(&mut resolved, &source, &splits, (roots, workers))?;
        Ok(Self { resolved, task, source, splits })
    }

    pub(crate) fn experiment(&self) -> &Experiment {
        &self.resolved.value
    }

    /// Refuses what would stop the first step, or all that comes after the last, before a directory is made.
    pub(crate) fn check(&self, setting: &Setting<'_>) -> Result<(), ExperimentError> {
        let Experiment { train, .. } = self.experiment();
        train.check_network(&self.task.init(&setting.device.clone().autodiff())?)?;
        K::check(self, setting)?;
        K::meters(self)?;
        self.check_samples(setting.workers)
    }

    /// Reads the parts that are measured: what is broken in them would else be met when the training is done. Those that
    /// are to be left out are left out then.
    fn check_samples(&self, workers: Workers) -> Result<(), ExperimentError> {
        if self.experiment().data.on_corrupt == OnCorrupt::Skip {
            return Ok(());
        }
        let measured = [self.splits.valid.as_slice(), &self.splits.test].concat();
        let examples = self.examples(&measured);
        let positions = (0..examples.len()).collect();
        let read = move |positions: &[usize]| examples.rows(positions, None).map(drop);
        Ok(in_pieces(positions, workers, read).collect::<Result<(), _>>()?)
    }

    /// A part of the data as the loop sees it.
    pub(crate) fn examples(&self, indices: &[usize]) -> Arc<dyn Examples<K::Task>> {
        K::examples(self, indices)
    }
}

/// The parts of an experiment's data; what the data have chosen of the division stands in its place.
pub(crate) fn divided<S: Store>(
    Experiment { data, seed, .. }: &Experiment,
    source: &Source<S>,
    chosen: Option<&SplitConfig>,
) -> Result<Splits, ExperimentError> {
    Ok(chosen.unwrap_or(&data.split).split(source, *seed)?.with_fraction(data.fraction, source, *seed))
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
