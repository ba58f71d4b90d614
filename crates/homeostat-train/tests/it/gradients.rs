//! What is done to gradients, and the moving average of weights.

use std::collections::BTreeMap;

use burn::{module::Module, optim::GradientsParams};
use homeostat_task::{Outcome, Task, Weights};
use homeostat_train::{Accumulation, ClipConfig, EmaConfig, clip, global_norm};
use serde::Deserialize;

use crate::{
    optimizer::{Parameters, Values, fixture},
    toy::{Directions, Net, Vectors, device, one_hot, turn},
};

/// The gradient of `samples`, gone through in batches of these sizes.
fn gradient(task: &Directions, model: &Net, samples: &Vectors, sizes: &[usize]) -> GradientsParams {
    let mut accumulation = Accumulation::default();
    let mut rest = &samples.samples[..];
    for &size in sizes {
        let (batch, others) = rest.split_at(size);
        rest = others;
        let (inputs, truths): (Vec<_>, Vec<_>) = batch.iter().map(|&(input, class)| (input, one_hot(class))).unzip();
        let outcome = task.loss(model, task.collate(&inputs, &device().autodiff()), &truths);
        let weight = outcome.weight();
        accumulation.add(model, GradientsParams::from_grads(outcome.loss().backward(), model), weight);
    }
    accumulation.mean(model)
}

/// How far two gradients of the same network are apart, relative to the first.
fn distance(model: &Net, one: &GradientsParams, other: &GradientsParams) -> f64 {
    let moved = |gradients: &GradientsParams| {
        // A step of plain descent shows a gradient by name.
        let config: homeostat_train::OptimizerConfig =
            serde_json::from_str(r#"{"sgd": {"momentum": 0.0, "learning-rate": 1.0}}"#).unwrap();
        let mut copy = GradientsParams::new();
        model.visit(&mut Copy { from: gradients, to: &mut copy });
        let zero = model.clone().map(&mut Zero);
        Weights::of(&config.init(&zero, &[]).unwrap().step(1.0, zero, copy))
    };
    let (one, other) = (moved(one), moved(other));
    let (mut off, mut size) = (0.0, 0.0);
    for (name, data) in one.tensors() {
        for (a, b) in data.iter::<f64>().zip(other.tensors()[name].iter::<f64>()) {
            off += (a - b).powi(2);
            size += a.powi(2);
        }
    }
    assert!(size > 0.0, "there is a gradient");
    (off / size).sqrt()
}

struct Copy<'a> {
    from: &'a GradientsParams,
    to: &'a mut GradientsParams,
}

impl burn::module::ModuleVisitor for Copy<'_> {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<burn::tensor::Tensor<D>>) {
        self.to.register(param.id, self.from.get::<D>(param.id).unwrap());
    }
}

struct Zero;

impl burn::module::ModuleMapper for Zero {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<burn::tensor::Tensor<D>>,
    ) -> burn::module::Param<burn::tensor::Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let zero = tensor.zeros_like().set_require_grad(true);
        burn::module::Param::from_mapped_value(id, zero, mapper)
    }
}

#[test]
fn batches_of_eight_are_one_of_thirty_two() {
    let _turn = turn();
    let device = device().autodiff();
    device.seed(3);
    let equal = Directions::default();
    let weighted = Directions { weights: Some([0.2, 1.0, 3.0]), ..Directions::default() };
    for task in [equal, weighted] {
        let model = task.init(&device).unwrap();
        for sizes in [&[8, 8, 8, 8][..], &[8, 8, 8, 3], &[1, 30, 1], &[5]] {
            let all: usize = sizes.iter().sum();
            let samples = Vectors::new(all, 5);
            let whole = gradient(&task, &model, &samples, &[all]);
            let parts = gradient(&task, &model, &samples, sizes);
            let off = distance(&model, &whole, &parts);
            assert!(off <= 1e-6, "{sizes:?} with weights {:?}: off by {off}", task.weights);
        }
        let other = gradient(&task, &model, &Vectors::new(32, 6), &[32]);
        assert!(distance(&model, &gradient(&task, &model, &Vectors::new(32, 5), &[32]), &other) > 1e-3);
    }
}

#[derive(Deserialize)]
struct ClipCase {
    clip: ClipConfig,
    norm: f64,
    end: Values,
}

#[test]
fn gradients_are_clipped_as_in_pytorch() {
    let cases: Vec<ClipCase> = serde_json::from_str(include_str!("../fixtures/clipping.json")).unwrap();
    let fixture = fixture();
    let model = Parameters::of(&fixture.start, &device().autodiff());
    for ClipCase { clip: config, norm: expected, end } in cases {
        let mut gradients = model.gradients(&fixture.gradients[0]);
        let norm = global_norm(&model, &gradients);
        assert!((norm - expected).abs() <= 1e-6 * expected, "{norm}, torch has {expected}");
        clip(&model, &mut gradients, &config, norm);
        for (name, found) in model.values(&gradients) {
            for (found, expected) in found.iter().zip(&end[&name]) {
                assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{config:?} {name}: {found}, {expected}");
            }
        }
        if let Some(limit) = config.global_norm {
            assert!(global_norm(&model, &gradients) <= limit * (1.0 + 1e-6));
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_shows_in_the_norm() {
    let fixture = fixture();
    let model = Parameters::of(&fixture.start, &device().autodiff());
    for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut values = fixture.gradients[0].clone();
        values.get_mut("wide").unwrap()[3] = broken;
        assert!(!global_norm(&model, &model.gradients(&values)).is_finite());
    }
    assert_eq!(global_norm(&model, &GradientsParams::new()), 0.0);
}

#[test]
fn the_average_follows_by_the_formula() {
    let fixture = fixture();
    let values = |scale: f64| -> Values {
        fixture.start.iter().map(|(name, values)| (name.clone(), values.iter().map(|v| v * scale).collect())).collect()
    };
    let device = device();
    let models = [1.0, -2.0, 0.5, 3.0].map(|scale| Parameters::of(&values(scale), &device.clone().autodiff()));
    for config in [EmaConfig { decay: 0.9, warmup: false }, EmaConfig { decay: 0.2, warmup: true }] {
        // The average of the network that begins, under its own identities.
        let mut average = models[0].valid();
        let mut expected = 1.0;
        for (step, (model, scale)) in models.iter().zip([1.0, -2.0, 0.5, 3.0]).enumerate() {
            let model = Weights::of(model).apply(models[0].clone()).unwrap();
            average = config.update(average, &model, step);
            let kept = if config.warmup { [0.1, 2.0 / 11.0, 0.2, 0.2][step] } else { 0.9 };
            expected = kept * expected + (1.0 - kept) * scale;
        }
        let expected: BTreeMap<_, _> = values(expected);
        for (name, data) in Weights::of(&average).tensors() {
            for (found, expected) in data.iter::<f64>().zip(&expected[name]) {
                assert!((found - expected).abs() < 1e-6, "{config:?} {name}: {found}, {expected}");
            }
        }
    }
}
