//! Experiments whose task sorts samples into classes: what all of them choose, measure and show. It does not know whether
//! samples are pictures or texts.

mod measure;
mod page;

use std::{collections::BTreeMap, sync::Arc};

use homeostat_artifact::{Artifact, Checkpoint, RunWriter};
use homeostat_config::Resolved;
use homeostat_data::{AnySource, DataError, DataRoot, LabelKind, Skipped, Source, Splits, Store, TestViews};
use homeostat_metrics::{Classes, MetricSet};
use homeostat_models::NameTable;
use homeostat_report::{Picture, Report, Shown};
use homeostat_task::{Headed, Task, Weights};
use homeostat_tasks::{
    ClassWeights, ClassificationOutcome, ClassificationResponse, LossConfig, Probabilities, Target, TaskConfig,
};
use homeostat_train::{End, Event, Examples, Job, Meters, NoProbe, Probed, Workers, fit, probe};

pub(crate) use measure::{Answers, Sorted, measure};

use crate::{DataConfig, Experiment, ExperimentError, Setting, Stage, evaluate_run::Measured, kind::Kind, plan::Plan};

/// What the table of a task that sorts says of classes.
pub(crate) struct ClassSettings<'a> {
    /// The names of the classes, in the order of the scores.
    pub(crate) labels: &'a [String],
    /// How wrong scores are.
    pub(crate) loss: &'a LossConfig,
    /// What scores are divided by.
    pub(crate) temperature: f64,
}

/// Samples of one kind, and the task that sorts them into classes.
pub(crate) trait Sorting: Sized + 'static {
    /// The task.
    type Task: Headed<Truth = Target, Outcome = ClassificationOutcome, Response = ClassificationResponse>;
    /// What holds the samples.
    type Store: Store + 'static;

    /// The dotted key of the task's table.
    const KEY: &'static str;

    /// What the task's table says of classes.
    ///
    /// # Panics
    /// If the table is of another kind.
    fn settings(task: &TaskConfig) -> ClassSettings<'_>;

    /// Opens the data.
    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source<Self::Store>, ExperimentError>;

    /// As [`Kind::adopt_network`].
    fn adopt_network(
        _resolved: &mut Resolved<Experiment>,
        _setting: &Setting<'_>,
        _observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<(), ExperimentError> {
        Ok(())
    }

    /// Fills in what the table leaves to the data, and makes the task; classes and their weights are chosen.
    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source<Self::Store>>,
        splits: &Splits,
        setting: (&DataRoot, Workers),
    ) -> Result<Self::Task, ExperimentError>;

    /// Other data in the place of a run's, which knows these classes.
    fn put_source(data: &mut DataConfig, other: AnySource, labels: &[String]) -> Result<(), ExperimentError>;

    /// The task of a run, which needs no data: its blanks are filled in, and its files are in the artifact.
    fn published(task: &TaskConfig, artifact: &Artifact) -> Result<Self::Task, ExperimentError>;

    /// Says once how many samples of each part lose something of what they are.
    fn warn_of_cut(
        _task: &Self::Task,
        _source: &Arc<Source<Self::Store>>,
        _splits: &Splits,
        _workers: Workers,
    ) -> Result<(), ExperimentError> {
        Ok(())
    }

    /// A part of the data as the loop sees it.
    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<Self::Task>>;

    /// Why the samples of training are not the same in each epoch; nothing if they are.
    fn moves(data: &DataConfig) -> Option<&'static str>;

    /// The same task, whose scores are divided by this.
    fn at_temperature(task: &Self::Task, temperature: f64) -> Self::Task;

    /// The same task, which answers pictures in these views.
    fn in_views(task: &Self::Task, _views: Option<TestViews>) -> Self::Task {
        task.clone()
    }

    /// A sample as a request.
    fn request(source: &Source<Self::Store>, index: usize) -> Result<Vec<u8>, DataError>;

    /// A sample for a page.
    fn shown(source: &Source<Self::Store>, index: usize) -> Result<Shown, DataError>;

    /// The words of a sample, where it is a text.
    fn length(_source: &Source<Self::Store>, _index: usize) -> Option<usize> {
        None
    }

    /// A training sample as the network saw it in the first epoch, where it is a picture that can be read.
    fn augmented(plan: &Plan<Self>, index: usize) -> Option<Picture>;

    /// How well-known implementations call the layers of the network.
    fn names(task: &Self::Task) -> Vec<NameTable>;

    /// As [`Kind::translated`].
    fn translated(_task: &Self::Task, theirs: Weights) -> Result<Weights, String> {
        Ok(theirs)
    }

    /// As [`Kind::modules`].
    fn modules(_task: &Self::Task, _weight: &str) -> Option<Vec<String>> {
        None
    }

    /// The files beside the weights.
    fn assets(task: &Self::Task) -> BTreeMap<String, Vec<u8>>;
}

