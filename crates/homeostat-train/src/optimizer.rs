//! Optimisers: Burn's update rules, driven per parameter. The state is kept by the parameter's path and not by Burn's
//! random identities, so that a checkpoint has the same bytes for the same state and loads on the device asked for.
//! Burn's L-BFGS is left out: it asks for the loss several times a step, of the same batch, and fits no step of this loop.
//! It does not know the loop, schedules or losses.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::{
        AdaGradConfig, AdafactorConfig as BurnAdafactorConfig, AdamConfig as BurnAdamConfig,
        AdamWConfig as BurnAdamWConfig, AdanConfig as BurnAdanConfig, DynOptimizer, DynState, GradientsParams,
        LambConfig as BurnLambConfig, LionConfig as BurnLionConfig, MuonConfig as BurnMuonConfig, RmsPropConfig,
        SgdConfig as BurnSgdConfig, StateSink, StateSource, decay::WeightDecayConfig, momentum::MomentumConfig,
    },
    tensor::{DType, Device, Tensor, TensorData},
};
use burn_pack::Scalar;
use homeostat_task::ParamPath;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    TrainError,
    bound::{DECAY, NOT_NEGATIVE, POSITIVE},
    freeze::{check_pattern, fits},
    rules::{Adam, AdamW, Decay, Moments, Momentum},
};

macro_rules! config {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty = $default:expr $(=> $bound:ident)?,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Refuses numbers outside the bounds that stand beside the fields.
            fn check(&self, key: &'static str) -> Result<(), TrainError> {
                $($($bound.check(key, &stringify!($field).replace('_', "-"), self.$field)?;)?)*
                Ok(())
            }
        }
    };
}

