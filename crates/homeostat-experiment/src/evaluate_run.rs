//! Measures a network on samples: on a part of its own data, or on other data without what it knows of them. It does not know
//! who asks.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use homeostat_artifact::{Artifact, Figures, Run};
use homeostat_data::{AnySource, LabelKind, OnCorrupt, Skipped, SplitRecord, Splits, TestViews};
use homeostat_deploy::published;
use homeostat_task::{Outcome, Task};
use homeostat_tasks::TaskConfig;
use homeostat_train::{Examples, Meter, Rows, evaluate};

use crate::{
    Experiment, ExperimentError, Setting,
    conduct::reopen,
    embeddings::Embeddings,
    generation::Generation,
    images::Images,
    kind::Kind,
    language::Language,
    plan::Plan,
    recommendations::Recommendations,
    sorting::{Answers, ClassSettings, Sorting, is_of_several, measure},
    texts::Texts,
};

/// What was measured on a part.
pub(crate) struct Measured<F> {
    pub(crate) part: &'static str,
    pub(crate) figures: Figures,
    /// Samples measured.
    pub(crate) samples: usize,
    /// Samples that could not be read.
    pub(crate) skipped: Vec<Skipped>,
    /// What the kind of task found beside the figures.
    pub(crate) findings: F,
}

/// What a pass over samples gave.
pub(crate) struct Pass<M> {
    pub(crate) meter: M,
    /// Samples measured.
    pub(crate) samples: usize,
    /// Samples that could not be read.
    pub(crate) skipped: Vec<Skipped>,
}

impl<M: Meter> Pass<M> {
    /// What the pass tells, as of the test part, with what is found in its meter; without samples there are no figures.
    pub(crate) fn measured<F>(self, findings: impl FnOnce(M) -> F) -> Measured<F> {
        let Self { meter, samples, skipped } = self;
        let figures = if samples == 0 { Figures::default() } else { meter.figures() };
        Measured { part: "test", figures, samples, skipped, findings: findings(meter) }
    }
}

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The figures.
    pub figures: Figures,
    /// Samples measured.
    pub samples: usize,
    /// Samples left out since the run has learnt from them, or its weights were chosen by them.
    pub known: usize,
    /// Samples left out since they could not be read.
    pub skipped: Vec<Skipped>,
}