impl<S: Sorting> Kind for S {
    type Task = <S as Sorting>::Task;
    type Store = <S as Sorting>::Store;
    type Meter = MetricSet;
    type Findings = Sorted;

    const TAKES_OTHER_DATA: bool = true;

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source<Self::Store>, ExperimentError> {
        <S as Sorting>::open(data, roots)
    }

    fn adopt_network(
        resolved: &mut Resolved<Experiment>,
        setting: &Setting<'_>,
        observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<(), ExperimentError> {
        <S as Sorting>::adopt_network(resolved, setting, observe)
    }

    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source<Self::Store>>,
        splits: &Splits,
        setting: (&DataRoot, Workers),
    ) -> Result<Self::Task, ExperimentError> {
        let ClassSettings { loss, .. } = S::settings(&resolved.value.task);
        if !is_of_several(loss) && source.label_kind() == LabelKind::Several {
            let problem = "is of one class a sample, but the data name several: choose binary-cross-entropy";
            return Err(ExperimentError::setting(&format!("{}.loss", S::KEY), problem));
        }
        choose_labels::<S>(resolved, source)?;
        choose_class_weights::<S>(resolved, source, splits)?;
        <S as Sorting>::choose(resolved, source, splits, setting)
    }

    fn check(plan: &Plan<S>, _: &Setting<'_>) -> Result<(), ExperimentError> {
        let Experiment { train, task, .. } = plan.experiment();
        if train.calibrate && is_of_several(S::settings(task).loss) {
            let problem =
                "is of classes of which one is right, but binary-cross-entropy makes each a question of its own";
            return Err(ExperimentError::setting("train.calibrate", problem));
        }
        Ok(())
    }

    fn examples(plan: &Plan<S>, indices: &[usize]) -> Arc<dyn Examples<Self::Task>> {
        <S as Sorting>::examples(plan, indices)
    }

    fn meters(plan: &Plan<S>) -> Result<Meters<MetricSet>, ExperimentError> {
        // Of data with one class a sample each answer is scored as one of the classes, also where a sigmoid a class was trained.
        let classes = match plan.source.label_kind() {
            LabelKind::Several => Classes::AnyOf(plan.labels().len()),
            LabelKind::One | LabelKind::None => Classes::OneOf(plan.labels().len()),
        };
        let valid = MetricSet::init(&plan.experiment().train.metrics, classes)?;
        Ok(Meters { train: valid.clone().streaming_only(), valid })
    }

    fn fit(
        plan: &Plan<S>,
        job: &Job<'_, Self::Task, MetricSet>,
        run: &RunWriter,
        resume: Option<&Checkpoint>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<End<<Self::Task as Task>::Model>, ExperimentError> {
        // Each picture is learnt from, and the best weights are chosen by it, as it is.
        let task = S::in_views(&plan.task, None);
        let job = &job.on(&task, job.train, job.valid);
        let since = std::time::Instant::now();
        let probed = probe(job, resume, S::moves(&plan.experiment().data).map(str::to_owned), observe)?;
        // What computing features took belongs to the training.
        let before = since.elapsed().as_secs_f64();
        let end = match probed {
            Ok(Probed { task, train, valid }) => fit(&job.on(&task, &train, &valid), run, resume, observe)?,
            Err(reason) => {
                if let NoProbe::Moves(reason) = reason {
                    tracing::warn!("only the head learns, but its features cannot be computed once: {reason}");
                }
                fit(job, run, resume, observe)?
            }
        };
        Ok(match end {
            End::Finished(mut finished) => {
                finished.seconds += before;
                End::Finished(finished)
            }
            End::Interrupted { step } => End::Interrupted { step },
        })
    }

    fn measure(
        plan: &Plan<S>,
        model: &<Self::Task as Task>::Model,
        indices: &[usize],
        setting: &Setting<'_>,
    ) -> Result<Option<Measured<Sorted>>, ExperimentError> {
        measure(plan, model, indices, (None, None), setting)
    }

    fn settle(plan: &Plan<S>, valid: &Measured<Sorted>) -> Result<Option<Plan<S>>, ExperimentError> {
        let Sorted { scaling, .. } = &valid.findings;
        let calibrate = plan.experiment().train.calibrate && !scaling.is_empty();
        calibrate.then(|| plan.at_temperature(scaling.fit())).transpose()
    }

    fn settled(plan: &Plan<S>, published: &TaskConfig) -> Result<Option<Plan<S>>, ExperimentError> {
        plan.at_temperature(S::settings(published).temperature).map(Some)
    }

    fn request(plan: &Plan<S>, index: usize) -> Result<Vec<u8>, DataError> {
        <S as Sorting>::request(&plan.source, index)
    }

    fn report(
        plan: &Plan<S>,
        _model: &<Self::Task as Task>::Model,
        measured: &Measured<Sorted>,
        report: &mut Report,
    ) -> Result<(), ExperimentError> {
        page::fill(plan, measured, report);
        Ok(())
    }

    fn names(task: &Self::Task) -> Vec<NameTable> {
        <S as Sorting>::names(task)
    }

    fn translated(task: &Self::Task, theirs: Weights) -> Result<Weights, String> {
        <S as Sorting>::translated(task, theirs)
    }

    fn modules(task: &Self::Task, weight: &str) -> Option<Vec<String>> {
        <S as Sorting>::modules(task, weight)
    }

    fn assets(task: &Self::Task) -> BTreeMap<String, Vec<u8>> {
        <S as Sorting>::assets(task)
    }
}

impl<S: Sorting> Plan<S> {
    /// The same, whose answers are calibrated: scores are divided by this.
    pub(crate) fn at_temperature(&self, temperature: f64) -> Result<Self, ExperimentError> {
        let mut resolved = self.resolved.clone();
        resolved.choose(&format!("{}.temperature", S::KEY), temperature, "fitted on the validation part")?;
        let task = S::at_temperature(&self.task, temperature);
        Ok(Self { resolved, task, source: Arc::clone(&self.source), splits: self.splits.clone() })
    }