config! {
    /// Stochastic gradient descent with momentum, without dampening; the weight decay is L2. Steps are those of PyTorch.
    SgdConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 0.01 => POSITIVE,
        /// Share of the velocity kept at each step, in 0..1; 0 is plain gradient descent.
        momentum: f64 = 0.9 => DECAY,
        /// Whether the gradient is taken ahead along the velocity (Nesterov 1983).
        nesterov: bool = false,
        /// L2 penalty, added to the gradient; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// Adam (Kingma & Ba 2015); the weight decay is L2. Steps are those of PyTorch.
    AdamConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 1e-3 => POSITIVE,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9 => DECAY,
        /// Decay of the mean of squared gradients.
        beta_2: f64 = 0.999 => DECAY,
        /// Added to the denominator.
        epsilon: f64 = 1e-8 => POSITIVE,
        /// L2 penalty, added to the gradient; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
        /// Whether the largest mean of squares so far is used (Reddi et al. 2018).
        amsgrad: bool = false,
    }
}
config! {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019). Steps are those of PyTorch.
    AdamwConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 1e-3 => POSITIVE,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9 => DECAY,
        /// Decay of the mean of squared gradients.
        beta_2: f64 = 0.999 => DECAY,
        /// Added to the denominator.
        epsilon: f64 = 1e-8 => POSITIVE,
        /// Share of a weight, times the rate, that is lost at each step; not on biases and norms.
        weight_decay: f64 = 0.01 => NOT_NEGATIVE,
        /// Whether the largest mean of squares so far is used (Reddi et al. 2018).
        amsgrad: bool = false,
    }
}
config! {
    /// RMSprop (Tieleman & Hinton 2012); the weight decay is L2. Steps are those of PyTorch.
    RmspropConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 1e-3 => POSITIVE,
        /// Decay of the mean of squared gradients.
        alpha: f64 = 0.99 => DECAY,
        /// Share of the velocity kept at each step.
        momentum: f64 = 0.0 => DECAY,
        /// Added to the denominator.
        epsilon: f64 = 1e-8 => POSITIVE,
        /// Whether the mean gradient is taken off (Graves 2013).
        centered: bool = false,
        /// L2 penalty, added to the gradient; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// Adagrad (Duchi et al. 2011); the weight decay is L2. Steps are those of PyTorch.
    AdagradConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 0.01 => POSITIVE,
        /// How fast the rate falls with the step, beside the schedule.
        rate_decay: f64 = 0.0 => NOT_NEGATIVE,
        /// Added to the denominator.
        epsilon: f64 = 1e-10 => POSITIVE,
        /// L2 penalty, added to the gradient; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// Adan (Xie et al. 2022), with the bias corrections of the authors' code. The weight decay is decoupled and proximal:
    /// a weight is divided by 1 plus the rate times the decay.
    AdanConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 1e-3 => POSITIVE,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.98 => DECAY,
        /// Decay of the mean of gradient differences.
        beta_2: f64 = 0.92 => DECAY,
        /// Decay of the mean of squares.
        beta_3: f64 = 0.99 => DECAY,
        /// Added to the denominator.
        epsilon: f64 = 1e-8 => POSITIVE,
        /// Decoupled weight decay; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// Adafactor (Shazeer & Stern 2018): second moments by rows and columns. PyTorch's steps are those with both
    /// `relative-step` and `scale-parameter`.
    AdafactorConfig {
        /// The learning rate before the schedule; with `relative-step` it only caps the rate that Adafactor finds.
        learning_rate: f64 = 1e-2 => POSITIVE,
        /// Whether the rate is found from the step.
        relative_step: bool = false,
        /// Whether the rate is multiplied by the size of the parameter.
        scale_parameter: bool = true,
        /// The largest root mean square of an update.
        clip_threshold: f64 = 1.0 => POSITIVE,
        /// Decoupled weight decay; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// LAMB (You et al. 2020): Adam's step, scaled layer by layer to the size of the weights. As in the authors' code,
    /// biases and norms take Adam's step as it is: they start at 0, and would hardly leave it.
    LambConfig {
        /// The learning rate before the schedule.
        learning_rate: f64 = 5e-3 => POSITIVE,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9 => DECAY,
        /// Decay of the mean of squared gradients.
        beta_2: f64 = 0.999 => DECAY,
        /// Added to the denominator.
        epsilon: f64 = 1e-6 => POSITIVE,
        /// Weight decay inside the trust ratio; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// Lion (Chen et al. 2023): the sign of a momentum; the weight decay is decoupled.
    LionConfig {
        /// The learning rate before the schedule; about a tenth of AdamW's.
        learning_rate: f64 = 1e-4 => POSITIVE,
        /// Weight of the momentum in the step.
        beta_1: f64 = 0.9 => DECAY,
        /// Decay of the momentum.
        beta_2: f64 = 0.99 => DECAY,
        /// Decoupled weight decay, about ten times AdamW's; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
    }
}
config! {
    /// Muon (Jordan et al. 2024) for matrices; convolutions, biases and norms are trained by AdamW. Steps are those of
    /// PyTorch for the same matrix, but in 32 bits, not 16. A matrix with more rows than columns takes longer steps, by the
    /// root of their ratio; a linear layer's rows are its inputs here, and its outputs in PyTorch.
    MuonConfig {
        /// The learning rate of the matrices before the schedule.
        learning_rate: f64 = 0.02 => POSITIVE,
        /// Share of the velocity kept at each step.
        momentum: f64 = 0.95 => DECAY,
        /// Newton-Schulz iterations.
        iterations: usize = 5,
        /// Decoupled weight decay, of the matrices and, by AdamW, of the rest; not on biases and norms.
        weight_decay: f64 = 0.0 => NOT_NEGATIVE,
        /// The learning rate of what is no matrix.
        adamw_learning_rate: f64 = 1e-3 => POSITIVE,
    }
}

/// An optimiser; the names are the field's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig),
    /// Adam with L2 penalty.
    Adam(AdamConfig),
    /// Adam with decoupled weight decay.
    Adamw(AdamwConfig),
    /// RMSprop.
    Rmsprop(RmspropConfig),
    /// Adagrad.
    Adagrad(AdagradConfig),
    /// Adan.
    Adan(AdanConfig),
    /// Adafactor.
    Adafactor(AdafactorConfig),
    /// LAMB.
    Lamb(LambConfig),
    /// Lion.
    Lion(LionConfig),
    /// Muon for matrices, AdamW for the rest.
    Muon(MuonConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adamw(AdamwConfig::default())
    }
}

config! {
    /// Settings for the parameters whose path matches; the last matching group counts.
    GroupConfig {
        /// Which parameters: a path with `*` for any characters, as in `classifier.*` or `*.bias`; with a `!` before it, all others.
        parameters: String = "*".to_owned(),
        /// What the learning rate is multiplied by; 0 leaves them as they are.
        rate_factor: f64 = 1.0 => NOT_NEGATIVE,
        /// Weight decay instead of the optimiser's; also applies to biases and norms that match.
        weight_decay: Option<f64> = None,
        /// Another optimiser in the place of the common one; the schedule moves its learning rate alike.
        optimizer: Option<OptimizerConfig> = None,
    }
}

impl OptimizerConfig {
    /// One of each, for tables that test them all.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        vec![
            Self::Sgd(SgdConfig::default()),
            Self::Sgd(SgdConfig { momentum: 0.0, weight_decay: 0.1, ..SgdConfig::default() }),
            Self::Sgd(SgdConfig { nesterov: true, ..SgdConfig::default() }),
            Self::Adam(AdamConfig::default()),
            Self::Adam(AdamConfig { amsgrad: true, weight_decay: 0.1, ..AdamConfig::default() }),
            Self::Adamw(AdamwConfig::default()),
            Self::Rmsprop(RmspropConfig::default()),
            Self::Rmsprop(RmspropConfig { centered: true, momentum: 0.9, ..RmspropConfig::default() }),
            Self::Adagrad(AdagradConfig::default()),
            Self::Adan(AdanConfig::default()),
            Self::Adafactor(AdafactorConfig::default()),
            Self::Lamb(LambConfig::default()),
            Self::Lion(LionConfig::default()),
            Self::Muon(MuonConfig::default()),
        ]
    }

    /// The learning rate that the schedule shapes.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(c) => c.learning_rate,
            Self::Adam(c) => c.learning_rate,
            Self::Adamw(c) => c.learning_rate,
            Self::Rmsprop(c) => c.learning_rate,
            Self::Adagrad(c) => c.learning_rate,
            Self::Adan(c) => c.learning_rate,
            Self::Adafactor(c) => c.learning_rate,
            Self::Lamb(c) => c.learning_rate,
            Self::Lion(c) => c.learning_rate,
            Self::Muon(c) => c.learning_rate,
        }
    }

    fn weight_decay(&self) -> f64 {
        match self {
            Self::Sgd(c) => c.weight_decay,
            Self::Adam(c) => c.weight_decay,
            Self::Adamw(c) => c.weight_decay,
            Self::Rmsprop(c) => c.weight_decay,
            Self::Adagrad(c) => c.weight_decay,
            Self::Adan(c) => c.weight_decay,
            Self::Adafactor(c) => c.weight_decay,
            Self::Lamb(c) => c.weight_decay,
            Self::Lion(c) => c.weight_decay,
            Self::Muon(c) => c.weight_decay,
        }
    }

    /// Refuses numbers out of range, here and in the groups.
    pub(crate) fn check(&self, groups: &[GroupConfig]) -> Result<(), TrainError> {
        for group in groups {
            group.check("train.groups")?;
            NOT_NEGATIVE.check("train.groups", "weight-decay", group.weight_decay.unwrap_or(0.0))?;
            group.optimizer.as_ref().map_or(Ok(()), |own| own.check_numbers("train.groups.optimizer"))?;
        }
        self.check_numbers("train.optimizer")
    }

    fn check_numbers(&self, key: &'static str) -> Result<(), TrainError> {
        match self {
            Self::Sgd(c) if c.nesterov && c.momentum == 0.0 => {
                Err(TrainError::setting(key, "nesterov needs a momentum above 0"))
            }
            Self::Muon(c) if !(1..100).contains(&c.iterations) => {
                Err(TrainError::setting(key, format!("iterations is {}, but must lie in 1..100", c.iterations)))
            }
            Self::Sgd(c) => c.check(key),
            Self::Adam(c) => c.check(key),
            Self::Adamw(c) => c.check(key),
            Self::Rmsprop(c) => c.check(key),
            Self::Adagrad(c) => c.check(key),
            Self::Adan(c) => c.check(key),
            Self::Adafactor(c) => c.check(key),
            Self::Lamb(c) => c.check(key),
            Self::Lion(c) => c.check(key),
            Self::Muon(c) => c.check(key),
        }
    }

    /// The rule for a parameter of this rank, and what its rate is multiplied by.
    #[expect(clippy::cast_possible_truncation, reason = "Burn's settings are 32-bit floats")]
    fn rule(&self, rank: usize, weight_decay: f64) -> (Arc<dyn DynOptimizer>, f64) {
        let decay = weight_decay as f32;
        let l2 = (weight_decay != 0.0).then(|| WeightDecayConfig::new(decay));
        let rule: Arc<dyn DynOptimizer> = match self {
            Self::Sgd(c) if c.momentum == 0.0 => Arc::new(BurnSgdConfig::new().with_weight_decay(l2).build()),
            Self::Sgd(c) => Arc::new(Momentum { momentum: c.momentum as f32, nesterov: c.nesterov, penalty: decay }),
            Self::Adam(c) if c.amsgrad => Arc::new(
                BurnAdamConfig::new()
                    .with_beta_1(c.beta_1 as f32)
                    .with_beta_2(c.beta_2 as f32)
                    .with_epsilon(c.epsilon as f32)
                    .with_amsgrad(true)
                    .with_weight_decay(l2)
                    .build(),
            ),
            Self::Adam(c) => Arc::new(Adam(Moments {
                betas: [c.beta_1, c.beta_2].map(|beta| beta as f32),
                epsilon: c.epsilon as f32,
                decay: Decay::Penalty(decay),
            })),
            Self::Adamw(c) => adamw(c, decay),
            Self::Rmsprop(c) => Arc::new(
                RmsPropConfig::new()
                    .with_alpha(c.alpha as f32)
                    .with_momentum(c.momentum as f32)
                    .with_epsilon(c.epsilon as f32)
                    .with_centered(c.centered)
                    .with_weight_decay(l2)
                    .build(),
            ),
            Self::Adagrad(c) => Arc::new(
                AdaGradConfig::new()
                    .with_lr_decay(c.rate_decay)
                    .with_epsilon(c.epsilon as f32)
                    .with_weight_decay(l2)
                    .build(),
            ),
            Self::Adan(c) => Arc::new(
                BurnAdanConfig::new()
                    .with_beta_1(c.beta_1 as f32)
                    .with_beta_2(c.beta_2 as f32)
                    .with_beta_3(c.beta_3 as f32)
                    .with_epsilon(c.epsilon as f32)
                    .with_weight_decay(decay)
                    .build(),
            ),
            Self::Adafactor(c) => Arc::new(
                BurnAdafactorConfig::new()
                    .with_relative_step(c.relative_step)
                    .with_scale_parameter(c.scale_parameter)
                    .with_clip_threshold(c.clip_threshold as f32)
                    .with_weight_decay(decay)
                    .build(),
            ),
            Self::Lamb(c) => Arc::new(
                BurnLambConfig::new()
                    .with_beta_1(c.beta_1 as f32)
                    .with_beta_2(c.beta_2 as f32)
                    .with_epsilon(c.epsilon as f32)
                    .with_weight_decay(decay)
                    .with_use_trust_ratio(rank > 1)
                    .build(),
            ),
            Self::Lion(c) => Arc::new(
                BurnLionConfig::new()
                    .with_beta_1(c.beta_1 as f32)
                    .with_beta_2(c.beta_2 as f32)
                    .with_weight_decay(decay)
                    .build(),
            ),
            Self::Muon(c) if rank == 2 => {
                let momentum = MomentumConfig::new().with_momentum(c.momentum).with_dampening(0.0).with_nesterov(true);
                Arc::new(
                    BurnMuonConfig::new()
                        .with_momentum(momentum)
                        .with_ns_steps(c.iterations)
                        .with_weight_decay(l2)
                        .build(),
                )
            }
            Self::Muon(c) => {
                return (adamw(&AdamwConfig::default(), decay), c.adamw_learning_rate / c.learning_rate);
            }
        };
        (rule, 1.0)
    }

    /// The optimiser for the parameters of `module`.
    ///
    /// Parameters of rank 1 (biases and the scales of norms) have no weight decay, unless a group names them.
    ///
    /// # Errors
    /// A group matches no parameter, or none that no later group matches, or a setting is out of range.
    pub fn init<M: Module>(&self, module: &M, groups: &[GroupConfig]) -> Result<Optimizer, TrainError> {
        self.check(groups)?;
        let mut parameters = Parameters::default();
        module.visit(&mut parameters);
        let names = || parameters.shapes.keys().map(String::as_str);
        for (at, GroupConfig { parameters: pattern, .. }) in groups.iter().enumerate() {
            check_pattern("train.groups", pattern, module, names())?;
            let later = |name: &str| groups[at + 1..].iter().any(|group| fits(&group.parameters, name));
            if names().filter(|name| fits(pattern, name)).all(later) {
                let problem =
                    format!("later groups take all that `{pattern}` matches: put it behind them, or leave it out");
                return Err(TrainError::setting("train.groups", problem));
            }
        }
        let slots = parameters.shapes.into_iter().map(|(path, shape)| {
            let rank = shape.len();
            let group = groups.iter().rev().find(|group| fits(&group.parameters, &path));
            let own = group.and_then(|group| group.optimizer.as_ref()).unwrap_or(self);
            let default_decay = if rank <= 1 { 0.0 } else { own.weight_decay() };
            let decay = group.and_then(|group| group.weight_decay).unwrap_or(default_decay);
            let (rule, factor) = own.rule(rank, decay);
            // The schedule moves the rate of the common one.
            let factor = factor * (own.learning_rate() / self.learning_rate());
            let rate_factor = factor * group.map_or(1.0, |group| group.rate_factor);
            // Adafactor keeps sums over rows and columns.
            let keeps_sums = matches!(own, Self::Adafactor(_));
            (path, Slot { rule, shape, keeps_sums, rate_factor, state: None })
        });
        Ok(Optimizer { slots: slots.collect() })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Burn's settings are 32-bit floats")]
fn adamw(config: &AdamwConfig, decay: f32) -> Arc<dyn DynOptimizer> {
    let betas = [config.beta_1, config.beta_2].map(|beta| beta as f32);
    let epsilon = config.epsilon as f32;
    if !config.amsgrad {
        return Arc::new(AdamW(Moments { betas, epsilon, decay: Decay::Decoupled(decay) }));
    }
    let rule = BurnAdamWConfig::new().with_beta_1(betas[0]).with_beta_2(betas[1]).with_epsilon(epsilon);
    Arc::new(rule.with_amsgrad(true).with_weight_decay(decay).build())
}

/// An optimiser at work: a rule and a state for each parameter. Cloning it is cheap: tensors are shared until changed.
#[derive(Clone)]
pub struct Optimizer {
    slots: BTreeMap<String, Slot>,
}

#[derive(Clone)]
struct Slot {
    rule: Arc<dyn DynOptimizer>,
    shape: Vec<usize>,
    /// Whether a state may have sides of 1 where the parameter's are longer.
    keeps_sums: bool,
    rate_factor: f64,
    state: Option<DynState>,
}

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer").field("parameters", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Optimizer {
    /// The same, where each layer of `module` further from the head learns `decay` times as fast as the one after it.
    #[must_use]
    pub fn with_layer_decay<M: Module>(mut self, module: &M, decay: f64) -> Self {
        let mut parameters = Parameters::default();
        module.visit(&mut parameters);
        let (layers, last) = layers(&parameters.order);
        for (path, layer) in parameters.order.iter().zip(layers) {
            let Some(slot) = self.slots.get_mut(path) else { continue };
            slot.rate_factor *= decay.powf((last - layer) as f64);
        }
        self
    }

    /// What the rate of each parameter is multiplied by.
    #[must_use]
    pub fn rate_factors(&self) -> BTreeMap<&str, f64> {
        self.slots.iter().map(|(path, slot)| (path.as_str(), slot.rate_factor)).collect()
    }

    /// Moves the parameters that have a gradient.
    #[must_use]
    pub fn step<M: Module>(&mut self, rate: f64, module: M, gradients: GradientsParams) -> M {
        module.map(&mut Stepper { path: ParamPath::default(), rate, gradients, slots: &mut self.slots })
    }

    /// The state as a safetensors file; the same bytes for the same state.
    #[must_use]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let (sink, ranks) = self.flatten();
        let scalars = sink.scalars.into_iter().map(|(name, value)| (name, Number::from(value))).collect();
        let header = serde_json::to_string(&StateHeader { ranks, scalars }).unwrap_or_default();
        let tensors: BTreeMap<String, TensorData> = sink.tensors.into_iter().collect();
        let views = tensors.iter().map(|(name, data)| {
            assert_eq!(data.dtype(), DType::F32, "optimiser states are 32-bit floats");
            let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
            (name, view.unwrap_or_else(|error| panic!("state `{name}` with its own shape: {error}")))
        });
        safetensors::serialize(views, Some(HashMap::from([(HEADER.to_owned(), header)])))
            .unwrap_or_else(|error| panic!("states with distinct names: {error}"))
    }

    fn flatten(&self) -> (StateSink, BTreeMap<String, usize>) {
        let (mut sink, mut ranks) = (StateSink::default(), BTreeMap::new());
        for (path, slot) in &self.slots {
            if let Some(state) = &slot.state {
                slot.rule.state_flatten(path, state, &mut sink);
                ranks.insert(path.clone(), slot.shape.len());
            }
        }
        (sink, ranks)
    }

    /// Takes over a state that [`to_safetensors`](Self::to_safetensors) wrote for the same parameters.
    ///
    /// # Errors
    /// The bytes are no such file, or hold states of other parameters or another optimiser, or what is not finite.
    pub fn load_safetensors(&mut self, bytes: &[u8], device: &Device) -> Result<(), TrainError> {
        let broken = |reason: String| TrainError::OptimizerState { reason };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|map| map.get(HEADER))
            .ok_or_else(|| broken("its header is missing".to_owned()))?;
        let header: StateHeader = serde_json::from_str(header).map_err(|error| broken(error.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let mut source =
            StateSource::new(header.scalars.into_iter().map(|(name, value)| (name, value.into())).collect());
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(broken(format!("`{name}` holds {:?}, not 32-bit floats", view.dtype())));
            }
            let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32);
            self.check_state(name, &data).map_err(broken)?;
            source.insert_tensor(name.to_owned(), data);
        }
        for (path, rank) in header.ranks {
            let slot =
                self.slots.get_mut(&path).ok_or_else(|| broken(format!("`{path}` is no parameter of this network")))?;
            if slot.shape.len() != rank {
                return Err(broken(format!("`{path}` has rank {rank}, but in this network {}", slot.shape.len())));
            }
            let state = slot.rule.state_unflatten(rank, &path, &mut source, device);
            slot.state = Some(state.ok_or_else(|| broken(format!("the state of `{path}` is incomplete")))?);
        }
        if self.flatten().0.tensors.len() != file.len() {
            return Err(broken("it is of another optimizer".to_owned()));
        }
        Ok(())
    }

    /// Whether a tensor of a file can be part of the state of the parameter that it is named after.
    fn check_state(&self, name: &str, data: &TensorData) -> Result<(), String> {
        let of = |path: &str| name.strip_prefix(path).is_some_and(|leaf| leaf.starts_with('.'));
        // A weight's changes of low rank are called after it: the longest name is the parameter's.
        let longest = self.slots.iter().filter(|(path, _)| of(path)).max_by_key(|(path, _)| path.len());
        let Some((path, slot)) = longest else {
            return Err(format!("`{name}` is of no parameter of this network"));
        };
        let fits = |(&side, &full): (&usize, &usize)| side == full || (slot.keeps_sums && side == 1);
        let shape = data.shape().to_vec();
        if shape.len() != slot.shape.len() || !shape.iter().zip(&slot.shape).all(fits) {
            return Err(format!("`{name}` has the shape {shape:?}, but `{path}` has {:?}", slot.shape));
        }
        let values = data.as_slice::<f32>().unwrap_or_default();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(format!("`{name}` holds NaN or infinity at element {index}")),
            None => Ok(()),
        }
    }
}

