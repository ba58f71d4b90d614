//! A decoder with scores for the next token: a network that writes. It does not know what tokens stand for.

use burn::{
    module::Module,
    nn::{Initializer, Linear, LinearConfig},
    tensor::{Device, Int, Tensor},
};
use homeostat_kernels::{Curve, Kernels, dense};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    MAX_VOCABULARY, SequenceInput,
    decoder::{Decoder, DecoderConfig, FeedKind, KeyValueCache, NormKind, PlaceKind},
    in_range,
};
use crate::{ModelError, NameTable, size};

/// A network that reads tokens and scores the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LanguageNetworkConfig {
    /// Blocks of attention and dense layers in which no token sees a later one, as in GPT-2.
    Decoder(DecoderConfig),
}

impl Default for LanguageNetworkConfig {
    fn default() -> Self {
        Self::Decoder(DecoderConfig::default())
    }
}

impl LanguageNetworkConfig {
    /// The name under which an experiment asks for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Decoder(_) => "decoder",
        }
    }

    /// Refuses settings that make no network, whatever the texts.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        match self {
            Self::Decoder(config) => config.check(),
        }
    }

    /// The most tokens of a text.
    #[must_use]
    pub fn positions(&self) -> usize {
        match self {
            Self::Decoder(config) => config.tokens(),
        }
    }

    /// The heads of the keys of a block.
    #[must_use]
    pub fn key_heads(&self) -> usize {
        match self {
            Self::Decoder(config) => config.key_value_heads(),
        }
    }

    /// Makes the network live for tokens below `vocabulary`, its weights drawn from the device's seeded generator. Where it is
    /// `tied`, a token is scored by what it is looked up by.
    ///
    /// # Errors
    /// A setting is out of range, or there would be too many parameters.
    pub fn init(&self, vocabulary: usize, tied: bool, device: &Device) -> Result<LanguageNetwork, ModelError> {
        self.check()?;
        in_range(self.name(), "vocabulary", vocabulary, MAX_VOCABULARY)?;
        let Self::Decoder(config) = self;
        let head = || {
            let initializer = Initializer::Normal { mean: 0.0, std: 0.02 };
            LinearConfig::new(config.width, vocabulary).with_bias(false).with_initializer(initializer).init(device)
        };
        let network = LanguageNetwork { decoder: config.init(vocabulary, device), head: (!tied).then(head) };
        size::check(self.name(), &network)?;
        size::draw(&network);
        Ok(network)
    }

    /// How well-known implementations call our layers; what `tied` means see [`init`](Self::init).
    #[must_use]
    pub fn names(&self, tied: bool) -> Vec<NameTable> {
        let Self::Decoder(config) = self;
        let is_gpt2 = config.place == PlaceKind::Learnt
            && config.norm == NormKind::Layer
            && config.feed != FeedKind::SwiGlu
            && config.key_value_heads.is_none_or(|own| own == config.heads);
        if !is_gpt2 {
            return Vec::new();
        }
        // The language model as a whole, and what is published as gpt2: its Transformer alone.
        vec![gpt2("transformers", "transformer.", tied), gpt2("transformers-base", "", tied)]
    }

    /// The network that a `config.json` of Hugging Face's describes, with the number of its tokens and whether it is tied.
    ///
    /// # Errors
    /// It is of another network than GPT-2, or a number is missing.
    pub fn of_transformers(config: &str) -> Result<(Self, usize, bool), String> {
        let config: Gpt2 = serde_json::from_str(config).map_err(|error| format!("is no config.json: {error}"))?;
        if config.model_type != "gpt2" {
            return Err(format!("is of the network `{}`, but only gpt2 is known", config.model_type));
        }
        let feed = match config.activation_function.as_str() {
            "gelu_new" | "gelu_pytorch_tanh" => FeedKind::GeluTanh,
            "gelu" => FeedKind::Gelu,
            other => return Err(format!("has the activation-function `{other}`: gelu_new and gelu are known")),
        };
        if config.scale_attn_by_inverse_layer_idx || !config.scale_attn_weights {
            return Err("scales attention otherwise than by the root of a head's width".to_owned());
        }
        let decoder = DecoderConfig {
            width: config.n_embd,
            depth: config.n_layer,
            heads: config.n_head,
            hidden: config.n_inner.unwrap_or(4 * config.n_embd),
            positions: config.n_positions,
            feed,
            epsilon: config.layer_norm_epsilon,
            dropout: config.resid_pdrop,
            ..DecoderConfig::default()
        };
        Ok((Self::Decoder(decoder), config.vocab_size, config.tie_word_embeddings))
    }

    /// One small configuration of every form, for tables that test them all.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        DecoderConfig::examples().into_iter().map(Self::Decoder).collect()
    }
}

