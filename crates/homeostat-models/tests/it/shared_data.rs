//! Real pretrained weights, if the variable `HOMEOSTAT_DATA` names a folder that has them; skipped otherwise. (`homeostat-tasks`
//! sends pictures through them, the whole way from the bytes of files.)

#![allow(clippy::print_stderr, reason = "who runs the tests should see what is skipped")]

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Tensor, TensorData};
use homeostat_models::KnownNetwork;
use homeostat_task::{ForeignNames, read_foreign};
use safetensors::SafeTensors;

use crate::{apart, device};

fn folder(name: &str) -> Option<PathBuf> {
    let folder = Path::new(&std::env::var_os("HOMEOSTAT_DATA").unwrap_or_default()).join("models").join(name);
    if !folder.is_dir() {
        eprintln!("skipped: models/{name} is not below HOMEOSTAT_DATA");
    }
    folder.is_dir().then_some(folder)
}

/// A tensor of a file that holds others, too.
fn tensor(path: &Path, name: &str) -> TensorData {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32)
}

fn check(name: &str, weights: &Path, reference: &Path) {
    let device = device();
    let known = KnownNetwork::find(name).unwrap();
    let network = known.config.init(known.input, known.classes, &device).unwrap();
    let theirs = read_foreign(weights).unwrap();
    let tables = known.config.names().into_iter().map(|table| ForeignNames::of(&network, &table.rows).unwrap());
    let names = tables.max_by_key(|names| names.hits(&theirs)).unwrap();
    let network = names.adopt(&theirs, &[]).unwrap().apply(network).unwrap();
    let images = Tensor::<4>::from_data(tensor(reference, "input"), &device);
    let apart = apart(&network.forward(images).into_data(), &tensor(reference, "logits"), 0.0);
    assert!(apart <= 1e-4, "{name}: {apart} apart");
}

#[test]
fn efficientnet_lite0_answers_as_its_reference() {
    let Some(folder) = folder("efficientnet-lite0") else { return };
    let weights = folder.join("efficientnet-lite0.safetensors");
    check("tf_efficientnet_lite0", &weights, &folder.join("reference.safetensors"));
}

#[test]
fn resnets_for_cifar_answer_as_their_references() {
    let Some(folder) = folder("resnet-cifar10") else { return };
    for depth in [20, 56] {
        let weights = folder.join(format!("resnet{depth}.safetensors"));
        check(&format!("cifar_resnet{depth}"), &weights, &folder.join(format!("resnet{depth}-reference.safetensors")));
    }
}
