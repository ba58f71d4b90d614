//! Several runs that answer together: the mean of their probabilities. It does not know who asks.

use std::collections::BTreeMap;

use homeostat_artifact::{Figures, Run};
use homeostat_data::{AnySource, SplitRecord, Splits, TestViews};
use homeostat_metrics::{Predictions, Truth};
use homeostat_tasks::TaskConfig;
use homeostat_train::Meter;

use crate::{
    Evaluation, Experiment, ExperimentError, Setting,
    conduct::reopen,
    evaluate_run::{measure_sorted, plan_of_source, unknown},
    images::Images,
    kind::Kind,
    plan::Plan,
    sorting::{Answers, Sorting},
    texts::Texts,
};

/// The figures of several runs, alone and together.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Of each run, in their order.
    pub members: Vec<Evaluation>,
    /// Of the mean of their probabilities; instead of the loss, the cross-entropy of these.
    pub together: Evaluation,
}

/// Measures runs alone and together, on the test part that they share, or on the samples of another source that none of them knows.
/// Each answers as it was published, calibrated or not.
///
/// # Errors
/// As of [`evaluate_run`](crate::evaluate_run); or the runs differ in their classes, or in their test parts.
pub fn evaluate_ensemble(
    runs: &[Run],
    source: Option<&AnySource>,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Ensemble, ExperimentError> {
    let mut texts = Vec::new();
    for run in runs {
        let about_texts = match Experiment::of_run(run)?.load()?.value.task {
            TaskConfig::ImageClassification(_) => false,
            TaskConfig::TextClassification(_) => true,
            TaskConfig::ImageGeneration(_) => {
                return Err(ExperimentError::run(run.path(), "makes pictures, but only classes are answered together"));
            }
            TaskConfig::LanguageModel(_) | TaskConfig::SentenceEmbedding(_) | TaskConfig::Recommendation(_) => {
                return Err(ExperimentError::run(run.path(), "has no classes, but only classes are answered together"));
            }
        };
        texts.push((run.experiment()?, about_texts));
    }
    let about_texts = texts.iter().all(|(_, about_texts)| *about_texts);
    if let Some((at, _)) = texts.iter().enumerate().find(|(_, (_, other))| *other != about_texts) {
        return Err(ExperimentError::run(runs[at].path(), "is not about what the first run is about"));
    }
    let texts: Vec<String> = texts.into_iter().map(|(text, _)| text).collect();
    if about_texts {
        if tta.is_some() {
            return Err(ExperimentError::setting("--tta", "makes views of pictures, but the runs are about texts"));
        }
        return evaluate_all::<Texts>(runs, &texts, source, None, setting);
    }
    evaluate_all::<Images>(runs, &texts, source, tta, setting)
}

/// `texts` are the experiments of the runs.
fn evaluate_all<S: Sorting>(
    runs: &[Run],
    texts: &[String],
    source: Option<&AnySource>,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Ensemble, ExperimentError> {
    let pairs = || runs.iter().zip(texts);
    let Some(source) = source else {
        let plans = pairs().map(|(run, text)| reopen::<S>(run, text, setting)).collect::<Result<Vec<_>, _>>()?;
        return together(runs, &plans, None, tta, setting);
    };
    let plan = |(run, text): (&Run, &String)| plan_of_source::<S>(run, text, source.clone(), setting);
    let plans = pairs().map(plan).collect::<Result<Vec<_>, _>>()?;
    let parts = Splits { test: unknown_to_all(runs, &plans)?, ..Splits::default() };
    S::warn_of_cut(&plans[0].task, &plans[0].source, &parts, setting.workers)?;
    let mut ensemble = together(runs, &plans, Some(parts.test), tta, setting)?;
    let evaluations = ensemble.members.iter_mut().chain([&mut ensemble.together]);
    evaluations.for_each(|evaluation| evaluation.skipped.extend_from_slice(plans[0].source.left_out()));
    Ok(ensemble)
}

/// Figures with cross-entropy by its name: the runs may have learnt by another loss, or with smoothed labels.
fn of_means(figures: &Figures) -> Figures {
    figures.iter().map(|(name, value)| (if name == "loss" { "cross-entropy" } else { name }, value)).collect()
}

/// The samples that none of the runs knows.
fn unknown_to_all<K: Kind>(runs: &[Run], plans: &[Plan<K>]) -> Result<Vec<usize>, ExperimentError> {
    let mut shared: Option<Vec<usize>> = None;
    for (run, plan) in runs.iter().zip(plans) {
        let (own, _) = unknown(run, plan)?;
        shared = Some(match shared {
            Some(others) => others.into_iter().filter(|index| own.binary_search(index).is_ok()).collect(),
            None => own,
        });
    }
    Ok(shared.unwrap_or_default())
}

/// What the members said of a sample.
struct Sum {
    truth: Truth,
    probabilities: Vec<f64>,
    members: usize,
}

fn together<S: Sorting>(
    runs: &[Run],
    plans: &[Plan<S>],
    strangers: Option<Vec<usize>>,
    tta: Option<TestViews>,
    setting: &Setting<'_>,
) -> Result<Ensemble, ExperimentError> {
    let (first, record) = (&plans[0], runs[0].split::<SplitRecord>()?);
    for (run, plan) in runs.iter().zip(plans).skip(1) {
        if plan.labels() != first.labels() {
            return Err(ExperimentError::run(run.path(), "has other classes than the first run"));
        }
        let other: Option<SplitRecord> = run.split()?;
        let same = record.as_ref().zip(other.as_ref()).is_some_and(|(first, other)| first.test == other.test);
        if strangers.is_none() && !same {
            let problem = "has another test part than the first run: data for all of them are named with --data, and a split at \
                           random is that of the seed";
            return Err(ExperimentError::run(run.path(), problem));
        }
    }
    let indices = strangers.unwrap_or_else(|| first.splits.test.clone());
    let known = if first.splits.test.is_empty() { first.source.len() - indices.len() } else { 0 };
    let (mut sums, mut members) = (BTreeMap::<usize, Sum>::new(), Vec::new());
    for (run, plan) in runs.iter().zip(plans) {
        let mut answers = Answers::default();
        members.push(measure_sorted(run, plan, (&indices, known), (tta, Some(&mut answers)), setting)?);
        for (position, (truth, row)) in answers.rows {
            let fresh = || Sum { truth, probabilities: vec![0.0; row.len()], members: 0 };
            let sum = sums.entry(position).or_insert_with(fresh);
            sum.probabilities.iter_mut().zip(&row).for_each(|(sum, p)| *sum += f64::from(*p));
            sum.members += 1;
        }
    }
    // What one of them could not read has no answer of all.
    sums.retain(|_, sum| sum.members == runs.len());
    let (mut meter, samples) = (<S as Kind>::meters(first)?.valid, sums.len());
    for Sum { truth, probabilities, members } in sums.into_values() {
        #[expect(clippy::cast_possible_truncation, reason = "probabilities are 32-bit floats")]
        let mean: Vec<f32> = probabilities.iter().map(|sum| (sum / members as f64) as f32).collect();
        Meter::update(&mut meter, &Predictions::with_cross_entropy(mean.len(), mean, truth));
    }
    let skipped = members.iter().flat_map(|member| member.skipped.clone()).collect::<Vec<_>>();
    let mut distinct: Vec<homeostat_data::Skipped> = Vec::new();
    skipped.into_iter().for_each(|skipped| {
        if !distinct.contains(&skipped) {
            distinct.push(skipped);
        }
    });
    let figures = if samples == 0 { Figures::default() } else { of_means(&Meter::figures(&meter)) };
    Ok(Ensemble { members, together: Evaluation { figures, samples, known, skipped: distinct } })
}
