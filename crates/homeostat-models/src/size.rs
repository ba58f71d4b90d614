//! How large a network may be, and the moment at which it takes its memory. It does not know which network it is.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

use crate::ModelError;

/// The most parameters: 2^30, which are 4 GiB, and several times that in training.
const MAX_PARAMETERS: u128 = 1 << 30;

/// Refuses a network of too many parameters; none is drawn yet, so these take no memory.
pub(crate) fn check(network: &'static str, module: &impl Module) -> Result<(), ModelError> {
    let mut count = Count(0);
    module.visit(&mut count);
    within_limit(network, count.0)
}

/// Refuses a network that so many convolutions alone make too large, each from `channels[0]` to `channels[1]` through a window
/// of `side` by `side` pixels. For networks with batch normalisation, which takes memory as soon as it is made.
pub(crate) fn check_convolutions(
    network: &'static str,
    count: usize,
    side: usize,
    channels: [usize; 2],
) -> Result<(), ModelError> {
    within_limit(network, [count, side, side, channels[0], channels[1]].iter().map(|&size| size as u128).product())
}

fn within_limit(network: &'static str, parameters: u128) -> Result<(), ModelError> {
    if parameters <= MAX_PARAMETERS {
        return Ok(());
    }
    Err(ModelError::TooLarge { network, parameters, limit: MAX_PARAMETERS })
}

/// Draws all weights. Burn would draw each when it is first looked at; drawn at once, they depend on the seed alone.
pub(crate) fn draw(module: &impl Module) {
    module.visit(&mut Draw);
}

/// How many parameters learn: running statistics do not.
pub(crate) fn learnt(module: &impl Module) -> u64 {
    let mut learnt = Learnt::default();
    module.visit(&mut learnt);
    learnt.count
}

#[derive(Default)]
struct Learnt {
    running: bool,
    count: u64,
}

impl ModuleVisitor for Learnt {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.running = name.starts_with("running_");
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.running {
            self.count += param.lazy_shape().num_elements() as u64;
        }
    }
}

struct Count(u128);

impl ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += param.lazy_shape().iter().map(|&side| side as u128).product::<u128>();
    }
}

struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        drop(param.val());
    }
}
