//! What is done to gradients between the backward pass and the optimiser: averaging over an accumulation window, the
//! global norm, and clipping. It does not know losses or optimisers.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};
use homeostat_kernels::{Kernels, square_sum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How large gradients are cut; both may be on, values are cut first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClipConfig {
    /// The largest Euclidean norm of all gradients taken together (Pascanu et al. 2013); longer ones are scaled down.
    pub global_norm: Option<f64>,
    /// The largest absolute value of a gradient's element.
    pub value: Option<f64>,
}

/// The gradients of one optimiser step, gathered from one or more batches.
///
/// The loss of batch `i` is a mean over the weight `w_i`; the sum of `w_i * gradient_i` over the sum of `w_i` is the
/// gradient of the mean over all of them, also when the last batch is short.
#[derive(Debug, Default)]
pub struct Accumulation {
    // The first batch stays unscaled until a second one comes: most steps have only one.
    gathered: Option<(GradientsParams, f64)>,
    batches: usize,
}

impl Accumulation {
    /// Adds the gradients of a batch whose loss is a mean over `weight`.
    pub fn add<M: Module>(&mut self, module: &M, mut gradients: GradientsParams, weight: f64) {
        self.batches += 1;
        self.gathered = Some(match self.gathered.take() {
            None => (gradients, weight),
            Some((mut sum, total)) => {
                if self.batches == 2 {
                    change(module, &mut sum, Change::Multiply(total));
                }
                change(module, &mut gradients, Change::Multiply(weight));
                module.visit(&mut Add { sum: &mut sum, new: gradients });
                (sum, total + weight)
            }
        });
    }

    /// The mean gradient; empty if nothing was added.
    #[must_use]
    pub fn mean<M: Module>(self, module: &M) -> GradientsParams {
        let Some((mut sum, weight)) = self.gathered else { return GradientsParams::new() };
        if self.batches > 1 {
            change(module, &mut sum, Change::Multiply(1.0 / weight));
        }
        sum
    }
}

/// The Euclidean norm of all gradients taken together; not finite if an element is not.
#[must_use]
pub fn global_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    let mut visitor = Norm { gradients, squares: None };
    module.visit(&mut visitor);
    visitor.squares.map_or(0.0, |squares| f64::from(squares.sqrt().into_scalar::<f32>()))
}

/// Clips as configured; `norm` is the global norm of `gradients`.
pub fn clip<M: Module>(module: &M, gradients: &mut GradientsParams, config: &ClipConfig, norm: f64) {
    if let Some(limit) = config.value {
        change(module, gradients, Change::Clamp(limit));
    }
    let Some(limit) = config.global_norm else { return };
    let norm = if config.value.is_some() { global_norm(module, gradients) } else { norm };
    if norm > limit {
        // As in PyTorch, the small constant keeps the quotient finite.
        change(module, gradients, Change::Multiply(limit / (norm + 1e-6)));
    }
}

#[derive(Clone, Copy)]
enum Change {
    Multiply(f64),
    Clamp(f64),
}

fn change<M: Module>(module: &M, gradients: &mut GradientsParams, change: Change) {
    module.visit(&mut Changer { gradients, change });
}

struct Changer<'a> {
    gradients: &'a mut GradientsParams,
    change: Change,
}

impl ModuleVisitor for Changer<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let changed = match self.change {
            Change::Multiply(factor) => gradient.mul_scalar(factor),
            Change::Clamp(limit) => gradient.clamp(-limit, limit),
        };
        self.gradients.register(param.id, changed);
    }
}

struct Add<'a> {
    sum: &'a mut GradientsParams,
    new: GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let sum = match (self.sum.remove::<D>(param.id), self.new.remove::<D>(param.id)) {
            (Some(sum), Some(new)) => sum + new,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return,
        };
        self.sum.register(param.id, sum);
    }
}

struct Norm<'a> {
    gradients: &'a GradientsParams,
    squares: Option<Tensor<1>>,
}

impl ModuleVisitor for Norm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let squares = square_sum(gradient, Kernels::selected());
        self.squares = Some(match self.squares.take() {
            None => squares,
            Some(sum) => sum + squares,
        });
    }
}
