//! The operations as a backend extension of Burn: what autodiff does with them. Only Burn's CPU backend is listed,
//! because the functions of this crate send every other tensor to Burn's own operations before they come here.

use burn::backend::{
    Autodiff, Backend, Flex,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    backend_extension,
    tensor::FloatTensor,
};
use burn::tensor::ops::ConvOptions;

use crate::{MaxPool2dOptions, flex};

/// Convolution and what is fused into it.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub(crate) options: ConvOptions<2>,
    pub(crate) relu: bool,
}

/// The forward operations, in the tensor primitives of a backend.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait KernelOps: Backend {
    fn kernel_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self>;
    fn kernel_max_pool2d(x: FloatTensor<Self>, options: MaxPool2dOptions) -> FloatTensor<Self>;
    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;
}

/// Three gradients, of those that were asked for.
pub(crate) type Gradients3<B> = [Option<FloatTensor<B>>; 3];

/// What a layer with weights keeps for its gradients.
#[derive(Debug)]
pub(crate) struct Layer<B: Backend> {
    pub(crate) x: FloatTensor<B>,
    pub(crate) weight: FloatTensor<B>,
    pub(crate) y: FloatTensor<B>,
    /// Whether the gradients of `x`, weight and bias are wanted.
    pub(crate) wanted: [bool; 3],
}

/// The backward operations.
pub(crate) trait KernelGradients: KernelOps {
    /// The same images, as the operations want them to lie: once, for the way forward and the way back.
    fn lay_out(images: FloatTensor<Self>) -> FloatTensor<Self>;
    fn conv2d_gradients(layer: Layer<Self>, gradient: FloatTensor<Self>, convolution: Convolution) -> Gradients3<Self>;
    fn max_pool2d_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: MaxPool2dOptions,
    ) -> FloatTensor<Self>;
    fn linear_gradients(layer: Layer<Self>, gradient: FloatTensor<Self>, relu: bool) -> Gradients3<Self>;
}

impl KernelOps for Flex {
    fn kernel_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        flex::conv2d(&x, &weight, &bias, &convolution)
    }

    fn kernel_max_pool2d(x: FloatTensor<Self>, options: MaxPool2dOptions) -> FloatTensor<Self> {
        flex::max_pool2d(&x, &options)
    }

    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        flex::linear(&x, &weight, &bias, relu)
    }
}

impl KernelGradients for Flex {
    fn lay_out(images: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::lay_out(images)
    }

    fn conv2d_gradients(layer: Layer<Self>, gradient: FloatTensor<Self>, convolution: Convolution) -> Gradients3<Self> {
        flex::conv2d_gradients(&layer, gradient, &convolution)
    }

    fn max_pool2d_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: MaxPool2dOptions,
    ) -> FloatTensor<Self> {
        flex::max_pool2d_gradient(&x, &gradient, &options)
    }

    fn linear_gradients(layer: Layer<Self>, gradient: FloatTensor<Self>, relu: bool) -> Gradients3<Self> {
        flex::linear_gradients(&layer, gradient, relu)
    }
}

/// The backward step of a layer: what differs between convolution and dense.
#[derive(Clone, Debug)]
enum Step {
    Convolution(Convolution),
    Linear { relu: bool },
}

impl<B: KernelGradients> Backward<B, 3> for Step {
    type State = (FloatTensor<B>, NodeId, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (x, weight, y) = ops.state;
        let layer = Layer {
            x,
            weight: checkpointer.retrieve_node_output(weight),
            y,
            wanted: ops.parents.each_ref().map(Option::is_some),
        };
        let found = match self {
            Self::Convolution(convolution) => B::conv2d_gradients(layer, gradient, convolution),
            Self::Linear { relu } => B::linear_gradients(layer, gradient, relu),
        };
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

impl Step {
    fn forward<B: KernelOps>(&self, x: FloatTensor<B>, weight: FloatTensor<B>, bias: FloatTensor<B>) -> FloatTensor<B> {
        match self {
            Self::Convolution(convolution) => B::kernel_conv2d(x, weight, bias, convolution.clone()),
            Self::Linear { relu } => B::kernel_linear(x, weight, bias, *relu),
        }
    }

    fn tracked<B: KernelGradients, C: CheckpointStrategy>(
        self,
        x: FloatTensor<Autodiff<B, C>>,
        weight: FloatTensor<Autodiff<B, C>>,
        bias: FloatTensor<Autodiff<B, C>>,
    ) -> FloatTensor<Autodiff<B, C>> {
        let nodes = [x.node(), weight.node(), bias.node()];
        match Backward::<B, 3>::prepare::<C>(self.clone(), nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let kept_weight = prepared.checkpoint(&weight);
                let x = match self {
                    Self::Convolution(_) => B::lay_out(x.into_primitive()),
                    Self::Linear { .. } => x.into_primitive(),
                };
                let y = self.forward::<B>(x.clone(), weight.into_primitive(), bias.into_primitive());
                prepared.finish((x, kept_weight, y.clone()), y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(self.forward::<B>(x.into_primitive(), weight.into_primitive(), bias.into_primitive()))
            }
        }
    }
}

#[derive(Clone, Debug)]
struct PoolStep(MaxPool2dOptions);

impl<B: KernelGradients> Backward<B, 1> for PoolStep {
    type State = NodeId;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output(ops.state);
        if let Some(parent) = parent {
            gradients.register::<B>(parent.id, B::max_pool2d_gradient(x, gradient, self.0));
        }
    }
}

impl<B: KernelGradients, C: CheckpointStrategy> KernelOps for Autodiff<B, C> {
    fn kernel_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        Step::Convolution(convolution).tracked::<B, C>(x, weight, bias)
    }

    fn kernel_max_pool2d(x: FloatTensor<Self>, options: MaxPool2dOptions) -> FloatTensor<Self> {
        let step = PoolStep(options.clone());
        match Backward::<B, 1>::prepare::<C>(step, [x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let kept = prepared.checkpoint(&x);
                prepared.finish(kept, B::kernel_max_pool2d(x.into_primitive(), options))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::kernel_max_pool2d(x.into_primitive(), options)),
        }
    }

    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        Step::Linear { relu }.tracked::<B, C>(x, weight, bias)
    }
}
