//! Batch normalisation and average pooling as a backend extension of Burn, and what autodiff does with them; see
//! [`crate::extension`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use burn::backend::{
    Autodiff, Backend, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    backend_extension,
    tensor::FloatTensor,
};

use crate::{extension::KernelGradients, flex_image, mean_pool::MeanPool};

/// A batch normalisation by given moments, and what is fused into it.
#[derive(Clone, Debug)]
pub(crate) struct Normalisation {
    pub(crate) epsilon: f64,
    pub(crate) relu: bool,
    /// Whether there is one: else another tensor, that has no gradient, stands in its place.
    pub(crate) residual: bool,
    /// Whether the moments are those of the batch itself, so that they move with it: else they are constants.
    pub(crate) by_batch: bool,
}

/// The forward operations, in the tensor primitives of a backend.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait ImageOps: Backend {
    /// `[2 * channels]`: means, then biased variances. It has no gradient: that of `kernel_batch_norm` minds it.
    fn kernel_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Normalises by these moments.
    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        normalisation: Normalisation,
    ) -> FloatTensor<Self>;
    fn kernel_mean_pool(x: FloatTensor<Self>, pool: MeanPool) -> FloatTensor<Self>;
    /// The same images, as `[batch, channels, height, width]` in memory, too.
    fn kernel_row_major(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `x` itself, for one of those who use it.
    fn kernel_branch(x: FloatTensor<Self>, fork: Fork) -> FloatTensor<Self>;
    /// Of images of one shape. Burn's own sum takes them the slow way.
    fn kernel_sum(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// What the branches of a fork share: whether one of them has given its gradient already.
pub(crate) type Fork = Arc<AtomicBool>;

/// What a batch normalisation keeps for its gradients.
#[derive(Clone, Debug)]
pub(crate) struct Normalised<B: Backend> {
    pub(crate) x: FloatTensor<B>,
    pub(crate) gamma: FloatTensor<B>,
    pub(crate) beta: FloatTensor<B>,
    pub(crate) moments: FloatTensor<B>,
    /// The result, if ReLU made it.
    pub(crate) y: Option<FloatTensor<B>>,
}

/// The backward operations.
pub(crate) trait ImageGradients: ImageOps + KernelGradients {
    /// Of `x`, gamma, beta and residual, where wanted.
    fn batch_norm_gradients(
        kept: Normalised<Self>,
        gradient: FloatTensor<Self>,
        normalisation: Normalisation,
        wanted: [bool; 4],
    ) -> [Option<FloatTensor<Self>>; 4];
    fn mean_pool_gradient(gradient: FloatTensor<Self>, pool: MeanPool) -> FloatTensor<Self>;
}

impl ImageOps for Flex {
    fn kernel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex_image::moments(&x)
    }

    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        normalisation: Normalisation,
    ) -> FloatTensor<Self> {
        let kept = Normalised { x, gamma, beta, moments, y: None };
        flex_image::batch_norm(&kept, normalisation.residual.then_some(&residual), &normalisation)
    }

    fn kernel_mean_pool(x: FloatTensor<Self>, pool: MeanPool) -> FloatTensor<Self> {
        flex_image::mean_pool(&x, &pool)
    }

    fn kernel_row_major(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex_image::row_major(x)
    }

    fn kernel_branch(x: FloatTensor<Self>, _: Fork) -> FloatTensor<Self> {
        x
    }

    fn kernel_sum(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        flex_image::sum(one, other)
    }
}

impl ImageGradients for Flex {
    fn batch_norm_gradients(
        kept: Normalised<Self>,
        gradient: FloatTensor<Self>,
        normalisation: Normalisation,
        wanted: [bool; 4],
    ) -> [Option<FloatTensor<Self>>; 4] {
        flex_image::batch_norm_gradients(&kept, gradient, &normalisation, wanted)
    }

    fn mean_pool_gradient(gradient: FloatTensor<Self>, pool: MeanPool) -> FloatTensor<Self> {
        flex_image::mean_pool_gradient(&gradient, &pool)
    }
}

#[derive(Clone, Debug)]
struct NormStep(Normalisation);

impl<B: ImageGradients> Backward<B, 4> for NormStep {
    type State = Normalised<B>;

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = B::batch_norm_gradients(ops.state, gradient, self.0, wanted);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Clone, Debug)]
struct MeanPoolStep;

impl<B: ImageGradients> Backward<B, 1> for MeanPoolStep {
    type State = MeanPool;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::mean_pool_gradient(gradient, ops.state));
        }
    }
}

/// Gradients of branches are summed here, by a kernel of ours.
#[derive(Clone, Debug)]
struct BranchStep;

impl<B: ImageGradients> Backward<B, 1> for BranchStep {
    type State = Fork;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(parent) = parent {
            // A leaf keeps its gradient, so it cannot be taken from there to be added to.
            let leaf = parent.order == 0;
            if ops.state.swap(true, Ordering::Relaxed) && !leaf {
                gradient = B::kernel_sum(gradients.consume::<B>(&parent), gradient);
            }
            gradients.register::<B>(parent.id, gradient);
        }
    }
}

/// Both have the gradient of their sum.
#[derive(Clone, Debug)]
struct SumStep;

impl<B: ImageGradients> Backward<B, 2> for SumStep {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        for parent in ops.parents.into_iter().flatten() {
            gradients.register::<B>(parent.id, gradient.clone());
        }
    }
}

/// The gradient of images that only lie otherwise.
#[derive(Clone, Debug)]
struct LayStep;

impl<B: ImageGradients> Backward<B, 1> for LayStep {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, gradient);
        }
    }
}

impl<B: ImageGradients, C: CheckpointStrategy> ImageOps for Autodiff<B, C> {
    fn kernel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(B::kernel_moments(x.into_primitive()))
    }

    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        normalisation: Normalisation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node(), residual.node()];
        let [x, gamma, beta, moments, residual] =
            [x, gamma, beta, moments, residual].map(FloatTensor::<Self>::into_primitive);
        let x = B::lay_out(x);
        let forward = B::kernel_batch_norm;
        let y = forward(x.clone(), gamma.clone(), beta.clone(), moments.clone(), residual, normalisation.clone());
        match Backward::<B, 4>::prepare::<C>(NormStep(normalisation.clone()), nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = Normalised { x, gamma, beta, moments, y: normalisation.relu.then(|| y.clone()) };
                prepared.finish(kept, y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn kernel_mean_pool(x: FloatTensor<Self>, pool: MeanPool) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::kernel_mean_pool(x.into_primitive(), pool.clone());
        match Backward::<B, 1>::prepare::<C>(MeanPoolStep, [node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(pool, y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn kernel_row_major(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::kernel_row_major(x.into_primitive());
        match Backward::<B, 1>::prepare::<C>(LayStep, [node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn kernel_branch(x: FloatTensor<Self>, fork: Fork) -> FloatTensor<Self> {
        let node = x.node();
        match Backward::<B, 1>::prepare::<C>(BranchStep, [node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(fork, x.into_primitive()),
            OpsKind::UnTracked(prepared) => prepared.finish(x.into_primitive()),
        }
    }

    fn kernel_sum(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [one.node(), other.node()];
        let sum = B::kernel_sum(one.into_primitive(), other.into_primitive());
        match Backward::<B, 2>::prepare::<C>(SumStep, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), sum),
            OpsKind::UnTracked(prepared) => prepared.finish(sum),
        }
    }
}
