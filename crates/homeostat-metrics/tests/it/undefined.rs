//! Where there is no figure there is NaN, and it stays.

use homeostat_metrics::{Classes, Loss, MetricSet, Predictions, Truth};

use crate::all_metrics;

#[test]
fn no_sample_has_no_figure() {
    for classes in [Classes::OneOf(3), Classes::AnyOf(3)] {
        assert_all_nan(&new_set(classes));

        let mut set = new_set(classes);
        let truth = match classes {
            Classes::OneOf(_) => Truth::OneOf(vec![]),
            Classes::AnyOf(_) => Truth::AnyOf(vec![]),
        };
        set.update(&Predictions::new(3, vec![], truth, Loss { mean: f64::NAN, weight: 0.0 }));
        assert_eq!(set, new_set(classes), "an empty batch changes nothing");
    }
}

#[test]
fn a_diverged_batch_stays_visible_through_json() {
    let good = |loss| Predictions::new(3, vec![0.5, 0.25, 0.25], Truth::OneOf(vec![0]), loss);
    let bad = Predictions::new(3, vec![f32::NAN; 3], Truth::OneOf(vec![0]), Loss { mean: f64::NAN, weight: 1.0 });
    assert!(!bad.is_finite());

    let mut set = new_set(Classes::OneOf(3));
    set.update(&good(Loss { mean: 1.0, weight: 1.0 }));
    set.update(&bad);
    let mut set: MetricSet = serde_json::from_str(&serde_json::to_string(&set).expect("JSON")).expect("JSON");
    set.update(&good(Loss { mean: 1.0, weight: 1.0 }));
    assert_all_nan(&set);
}

#[test]
#[should_panic(expected = "truth Some(3) of 3 classes")]
fn a_class_out_of_range_is_a_broken_promise() {
    let _ = Predictions::new(3, vec![0.0; 3], Truth::OneOf(vec![3]), Loss { mean: 0.0, weight: 1.0 });
}

#[test]
#[should_panic(expected = "disagree")]
fn a_missing_row_is_a_broken_promise() {
    let _ = Predictions::new(3, vec![0.0; 3], Truth::OneOf(vec![0, 1]), Loss { mean: 0.0, weight: 1.0 });
}

fn new_set(classes: Classes) -> MetricSet {
    MetricSet::init(&all_metrics(classes, 2), classes).expect("they fit")
}

fn assert_all_nan(set: &MetricSet) {
    for (name, value) in set.figures() {
        assert!(value.is_nan(), "{name} is {value}");
    }
}
