//! Requests in, answers out; and what cannot be opened says why.

use std::collections::BTreeMap;

use homeostat_artifact::{Parts, Weights as ArtifactWeights};
use homeostat_deploy::{DeployError, Predictor};
use homeostat_models::{CnnConfig, ImageModelConfig, MlpConfig};
use homeostat_task::Weights;
use homeostat_tasks::InputShape;
use serde_json::Value;

use crate::{GOLDEN, bytes, config, device, line, mlp, open, parts, publish, request, weights};

#[test]
fn an_answer_does_not_depend_on_its_batch() {
    for model in crate::networks() {
        let (_root, artifact) = publish(&parts(&config(model), 1));
        let endpoint = open(&artifact).unwrap();
        let requests: Vec<Vec<u8>> = (0..2 * GOLDEN).map(request).collect();
        let requests: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
        let together = endpoint.answer(&requests);
        assert_eq!(together.len(), requests.len());
        for (request, together) in requests.iter().zip(together) {
            let alone = endpoint.answer(&[request]).remove(0).unwrap();
            assert!(endpoint.agree(&alone, &together.unwrap(), 1e-6), "{alone}");
        }
        assert!(endpoint.answer(&[]).is_empty());
    }
}

#[test]
fn a_broken_request_gets_its_error_and_the_others_their_answers() {
    let (_root, artifact) = publish(&parts(&config(mlp()), 1));
    let endpoint = open(&artifact).unwrap();
    let good: Vec<Vec<u8>> = (0..3).map(request).collect();
    let cut = &good[0][..good[0].len() / 2];
    let answers = endpoint.answer(&[b"no picture", &good[0], cut, &good[1], b"", &good[2]]);
    let expected: Vec<Value> = good.iter().map(|request| endpoint.answer(&[request]).remove(0).unwrap()).collect();
    for (at, good) in [(1, 0), (3, 1), (5, 2)] {
        assert!(endpoint.agree(&expected[good], answers[at].as_ref().unwrap(), 1e-6), "request {at}");
    }
    assert_ne!(expected[0], expected[1]);
    let said = [0, 2, 4].map(|at| line(answers[at].as_ref().unwrap_err()));
    assert!(said[0].contains("neither PNG") && said[2].contains("0 bytes"), "{said:?}");
    assert!(endpoint.answer(&[b"", cut]).iter().all(Result::is_err));
}

/// A server that has a device for training anyway gets the same answers.
#[test]
fn a_device_with_gradients_changes_nothing() {
    let config = config(mlp());
    let (_root, artifact) = publish(&parts(&config, 1));
    let plain = Predictor::open(config.init().unwrap(), &artifact, &device()).unwrap();
    let tracked = Predictor::open(config.init().unwrap(), &artifact, &device().autodiff()).unwrap();
    let request = request(3);
    assert_eq!(plain.answer(&[&request])[0].as_ref().unwrap(), tracked.answer(&[&request])[0].as_ref().unwrap());
}

#[test]
fn weights_that_are_broken_or_of_another_network_are_refused_in_one_line() {
    let whole = config(mlp());
    let good = weights(&whole, 1);
    let file = good.to_safetensors(&BTreeMap::new());
    let with = |value: f32| {
        let mut tensors = good.tensors().clone();
        tensors.get_mut("head.bias").unwrap().as_mut_slice::<f32>().unwrap()[2] = value;
        bytes(&Weights::from_tensors(tensors))
    };
    let mut short = good.tensors().clone();
    short.remove("head.bias");
    let of = |model| bytes(&weights(&config(model), 1));
    let lying = [&u64::MAX.to_le_bytes()[..], &file[8..]].concat();
    for (model, said) in [
        (with(f32::NAN), "`head.bias` holds NaN or infinity at element 2"),
        (with(f32::NEG_INFINITY), "`head.bias` holds NaN or infinity at element 2"),
        (of(ImageModelConfig::Mlp(MlpConfig { hidden: vec![9], dropout: 0.0 })), "has shape [432, 9], needed [432, 8]"),
        (of(ImageModelConfig::Mlp(MlpConfig { hidden: vec![], dropout: 0.0 })), "`hidden.0.bias` is missing"),
        (of(ImageModelConfig::Cnn(CnnConfig::default())), "of another network"),
        (bytes(&Weights::from_tensors(short)), "`head.bias` is missing"),
        (ArtifactWeights::Bytes(file[..file.len() - 4].to_vec()), "not a file of weights"),
        (ArtifactWeights::Bytes(file[..20].to_vec()), "not a file of weights"),
        (ArtifactWeights::Bytes(vec![]), "not a file of weights"),
        (ArtifactWeights::Bytes(lying), "not a file of weights"),
    ] {
        let (_root, artifact) = publish(&Parts { model, ..parts(&whole, 1) });
        let error = open(&artifact).err().expect(said);
        assert!(matches!(error, DeployError::Weights { .. }), "{error}");
        let error = line(&error);
        assert!(error.contains("model.safetensors: ") && error.contains(said), "{error}");
    }
}

#[test]
fn a_task_that_makes_no_network_is_refused_in_one_line() {
    let published = parts(&config(mlp()), 1);
    let mut small = config(ImageModelConfig::Cnn(CnnConfig::default()));
    small.input = Some(InputShape { channels: 3, height: 2, width: 2 });
    let task = homeostat_config::to_toml(&homeostat_tasks::TaskConfig::ImageClassification(small));
    let (_root, artifact) = publish(&Parts { task, ..published });
    let error = open(&artifact).err().unwrap();
    assert!(matches!(error, DeployError::Task { .. }), "{error}");
    assert!(line(&error).contains("/artifact: ") && line(&error).contains("2x2"), "{error}");
}
