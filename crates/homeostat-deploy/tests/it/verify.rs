//! An artifact answers as at the end of training, or says that it does not.

use homeostat_artifact::Parts;
use homeostat_data::{Filter, Normalize, PrepareStep, Resize, Size};
use homeostat_deploy::{DeployError, MERGED_TOLERANCE, TOLERANCE, Verified, verify, verify_merged};
use homeostat_tasks::{BinaryCrossEntropyConfig, ImageClassificationConfig, LossConfig, TaskConfig};
use serde_json::{Value, json};

use crate::{GOLDEN, bytes, config, line, mlp, open, parts, publish, weights};

/// Publishes, opens and verifies.
fn verified(parts: &Parts) -> Result<Verified, DeployError> {
    let (_root, artifact) = publish(parts);
    verify(open(&artifact)?.as_ref(), &artifact)
}

/// The error of an artifact that does not answer as it did, which names the request.
fn refused(parts: &Parts, request: &str) -> String {
    let error = verified(parts).unwrap_err();
    assert!(matches!(&error, DeployError::Golden { name, .. } if name == request), "{error}");
    line(&error)
}

#[test]
fn what_was_published_verifies_whatever_the_network() {
    for model in crate::networks() {
        let parts = parts(&config(model), 1);
        assert_eq!(verified(&parts).unwrap(), Verified { requests: usize::try_from(GOLDEN).unwrap() });
    }
}

#[test]
fn other_weights_of_the_same_network_do_not() {
    let config = config(mlp());
    let other = Parts { model: bytes(&weights(&config, 2)), ..parts(&config, 1) };
    let said = refused(&other, "00");
    assert!(said.contains("/artifact: the golden request `00` is answered {\"label\":"), "{said}");
}

#[test]
fn a_changed_task_does_not() {
    type Change = fn(&mut ImageClassificationConfig);
    let changes: [(&str, Change); 8] = [
        ("no crop", |config| drop(config.prepare.0.remove(0))),
        ("no normalisation", |config| drop(config.prepare.0.pop())),
        ("no resizing, so that the size is wrong", |config| drop(config.prepare.0.remove(1))),
        ("the order of the steps", |config| config.prepare.0.swap(0, 1)),
        ("a mean", |config| normalize(config).mean[1] += 0.01),
        ("a standard deviation", |config| normalize(config).std[2] *= 1.02),
        ("the order of the labels", |config| config.labels.rotate_left(1)),
        ("softmax or sigmoid", |config| {
            config.loss = LossConfig::BinaryCrossEntropy(BinaryCrossEntropyConfig::default());
        }),
    ];
    let whole = config(mlp());
    let published = parts(&whole, 1);
    for (what, change) in changes {
        let mut config = whole.clone();
        change(&mut config);
        let error = verified(&with_task(&published, &config)).expect_err(what);
        assert!(matches!(error, DeployError::Golden { .. }), "{what}: {error}");
        line(&error);
    }
    let mut config = whole.clone();
    let resize = |filter| PrepareStep::Resize(Resize { size: Size::Square(12), filter, ..Resize::default() });
    config.prepare.0[1] = resize(Filter::Bilinear);
    verified(&with_task(&published, &config)).unwrap();
    config.prepare.0[1] = resize(Filter::Nearest);
    refused(&with_task(&published, &config), "00");
}

fn with_task(parts: &Parts, config: &ImageClassificationConfig) -> Parts {
    let task = homeostat_config::to_toml(&TaskConfig::ImageClassification(config.clone()));
    Parts { task, ..parts.clone() }
}

fn normalize(config: &mut ImageClassificationConfig) -> &mut Normalize {
    match config.prepare.0.last_mut() {
        Some(PrepareStep::Normalize(normalize)) => normalize,
        other => panic!("a normalisation, not {other:?}"),
    }
}

/// The last golden answer with its probabilities moved by so much.
fn moved(parts: &Parts, by: f64) -> Parts {
    let mut parts = parts.clone();
    let answer = &mut parts.golden.last_mut().unwrap().answer;
    let probability = answer["probabilities"][1].as_f64().unwrap();
    answer["probabilities"][1] = json!(probability + by);
    if answer["confidence"] == json!(probability) {
        answer["confidence"] = json!(probability + by);
    }
    parts
}

#[test]
fn rounding_is_forgiven_and_nothing_beyond_it() {
    let published = parts(&config(mlp()), 1);
    for by in [0.5 * TOLERANCE, -0.5 * TOLERANCE] {
        verified(&moved(&published, by)).unwrap();
    }
    for by in [1.5 * TOLERANCE, -1.5 * TOLERANCE] {
        refused(&moved(&published, by), "04");
    }
}

#[test]
fn a_golden_request_that_is_refused_or_an_answer_that_is_none_fails() {
    let published = parts(&config(mlp()), 1);
    let mut broken = published.clone();
    broken.golden[2].request.truncate(100);
    let said = refused(&broken, "02");
    assert!(said.contains("is answered with the error \""), "{said}");
    for answer in [json!({"label": "ant"}), json!(null), json!([0.1, 0.2, 0.7]), Value::String("x".repeat(1000))] {
        let mut broken = published.clone();
        broken.golden[1].answer = answer;
        let said = refused(&broken, "01");
        assert!(said.len() < 700, "{said}");
    }
}

#[test]
fn without_golden_requests_there_is_nothing_to_verify_by() {
    let error = verified(&Parts { golden: vec![], ..parts(&config(mlp()), 1) }).unwrap_err();
    assert!(matches!(error, DeployError::NoGolden { .. }), "{error}");
    line(&error);
}

#[test]
fn changes_that_are_merged_answer_as_those_that_stand_apart_or_are_refused() {
    let config = config(mlp());
    let (_root, artifact) = publish(&parts(&config, 1));
    let endpoint = open(&artifact).unwrap();
    let golden = artifact.golden().unwrap();
    verify_merged(endpoint.as_ref(), &golden).unwrap();
    let moved = |by: f64| {
        let mut golden = golden.clone();
        for probability in golden[1].answer["probabilities"].as_array_mut().unwrap() {
            *probability = json!(probability.as_f64().unwrap() + by);
        }
        verify_merged(endpoint.as_ref(), &golden)
    };
    moved(0.5 * MERGED_TOLERANCE).unwrap();
    let error = moved(2.0 * MERGED_TOLERANCE).unwrap_err();
    assert!(matches!(&error, DeployError::Merged { name, .. } if *name == golden[1].name), "{error}");
    assert!(line(&error).contains("this is not published"));
}
