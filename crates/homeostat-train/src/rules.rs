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
