//! The Transformer's decoder in the form of GPT-2 (Radford et al. 2019): layer normalisation before each part of a block, learnt
//! places and GELU; or with rotary places (Su et al. 2021), root mean squares (Zhang & Sennrich 2019), SwiGLU (Shazeer 2020) and
//! shared keys and values (Ainslie et al. 2023), as later ones have them. It does not know what tokens stand for.

use burn::{
    module::{Module, Param},
    nn::{
        Dropout, DropoutConfig, Embedding, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, RmsNorm,
        RmsNormConfig,
    },
    tensor::{Bool, Device, Int, Tensor, TensorData, activation::silu},
};
use homeostat_kernels::{Curve, Kernels, Sight, attention, dropout, layer_norm, self_attention};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_DEPTH, MAX_WIDTH, SequenceInput, adapter::Adapter, in_range, look_up, prefix::Prefix, table, through};
use crate::{ModelError, image::check_dropout};

/// Blocks of attention and dense layers in which no token sees a later one, as in GPT-2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DecoderConfig {
    /// Features of a token; a multiple of `heads`.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Heads of keys and values, each of which as many heads of attention share (Ainslie et al. 2023); divides `heads`. Without it,
    /// each head has its own.
    pub key_value_heads: Option<usize>,
    /// Features between the dense layers of a block; four times the width is usual, 8/3 of it with `feed = "swi-glu"`.
    pub hidden: usize,
    /// The most tokens of a text.
    pub positions: usize,
    /// How a token knows its place.
    pub place: PlaceKind,
    /// How layers are normalised, before each part of a block and once at the end.
    pub norm: NormKind,
    /// What the dense layers of a block are.
    pub feed: FeedKind,
    /// Whether dense layers add a number of their own to each feature.
    pub bias: bool,
    /// What is added to a variance before its root is taken.
    pub epsilon: f64,
    /// Share of features dropped in training, behind the embedding and each part of a block, in 0..1.
    pub dropout: f64,
    /// Keys and values of no token that each block's attention sees before those of the tokens (prefix tuning: Li & Liang 2021); 0 for none.
    /// They take the first places, as in PEFT: a text has so many less. With `train.learn = ["*prefix*"]` they learn alone.
    pub prefix: usize,
    /// Features of the narrow layers that are put behind each part of a block to learn in the place of the rest (adapters: Houlsby et al.
    /// 2019); 0 for none. With `train.learn = ["*adapter*"]` they learn alone.
    pub adapter: usize,
}

/// How a token knows its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// Each place has a vector of its own, as in GPT-2.
    #[default]
    Learnt,
    /// Queries and keys are turned by an angle that grows with the place (Su et al. 2021), their halves being pairs, with the base
    /// 10,000.
    Rotary,
}

/// How layers are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// By mean and deviation (Ba, Kiros & Hinton 2016), as in GPT-2.
    #[default]
    Layer,
    /// By the root mean square alone (Zhang & Sennrich 2019).
    Rms,
}

/// What the dense layers of a block are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedKind {
    /// Two of them with GELU between, in the approximation by tanh, as in GPT-2.
    #[default]
    GeluTanh,
    /// Two of them with GELU between, exactly.
    Gelu,
    /// Three of them: one gates another by SiLU (Shazeer 2020).
    SwiGlu,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            width: 192,
            depth: 4,
            heads: 6,
            key_value_heads: None,
            hidden: 768,
            positions: 256,
            place: PlaceKind::Learnt,
            norm: NormKind::Layer,
            feed: FeedKind::GeluTanh,
            bias: true,
            epsilon: 1e-5,
            dropout: 0.1,
            prefix: 0,
            adapter: 0,
        }
    }
}

/// The standard deviation of GPT-2's first weights.
const DEVIATION: f64 = 0.02;
/// The base of the angles of rotary places.
const BASE: f64 = 10_000.0;

