//! How samples are cut into batches, and a stop in between, leave every figure and table as it is, to the last bit.

use homeostat_metrics::{
    ClassCounts, Classes, ConfusionMatrix, Loss, MetricConfig, MetricSet, Predictions, ReliabilityBins, Truth,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::reference::{Case, cases};
use crate::{all_metrics, cut};

const CUTS: [&[usize]; 5] = [&[1], &[1, 1, 1, 1], &[7, 3, 11, 2], &[16, 16, 16, 16, 16, 16, 16, 16, 16], &[19]];

#[test]
fn figures_do_not_depend_on_the_batches() {
    for case in cases() {
        let whole = figures(&case, &[], MetricSet::clone);
        for sizes in CUTS {
            assert_eq!(figures(&case, sizes, MetricSet::clone), whole, "{} cut into {sizes:?}", case.name);
        }
    }
}

#[test]
fn figures_survive_a_stop_after_every_batch() {
    for case in cases() {
        let whole = figures(&case, &[], MetricSet::clone);
        for sizes in CUTS {
            assert_eq!(figures(&case, sizes, through_json), whole, "{} cut into {sizes:?}", case.name);
        }
    }
}

#[test]
fn tables_do_not_depend_on_batches_and_stops() {
    for case in cases().iter().filter(|case| matches!(case.truth, Truth::OneOf(_))) {
        let tables = |sizes| {
            let mut tables =
                (ConfusionMatrix::new(case.classes), ClassCounts::new(case.classes), ReliabilityBins::new(15));
            for batch in cut(case.classes, &case.probabilities, &case.truth, sizes) {
                tables.0.update(&batch);
                tables.1.update(&batch);
                tables.2.update(&batch);
                tables = through_json(&tables);
            }
            tables
        };
        let whole = tables(&[]);
        for sizes in CUTS {
            assert_eq!(tables(sizes), whole, "{} cut into {sizes:?}", case.name);
        }
    }
}

#[test]
fn the_loss_is_the_mean_by_weight() {
    let mut set = MetricSet::init(&[MetricConfig::Accuracy], Classes::OneOf(2)).expect("it fits");
    for (mean, weight) in [(0.5, 3.0), (2.0, 1.0), (f64::NAN, 0.0)] {
        let loss = Loss { mean, weight };
        set.update(&Predictions::new(2, vec![1.0, 0.0], Truth::OneOf(vec![0]), loss));
    }
    assert_eq!(set.figures(), [("loss".to_owned(), 0.875), ("accuracy".to_owned(), 1.0)]);
}

#[test]
fn the_cross_entropy_is_that_of_the_probabilities() {
    let loss = |probabilities: &[f32], truth| Predictions::with_cross_entropy(2, probabilities.to_vec(), truth).loss();
    let mean = |a: f64, b: f64| Loss { mean: -(a.ln() + b.ln()) / 2.0, weight: 0.0 };
    let one = loss(&[0.75, 0.25, 0.5, 0.5], Truth::OneOf(vec![1, 0]));
    assert_eq!(one, Loss { weight: 2.0, ..mean(0.25, 0.5) });
    let any = loss(&[0.25, 0.5], Truth::AnyOf(vec![true, false]));
    assert_eq!(any, Loss { weight: 1.0, ..mean(0.25, 0.5) });
    assert!(loss(&[f32::NAN, 1.0], Truth::OneOf(vec![0])).mean.is_nan());
}

/// The names and the bits of all figures; NaN is one value.
fn figures(case: &Case, sizes: &[usize], between: fn(&MetricSet) -> MetricSet) -> Vec<(String, u64)> {
    let mut set = MetricSet::init(&all_metrics(case.kind(), case.k), case.kind()).expect("they fit the case");
    for batch in cut(case.classes, &case.probabilities, &case.truth, sizes) {
        set.update(&batch);
        set = between(&set);
    }
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    set.figures().into_iter().map(|(name, value)| (name, bits(value))).collect()
}

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let json = serde_json::to_string(value).expect("a state is JSON");
    serde_json::from_str(&json).expect("what was written can be read")
}
