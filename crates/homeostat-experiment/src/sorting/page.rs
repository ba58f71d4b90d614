//! What a run's page shows of a task that sorts into classes. It does not know how the page looks.

use homeostat_data::LabelKind;
use homeostat_metrics::wilson;
use homeostat_report::{
    ClassRow, Classification, DataSummary, Headline, Lengths, Picture, Reliability, ReliabilityBin, Report, Value,
};

use super::{Sorted, Sorting};
use crate::{evaluate_run::Measured, plan::Plan};

/// Augmented samples that a report shows.
const PICTURES: usize = 24;

pub(super) fn fill<S: Sorting>(plan: &Plan<S>, measured: &Measured<Sorted>, report: &mut Report) {
    report.headlines.extend(calibration(plan, measured));
    report.classification = Some(classification(plan, measured));
    report.augmented = augmented_pictures(plan);
    report.data = data_summary(plan);
}

/// Training samples as the network saw them, the first of each class in turn; none where they are no pictures.
fn augmented_pictures<S: Sorting>(plan: &Plan<S>) -> Vec<Picture> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); plan.labels().len()];
    for &index in &plan.splits.train {
        if let Some(class) = plan.source.labels(index).first() {
            by_class[*class as usize].push(index);
        }
    }
    let rounds = by_class.iter().map(Vec::len).max().unwrap_or(0).min(PICTURES);
    let in_turn = (0..rounds).flat_map(|round| by_class.iter().filter_map(move |class| class.get(round)));
    in_turn.filter_map(|&index| S::augmented(plan, index)).take(PICTURES).collect()
}

/// How far the confidence is from the accuracy, where it was calibrated.
fn calibration<S: Sorting>(plan: &Plan<S>, measured: &Measured<Sorted>) -> Option<Headline> {
    let temperature = plan.temperature();
    plan.experiment().train.calibrate.then(|| Headline {
        label: format!("{} calibration error", measured.part),
        value: Value::Share(measured.findings.reliability.calibration_error()),
        note: format!(
            "{:.2} % before scores were divided by {temperature:.3}, fitted on the validation part",
            100.0 * measured.findings.uncalibrated
        ),
    })
}

fn classification<S: Sorting>(plan: &Plan<S>, measured: &Measured<Sorted>) -> Classification {
    let (labels, Sorted { confusion, counts, reliability, mistakes, .. }) = (plan.labels(), &measured.findings);
    let per_class = labels.iter().zip(counts.per_class()).map(|(name, class)| ClassRow {
        name: name.clone(),
        precision: class.precision,
        recall: class.recall,
        f1: class.f1,
        support: class.support,
    });
    let several = plan.source.label_kind() == LabelKind::Several;
    let confusion = confusion.rows();
    let right: u64 = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
    let accuracy = right as f64 / confusion.iter().flatten().sum::<u64>().max(1) as f64;
    let bins = reliability.bins().into_iter().map(|bin| ReliabilityBin {
        count: bin.count,
        confidence: bin.confidence,
        accuracy: bin.accuracy,
    });
    Classification {
        part: measured.part.to_owned(),
        classes: labels.to_vec(),
        // Where every class is a question of its own, none is taken for another.
        confusion: if several { Vec::new() } else { confusion.to_vec() },
        per_class: per_class.collect(),
        reliability: (!several).then(|| Reliability {
            bins: bins.collect(),
            accuracy_interval: wilson(accuracy, measured.samples as u64),
            calibration_error: reliability.calibration_error(),
        }),
        mistakes: mistakes.clone(),
        // `accuracy` counts each label, of which most are easily right.
        lengths: Lengths::of(if several { "all labels right" } else { "accuracy" }, measured.findings.lengths.clone()),
    }
}

fn data_summary<S: Sorting>(plan: &Plan<S>) -> DataSummary {
    let parts = [("train", &plan.splits.train), ("valid", &plan.splits.valid), ("test", &plan.splits.test)];
    let counts: Vec<Vec<usize>> = parts.iter().map(|(_, indices)| plan.counts(indices)).collect();
    let row = |(class, name): (usize, &String)| (name.clone(), counts.iter().map(|part| part[class] as u64).collect());
    DataSummary {
        parts: parts.iter().map(|(name, _)| (*name).to_owned()).collect(),
        classes: plan.labels().iter().enumerate().map(row).collect(),
    }
}