const HEADER: &str = "homeostat";

/// What a state holds beside tensors.
#[derive(Serialize, Deserialize)]
struct StateHeader {
    ranks: BTreeMap<String, usize>,
    scalars: BTreeMap<String, Number>,
}

#[derive(Serialize, Deserialize)]
enum Number {
    Int(i64),
    UInt(u64),
    Float(f64),
    Bool(bool),
}

impl From<Scalar> for Number {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Int(value) => Self::Int(value),
            Scalar::UInt(value) => Self::UInt(value),
            Scalar::Float(value) => Self::Float(value),
            Scalar::Bool(value) => Self::Bool(value),
        }
    }
}

impl From<Number> for Scalar {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::Int(value),
            Number::UInt(value) => Self::UInt(value),
            Number::Float(value) => Self::Float(value),
            Number::Bool(value) => Self::Bool(value),
        }
    }
}

struct Stepper<'a> {
    path: ParamPath,
    rate: f64,
    gradients: GradientsParams,
    slots: &'a mut BTreeMap<String, Slot>,
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let slot = self.slots.get_mut(&self.path.name());
        let (Some(slot), Some(gradient)) = (slot, self.gradients.remove::<D>(id)) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let tracked = tensor.is_require_grad();
        let rate = self.rate * slot.rate_factor;
        let (moved, state) =
            slot.rule.step_dyn(D, rate, tensor.inner().into_bridge(), gradient.into_bridge(), slot.state.take());
        slot.state = state;
        let moved = Tensor::<D>::from_inner(Tensor::from_bridge(moved)).set_require_grad(tracked);
        Param::from_mapped_value(id, moved, mapper)
    }
}

