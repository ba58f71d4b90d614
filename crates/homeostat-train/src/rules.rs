//! Adam, AdamW and SGD with momentum as one pass over a parameter: Burn's update rules with Burn's states, so that a
//! checkpoint cannot tell them apart.

use burn::{
    optim::{
        AdamState, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer, RecordState, StateSink, StateSource,
        join_path,
    },
    tensor::{Device, Tensor},
};
use homeostat_kernels::{AdamStep, Kernels, MomentumStep, adam_step, momentum_step};

/// Adam and AdamW without AMSGrad.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) betas: [f32; 2],
    pub(crate) epsilon: f32,
    pub(crate) decay: Decay,
}

/// How weights decay.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decay {
    /// Through the gradient: Adam.
    Penalty(f32),
    /// Beside the gradient: AdamW.
    Decoupled(f32),
}

impl Moments {
    #[expect(clippy::cast_possible_truncation, reason = "parameters are 32-bit floats, and steps fewer than 2^31")]
    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdaptiveMomentumState<D>>,
    ) -> (Tensor<D>, AdaptiveMomentumState<D>) {
        let state =
            state.unwrap_or_else(|| AdaptiveMomentumState::new(0, parameter.zeros_like(), parameter.zeros_like()));
        let time = state.time + 1;
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powi(time as i32));
        let step = AdamStep {
            rate: rate as f32 * (second.sqrt() / first),
            epsilon: self.epsilon * second.sqrt(),
            betas: self.betas,
            penalty: if let Decay::Penalty(penalty) = self.decay { penalty } else { 0.0 },
            left: if let Decay::Decoupled(decay) = self.decay { (1.0 - rate * f64::from(decay)) as f32 } else { 1.0 },
        };
        let tensors = [parameter, gradient, state.moment_1, state.moment_2];
        let [parameter, first, second] = adam_step(tensors, step, Kernels::selected());
        (parameter, AdaptiveMomentumState::new(time, first, second))
    }
}

/// Adam (Kingma & Ba 2015) without AMSGrad.
#[derive(Clone, Debug)]
pub(crate) struct Adam(pub(crate) Moments);

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let (parameter, state) = self.0.step(rate, parameter, gradient, state.map(|state| state.momentum));
        (parameter, Some(AdamState::new(state)))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        AdamState::new(state.momentum.to_device(device))
    }
}

/// AdamW (Loshchilov & Hutter 2019) without AMSGrad.
#[derive(Clone, Debug)]
pub(crate) struct AdamW(pub(crate) Moments);

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let (parameter, state) = self.0.step(rate, parameter, gradient, state.map(|state| state.momentum));
        (parameter, Some(AdamWState::new(state)))
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamWState::new(state.momentum.to_device(device))
    }
}

/// Gradient descent with momentum, without dampening.
#[derive(Clone, Debug)]
pub(crate) struct Momentum {
    pub(crate) momentum: f32,
    pub(crate) nesterov: bool,
    pub(crate) penalty: f32,
}

/// In a record it looks as the state of Burn's SGD does, whose velocity Burn keeps to itself.
#[derive(Clone, Debug)]
pub(crate) struct Velocity<const D: usize>(Tensor<D>);

impl<const D: usize> RecordState for Velocity<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(&join_path(prefix, "momentum"), "velocity", self.0.to_data());
    }

    fn state_unflatten(prefix: &str, from: &mut StateSource, device: &Device) -> Option<Self> {
        from.take_tensor(&join_path(prefix, "momentum"), "velocity").map(|data| Self(Tensor::from_data(data, device)))
    }
}

impl Optimizer for Momentum {
    type State<const D: usize> = Velocity<D>;

    #[expect(clippy::cast_possible_truncation, reason = "parameters are 32-bit floats")]
    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Velocity<D>>,
    ) -> (Tensor<D>, Option<Velocity<D>>) {
        let velocity = state.map_or_else(|| parameter.zeros_like(), |state| state.0);
        let Self { momentum, nesterov, penalty } = *self;
        let step = MomentumStep { rate: rate as f32, momentum, nesterov, penalty };
        let [parameter, velocity] = momentum_step([parameter, gradient, velocity], step, Kernels::selected());
        (parameter, Some(Velocity(velocity)))
    }

    fn to_device<const D: usize>(state: Velocity<D>, device: &Device) -> Velocity<D> {
        Velocity(state.0.to_device(device))
    }
}