    /// The same, whose pictures are answered in these views.
    pub(crate) fn in_views(&self, views: TestViews) -> Self {
        let task = S::in_views(&self.task, Some(views));
        Self { resolved: self.resolved.clone(), task, source: Arc::clone(&self.source), splits: self.splits.clone() }
    }

    /// The names of the classes, in the order of the scores.
    pub(crate) fn labels(&self) -> &[String] {
        S::settings(&self.experiment().task).labels
    }

    /// What scores are divided by.
    pub(crate) fn temperature(&self) -> f64 {
        S::settings(&self.experiment().task).temperature
    }

    /// How many samples of each class a part has.
    pub(crate) fn counts(&self, indices: &[usize]) -> Vec<usize> {
        counts(&self.source, indices)
    }
}

/// Whether each class is a question of its own, of which several can be answered with yes.
pub(crate) fn is_of_several(loss: &LossConfig) -> bool {
    loss.probabilities() == Probabilities::AnyOf
}

/// Refuses data that name no class for a sample, or several where the loss is of one, and says what was left out.
pub(crate) fn check_source<S: Store>(source: &Source<S>, key: &str, what: &str) -> Result<(), ExperimentError> {
    let problem = match source.label_kind() {
        LabelKind::One => None,
        // Whether the loss takes several is seen where it is known.
        LabelKind::Several if what == "text" => None,
        LabelKind::Several => Some("several labels"),
        LabelKind::None => Some("no label"),
    };
    if let Some(problem) = problem {
        let problem = format!("has {problem} for a {what}, but classification takes one");
        return Err(ExperimentError::setting(key, problem));
    }
    if let Some(first) = source.left_out().first() {
        let (count, Skipped { name, reason }) = (source.left_out().len(), first);
        tracing::warn!(count, first = name, reason, "samples are left out, for they cannot be used");
    }
    Ok(())
}

fn counts<S: Store>(source: &Source<S>, indices: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; source.classes().len()];
    let labels = indices.iter().flat_map(|&index| source.labels(index));
    labels.for_each(|&label| counts[label as usize] += 1);
    counts
}

fn choose_labels<S: Sorting>(
    resolved: &mut Resolved<Experiment>,
    source: &Source<S::Store>,
) -> Result<(), ExperimentError> {
    let key = format!("{}.labels", S::KEY);
    let ClassSettings { labels, .. } = S::settings(&resolved.value.task);
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

fn choose_class_weights<S: Sorting>(
    resolved: &mut Resolved<Experiment>,
    source: &Source<S::Store>,
    splits: &Splits,
) -> Result<(), ExperimentError> {
    let mut loss = S::settings(&resolved.value.task).loss.clone();
    let Some(weights) = loss.resolve(&counts(source, &splits.train)) else { return Ok(()) };
    let key = match loss {
        LossConfig::CrossEntropy(_) => "cross-entropy",
        LossConfig::BinaryCrossEntropy(_) => "binary-cross-entropy",
        LossConfig::Focal(_) => "focal",
        LossConfig::MeanSquaredError => return Ok(()),
    };
    let key = format!("{}.loss.{key}.class-weights", S::KEY);
    Ok(resolved.choose(&key, ClassWeights::Given(weights), "balanced, from the training part")?)
}
