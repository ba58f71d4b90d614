//! The encoders of the comparisons, with the shapes of the peers' own: tokens in, scores or features out.

use burn::{
    module::{Module, Param},
    nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Int, Tensor},
};
use homeostat_kernels::{Curve, Kernels, Sight, dense, embedding, layer_norm, self_attention};

/// The shape of an encoder.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Tokens known.
    pub vocabulary: usize,
    /// The most tokens of a text.
    pub length: usize,
    /// Features of a token.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Features between the two dense layers of a block.
    pub hidden: usize,
    /// Blocks.
    pub depth: usize,
}

#[derive(Module, Debug)]
struct Block {
    before: LayerNorm,
    between: LayerNorm,
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

impl Block {
    fn new(shape: Shape, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(shape.width).init(device);
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        Self {
            before: norm(),
            between: norm(),
            qkv: linear(shape.width, 3 * shape.width),
            out: linear(shape.width, shape.width),
            up: linear(shape.width, shape.hidden),
            down: linear(shape.hidden, shape.width),
        }
    }

    fn attend(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        let qkv = through(&self.qkv, x, Curve::Straight);
        through(&self.out, self_attention(qkv, heads, Sight::default(), Kernels::selected()), Curve::Straight)
    }

    fn feed(&self, x: Tensor<3>) -> Tensor<3> {
        through(&self.down, through(&self.up, x, Curve::Gelu), Curve::Straight)
    }
}

fn through(layer: &Linear, x: Tensor<3>, curve: Curve) -> Tensor<3> {
    dense(x, layer.weight.val(), layer.bias.as_ref().map(Param::val), curve, Kernels::selected())
}

fn normed(norm: &LayerNorm, x: Tensor<3>, epsilon: f64) -> Tensor<3> {
    layer_norm(x, norm.gamma.val(), norm.beta.as_ref().map(Param::val), epsilon, Kernels::selected())
}

/// A classifier of texts, normalised before each part of a block, as `work.py` has it.
#[derive(Module, Debug)]
pub struct Transformer {
    tokens: Embedding,
    places: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
    heads: usize,
}

impl Transformer {
    /// Fresh weights.
    #[must_use]
    pub fn new(shape: Shape, classes: usize, device: &Device) -> Self {
        Self {
            tokens: EmbeddingConfig::new(shape.vocabulary, shape.width).init(device),
            places: Param::from_tensor(Tensor::zeros([1, shape.length, shape.width], device)),
            blocks: (0..shape.depth).map(|_| Block::new(shape, device)).collect(),
            norm: LayerNormConfig::new(shape.width).init(device),
            head: LinearConfig::new(shape.width, classes).init(device),
            heads: shape.heads,
        }
    }

    /// `[batch, length] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        let [_, length] = ids.dims();
        let x = embedding(self.tokens.weight.val(), ids, Kernels::selected());
        let mut x = x + self.places.val().narrow(1, 0, length);
        for block in &self.blocks {
            x = x.clone() + block.attend(normed(&block.before, x, 1e-5), self.heads);
            x = x.clone() + block.feed(normed(&block.between, x, 1e-5));
        }
        let pooled = normed(&self.norm, x, 1e-5).mean_dim(1);
        through(&self.head, pooled, Curve::Straight).squeeze_dim(1)
    }
}

/// The features of texts, normalised after each part of a block: BERT's encoder, with mean pooling.
#[derive(Module, Debug)]
pub struct MiniLm {
    tokens: Embedding,
    places: Embedding,
    kinds: Embedding,
    norm: LayerNorm,
    blocks: Vec<Block>,
    heads: usize,
}

impl MiniLm {
    /// Fresh weights in the shape of MiniLM-L6.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        let shape = Shape { vocabulary: 30_522, length: 512, width: 384, heads: 12, hidden: 1536, depth: 6 };
        let table = |count| EmbeddingConfig::new(count, shape.width).init(device);
        Self {
            tokens: table(shape.vocabulary),
            places: table(shape.length),
            kinds: table(2),
            norm: LayerNormConfig::new(shape.width).init(device),
            blocks: (0..shape.depth).map(|_| Block::new(shape, device)).collect(),
            heads: shape.heads,
        }
    }

    /// `[batch, length] -> [batch, width]`
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        let [_, length] = ids.dims();
        let first = |table: &Embedding, count| table.weight.val().narrow(0, 0, count).unsqueeze::<3>();
        let x = embedding(self.tokens.weight.val(), ids, Kernels::selected());
        let mut x = normed(&self.norm, x + first(&self.places, length) + first(&self.kinds, 1), 1e-12);
        for block in &self.blocks {
            x = normed(&block.before, x.clone() + block.attend(x, self.heads), 1e-12);
            x = normed(&block.between, x.clone() + block.feed(x), 1e-12);
        }
        x.mean_dim(1).squeeze_dim(1)
    }
}
