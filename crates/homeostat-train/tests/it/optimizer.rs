//! Every optimiser against PyTorch or the formulas of its paper (`optimizers.json`, made by `reference.py`), and through
//! its file.

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use homeostat_task::Weights;
use homeostat_train::{GroupConfig, Optimizer, OptimizerConfig};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;

use crate::toy::device;

/// Values by parameter.
pub(crate) type Values = BTreeMap<String, Vec<f64>>;

/// A vector, two matrices, higher than wide and wider than high, and the kernel of a convolution.
#[derive(Module, Debug)]
pub(crate) struct Parameters {
    bias: Param<Tensor<1>>,
    kernel: Param<Tensor<4>>,
    tall: Param<Tensor<2>>,
    wide: Param<Tensor<2>>,
}

impl Parameters {
    pub(crate) fn of(values: &Values, device: &Device) -> Self {
        fn param<const D: usize>(values: &Values, name: &str, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
            Param::from_tensor(Tensor::from_data(TensorData::new(values[name].clone(), shape), device))
        }
        Self {
            bias: param(values, "bias", [3], device),
            kernel: param(values, "kernel", [3, 2, 3, 3], device),
            tall: param(values, "tall", [5, 3], device),
            wide: param(values, "wide", [2, 6], device),
        }
    }

    /// The values as gradients of these parameters.
    pub(crate) fn gradients(&self, values: &Values) -> GradientsParams {
        let other = Self::of(values, &device());
        let mut gradients = GradientsParams::new();
        gradients.register(self.bias.id, other.bias.val());
        gradients.register(self.kernel.id, other.kernel.val());
        gradients.register(self.tall.id, other.tall.val());
        gradients.register(self.wide.id, other.wide.val());
        gradients
    }

    /// What [`gradients`](Self::gradients) put in.
    pub(crate) fn values(&self, gradients: &GradientsParams) -> Values {
        let value = |data: TensorData| data.iter::<f64>().collect::<Vec<_>>();
        BTreeMap::from([
            ("bias".to_owned(), value(gradients.get::<1>(self.bias.id).unwrap().into_data())),
            ("kernel".to_owned(), value(gradients.get::<4>(self.kernel.id).unwrap().into_data())),
            ("tall".to_owned(), value(gradients.get::<2>(self.tall.id).unwrap().into_data())),
            ("wide".to_owned(), value(gradients.get::<2>(self.wide.id).unwrap().into_data())),
        ])
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Fixture {
    pub(crate) rate_factors: Vec<f64>,
    pub(crate) start: Values,
    pub(crate) gradients: Vec<Values>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    optimizer: OptimizerConfig,
    end: Values,
}

pub(crate) fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/optimizers.json")).unwrap()
}

impl Fixture {
    fn model(&self) -> Parameters {
        Parameters::of(&self.start, &device().autodiff())
    }

