//! Numbers that make no training are refused, each by its name, before anything is written.

use homeostat_train::{OptimizerConfig, TrainConfig};
use serde_json::{Value, json};

use crate::optimizer::{Parameters, fixture};
use crate::toy::device;

#[test]
fn a_number_out_of_its_range_is_refused_by_name() {
    let cases = [
        (json!({"epochs": 0}), "`train.epochs`: is 0, but must be at least 1, or 0 beside train.pretrained"),
        (json!({"accumulate": 0}), "train.accumulate"),
        (json!({"checkpoint": {"keep-last": 0}}), "train.checkpoint.keep-last"),
        (json!({"max-seconds": 0.0}), "`train.max-seconds`: is 0, but must be above 0"),
        (json!({"clip": {"value": -1.0}}), "train.clip.value"),
        (json!({"ema": {"decay": 1.0}}), "`train.ema.decay`: is 1, but must be in 0..1 (1 excluded)"),
        (
            json!({"schedule": {"step": {"every-epochs": 0.0}}}),
            "`train.schedule`: every-epochs is 0, but must be above 0",
        ),
        (json!({"schedule": {"exponential": {"factor": -0.5}}}), "factor is -0.5"),
        (json!({"schedule": {"cosine": {"final-factor": -0.5}}}), "final-factor is -0.5"),
        (json!({"schedule": {"one-cycle": {"warmup-share": 1.5}}}), "warmup-share is 1.5"),
        (json!({"clip": {"value": 1e-60}}), "must be above 0, also as a 32-bit float"),
        (json!({"ema": {"decay": 0.999_999_999_9}}), "must be in 0..1 (1 excluded), also as a 32-bit float"),
        (json!({"optimizer": {"adamw": {"learning-rate": 1e300}}}), "`train.optimizer`: learning-rate is 1"),
        (json!({"optimizer": {"sgd": {"nesterov": true, "momentum": 0.0}}}), "nesterov needs a momentum"),
        (json!({"groups": [{"rate-factor": -1.0}]}), "`train.groups`: rate-factor is -1"),
        (json!({"groups": [{"weight-decay": -1.0}]}), "`train.groups`: weight-decay is -1"),
    ];
    for (config, expected) in cases {
        let config: TrainConfig = serde_json::from_value(config).unwrap();
        let message = config.check().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    TrainConfig::default().check().unwrap();
}

#[test]
fn an_optimizer_with_a_number_out_of_its_range_is_refused_by_name() {
    let model = Parameters::of(&fixture().start, &device().autodiff());
    for example in OptimizerConfig::examples() {
        let Value::Object(variant) = serde_json::to_value(&example).unwrap() else { panic!("a table") };
        let (name, fields) = variant.into_iter().next().unwrap();
        let Value::Object(fields) = fields else { panic!("a table of settings") };
        for (field, _) in fields.iter().filter(|(_, value)| value.is_f64()) {
            let mut wrong = fields.clone();
            wrong.insert(field.clone(), json!(-0.5));
            let config: OptimizerConfig = serde_json::from_value(json!({ &name: wrong })).unwrap();
            let message = config.init(&model, &[]).unwrap_err().to_string();
            assert!(message.contains(&format!("`train.optimizer`: {field} is -0.5")), "{name}: {message}");
        }
    }
    for (config, expected) in [
        (json!({"muon": {"iterations": 0}}), "iterations is 0"),
        (json!({"sgd": {"nesterov": true, "momentum": 0.0}}), "nesterov needs a momentum"),
    ] {
        let config: OptimizerConfig = serde_json::from_value(config).unwrap();
        let message = config.init(&model, &[]).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn no_number_of_epochs_is_too_large_to_be_counted() {
    let config = TrainConfig { epochs: usize::MAX, batch_size: 1, ..TrainConfig::default() };
    assert_eq!(config.total_steps(1000), usize::MAX);
    assert_eq!(TrainConfig { max_steps: Some(7), ..config }.total_steps(1000), 7);
}
