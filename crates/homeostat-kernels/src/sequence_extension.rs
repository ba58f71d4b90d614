//! The operations of sequence networks as a backend extension of Burn, and what autodiff does with them. Only Burn's CPU
//! backend is listed: `sequence.rs` sends every other tensor to Burn's own operations before they come here.

use burn::backend::{
    Autodiff, Backend, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    backend_extension,
    tensor::{BoolTensor, FloatTensor, IntTensor},
};

use crate::{
    dropout::Dropped,
    sequence::Curve,
    sequence_flex::{Attention, ClassEntropy, CrossEntropy, Dense, Dropout, Embedding, LayerNorm, SelfAttention},
    squash::Squash,
};

type Float = FloatTensor<Flex>;

/// An operation on `N` float tensors that knows its gradients.
pub(crate) trait Operation<const N: usize>: Clone + std::fmt::Debug + Send + 'static {
    /// The result, and what the way back needs: `keep` tells whether there will be one.
    fn forward(&self, inputs: [Float; N], keep: bool) -> (Float, Vec<Float>);
    /// The gradients of the inputs, of those that are wanted.
    fn gradients(self, kept: Vec<Float>, gradient: Float, wanted: [bool; N]) -> [Option<Float>; N];
}

/// The forward operations, in the tensor primitives of a backend.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait SequenceOps: Backend {
    fn kernel_dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        curve: Curve,
    ) -> FloatTensor<Self>;
    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    fn kernel_embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self>;
    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        causal: bool,
    ) -> FloatTensor<Self>;
    fn kernel_self_attention(
        qkv: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self>;
    fn kernel_cross_entropy(scores: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self>;
    fn kernel_class_entropy(scores: FloatTensor<Self>, right: IntTensor<Self>) -> FloatTensor<Self>;
    fn kernel_dropout(x: FloatTensor<Self>, seed: u64, share: f64) -> FloatTensor<Self>;
    fn kernel_squash(x: FloatTensor<Self>, squash: Squash) -> FloatTensor<Self>;
}

impl SequenceOps for Flex {
    fn kernel_dense(x: Float, weight: Float, bias: Float, curve: Curve) -> Float {
        Dense { curve }.forward([x, weight, bias], false).0
    }

    fn kernel_layer_norm(x: Float, scale: Float, shift: Float, epsilon: f32) -> Float {
        LayerNorm { epsilon }.forward([x, scale, shift], false).0
    }

    fn kernel_embedding(weight: Float, ids: IntTensor<Self>) -> Float {
        Embedding { ids }.forward([weight], false).0
    }

    fn kernel_attention(query: Float, key: Float, value: Float, mask: BoolTensor<Self>, causal: bool) -> Float {
        Attention { mask, causal }.forward([query, key, value], false).0
    }

    fn kernel_self_attention(qkv: Float, mask: BoolTensor<Self>, heads: usize, causal: bool) -> Float {
        SelfAttention { heads, attention: Attention { mask, causal } }.forward([qkv], false).0
    }

    fn kernel_cross_entropy(scores: Float, targets: Float) -> Float {
        CrossEntropy.forward([scores, targets], false).0
    }

    fn kernel_class_entropy(scores: Float, right: IntTensor<Self>) -> Float {
        ClassEntropy { right }.forward([scores], false).0
    }

    fn kernel_dropout(x: Float, seed: u64, share: f64) -> Float {
        Dropout { dropped: Dropped::new(seed, share) }.forward([x], false).0
    }

    fn kernel_squash(x: Float, squash: Squash) -> Float {
        squash.forward([x], false).0
    }
}

#[derive(Clone, Debug)]
struct Step<O>(O);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = Vec<Float>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.gradients(ops.state, gradient, wanted);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<Flex>(node.id, gradient);
            }
        }
    }
}

fn tracked<C: CheckpointStrategy, O: Operation<N>, const N: usize>(
    operation: &O,
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    match Step(operation.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (y, kept) = operation.forward(inputs, true);
            prepared.finish(kept, y)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(operation.forward(inputs, false).0),
    }
}

impl<C: CheckpointStrategy> SequenceOps for Autodiff<Flex, C> {
    fn kernel_dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        curve: Curve,
    ) -> FloatTensor<Self> {
        tracked::<C, _, _>(&Dense { curve }, [x, weight, bias])
    }

    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        tracked::<C, _, _>(&LayerNorm { epsilon }, [x, scale, shift])
    }

    fn kernel_embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        tracked::<C, _, _>(&Embedding { ids }, [weight])
    }

    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        causal: bool,
    ) -> FloatTensor<Self> {
        tracked::<C, _, _>(&Attention { mask, causal }, [query, key, value])
    }

    fn kernel_self_attention(
        qkv: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        tracked::<C, _, _>(&SelfAttention { heads, attention: Attention { mask, causal } }, [qkv])
    }

    fn kernel_cross_entropy(scores: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        tracked::<C, _, _>(&CrossEntropy, [scores, targets])
    }

    fn kernel_class_entropy(scores: FloatTensor<Self>, right: IntTensor<Self>) -> FloatTensor<Self> {
        tracked::<C, _, _>(&ClassEntropy { right }, [scores])
    }

    fn kernel_dropout(x: FloatTensor<Self>, seed: u64, share: f64) -> FloatTensor<Self> {
        tracked::<C, _, _>(&Dropout { dropped: Dropped::new(seed, share) }, [x])
    }

    fn kernel_squash(x: FloatTensor<Self>, squash: Squash) -> FloatTensor<Self> {
        tracked::<C, _, _>(&squash, [x])
    }
}
