//! Every figure and table against scikit-learn's, on the cases of `fixtures/make.py`.

use std::collections::BTreeMap;

use homeostat_metrics::{
    ClassCounts, ClassReport, Classes, ConfusionMatrix, Loss, MetricConfig, MetricSet, OneClassConfig, Predictions,
    ReliabilityBins, Truth,
};
use serde::Deserialize;

use crate::all_metrics;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) classes: usize,
    pub(crate) probabilities: Vec<f32>,
    pub(crate) truth: Truth,
    #[serde(default)]
    pub(crate) k: usize,
    figures: BTreeMap<String, Option<f64>>,
    per_class: Vec<[f64; 4]>,
    confusion: Option<Vec<Vec<u64>>>,
    reliability: Option<Vec<[f64; 3]>>,
}

impl Case {
    pub(crate) fn kind(&self) -> Classes {
        match self.truth {
            Truth::OneOf(_) => Classes::OneOf(self.classes),
            Truth::AnyOf(_) => Classes::AnyOf(self.classes),
        }
    }

    fn predictions(&self) -> Predictions {
        let loss = Loss { mean: 1.0, weight: 1.0 };
        Predictions::new(self.classes, self.probabilities.clone(), self.truth.clone(), loss)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../fixtures/reference.json")).expect("the fixture is JSON")
}

#[test]
fn every_figure_is_scikit_learns() {
    for case in cases() {
        let mut set = MetricSet::init(&all_metrics(case.kind(), case.k), case.kind()).expect("they fit the case");
        set.update(&case.predictions());
        let figures = &set.figures()[1..];
        assert_eq!(figures.len(), case.figures.len(), "{}", case.name);
        for (name, value) in figures {
            match case.figures[name] {
                Some(expected) => assert_near(*value, expected, &format!("{name} of {}", case.name)),
                None => assert!(value.is_nan(), "{name} of {} is undefined, not {value}", case.name),
            }
        }
    }
}

#[test]
fn the_classes_of_counts_and_of_the_matrix_are_scikit_learns() {
    for case in cases() {
        let mut counts = ClassCounts::new(case.classes);
        counts.update(&case.predictions());
        for (class, (report, expected)) in counts.per_class().iter().zip(&case.per_class).enumerate() {
            let ClassReport { precision, recall, f1, support } = *report;
            for (value, expected) in [precision, recall, f1, support as f64].into_iter().zip(expected) {
                assert_near(value, *expected, &format!("class {class} of {}", case.name));
            }
        }
        if let Some(expected) = &case.confusion {
            let mut matrix = ConfusionMatrix::new(case.classes);
            matrix.update(&case.predictions());
            assert_eq!(matrix.rows(), expected, "{}", case.name);
            assert_eq!(matrix.per_class(), counts.per_class(), "{}", case.name);
        }
    }
}

#[test]
fn reliability_bins_are_those_of_the_paper() {
    for case in cases() {
        let Some(expected) = &case.reliability else { continue };
        let mut bins = ReliabilityBins::new(expected.len());
        bins.update(&case.predictions());
        for (bin, [count, confidence, accuracy]) in bins.bins().iter().zip(expected) {
            assert_near(bin.count as f64, *count, &case.name);
            assert_near(bin.confidence, *confidence, &case.name);
            assert_near(bin.accuracy, *accuracy, &case.name);
        }
    }
}

#[test]
fn a_confidence_on_an_edge_belongs_to_the_bin_below() {
    let probabilities = vec![0.5, 0.5, 0.75, 0.25, 0.0, 1.0];
    let loss = Loss { mean: 1.0, weight: 3.0 };
    let mut bins = ReliabilityBins::new(4);
    bins.update(&Predictions::new(2, probabilities, Truth::OneOf(vec![0, 1, 1]), loss));
    let counts: Vec<u64> = bins.bins().iter().map(|bin| bin.count).collect();
    assert_eq!(counts, [0, 1, 1, 1]);
    assert_eq!(bins.calibration_error(), (0.5 + 0.75) / 3.0);
}

#[test]
fn two_classes_are_ranked_by_the_second() {
    // Rare positives: beside 1, the scores of the first class are all the same in float32.
    let probabilities = vec![1.0, 1e-9, 1.0, 2e-9, 1.0, 3e-9];
    let mut auroc = MetricConfig::Auroc.init(Classes::OneOf(2)).expect("it fits");
    let loss = Loss { mean: 1.0, weight: 3.0 };
    auroc.update(&Predictions::new(2, probabilities, Truth::OneOf(vec![0, 0, 1]), loss));
    assert_eq!(auroc.value(), 1.0);
}

#[test]
fn one_class_is_told_from_the_others() {
    // The third class is the one apart: its samples are scored 0.6 and 0.2 for it, the others 0.3, 0.1 and 0.2.
    let probabilities = vec![0.1, 0.3, 0.6, 0.5, 0.3, 0.2, 0.4, 0.3, 0.3, 0.2, 0.7, 0.1, 0.3, 0.5, 0.2];
    let predictions =
        Predictions::new(3, probabilities, Truth::OneOf(vec![2, 2, 0, 1, 0]), Loss { mean: 1.0, weight: 5.0 });
    let value = |metric: MetricConfig| {
        let mut metric = metric.init(Classes::OneOf(3)).expect("it fits");
        metric.update(&predictions);
        metric.value()
    };
    let apart = OneClassConfig { class: 2 };
    // Of six pairs 0.6 wins three; 0.2 wins one, and ties with one.
    assert_near(value(MetricConfig::AurocOf(apart.clone())), 4.5 / 6.0, "auroc-of");
    // Of the three others, the last is answered 1 and is 0.
    assert_near(value(MetricConfig::AccuracyWithout(apart)), 2.0 / 3.0, "accuracy-without");
    let mean = (0..3).map(|class| value(MetricConfig::AurocOf(OneClassConfig { class }))).sum::<f64>() / 3.0;
    assert_near(mean, value(MetricConfig::Auroc), "their mean is the area over all classes");
    assert!(MetricConfig::AurocOf(OneClassConfig { class: 3 }).init(Classes::OneOf(3)).is_err());
}

fn assert_near(value: f64, expected: f64, what: &str) {
    assert!((value - expected).abs() < 1e-12, "{what}: {value}, expected {expected}");
}