#[cfg(test)]
mod tests {
    use burn::{
        optim::{
            AdamConfig, AdamWConfig, DynOptimizer, DynState, SgdConfig, decay::WeightDecayConfig,
            momentum::MomentumConfig,
        },
        tensor::TensorData,
    };

    use super::*;

    fn tensor(seed: usize) -> Tensor<2> {
        let value = |at: usize| ((at * 37 + seed * 11) % 19) as f32 / 9.0 - 1.0;
        Tensor::from_data(TensorData::new((0..35).map(value).collect::<Vec<_>>(), [5, 7]), &Device::flex())
    }

    /// What a rule has come to: the parameter, and its record.
    struct End {
        parameter: Vec<f32>,
        tensors: Vec<(String, Vec<f32>)>,
        scalars: Vec<String>,
    }

    /// After three steps, the state through a record that `reader` reads after each, the first of which `first` wrote.
    fn after_three(first: &dyn DynOptimizer, reader: &dyn DynOptimizer) -> End {
        let mut parameter = tensor(0).into_bridge();
        let flat = |rule: &dyn DynOptimizer, state: &DynState| {
            let mut sink = StateSink::default();
            rule.state_flatten("p", state, &mut sink);
            sink
        };
        let mut state: Option<DynState> = None;
        for step in 1..4 {
            let rule = if step == 1 { first } else { reader };
            let gradient = tensor(step).into_bridge();
            let (moved, next) = rule.step_dyn(2, 0.05, parameter, gradient, state.take());
            parameter = moved;
            let mut sink = flat(rule, &next.expect("these rules have states"));
            let mut source = StateSource::new(sink.scalars.drain(..).collect());
            sink.tensors.into_iter().for_each(|(name, data)| source.insert_tensor(name, data));
            state = reader.state_unflatten(2, "p", &mut source, &Device::flex());
        }
        let sink = flat(reader, &state.expect("each rule reads the other's record"));
        let floats = |data: TensorData| data.iter::<f32>().collect::<Vec<_>>();
        End {
            parameter: floats(Tensor::<2>::from_bridge(parameter).into_data()),
            tensors: sink.tensors.into_iter().map(|(name, data)| (name, floats(data))).collect(),
            scalars: sink.scalars.into_iter().map(|(name, value)| format!("{name} {value:?}")).collect(),
        }
    }

    #[test]
    fn steps_and_records_are_those_of_burn() {
        let moments = |decay| Moments { betas: [0.9, 0.99], epsilon: 1e-6, decay };
        let l2 = Some(WeightDecayConfig::new(0.1));
        let sgd = |nesterov| {
            let momentum = MomentumConfig::new().with_momentum(0.8).with_dampening(0.0).with_nesterov(nesterov);
            SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(l2.clone()).build()
        };
        let adam = AdamConfig::new().with_beta_2(0.99).with_epsilon(1e-6).with_weight_decay(l2.clone()).build();
        let adamw = AdamWConfig::new().with_beta_2(0.99).with_epsilon(1e-6).with_weight_decay(0.1).build();
        let descent = |nesterov| Momentum { momentum: 0.8, nesterov, penalty: 0.1 };
        let pairs: [(&dyn DynOptimizer, &dyn DynOptimizer); 4] = [
            (&Adam(moments(Decay::Penalty(0.1))), &adam),
            (&AdamW(moments(Decay::Decoupled(0.1))), &adamw),
            (&descent(false), &sgd(false)),
            (&descent(true), &sgd(true)),
        ];
        for (index, (ours, burn)) in pairs.into_iter().enumerate() {
            let expected = after_three(burn, burn);
            for found in [after_three(ours, ours), after_three(burn, ours), after_three(ours, burn)] {
                assert_eq!(found.scalars, expected.scalars, "rule {index}");
                let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off(&found.parameter, &expected.parameter) < 1e-6, "rule {index}: the parameter");
                for ((name, found), (expected_name, expected)) in found.tensors.iter().zip(&expected.tensors) {
                    assert_eq!(name, expected_name);
                    assert!(off(found, expected) < 1e-6, "rule {index}: {name}");
                }
            }
        }
    }
}