    /// Takes these steps of the problem.
    fn steps(
        &self,
        config: &OptimizerConfig,
        (mut model, mut optimizer): (Parameters, Optimizer),
        steps: std::ops::Range<usize>,
    ) -> (Parameters, Optimizer) {
        for step in steps {
            let gradients = model.gradients(&self.gradients[step]);
            model = optimizer.step(config.learning_rate() * self.rate_factors[step], model, gradients);
        }
        (model, optimizer)
    }
}

fn bytes(model: &Parameters) -> Vec<u8> {
    Weights::of(model).to_safetensors(&BTreeMap::new())
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn six_steps_end_where_the_reference_does() {
    let fixture = fixture();
    for Case { optimizer: config, end } in &fixture.cases {
        let model = fixture.model();
        let optimizer = config.init(&model, &[]).unwrap();
        let (model, _) = fixture.steps(config, (model, optimizer), 0..6);
        for (name, data) in Weights::of(&model).tensors() {
            let found: Vec<f64> = data.iter::<f64>().collect();
            let (start, end) = (&fixture.start[name], &end[name]);
            let off = norm(found.iter().zip(end).map(|(found, end)| found - end));
            let size = norm(end.iter().copied());
            let way = norm(start.iter().zip(end).map(|(start, end)| start - end));
            // Ten roundings of 32 bits; the shortest way, Lion's, is three hundred times as long.
            assert!(off <= 1e-6 * size, "{config:?}: `{name}` is off by {} of its size", off / size);
            assert!(way >= 3e-4 * size, "{config:?}: `{name}` has hardly moved, by {} of its size", way / size);
        }
    }
}

#[test]
fn every_example_has_a_reference() {
    let cases: Vec<_> = fixture().cases.into_iter().map(|case| case.optimizer).collect();
    for example in OptimizerConfig::examples() {
        assert!(cases.contains(&example), "{example:?} has no reference: add it to reference.py");
    }
}

#[test]
fn a_state_goes_through_its_file_and_on_without_a_trace() {
    let fixture = fixture();
    for config in fixture.cases.iter().map(|case| &case.optimizer) {
        let fresh = || config.init(&fixture.model(), &[]).unwrap();
        let (model, optimizer) = fixture.steps(config, (fixture.model(), fresh()), 0..3);
        let state = optimizer.to_safetensors();
        assert_eq!(state, optimizer.clone().to_safetensors(), "{config:?}: the same state gives the same bytes");

        let mut loaded = fresh();
        loaded.load_safetensors(&state, &device()).unwrap();
        assert_eq!(loaded.to_safetensors(), state, "{config:?}: what was loaded is what was written");

        let (straight, last) = fixture.steps(config, (model.clone(), optimizer), 3..6);
        let (resumed, last_resumed) = fixture.steps(config, (model, loaded), 3..6);
        assert_eq!(bytes(&straight), bytes(&resumed), "{config:?}: the next steps");
        assert_eq!(last.to_safetensors(), last_resumed.to_safetensors(), "{config:?}: the next state");

        // A second program gives the parameters other identities; the file must not show them.
        let (_, again) = fixture.steps(config, (fixture.model(), fresh()), 0..3);
        assert_eq!(again.to_safetensors(), state, "{config:?}: the bytes depend on the state alone");
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    let fixture = fixture();
    let state = |config: &OptimizerConfig| {
        let optimizer = config.init(&fixture.model(), &[]).unwrap();
        fixture.steps(config, (fixture.model(), optimizer), 0..2).1.to_safetensors()
    };
    let adam = state(&OptimizerConfig::Adam(Default::default()));
    let refused = |config: OptimizerConfig, bytes: &[u8]| {
        let mut optimizer = config.init(&fixture.model(), &[]).unwrap();
        optimizer.load_safetensors(bytes, &device()).unwrap_err().to_string()
    };
    for config in OptimizerConfig::examples() {
        if matches!(config, OptimizerConfig::Adam(_) | OptimizerConfig::Adamw(_)) {
            continue; // they have the same state
        }
        let message = refused(config, &adam);
        assert!(message.contains("incomplete") || message.contains("another optimizer"), "{message}");
    }
    let adam_config = || OptimizerConfig::Adam(Default::default());
    assert!(refused(adam_config(), &adam[..adam.len() - 1]).contains("cannot be used"));
    assert!(refused(adam_config(), b"").contains("cannot be used"));
    assert!(refused(adam_config(), &Weights::of(&fixture.model()).to_safetensors(&BTreeMap::new())).contains("header"));
}

#[test]
fn a_state_of_another_shape_or_with_what_is_no_number_is_refused_by_name() {
    let fixture = fixture();
    for config in OptimizerConfig::examples() {
        let fresh = || config.init(&fixture.model(), &[]).unwrap();
        let state = fixture.steps(&config, (fixture.model(), fresh()), 0..2).1.to_safetensors();
        // The same again is taken; with nothing kept there is nothing to be wrong.
        let Some(name) = first(&state) else { continue };
        let load = |bytes: &[u8]| fresh().load_safetensors(bytes, &device()).map_err(|error| error.to_string());
        assert_eq!(load(&changed(&state, &|_, _| {})), Ok(()), "{config:?}");
        let longer = changed(&state, &|shape, bytes| {
            shape[0] += 1;
            bytes.resize(4 * shape.iter().product::<usize>(), 0);
        });
        let deeper = changed(&state, &|shape, _| shape.insert(0, 1));
        for bytes in [longer, deeper] {
            let message = load(&bytes).unwrap_err();
            assert!(message.contains(&format!("`{name}` has the shape")), "{config:?}: {message}");
        }
        let broken = changed(&state, &|_, bytes| bytes[4..8].copy_from_slice(&f32::NAN.to_le_bytes()));
        let message = load(&broken).unwrap_err();
        assert!(message.contains(&format!("`{name}` holds NaN or infinity at element 1")), "{config:?}: {message}");
    }
}

/// The first tensor of a file, in the order of names.
fn first(state: &[u8]) -> Option<String> {
    SafeTensors::deserialize(state).unwrap().names().into_iter().min().map(str::to_owned)
}

/// A file as it is, but for shape and bytes of its first tensor.
fn changed(state: &[u8], change: &dyn Fn(&mut Vec<usize>, &mut Vec<u8>)) -> Vec<u8> {
    let (_, header) = SafeTensors::read_metadata(state).unwrap();
    let file = SafeTensors::deserialize(state).unwrap();
    let mut tensors: BTreeMap<_, _> =
        file.iter().map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect();
    let mut entry = tensors.first_entry().unwrap();
    let (shape, bytes) = entry.get_mut();
    change(shape, bytes);
    let views =
        tensors.iter().map(|(name, (shape, bytes))| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, header.metadata().clone()).unwrap()
}

#[test]
fn groups_change_the_rate_and_the_decay_of_what_they_name_and_the_last_one_counts() {
    let fixture = fixture();
    let config: OptimizerConfig =
        serde_json::from_str(r#"{"sgd": {"momentum": 0.0, "weight-decay": 0.5, "learning-rate": 0.1}}"#).unwrap();
    let group = |parameters: &str, rate_factor, weight_decay| GroupConfig {
        parameters: parameters.to_owned(),
        rate_factor,
        weight_decay,
        optimizer: None,
    };
    let groups =
        [group("*", 7.0, None), group("tall", 0.0, None), group("b*s", 1.0, Some(0.25)), group("wi*", 2.0, None)];
    let model = fixture.model();
    let optimizer = config.init(&model, &groups).unwrap();
    let (model, _) = fixture.steps(&config, (model, optimizer), 1..2);
    let expected = |name: &str, rate: f64, decay: f64| -> Vec<f64> {
        let values = fixture.start[name].iter().zip(&fixture.gradients[1][name]);
        values.map(|(value, gradient)| value - rate * (gradient + decay * value)).collect()
    };
    for (name, rate, decay) in [("tall", 0.0, 0.0), ("bias", 0.1, 0.25), ("wide", 0.2, 0.5), ("kernel", 0.7, 0.5)] {
        let found: Vec<f64> = Weights::of(&model).tensors()[name].iter::<f64>().collect();
        let off = norm(found.iter().zip(expected(name, rate, decay)).map(|(a, b)| a - b));
        assert!(off < 1e-6, "{name}: {off}");
    }
    let message = config.init(&model, &[group("head.*", 1.0, None)]).unwrap_err().to_string();
    assert!(message.contains("`head.*` matches no parameter") && message.contains("kernel"), "{message}");
}

#[test]
fn a_group_may_have_an_optimiser_of_its_own() {
    let fixture = fixture();
    let config = |text: &str| -> OptimizerConfig { serde_json::from_str(text).unwrap() };
    let common = config(r#"{"sgd": {"learning-rate": 0.1, "weight-decay": 0.5}}"#);
    let own = config(r#"{"adam": {"learning-rate": 0.02, "beta-1": 0.5}}"#);
    let groups = [GroupConfig { parameters: "wi*".into(), optimizer: Some(own.clone()), ..GroupConfig::default() }];
    let end = |config: &OptimizerConfig, groups: &[GroupConfig]| {
        let model = fixture.model();
        let optimizer = config.init(&model, groups).unwrap();
        let (model, optimizer) = fixture.steps(config, (model, optimizer), 0..3);
        let mut again = config.init(&model, groups).unwrap();
        again.load_safetensors(&optimizer.to_safetensors(), &device()).unwrap();
        let (model, _) = fixture.steps(config, (model, again), 3..5);
        Weights::of(&model)
    };
    let (both, of_common, of_own) = (end(&common, &groups), end(&common, &[]), end(&own, &[]));
    for (name, found) in both.tensors() {
        let alone = if name == "wide" { &of_own } else { &of_common };
        let pairs = found.iter::<f64>().zip(alone.tensors()[name].iter::<f64>());
        assert!(norm(pairs.map(|(a, b)| a - b)) < 1e-6, "{name}");
    }
    let wrong = GroupConfig { optimizer: Some(config(r#"{"adam": {"beta-1": 1.5}}"#)), ..GroupConfig::default() };
    let message = common.init(&fixture.model(), &[wrong]).unwrap_err().to_string();
    assert!(message.contains("train.groups.optimizer") && message.contains("beta-1"), "{message}");
}
