//! The exponential moving average of weights (Polyak & Juditsky 1992; as used since Tarvainen & Valpola 2017): a second
//! copy of the network that follows the first, and is evaluated and published in its place. It does not know the loop.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How closely the average follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EmaConfig {
    /// Share of the old average kept at each optimiser step, in 0..1.
    pub decay: f64,
    /// Whether early steps keep less, `min(decay, (1 + step) / (10 + step))`, so that the start is soon forgotten.
    pub warmup: bool,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { decay: 0.999, warmup: true }
    }
}

impl EmaConfig {
    /// The share kept at the step with this index, from 0.
    #[must_use]
    pub fn decay_at(&self, step: usize) -> f64 {
        let step = step as f64;
        if self.warmup { self.decay.min((1.0 + step) / (10.0 + step)) } else { self.decay }
    }

    /// Moves `average` towards `model`, after the step with this index.
    #[must_use]
    pub fn update<M: Module>(&self, average: M, model: &M, step: usize) -> M {
        let mut collected = Collector { tensors: GradientsParams::new() };
        // Burn's running statistics are one update behind until they are asked for in this way.
        model.valid().visit(&mut collected);
        average.map(&mut Mover { decay: self.decay_at(step), new: collected.tensors })
    }
}

/// Burn's container of gradients serves for any tensors by parameter.
struct Collector {
    tensors: GradientsParams,
}

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.register(param.id, param.val());
    }
}

struct Mover {
    decay: f64,
    new: GradientsParams,
}

impl ModuleMapper for Mover {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, old, mapper) = param.consume();
        let Some(new) = self.new.remove::<D>(id) else {
            panic!("the averaged network and its original have the same parameters");
        };
        // In this form a weight that does not move stays what it is to the bit: frozen ones have one value everywhere.
        let moved = old.clone() + (new - old).mul_scalar(1.0 - self.decay);
        Param::from_mapped_value(id, moved, mapper)
    }
}