/// Goes through samples with a meter; `each` sees every batch of which something could be read. Gives nothing if it is stopped
/// from outside.
#[allow(clippy::type_complexity, reason = "a closure whose arguments all have names")]
pub(crate) fn pass<K: Kind, M: Meter<Record = Record<K>>>(
    plan: &Plan<K>,
    model: &<K::Task as Task>::Model,
    examples: &Arc<dyn Examples<K::Task>>,
    meter: M,
    setting: &Setting<'_>,
    each: &mut dyn FnMut(&Rows<K::Task>, &Record<K>),
) -> Result<Option<Pass<M>>, ExperimentError> {
    let (mut samples, mut skipped) = (0, Vec::new());
    let mut see = |rows: &Rows<K::Task>, record: Option<&Record<K>>| {
        samples += rows.inputs.len();
        skipped.extend_from_slice(&rows.skipped);
        if let Some(record) = record {
            each(rows, record);
        }
        if setting.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let sizing = (plan.experiment().train.batch_size.max(64), setting.workers);
    let meter = evaluate(&plan.task, model, examples, meter, sizing, setting.device, &mut see)?;
    Ok(meter.map(|meter| Pass { meter, samples, skipped }))
}

/// What meters of a kind's task take in.
type Record<K> = <<<K as Kind>::Task as Task>::Outcome as Outcome>::Record;

/// Measures the published weights of a run on its own test part, which gives the figures of its end again, or on another
/// source. Of another source, what the run has learnt from and what its weights were chosen by is left out; such samples are
/// known by their content, wherever they lie. With `tta`, each answer is the mean over these views of a picture,
/// whatever the run's own say.
///
/// # Errors
/// The run, its artifact or the data are broken, or nothing is left to measure with.
pub fn evaluate_run(
    run: &Run,
    source: Option<AnySource>,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Evaluation, ExperimentError> {
    let text = run.experiment()?;
    match (Experiment::of_run(run)?.load()?.value.task, source) {
        (TaskConfig::ImageGeneration(_), _) if tta.is_some() => {
            Err(ExperimentError::setting("--tta", "averages answers about classes, but the run makes pictures"))
        }
        (task, _) if tta.is_some() && !matches!(task, TaskConfig::ImageClassification(_)) => {
            Err(ExperimentError::setting("--tta", "makes views of pictures, but the run is about texts"))
        }
        (TaskConfig::ImageClassification(_), Some(source)) => {
            evaluate_elsewhere::<Images>(run, &text, source, tta, setting)
        }
        (TaskConfig::TextClassification(_), Some(source)) => {
            evaluate_elsewhere::<Texts>(run, &text, source, None, setting)
        }
        (_, Some(_)) => Err(ExperimentError::setting("--data", "has samples with a class, but the run has no classes")),
        (TaskConfig::ImageClassification(_), None) => {
            let plan = reopen::<Images>(run, &text, setting)?;
            measure_sorted(run, &plan, (&plan.splits.test, 0), (tta, None), setting)
        }
        (TaskConfig::TextClassification(_), None) => evaluate_test::<Texts>(run, &text, setting),
        (TaskConfig::ImageGeneration(_), None) => evaluate_test::<Generation>(run, &text, setting),
        (TaskConfig::LanguageModel(_), None) => evaluate_test::<Language>(run, &text, setting),
        (TaskConfig::SentenceEmbedding(_), None) => evaluate_test::<Embeddings>(run, &text, setting),
        (TaskConfig::Recommendation(_), None) => evaluate_test::<Recommendations>(run, &text, setting),
    }
}

fn evaluate_elsewhere<S: Sorting>(
    run: &Run,
    text: &str,
    source: AnySource,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Evaluation, ExperimentError> {
    let plan = plan_of_source::<S>(run, text, source, setting)?;
    let (unknown, known) = unknown(run, &plan)?;
    let parts = Splits { test: unknown, ..Splits::default() };
    S::warn_of_cut(&plan.task, &plan.source, &parts, setting.workers)?;
    let mut evaluation = measure_sorted(run, &plan, (&parts.test, known), (tta, None), setting)?;
    evaluation.skipped.extend_from_slice(plan.source.left_out());
    match evaluation.skipped.first() {
        Some(Skipped { name, reason }) if evaluation.samples == 0 => {
            Err(ExperimentError::setting("--data", format!("has nothing that can be measured: {name}: {reason}")))
        }
        _ => Ok(evaluation),
    }
}

fn evaluate_test<K: Kind>(run: &Run, text: &str, setting: &Setting<'_>) -> Result<Evaluation, ExperimentError> {
    let plan = reopen::<K>(run, text, setting)?;
    measure_published(run, &plan, (&plan.splits.test, 0), setting, |plan, model, indices| {
        K::measure(plan, model, indices, setting)
    })
}

/// The same of a network that sorts into classes: in several views, or with what it answers to each sample.
pub(crate) fn measure_sorted<S: Sorting>(
    run: &Run,
    plan: &Plan<S>,
    indices: (&[usize], usize),
    asked: (Option<TestViews>, Option<&mut Answers>),
    setting: &Setting<'_>,
) -> Result<Evaluation, ExperimentError> {
    measure_published(run, plan, indices, setting, |plan, model, indices| measure(plan, model, indices, asked, setting))
}

/// Measures the published network, as it answers, on these samples; so many others it knows.
pub(crate) fn measure_published<K: Kind>(
    run: &Run,
    plan: &Plan<K>,
    (indices, known): (&[usize], usize),
    setting: &Setting<'_>,
    measure: impl FnOnce(
        &Plan<K>,
        &<K::Task as Task>::Model,
        &[usize],
    ) -> Result<Option<Measured<K::Findings>>, ExperimentError>,
) -> Result<Evaluation, ExperimentError> {
    if indices.is_empty() {
        let why = if K::TAKES_OTHER_DATA {
            "the run has no test part, or it knows all samples; name other data with --data"
        } else {
            "the run has no test part; give data.split one, and train anew"
        };
        return Err(ExperimentError::run(run.path(), format!("there is nothing to measure with: {why}")));
    }
    let artifact = Artifact::open(run.path())?;
    let settled = K::settled(plan, &TaskConfig::parse(artifact.kind(), &artifact.task()?)?)?;
    let plan = settled.as_ref().unwrap_or(plan);
    let model = published(&plan.task, &artifact, setting.device)?;
    let measured = measure(plan, &model, indices)?;
    let measured =
        measured.ok_or_else(|| ExperimentError::run(run.path(), "the measurement was stopped from outside"))?;
    Ok(Evaluation { figures: measured.figures, samples: measured.samples, known, skipped: measured.skipped })
}

/// The experiment of a run with its data replaced; labels and sizes stay those of the network. Samples that cannot be read, or are of no
/// class that the run knows, are left out and counted: there is no setting here to say so.
pub(crate) fn plan_of_source<S: Sorting>(
    run: &Run,
    text: &str,
    source: AnySource,
    setting: &Setting<'_>,
) -> Result<Plan<S>, ExperimentError> {
    let mut resolved = Experiment::text("experiment.toml", text).load()?;
    let task = S::published(&resolved.value.task, &Artifact::open(run.path())?)?;
    let data = &mut resolved.value.data;
    data.on_corrupt = OnCorrupt::Skip;
    let ClassSettings { labels, loss, .. } = S::settings(&resolved.value.task);
    S::put_source(data, source, labels)?;
    let source = Arc::new(<S as Sorting>::open(data, &setting.roots)?);
    if source.classes() != labels {
        let problem =
            format!("has the classes {}, but the run knows {}", source.classes().join(", "), labels.join(", "));
        return Err(ExperimentError::setting("--data", problem));
    }
    if !is_of_several(loss) && source.label_kind() == LabelKind::Several {
        return Err(ExperimentError::setting("--data", "has several classes a sample, but the run answers with one"));
    }
    Ok(Plan { resolved, task, source, splits: Splits::default() })
}

/// The samples that the run has neither learnt from nor been chosen by, and the number of the others.
pub(crate) fn unknown<K: Kind>(run: &Run, plan: &Plan<K>) -> Result<(Vec<usize>, usize), ExperimentError> {
    let record: SplitRecord = run.split()?.ok_or_else(|| ExperimentError::run(run.path(), "has no split.json"))?;
    let known: BTreeSet<usize> = record.leaks(&plan.source)?.into_iter().collect();
    let unknown = (0..plan.source.len()).filter(|index| !known.contains(index)).collect();
    Ok((unknown, known.len()))
}
