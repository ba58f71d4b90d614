//! Measures a network on samples: on a part of its own data, or on other data without what it knows of them. It does not know
//! who asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use homeostat_artifact::{Artifact, Figures, Run};
use homeostat_data::{Skipped, SourceConfig, SplitRecord, TestViews};
use homeostat_deploy::published;
use homeostat_metrics::{ConfusionMatrix, MetricSet, Predictions, ReliabilityBins, TemperatureScaling, Truth};
use homeostat_report::Mistake;
use homeostat_task::Task;
use homeostat_tasks::TaskConfig;
use homeostat_train::{Meter, Rows, evaluate};
use serde::{Deserialize, Serialize};

use crate::{
    Experiment, ExperimentError, Setting, conduct::reopen, images::Images, kind::Kind, plan::Plan, texts::Texts,
};

/// Mistakes that a report shows.
const MISTAKES: usize = 32;
const BINS: usize = 15;

/// What was measured on a part.
pub(crate) struct Measured {
    pub(crate) part: &'static str,
    pub(crate) figures: Figures,
    /// Samples measured.
    pub(crate) samples: usize,
    pub(crate) confusion: ConfusionMatrix,
    pub(crate) reliability: ReliabilityBins,
    /// The calibration error of answers whose scores are not divided by the temperature.
    pub(crate) uncalibrated: f64,
    /// By what a temperature can be fitted, where the experiment asks for that.
    pub(crate) scaling: TemperatureScaling,
    /// Wrong answers, the most confident first.
    pub(crate) mistakes: Vec<Mistake>,
    /// Samples that could not be read.
    pub(crate) skipped: Vec<Skipped>,
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

/// The figures of answers that are each the mean over some views.
#[derive(Clone, Serialize, Deserialize)]
struct OverViews {
    views: usize,
    metrics: MetricSet,
}

impl Meter for OverViews {
    type Record = Predictions;

    fn update(&mut self, record: &Predictions) {
        self.metrics.update(&record.averaged(self.views));
    }

    fn figures(&self) -> Figures {
        Meter::figures(&self.metrics)
    }

