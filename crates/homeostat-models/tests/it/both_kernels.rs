//! Every network computes the same with our kernels and with Burn's operations, the reference: scores, what training looks at,
//! and gradients. Which kernels compute belongs to the process, so the comparison has one of its own. And it gives the same
//! scores on another backend.

use std::{collections::BTreeMap, process::Command};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use homeostat_device::{DeviceChoice, open};
use homeostat_kernels::Kernels;
use homeostat_models::{ImageModel, ImageModelConfig};
use homeostat_task::{ParamPath, Weights};

use crate::{apart, device, floats, images, largest, said, shape_for};

const CHILD: &str = "HOMEOSTAT_TEST_BOTH_KERNELS";

#[test]
fn every_network_computes_the_same_with_both_kernels() {
    let test = "both_kernels::the_process_that_changes_kernels";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn every_network_says_the_same_on_another_backend() {
    let [here, there] = [DeviceChoice::Cpu, DeviceChoice::Ndarray].map(|choice| open(choice).unwrap());
    for config in ImageModelConfig::examples() {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &here).unwrap();
        let twin = Weights::of(&network).apply(config.init(shape, 5, &there).unwrap()).unwrap();
        let x = images(2, shape, &here);
        let theirs = twin.forward(Tensor::from_data(x.to_data(), &there)).into_data();
        let apart = apart(&network.forward(x).into_data(), &theirs, 0.0);
        assert!(apart <= 1e-4, "{config:?}: scores are {apart} apart");
    }
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn the_process_that_changes_kernels() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let device = device().autodiff();
    for config in ImageModelConfig::examples() {
        device.seed(11);
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device).unwrap();
        let x = images(6, shape, &device);
        let [ours, reference] = with_both(|| network.valid().forward(x.clone().inner()).into_data());
        let scores = apart(&ours, &reference, 0.0);
        assert!(scores <= 1e-4, "{config:?}: scores are {scores} apart");
        let [(ours, of_ours), (reference, of_reference)] = with_both(|| training(&network, x.clone(), &device));
        let sums = (ours - reference).abs() / reference.abs();
        assert!(sums <= 1e-4, "{config:?}: what training says is {sums} apart");
        // What is zero but for rounding, such as the gradient of a bias before a normalisation, is compared with the others.
        let floor = 1e-2 * largest(of_reference.values().flat_map(floats));
        assert!(floor > 0.0 && of_ours.keys().eq(of_reference.keys()), "{config:?}");
        // Rounding alone grows to 1e-3 on the way back through the normalisations of fifty layers of a channel or two.
        for (name, reference) in &of_reference {
            let gradients = apart(&of_ours[name], reference, floor);
            assert!(gradients <= 5e-3, "{config:?}: the gradients of {name} are {gradients} apart");
        }
    }
}

fn with_both<T>(compute: impl Fn() -> T) -> [T; 2] {
    [Kernels::Own, Kernels::Burn].map(|kernels| {
        kernels.select();
        compute()
    })
}

/// What a network in training says, and the gradients by name. Dropout draws the same for both kernels.
fn training(network: &ImageModel, images: Tensor<4>, device: &Device) -> (f32, BTreeMap<String, TensorData>) {
    device.seed(12);
    let sum = said(network, images);
    let value = sum.clone().into_scalar::<f32>();
    let gradients = sum.backward();
    let mut found = Found { path: ParamPath::default(), gradients: &gradients, found: BTreeMap::new() };
    network.visit(&mut found);
    (value, found.found)
}

struct Found<'a> {
    path: ParamPath,
    gradients: &'a Gradients,
    found: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Found<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            self.found.insert(self.path.name(), gradient.into_data());
        }
    }
}
