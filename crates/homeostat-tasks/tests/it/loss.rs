//! Losses against PyTorch's values (`fixtures/make.py`), and against their own differences.

use burn::tensor::{DType, Tensor, TensorData};
use homeostat_tasks::{ClassWeights, CrossEntropyConfig, FocalConfig, LossConfig};
use serde::Deserialize;

use crate::{device, line};

#[derive(Deserialize)]
struct Case {
    name: String,
    loss: LossConfig,
    classes: usize,
    scores: Vec<f64>,
    targets: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct Balanced {
    counts: Vec<usize>,
    weights: Vec<f64>,
}

struct Found {
    value: f64,
    weight: f64,
    gradient: Vec<f64>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../fixtures/losses.json")).unwrap()
}

fn evaluate(loss: &LossConfig, classes: usize, scores: &[f64], targets: &[f64], dtype: DType) -> Found {
    let device = device().autodiff();
    let rows = |values: &[f64]| {
        let data = TensorData::new(values.to_vec(), [values.len() / classes, classes]);
        Tensor::<2>::from_data(data, (&device, dtype))
    };
    let scores = rows(scores).require_grad();
    let found = loss.of(scores.clone(), rows(targets));
    assert_eq!(found.mean.dtype(), dtype);
    let value = found.mean.clone().into_scalar();
    let gradient = scores.grad(&found.mean.backward()).unwrap().into_data_dtype(DType::F64);
    Found { value, weight: found.weight, gradient: gradient.as_slice().unwrap().to_vec() }
}

fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    let room = tolerance * expected.abs().max(1.0);
    assert!((found - expected).abs() <= room, "{what}: {found}, expected {expected}");
}

#[test]
fn every_loss_and_its_gradient_are_pytorchs() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
        for case in cases() {
            let found = evaluate(&case.loss, case.classes, &case.scores, &case.targets, dtype);
            let what = format!("{} in {dtype:?}", case.name);
            assert_near(found.value, case.value, tolerance, &what);
            for (at, (&found, &expected)) in found.gradient.iter().zip(&case.gradient).enumerate() {
                assert_near(found, expected, tolerance, &format!("gradient {at} of {what}"));
            }
        }
    }
}

#[test]
fn every_gradient_is_that_of_finite_differences() {
    const STEP: f64 = 1e-5;
    for case in cases().iter().filter(|case| !case.name.contains("1e4")) {
        let value = |scores: &[f64]| evaluate(&case.loss, case.classes, scores, &case.targets, DType::F64).value;
        let found = evaluate(&case.loss, case.classes, &case.scores, &case.targets, DType::F64);
        for (at, &gradient) in found.gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut scores = case.scores.clone();
                scores[at] += by;
                value(&scores)
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert_near(gradient, difference, 1e-9, &format!("gradient {at} of {}", case.name));
        }
    }
}

/// The gradient of `(1 - p)^gamma log p` is 0 where p is 1, also where the slope of the power is infinite.
#[test]
fn focal_loss_has_a_gradient_where_nothing_is_missing() {
    for gamma in [0.01, 0.5, 1.0, 5.0] {
        let loss = LossConfig::Focal(FocalConfig { gamma, ..FocalConfig::default() });
        for dtype in [DType::F32, DType::F64] {
            let right = evaluate(&loss, 3, &[1e4, -1e4, 0.0], &[1.0, 0.0, 0.0], dtype);
            assert_eq!((right.value, right.gradient), (0.0, vec![0.0; 3]), "gamma {gamma}");
            let wrong = evaluate(&loss, 3, &[1e4, -1e4, 0.0], &[0.0, 1.0, 0.0], dtype);
            assert_eq!((wrong.value, wrong.gradient), (2e4, vec![1.0, -1.0, 0.0]), "gamma {gamma}");
        }
    }
}

#[test]
fn the_mean_of_the_parts_by_their_weights_is_the_mean_of_the_whole() {
    for case in cases() {
        let of = |rows: std::ops::Range<usize>| {
            let rows = rows.start * case.classes..rows.end * case.classes;
            evaluate(&case.loss, case.classes, &case.scores[rows.clone()], &case.targets[rows], DType::F64)
        };
        let (first, second) = (of(0..2), of(2..case.scores.len() / case.classes));
        let mean = (first.value * first.weight + second.value * second.weight) / (first.weight + second.weight);
        assert_near(mean, case.value, 1e-12, &case.name);
    }
}

#[test]
fn balanced_weights_are_scikit_learns() {
    let cases: Vec<Balanced> = serde_json::from_str(include_str!("../fixtures/weights.json")).unwrap();
    for case in cases {
        for name in ["cross-entropy", "binary-cross-entropy", "focal"] {
            let text = format!(r#"{{"{name}": {{"class-weights": "balanced"}}}}"#);
            let mut loss: LossConfig = serde_json::from_str(&text).unwrap();
            let weights = loss.resolve(&case.counts).unwrap();
            for (&found, &expected) in weights.iter().zip(&case.weights) {
                assert_near(f64::from(found), expected, 1e-7, name);
            }
            assert_eq!(loss.class_weights(), Some(&ClassWeights::Given(weights)));
            assert_eq!(loss.problem(Some(case.counts.len())), None);
            assert_eq!(loss.resolve(&case.counts), None, "given weights stay");
        }
    }
    assert_eq!(LossConfig::MeanSquaredError.resolve(&[1, 2]), None);
    assert_eq!(LossConfig::default().resolve(&[1, 2]), None);
}

#[test]
fn settings_out_of_range_are_said_in_one_line() {
    let smooth = |label_smoothing| {
        LossConfig::CrossEntropy(CrossEntropyConfig { label_smoothing, ..CrossEntropyConfig::default() })
    };
    let focal = |gamma| LossConfig::Focal(FocalConfig { gamma, ..FocalConfig::default() });
    let weighted = |weights: &[f32]| {
        LossConfig::CrossEntropy(CrossEntropyConfig {
            class_weights: ClassWeights::Given(weights.to_vec()),
            ..CrossEntropyConfig::default()
        })
    };
    for (loss, said) in [
        (smooth(1.0), "label-smoothing is 1,"),
        (smooth(-0.1), "label-smoothing is -0.1,"),
        (smooth(f64::NAN), "label-smoothing is NaN,"),
        (focal(-1.0), "focal.gamma is -1,"),
        (focal(f64::NAN), "focal.gamma is NaN,"),
        (focal(1e300), "focal.gamma is 1"),
        (smooth(0.999_999_999_99), "label-smoothing is 0.9"),
        (focal(f64::INFINITY), "focal.gamma is inf,"),
        (weighted(&[1.0, 2.0]), "2 weights for 3 classes"),
        (weighted(&[1.0, 2.0, 3.0, 4.0]), "4 weights for 3 classes"),
        (weighted(&[1.0, 0.0, 3.0]), "[1.0, 0.0, 3.0]"),
        (weighted(&[1.0, f32::NAN, 3.0]), "above 0"),
        (weighted(&[1.0, f32::INFINITY, 3.0]), "above 0"),
    ] {
        let problem = line(&loss.problem(Some(3)).unwrap());
        assert!(problem.contains(said), "{problem}");
    }
    for loss in crate::losses() {
        assert_eq!(loss.problem(Some(3)), None, "{loss:?}");
    }
    assert_eq!(weighted(&[1.0, 2.0]).problem(None), None, "how many classes there are is not known yet");
    assert!(weighted(&[1.0, 0.0]).problem(None).is_some());
}