    fn higher_is_better(&self, figure: &str) -> Option<bool> {
        Meter::higher_is_better(&self.metrics, figure)
    }
}

/// What was answered to each sample.
#[derive(Default)]
pub(crate) struct Answers {
    /// By position: the right class, and the probabilities.
    pub(crate) rows: BTreeMap<usize, (u32, Vec<f32>)>,
}

impl Answers {
    fn add(&mut self, positions: &[usize], predictions: &Predictions) {
        let Truth::OneOf(labels) = predictions.truth() else { return };
        let rows = predictions.rows().zip(labels).zip(positions);
        self.rows.extend(rows.map(|((row, label), position)| (*position, (*label, row.to_vec()))));
    }
}

/// Measures on these samples; without any, there are no figures. Gives nothing if it is stopped from outside.
pub(crate) fn measure<K: Kind>(
    plan: &Plan<K>,
    model: &<K::Task as Task>::Model,
    indices: &[usize],
    (tta, mut answers): (Option<TestViews>, Option<&mut Answers>),
    setting: &Setting<'_>,
) -> Result<Option<Measured>, ExperimentError> {
    let examples = K::examples(plan, indices, tta);
    let views = tta.map_or(1, TestViews::count);
    let mut confusion = ConfusionMatrix::new(plan.labels().len());
    let [mut reliability, mut uncalibrated] = [ReliabilityBins::new(BINS), ReliabilityBins::new(BINS)];
    let (mut scaling, calibrate) = (TemperatureScaling::default(), plan.experiment().train.calibrate);
    let temperature = plan.experiment().task.temperature();
    let mut wrong: Vec<(f32, usize, u32)> = Vec::new();
    let (mut samples, mut skipped) = (0, Vec::new());
    let mut each = |rows: &Rows<K::Task>, predictions: Option<&Predictions>| {
        samples += rows.inputs.len() / views;
        skipped.extend_from_slice(&rows.skipped);
        if let Some(predictions) = predictions.map(|predictions| predictions.averaged(views)) {
            let positions: Vec<usize> = rows.positions.iter().step_by(views).copied().collect();
            confusion.update(&predictions);
            reliability.update(&predictions);
            if calibrate {
                uncalibrated.update(&predictions.at_temperature(1.0 / temperature));
                scaling.update(&predictions);
            }
            wrong.extend(mistakes(&positions, &predictions));
            if let Some(answers) = &mut answers {
                answers.add(&positions, &predictions);
            }
        }
        // Only the worst are kept, so that a large part costs no memory.
        if wrong.len() > 8 * MISTAKES {
            keep_worst(&mut wrong);
        }
        if setting.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let sizing = (plan.experiment().train.batch_size.max(64), setting.workers);
    let meter = OverViews { views, metrics: plan.meters()?.valid };
    let meter = evaluate(&plan.task, model, &examples, meter, sizing, setting.device, &mut each)?;
    let Some(meter) = meter else { return Ok(None) };
    keep_worst(&mut wrong);
    let figures = if samples == 0 { Figures::default() } else { Meter::figures(&meter) };
    let mistakes = wrong.into_iter().map(|(confidence, position, predicted)| {
        let index = indices[position];
        Ok(Mistake {
            shown: K::shown(&plan.source, index)?,
            name: plan.source.name(index),
            truth: plan.labels()[plan.source.label(index)].clone(),
            predicted: plan.labels()[predicted as usize].clone(),
            confidence: f64::from(confidence),
        })
    });
    let mistakes = mistakes.collect::<Result<_, ExperimentError>>()?;
    let uncalibrated = uncalibrated.calibration_error();
    let part = "test";
    Ok(Some(Measured { part, figures, samples, confusion, reliability, uncalibrated, scaling, mistakes, skipped }))
}

/// Confidence, position and predicted class of each wrong answer.
fn mistakes(positions: &[usize], predictions: &Predictions) -> Vec<(f32, usize, u32)> {
    let Truth::OneOf(labels) = predictions.truth() else { return Vec::new() };
    let answers = predictions.rows().zip(predictions.predicted()).zip(labels).zip(positions);
    answers
        .filter(|(((_, predicted), label), _)| predicted != label)
        .map(|(((row, &predicted), _), &position)| (row[predicted as usize], position, predicted))
        .collect()
}

fn keep_worst(wrong: &mut Vec<(f32, usize, u32)>) {
    // The position decides among equals, so that the list does not depend on batches.
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    wrong.truncate(MISTAKES);
}

/// Measures the published weights of a run on its own test part, which gives the figures of its end again, or on another
/// source. Of another source, what the run has learnt from and what its weights were chosen by is left out; such samples are
/// known by their content, wherever they lie. With `tta`, each answer is the mean over several views of a picture.
///
/// # Errors
/// The run, its artifact or the data are broken, or nothing is left to measure with.
pub fn evaluate_run(
    run: &Run,
    source: Option<SourceConfig>,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Evaluation, ExperimentError> {
    let text = run.experiment()?;
    match (Experiment::text("experiment.toml", &text).load()?.value.task, source) {
        (TaskConfig::ImageClassification(_), Some(source)) => {
            let plan = plan_of_source(&text, source, setting)?;
            let (unknown, known) = unknown(run, &plan)?;
            measure_published(run, &plan, (&unknown, known), tta, None, setting)
        }
        (TaskConfig::TextClassification(_), Some(_)) => {
            Err(ExperimentError::setting("--data", "takes pictures, but the run is about texts"))
        }
        (TaskConfig::TextClassification(_), None) if tta.is_some() => {
            Err(ExperimentError::setting("--tta", "makes views of pictures, but the run is about texts"))
        }
        (TaskConfig::ImageClassification(_), None) => evaluate_test::<Images>(run, &text, tta, setting),
        (TaskConfig::TextClassification(_), None) => evaluate_test::<Texts>(run, &text, tta, setting),
    }
}

fn evaluate_test<K: Kind>(
    run: &Run,
    text: &str,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Evaluation, ExperimentError> {
    let plan = reopen::<K>(run, text, setting)?;
    measure_published(run, &plan, (&plan.splits.test, 0), tta, None, setting)
}

/// Measures the published network, at its temperature, on these samples; so many others it knows.
pub(crate) fn measure_published<K: Kind>(
    run: &Run,
    plan: &Plan<K>,
    (indices, known): (&[usize], usize),
    tta: Option<TestViews>,
    answers: Option<&mut Answers>,
    setting: &Setting<'_>,
) -> Result<Evaluation, ExperimentError> {
    if indices.is_empty() {
        return Err(ExperimentError::run(
            run.path(),
            "there is nothing to measure with: the run has no test part, or it knows all samples; name other data with --data",
        ));
    }
    let artifact = Artifact::open(run.path())?;
    let temperature = TaskConfig::parse(artifact.kind(), &artifact.task()?)?.temperature();
    let plan = plan.at_temperature(temperature)?;
    let model = published(&plan.task, &artifact, setting.device)?;
    let measured = measure(&plan, &model, indices, (tta, answers), setting)?;
    let measured =
        measured.ok_or_else(|| ExperimentError::run(run.path(), "the measurement was stopped from outside"))?;
    Ok(Evaluation { figures: measured.figures, samples: measured.samples, known, skipped: measured.skipped })
}

/// The experiment of a run with its data replaced; labels and sizes stay those of the network.
pub(crate) fn plan_of_source(
    text: &str,
    source: SourceConfig,
    setting: &Setting<'_>,
) -> Result<Plan<Images>, ExperimentError> {
    let mut resolved = Experiment::text("experiment.toml", text).load()?;
    let TaskConfig::ImageClassification(config) = &resolved.value.task else { panic!("the task was looked at") };
    let task = config.init()?;
    resolved.value.data.source = source;
    let source = Arc::new(Images::open(&resolved.value.data, &setting.roots)?);
    if source.classes() != task.labels() {
        let problem =
            format!("has the classes {}, but the run knows {}", source.classes().join(", "), task.labels().join(", "));
        return Err(ExperimentError::setting("--data", problem));
    }
    Ok(Plan { resolved, task, source, splits: homeostat_data::Splits::default() })
}

/// The samples that the run has neither learnt from nor been chosen by, and the number of the others.
pub(crate) fn unknown<K: Kind>(run: &Run, plan: &Plan<K>) -> Result<(Vec<usize>, usize), ExperimentError> {
    let record: SplitRecord = run.split()?.ok_or_else(|| ExperimentError::run(run.path(), "has no split.json"))?;
    let known: BTreeSet<usize> = record.leaks(&plan.source)?.into_iter().collect();
    let unknown = (0..plan.source.len()).filter(|index| !known.contains(index)).collect();
    Ok((unknown, known.len()))
}
