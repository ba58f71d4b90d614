//! Real pretrained weights, if the variable `HOMEOSTAT_DATA` names a folder that has them; skipped otherwise.

#![allow(clippy::print_stderr, reason = "who runs the tests should see what is skipped")]

use std::path::{Path, PathBuf};

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, conv::Conv2d, conv::Conv2dConfig},
    tensor::{
        DType, Device, Tensor, TensorData,
        activation::{log_softmax, relu},
    },
};
use homeostat_models::KnownNetwork;
use homeostat_task::{ForeignNames, read_foreign};
use safetensors::SafeTensors;

use crate::device;

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

fn assert_same(found: Tensor<2>, wanted: &TensorData) {
    let found = found.into_data();
    let (found, wanted) = (found.as_slice::<f32>().unwrap(), wanted.as_slice::<f32>().unwrap());
    let largest = wanted.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    let apart = found.iter().zip(wanted).fold(0.0_f32, |a, (found, wanted)| a.max((found - wanted).abs()));
    assert!(found.len() == wanted.len() && apart <= 1e-4 * largest, "{apart} apart of {largest}");
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
    assert_same(network.forward(images), &tensor(reference, "logits"));
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

/// A network that is not of the zoo: Burn's example for digits.
#[derive(Module, Debug)]
struct Digits {
    convs: Vec<Conv2d>,
    norm1: BatchNorm,
    dense: Vec<Linear>,
    norm2: BatchNorm,
}

impl Digits {
    fn new(device: &Device) -> Self {
        let conv = |channels| Conv2dConfig::new(channels, [3, 3]).init(device);
        Self {
            convs: vec![conv([1, 8]), conv([8, 16]), conv([16, 24])],
            norm1: BatchNormConfig::new(24).init(device),
            dense: vec![LinearConfig::new(11_616, 32).init(device), LinearConfig::new(32, 10).init(device)],
            norm2: BatchNormConfig::new(10).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.convs.iter().fold(images, |x, conv| relu(conv.forward(x)));
        let x: Tensor<2> = self.norm1.forward(x).flatten(1, 3);
        let x = self.dense[1].forward(relu(self.dense[0].forward(x)));
        log_softmax(self.norm2.forward(x), 1)
    }
}

#[test]
fn a_network_of_ones_own_takes_weights_by_a_table_of_its_own() {
    let Some(folder) = folder("burn-mnist-cnn") else { return };
    let rows = [("convs.{c}", "conv{c+1}"), ("dense.{d}", "fc{d+1}"), ("norm1", "norm1"), ("norm2", "norm2")];
    let rows = rows.map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned()));
    let network = Digits::new(&device());
    let names = ForeignNames::of(&network, &rows).unwrap();
    let theirs = read_foreign(&folder.join("mnist.safetensors")).unwrap();
    let network = names.adopt(&theirs, &[]).unwrap().apply(network).unwrap();
    let reference = folder.join("reference.safetensors");
    let images = Tensor::<4>::from_data(tensor(&reference, "input"), &device());
    assert_same(network.forward(images), &tensor(&reference, "log_softmax"));
}