impl DecoderConfig {
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let network = "decoder";
        let own = self.key_value_heads();
        for (setting, value) in [
            ("width", self.width),
            ("hidden", self.hidden),
            ("heads", self.heads),
            ("key-value-heads", own),
            ("positions", self.positions),
        ] {
            in_range(network, setting, value, MAX_WIDTH)?;
        }
        in_range(network, "depth", self.depth, MAX_DEPTH)?;
        in_range(network, "adapter", self.adapter + 1, MAX_WIDTH)?;
        let setting = |setting, problem| Err(ModelError::Setting { network, setting, problem });
        if !self.width.is_multiple_of(self.heads) {
            return setting("width", format!("is {}, but must be a multiple of heads = {}", self.width, self.heads));
        }
        if !self.heads.is_multiple_of(own) {
            return setting("key-value-heads", format!("is {own}, but must divide heads = {}", self.heads));
        }
        if self.place == PlaceKind::Rotary && !self.head_width().is_multiple_of(2) {
            let problem = format!("is {}, but rotary places need an even number of features a head", self.width);
            return setting("width", problem);
        }
        if self.prefix >= self.positions {
            let problem = format!("is {}, but must be below positions = {}", self.prefix, self.positions);
            return setting("prefix", problem);
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return setting("epsilon", format!("is {}, but must lie between 0 and 1", self.epsilon));
        }
        check_dropout(network, self.dropout)
    }

    /// The most tokens of a text.
    pub(super) fn tokens(&self) -> usize {
        self.positions.saturating_sub(self.prefix)
    }

    pub(super) fn key_value_heads(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    pub(super) fn init(&self, vocabulary: usize, device: &Device) -> Decoder {
        let places = self.place == PlaceKind::Learnt;
        Decoder {
            tokens: table(vocabulary, self.width, DEVIATION, device),
            places: places.then(|| table(self.positions, self.width, DEVIATION, device)),
            blocks: (0..self.depth).map(|_| self.block(device)).collect(),
            norm: self.norm(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            heads: [self.heads, self.key_value_heads(), self.head_width()],
            positions: self.positions,
            prefix: self.prefix,
            epsilon: self.epsilon,
            curve: if self.feed == FeedKind::Gelu { Curve::Gelu } else { Curve::GeluTanh },
            is_gated: self.feed == FeedKind::SwiGlu,
        }
    }

    fn norm(&self, device: &Device) -> Norm {
        match self.norm {
            NormKind::Layer => Norm::Layer(
                LayerNormConfig::new(self.width).with_epsilon(self.epsilon).with_bias(self.bias).init(device),
            ),
            NormKind::Rms => Norm::Rms(RmsNormConfig::new(self.width).with_epsilon(self.epsilon).init(device)),
        }
    }

    fn block(&self, device: &Device) -> Block {
        let linear = |inputs: usize, outputs: usize, deviation: f64| {
            let initializer = Initializer::Normal { mean: 0.0, std: deviation };
            let config = LinearConfig::new(inputs, outputs).with_bias(false).with_initializer(initializer);
            let bias = || Param::from_tensor(Tensor::zeros([outputs], device));
            Linear { bias: self.bias.then(bias), ..config.init(device) }
        };
        let adapter = || Adapter::init(self.adapter, self.width, device);
        // What is added to the stream is drawn the smaller the more is added (Radford et al. 2019).
        let added = DEVIATION / (2.0 * self.depth as f64).sqrt();
        let up = if self.feed == FeedKind::SwiGlu { 2 * self.hidden } else { self.hidden };
        Block {
            attention_norm: self.norm(device),
            qkv: linear(self.width, self.width + 2 * self.key_value_heads() * self.head_width(), DEVIATION),
            prefix: Prefix::init(self.prefix, self.key_value_heads() * self.head_width(), device),
            out: linear(self.width, self.width, added),
            attention_adapter: adapter(),
            dense_norm: self.norm(device),
            up: linear(self.width, up, DEVIATION),
            down: linear(self.hidden, self.width, added),
            dense_adapter: adapter(),
        }
    }
}

/// See [`DecoderConfig`].
#[derive(Module, Debug)]
pub struct Decoder {
    pub(super) tokens: Embedding,
    places: Option<Embedding>,
    blocks: Vec<Block>,
    norm: Norm,
    dropout: Dropout,
    /// Heads of queries, heads of keys and values, and features of each.
    #[module(skip)]
    heads: [usize; 3],
    positions: usize,
    prefix: usize,
    epsilon: f64,
    #[module(skip)]
    curve: Curve,
    is_gated: bool,
}

/// Queries, keys and values come out of one dense layer, side by side; with SwiGLU the gate and what it gates, too.
#[derive(Module, Debug)]
struct Block {
    attention_norm: Norm,
    qkv: Linear,
    prefix: Option<Prefix>,
    out: Linear,
    attention_adapter: Option<Adapter>,
    dense_norm: Norm,
    up: Linear,
    down: Linear,
    dense_adapter: Option<Adapter>,
}

#[derive(Module, Debug)]
enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

/// The keys and values of the tokens read so far, so that a further token costs no more than itself.
///
/// It belongs to the weights that it was filled with.
#[derive(Clone, Debug, Default)]
pub struct KeyValueCache {
    /// Of each block, `[batch, heads, room, width]`.
    layers: Vec<[Tensor<4>; 2]>,
    length: usize,
}

impl KeyValueCache {
    /// Tokens read so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The keys and values of a block with those of further tokens behind, `[batch, heads, length, width]`.
    fn extend(&mut self, layer: usize, added: [Tensor<4>; 2], room: usize) -> [Tensor<4>; 2] {
        let [batch, heads, more, width] = added[0].dims();
        let (start, end) = (self.length, self.length + more);
        if self.layers.len() == layer {
            let empty = || Tensor::zeros([batch, heads, room, width], &added[0].device());
            self.layers.push([empty(), empty()]);
        }
        let [keys, values] = &mut self.layers[layer];
        let [added_keys, added_values] = added;
        let put = |all: &mut Tensor<4>, added: Tensor<4>| {
            // Moved out and in again: what nobody else holds is changed in place.
            let owned = std::mem::replace(all, Tensor::zeros([1; 4], &added.device()));
            *all = owned.slice_assign([0..batch, 0..heads, start..end, 0..width], added);
            all.clone().narrow(2, 0, end)
        };
        [put(keys, added_keys), put(values, added_values)]
    }
}

impl Decoder {
    /// `[batch, length] -> [batch, length, width]`
    ///
    /// # Panics
    /// If the texts are longer than the places.
    #[must_use]
    pub fn forward(&self, input: &SequenceInput) -> Tensor<3> {
        self.read(input.ids.clone(), input.padding.clone(), None)
    }

    /// The same for further tokens of texts whose first ones the cache knows; it knows all of them afterwards.
    ///
    /// # Panics
    /// If there are more tokens than places.
    #[must_use]
    pub fn go_on(&self, ids: Tensor<2, Int>, cache: &mut KeyValueCache) -> Tensor<3> {
        self.read(ids, None, Some(cache))
    }

    /// The most tokens of a text.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.positions - self.prefix
    }

    pub(super) fn features(&self) -> usize {
        self.tokens.weight.dims()[1]
    }

    fn read(
        &self,
        ids: Tensor<2, Int>,
        padding: Option<Tensor<2, Bool>>,
        cache: Option<&mut KeyValueCache>,
    ) -> Tensor<3> {
        let ([_, length], device) = (ids.dims(), ids.device());
        let first = self.prefix + cache.as_ref().map_or(0, |cache| cache.length);
        assert!(first + length <= self.positions, "{} tokens in {} places", first + length, self.positions);
        let x = look_up(&self.tokens, ids);
        let x = match &self.places {
            Some(table) => x + table.weight.val().narrow(0, first, length).unsqueeze::<3>(),
            None => x,
        };
        let angles = self.places.is_none().then(|| Angles::new(first, length, self.heads[2], &device));
        let sight = Prefix::seen(self.prefix, padding, true);
        let mut known = cache;
        let mut x = self.drop(x);
        for (layer, block) in self.blocks.iter().enumerate() {
            let seen =
                self.attend(block, self.normed(&block.attention_norm, x.clone()), &sight, &angles, (layer, &mut known));
            x = x + Adapter::behind(block.attention_adapter.as_ref(), self.drop(seen));
            let fed = self.feed(block, self.normed(&block.dense_norm, x.clone()));
            x = x + Adapter::behind(block.dense_adapter.as_ref(), self.drop(fed));
        }
        if let Some(cache) = known {
            cache.length += length;
        }
        self.normed(&self.norm, x)
    }

    fn attend(
        &self,
        block: &Block,
        x: Tensor<3>,
        sight: &Sight,
        angles: &Option<Angles>,
        (layer, cache): (usize, &mut Option<&mut KeyValueCache>),
    ) -> Tensor<3> {
        let qkv = through(&block.qkv, x, Curve::Straight);
        let [heads, shared, width] = self.heads;
        if shared == heads && angles.is_none() && cache.is_none() && block.prefix.is_none() {
            let seen = self_attention(qkv, heads, sight.clone(), Kernels::selected());
            return through(&block.out, seen, Curve::Straight);
        }
        let [batch, length, _] = qkv.dims();
        let part = |first: usize, count: usize| {
            let part = qkv.clone().narrow(2, first * width, count * width);
            part.reshape([batch, length, count, width]).swap_dims(1, 2)
        };
        let (query, key, value) = (part(0, heads), part(heads, shared), part(heads + shared, shared));
        let (query, key) = match angles {
            Some(angles) => (angles.turn(query), angles.turn(key)),
            None => (query, key),
        };
        let [key, value] = match cache {
            Some(cache) => cache.extend(layer, [key, value], self.positions),
            None => [key, value],
        };
        let [key, value] = match &block.prefix {
            Some(prefix) => prefix.before([key, value]),
            None => [key, value],
        };
        let [key, value] = [key, value].map(|part| for_all(part, heads / shared));
        let seen = attention(query, key, value, sight.clone(), Kernels::selected());
        through(&block.out, seen.swap_dims(1, 2).reshape([batch, length, heads * width]), Curve::Straight)
    }

    fn feed(&self, block: &Block, x: Tensor<3>) -> Tensor<3> {
        if !self.is_gated {
            return through(&block.down, through(&block.up, x, self.curve), Curve::Straight);
        }
        let both = through(&block.up, x, Curve::Straight);
        let hidden = both.dims()[2] / 2;
        let [gate, value] = [0, 1].map(|half: usize| both.clone().narrow(2, half * hidden, hidden));
        through(&block.down, silu(gate) * value, Curve::Straight)
    }

    fn drop(&self, x: Tensor<3>) -> Tensor<3> {
        let Dropout { prob, training } = &self.dropout;
        if *prob > 0.0 && training.is_enabled() && x.device().is_autodiff() {
            return dropout(x, *prob, Kernels::selected());
        }
        x
    }

    fn normed(&self, norm: &Norm, x: Tensor<3>) -> Tensor<3> {
        match norm {
            Norm::Layer(norm) => {
                let beta = norm.beta.as_ref().map(Param::val);
                layer_norm(x, norm.gamma.val(), beta, self.epsilon, Kernels::selected())
            }
            Norm::Rms(norm) => norm.forward(x),
        }
    }
}