impl DecoderConfig {
    /// One small configuration of every form.
    pub(super) fn examples() -> Vec<Self> {
        let small = Self { width: 8, depth: 2, heads: 2, hidden: 16, positions: 16, dropout: 0.0, ..Self::default() };
        vec![
            small.clone(),
            Self { prefix: 3, positions: 19, ..small.clone() },
            Self { adapter: 3, place: PlaceKind::Rotary, ..small.clone() },
            Self {
                prefix: 2,
                positions: 18,
                heads: 4,
                key_value_heads: Some(2),
                place: PlaceKind::Rotary,
                ..small.clone()
            },
            Self { place: PlaceKind::Rotary, ..small.clone() },
            Self { norm: NormKind::Rms, bias: false, ..small.clone() },
            Self { feed: FeedKind::SwiGlu, ..small.clone() },
            Self { heads: 4, key_value_heads: Some(2), feed: FeedKind::Gelu, ..small.clone() },
            Self {
                heads: 4,
                key_value_heads: Some(1),
                place: PlaceKind::Rotary,
                norm: NormKind::Rms,
                feed: FeedKind::SwiGlu,
                bias: false,
                ..small
            },
        ]
    }
}

/// What a `config.json` says of a GPT-2; what it does not say is as its authors had it.
#[derive(Deserialize)]
#[serde(default)]
struct Gpt2 {
    model_type: String,
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    activation_function: String,
    layer_norm_epsilon: f64,
    resid_pdrop: f64,
    scale_attn_weights: bool,
    scale_attn_by_inverse_layer_idx: bool,
    tie_word_embeddings: bool,
}

impl Default for Gpt2 {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            vocab_size: 50_257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".to_owned(),
            layer_norm_epsilon: 1e-5,
            resid_pdrop: 0.1,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            tie_word_embeddings: true,
        }
    }
}

/// The names of transformers' GPT-2, whose dense layers lie as ours do.
fn gpt2(origin: &'static str, start: &str, tied: bool) -> NameTable {
    let block = |ours: &str, theirs: &str| (format!("decoder.blocks.{{b}}.{ours}"), format!("{start}h.{{b}}.{theirs}"));
    let rows = vec![
        ("decoder.tokens".to_owned(), format!("{start}wte")),
        ("decoder.places".to_owned(), format!("{start}wpe")),
        block("attention_norm", "ln_1"),
        block("qkv", "attn.c_attn"),
        // Of our making: what is saved has neither prefixes nor adapters.
        block("prefix", "attn.prefix"),
        block("attention_adapter", "attn.adapter"),
        block("out", "attn.c_proj"),
        block("dense_norm", "ln_2"),
        block("up", "mlp.c_fc"),
        block("down", "mlp.c_proj"),
        block("dense_adapter", "mlp.adapter"),
        ("decoder.norm".to_owned(), format!("{start}ln_f")),
        ("head".to_owned(), "lm_head".to_owned()),
    ];
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NameTable {
        as_ours: all(&["*.c_attn.weight", "*.c_proj.weight", "*.c_fc.weight"]),
        // Masks that older files hold, and the table of tokens once more.
        ignored: all(&["*.attn.bias", "*.attn.masked_bias", "lm_head.weight"][..if tied { 3 } else { 2 }]),
        ..NameTable::of(origin, rows)
    }
}

/// A living network that reads tokens and scores the next one.
#[derive(Module, Debug)]
pub struct LanguageNetwork {
    decoder: Decoder,
    /// Nothing where tokens are scored by the table that they are looked up in.
    head: Option<Linear>,
}

impl LanguageNetwork {
    /// Scores of the token behind each place: `[batch, length] -> [batch, length, vocabulary]`
    ///
    /// # Panics
    /// If the texts are longer than the places.
    #[must_use]
    pub fn scores(&self, input: &SequenceInput) -> Tensor<3> {
        score(self.decoder.forward(input), self.table())
    }

    /// The same network, ready to write.
    #[must_use]
    pub fn writer(&self) -> Writer<'_> {
        // Turned once: for each token it would be turned again.
        let table = self.table();
        let table = Tensor::from_data(table.clone().into_data(), &table.device());
        Writer { decoder: &self.decoder, table, cache: KeyValueCache::default() }
    }

    /// The most tokens of a text.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.decoder.positions()
    }

    /// What features are multiplied by, `[width, vocabulary]`.
    fn table(&self) -> Tensor<2> {
        match &self.head {
            Some(head) => head.weight.val(),
            None => self.decoder.tokens.weight.val().transpose(),
        }
    }
}

fn score(features: Tensor<3>, table: Tensor<2>) -> Tensor<3> {
    dense(features, table, None, Curve::Straight, Kernels::selected())
}

/// Reads texts token by token, and knows what it has read.
#[derive(Debug)]
pub struct Writer<'a> {
    decoder: &'a Decoder,
    table: Tensor<2>,
    cache: KeyValueCache,
}

impl Writer<'_> {
    /// Reads on, and scores the token behind the last one: `[batch, length] -> [batch, vocabulary]`
    ///
    /// # Panics
    /// If there is no room for so many.
    #[must_use]
    pub fn read(&mut self, ids: Tensor<2, Int>) -> Tensor<2> {
        let [_, length] = ids.dims();
        let features = self.decoder.go_on(ids, &mut self.cache);
        score(features.narrow(1, length - 1, 1), self.table.clone()).squeeze_dim(1)
    }

    /// How many further tokens it can read.
    #[must_use]
    pub fn room(&self) -> usize {
        self.decoder.positions() - self.cache.len()
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.table.device()
    }

    /// Forgets what it has read.
    pub fn forget(&mut self) {
        self.cache = KeyValueCache::default();
    }
}
