//! Weights go to a file and back, and refuse what does not fit.
#![expect(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

mod foreign;

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_task::{Weights, WeightsError};

fn device() -> Device {
    homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap()
}

#[derive(Module, Debug)]
enum Wrapped {
    Plain(Net),
}

#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
    scale: Param<Tensor<1>>,
}

fn net(width: usize) -> Net {
    let device = device();
    Net {
        layers: vec![
            LinearConfig::new(3, width).init(&device),
            LinearConfig::new(width, 2).with_bias(false).init(&device),
        ],
        scale: Param::from_tensor(Tensor::ones([4], &device)),
    }
}

#[test]
fn safetensors_round_trip_gives_the_same_bytes_and_the_same_network() {
    let weights = Weights::of(&net(5));
    let names: Vec<&str> = weights.tensors().keys().map(String::as_str).collect();
    assert_eq!(names, ["layers.0.bias", "layers.0.weight", "layers.1.weight", "scale"]);
    let metadata = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
    let bytes = weights.to_safetensors(&metadata);
    assert_eq!(bytes, weights.to_safetensors(&metadata));
    let (read, found) = Weights::from_safetensors(&bytes).unwrap();
    assert_eq!((&read, &found), (&weights, &metadata));
    assert_eq!(Weights::of(&read.apply(net(5)).unwrap()), weights);
}

#[test]
fn an_enum_around_a_network_does_not_change_the_names() {
    let net = net(5);
    assert_eq!(Weights::of(&Wrapped::Plain(net.clone())), Weights::of(&net));
}

#[test]
fn applied_weights_still_train() {
    let weights = Weights::of(&net(5));
    let device = device().autodiff();
    let fresh = LinearConfig::new(3, 5).init(&device);
    let one = Weights::from_tensors(BTreeMap::from([
        ("weight".to_owned(), weights.tensors()["layers.0.weight"].clone()),
        ("bias".to_owned(), weights.tensors()["layers.0.bias"].clone()),
    ]));
    let linear: Linear = one.apply(fresh).unwrap();
    let gradients = linear.forward(Tensor::<2>::ones([1, 3], &device)).sum().backward();
    assert!(linear.weight.val().grad(&gradients).is_some());
}

#[test]
fn what_does_not_fit_is_named_in_one_line() {
    let error = Weights::of(&net(6)).apply(net(5)).unwrap_err().to_string();
    assert!(error.contains("`layers.0.bias` has shape [6], needed [5]"), "{error}");
    let mut tensors = Weights::of(&net(5)).tensors().clone();
    let moved = tensors.remove("scale").unwrap();
    tensors.insert("extra".to_owned(), moved);
    let error = Weights::from_tensors(tensors).apply(net(5)).unwrap_err().to_string();
    assert!(error.contains("`scale` is missing") && error.contains("`extra` is not used"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn broken_files_and_broken_numbers_are_errors() {
    let weights = Weights::of(&net(5));
    let bytes = weights.to_safetensors(&BTreeMap::new());
    for cut in [0, 4, 8, 50, bytes.len() - 1] {
        assert!(matches!(Weights::from_safetensors(&bytes[..cut]), Err(WeightsError::Format { .. })), "cut at {cut}");
    }
    let mut lying = bytes.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(Weights::from_safetensors(&lying), Err(WeightsError::Format { .. })));
    assert!(weights.check_finite().is_ok());
    let mut broken = net(5);
    broken.scale = Param::from_tensor(Tensor::from_floats([1.0, f32::NAN, 0.0, 0.0], &device()));
    let error = Weights::of(&broken).check_finite().unwrap_err().to_string();
    assert!(error.contains("`scale`") && error.contains("element 1"), "{error}");
}