/// `[batch, shared, length, width]` to `[batch, shared * times, length, width]`, each head so many times in a row.
fn for_all(heads: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return heads;
    }
    let [batch, shared, length, width] = heads.dims();
    heads.unsqueeze_dim::<5>(2).repeat_dim(2, times).reshape([batch, shared * times, length, width])
}

/// By what queries and keys are turned: cosines and sines, `[1, 1, length, width]` each.
struct Angles {
    cosines: Tensor<4>,
    sines: Tensor<4>,
}

impl Angles {
    /// Of the places from `first` on.
    fn new(first: usize, length: usize, width: usize, device: &Device) -> Self {
        let angle = |at: usize| {
            let (place, feature) = (first + at / width, at % width % (width / 2));
            place as f64 * BASE.powf(-2.0 * feature as f64 / width as f64)
        };
        #[expect(clippy::cast_possible_truncation, reason = "tensors have 32 bits")]
        let of = |function: fn(f64) -> f64| {
            let values: Vec<f32> = (0..length * width).map(|at| function(angle(at)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, length, width]), device)
        };
        Self { cosines: of(f64::cos), sines: of(f64::sin) }
    }

    /// The first half of the features are the first parts of the pairs, the second half the second ones.
    fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let [first, second] = [0, 1].map(|at: usize| x.clone().narrow(3, at * half, half));
        let across = Tensor::cat(vec![second.neg(), first], 3);
        x * self.cosines.clone() + across * self.sines.clone()
    }
}
