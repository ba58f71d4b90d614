//! Measures how a network sorts samples into classes, in other views where asked. It does not know who asks.

use std::collections::BTreeMap;

use homeostat_artifact::Figures;
use homeostat_data::TestViews;
use homeostat_metrics::{ClassCounts, ConfusionMatrix, Predictions, ReliabilityBins, TemperatureScaling, Truth};
use homeostat_report::Mistake;
use homeostat_task::Task;
use homeostat_train::{Meter, Rows};

use super::Sorting;
use crate::{
    ExperimentError, Setting,
    evaluate_run::{Measured, Pass, pass},
    kind::Kind,
    plan::Plan,
};

/// Mistakes that a report shows.
const MISTAKES: usize = 32;
const BINS: usize = 15;

/// What was found on a part beside the figures.
pub(crate) struct Sorted {
    pub(crate) confusion: ConfusionMatrix,
    pub(crate) counts: ClassCounts,
    pub(crate) reliability: ReliabilityBins,
    /// The calibration error of answers whose scores are not divided by the temperature.
    pub(crate) uncalibrated: f64,
    /// By what a temperature can be fitted, where the experiment asks for that.
    pub(crate) scaling: TemperatureScaling,
    /// Wrong answers, the most confident first.
    pub(crate) mistakes: Vec<Mistake>,
    /// The length of each sample that has one, and whether all of it was answered right.
    pub(crate) lengths: Vec<(usize, bool)>,
}

/// A wrong answer.
struct Wrong {
    confidence: f32,
    position: usize,
    /// The class, or the labels, that were answered.
    answered: Vec<u32>,
}

/// What was answered to each sample.
#[derive(Default)]
pub(crate) struct Answers {
    /// By position: what is right, of this sample alone, and the probabilities.
    pub(crate) rows: BTreeMap<usize, (Truth, Vec<f32>)>,
}

impl Answers {
    fn add(&mut self, positions: &[usize], predictions: &Predictions) {
        let truths: Vec<Truth> = match predictions.truth() {
            Truth::OneOf(labels) => labels.iter().map(|&label| Truth::OneOf(vec![label])).collect(),
            Truth::AnyOf(right) => {
                right.chunks_exact(predictions.classes().count()).map(|row| Truth::AnyOf(row.to_vec())).collect()
            }
        };
        let rows = predictions.rows().zip(truths).zip(positions);
        self.rows.extend(rows.map(|((row, truth), position)| (*position, (truth, row.to_vec()))));
    }
}

/// Measures on these samples; without any, there are no figures. Gives nothing if it is stopped from outside.
pub(crate) fn measure<S: Sorting>(
    plan: &Plan<S>,
    model: &<<S as Kind>::Task as Task>::Model,
    indices: &[usize],
    (tta, mut answers): (Option<TestViews>, Option<&mut Answers>),
    setting: &Setting<'_>,
) -> Result<Option<Measured<Sorted>>, ExperimentError> {
    let in_views = tta.map(|views| plan.in_views(views));
    let plan = in_views.as_ref().unwrap_or(plan);
    let examples = plan.examples(indices);
    let mut confusion = ConfusionMatrix::new(plan.labels().len());
    let mut counts = ClassCounts::new(plan.labels().len());
    let [mut reliability, mut uncalibrated] = [ReliabilityBins::new(BINS), ReliabilityBins::new(BINS)];
    let (mut scaling, calibrate) = (TemperatureScaling::default(), plan.experiment().train.calibrate);
    let temperature = plan.temperature();
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut lengths = Vec::new();
    let mut each = |rows: &Rows<<S as Kind>::Task>, predictions: &Predictions| {
        let positions = &rows.positions;
        counts.update(predictions);
        if let Truth::OneOf(_) = predictions.truth() {
            confusion.update(predictions);
            reliability.update(predictions);
        }
        if calibrate {
            uncalibrated.update(&predictions.at_temperature(1.0 / temperature));
            scaling.update(predictions);
        }
        for ((row, (truth, answered)), &position) in predictions.rows().zip(predictions.sets()).zip(positions) {
            let is_right = truth == answered;
            lengths.extend(S::length(&plan.source, indices[position]).map(|length| (length, is_right)));
            if !is_right {
                let confidence = match predictions.truth() {
                    Truth::OneOf(_) => row[answered[0] as usize],
                    Truth::AnyOf(_) => surest_error(row, &truth, &answered),
                };
                wrong.push(Wrong { confidence, position, answered });
            }
        }
        if let Some(answers) = &mut answers {
            answers.add(positions, predictions);
        }
        // Only the worst are kept, so that a large part costs no memory.
        if wrong.len() > 8 * MISTAKES {
            keep_worst(&mut wrong);
        }
    };
    let meter = <S as Kind>::meters(plan)?.valid;
    let Some(passed) = pass(plan, model, &examples, meter, setting, &mut each)? else { return Ok(None) };
    let Pass { meter, samples, skipped } = passed;
    keep_worst(&mut wrong);
    let figures = if samples == 0 { Figures::default() } else { Meter::figures(&meter) };
    let mistakes = wrong.into_iter().map(|Wrong { confidence, position, answered }| {
        let index = indices[position];
        Ok(Mistake {
            shown: S::shown(&plan.source, index)?,
            name: plan.source.name(index),
            truth: named(plan.labels(), plan.source.labels(index)),
            predicted: named(plan.labels(), &answered),
            confidence: f64::from(confidence),
        })
    });
    let mistakes = mistakes.collect::<Result<_, ExperimentError>>()?;
    let uncalibrated = uncalibrated.calibration_error();
    let findings = Sorted { confusion, counts, reliability, uncalibrated, scaling, mistakes, lengths };
    Ok(Some(Measured { part: "test", figures, samples, skipped, findings }))
}

/// The probability of the surest wrong answer, where each label is a question of its own.
fn surest_error(row: &[f32], truth: &[u32], answered: &[u32]) -> f32 {
    let is_wrong = |label: u32| truth.contains(&label) != answered.contains(&label);
    let errors = (0..).zip(row).filter(|(label, _)| is_wrong(*label));
    errors.map(|(_, &yes)| yes.max(1.0 - yes)).fold(0.0, f32::max)
}

/// Classes by their names, or that there is none.
fn named(labels: &[String], classes: &[u32]) -> String {
    let names = classes.iter().map(|&class| labels[class as usize].as_str()).collect::<Vec<_>>();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn keep_worst(wrong: &mut Vec<Wrong>) {
    // The position decides among equals, so that the list does not depend on batches.
    wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.position.cmp(&b.position)));
    wrong.truncate(MISTAKES);
}