/// The layer of each path, in the order of the network, and the last layer, as timm counts them. A layer is what is called alike up to
/// its first numbers (`stages.0.1`, `blocks.7`); what comes before the first of these is layer 0, the head is the last one, as further
/// heads are, and what else has no number belongs to the numbered layer before it. A network whose last part is numbered has no head.
fn layers(paths: &[String]) -> (Vec<usize>, usize) {
    let part = |path: &String| path.split('.').next().unwrap_or_default().to_owned();
    let has_layers = |part_of: &String| paths.iter().any(|path| part(path) == *part_of && numbered(path).is_some());
    let head = paths.last().map(part).filter(|head| !has_layers(head));
    let is_head = |path: &String| part(path) == FURTHER_HEADS || head == Some(part(path));
    let mut known: Vec<String> = Vec::new();
    let mut found: Vec<Option<usize>> = Vec::new();
    for path in paths {
        if is_head(path) {
            found.push(None);
            continue;
        }
        known.extend(numbered(path).filter(|layer| !known.contains(layer)));
        found.push(Some(known.len()));
    }
    let last = known.len() + usize::from(head.is_some());
    (found.into_iter().map(|layer| layer.unwrap_or(last)).collect(), last)
}

/// The part of a network with heads that learn beside the last one (GoogLeNet).
const FURTHER_HEADS: &str = "auxiliary";

/// A path up to and with its first numbers.
fn numbered(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let first = parts.iter().position(is_number)?;
    let count = parts[first..].iter().take_while(|part| is_number(part)).count();
    Some(parts[..first + count].join("."))
}

#[derive(Default)]
struct Parameters {
    path: ParamPath,
    shapes: BTreeMap<String, Vec<usize>>,
    /// The names in the order of the network.
    order: Vec<String>,
}

impl ModuleVisitor for Parameters {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.order.push(self.path.name());
        self.shapes.insert(self.path.name(), param.lazy_shape().to_vec());
    }
}
