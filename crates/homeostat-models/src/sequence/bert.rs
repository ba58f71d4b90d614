//! The weights of a BERT by the names that Hugging Face gives them, under the names of [`Transformer`](super::Transformer). It does
//! not know files.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use serde::Deserialize;

use super::transformer::TransformerConfig;

/// What a `config.json` says of a BERT; what it does not say is as its authors had it.
#[derive(Deserialize)]
#[serde(default)]
struct Bert {
    model_type: Option<String>,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    hidden_dropout_prob: f64,
    hidden_act: String,
    position_embedding_type: String,
}

impl Default for Bert {
    fn default() -> Self {
        Self {
            model_type: None,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_dropout_prob: 0.1,
            hidden_act: "gelu".to_owned(),
            position_embedding_type: "absolute".to_owned(),
        }
    }
}

impl TransformerConfig {
    /// The network that a `config.json` of Hugging Face's describes; nothing where the file describes none, as that of a pooling does.
    ///
    /// # Errors
    /// It is of another network than BERT, or of one that computes otherwise.
    pub fn of_transformers(config: &str) -> Result<Option<Self>, String> {
        let config: Bert = serde_json::from_str(config).map_err(|error| format!("is no config.json: {error}"))?;
        match config.model_type.as_deref() {
            None => return Ok(None),
            Some("bert") => {}
            Some(other) => return Err(format!("is of the network `{other}`, but only bert is known")),
        }
        if config.hidden_act != "gelu" {
            return Err(format!("has the hidden_act `{}`, but only gelu is known", config.hidden_act));
        }
        if config.position_embedding_type != "absolute" {
            let kind = config.position_embedding_type;
            return Err(format!("has the position_embedding_type `{kind}`, but only absolute is known"));
        }
        Ok(Some(Self {
            width: config.hidden_size,
            depth: config.num_hidden_layers,
            heads: config.num_attention_heads,
            hidden: config.intermediate_size,
            positions: config.max_position_embeddings,
            types: config.type_vocab_size,
            epsilon: config.layer_norm_eps,
            dropout: config.hidden_dropout_prob,
            ..Self::default()
        }))
    }
}

/// The tensors of a BERT's encoder (`embeddings.word_embeddings.weight`, with or without `bert.` before it) under our names and in
/// our shapes. What is no part of the encoder, such as the pooler and heads, is left out.
///
/// # Errors
/// Names the first tensor that is missing or has another shape.
pub fn bert_weights(theirs: &BTreeMap<String, TensorData>) -> Result<BTreeMap<String, TensorData>, String> {
    let get = |name: &str| {
        let found = theirs.get(name).or_else(|| theirs.get(&format!("bert.{name}")));
        found.cloned().ok_or_else(|| format!("these are no weights of a BERT: there is no tensor `{name}`"))
    };
    let mut ours = BTreeMap::new();
    let mut put = |name: String, data: TensorData| ours.insert(name, data);
    for (name, table) in [("tokens", "word"), ("places", "position"), ("types", "token_type")] {
        put(format!("{name}.weight"), get(&format!("embeddings.{table}_embeddings.weight"))?);
    }
    let mut norm = |ours: &str, theirs: &str| -> Result<(), String> {
        put(format!("{ours}.gamma"), get(&format!("{theirs}.weight"))?);
        put(format!("{ours}.beta"), get(&format!("{theirs}.bias"))?);
        Ok(())
    };
    norm("norm", "embeddings.LayerNorm")?;
    let depth = (0..).take_while(|layer| get(&format!("encoder.layer.{layer}.output.dense.weight")).is_ok()).count();
    for layer in 0..depth {
        let (ours, theirs) = (format!("blocks.{layer}"), format!("encoder.layer.{layer}"));
        norm(&format!("{ours}.attention_norm"), &format!("{theirs}.attention.output.LayerNorm"))?;
        norm(&format!("{ours}.dense_norm"), &format!("{theirs}.output.LayerNorm"))?;
    }
    for layer in 0..depth {
        let theirs = format!("encoder.layer.{layer}");
        let own = |name: &str| format!("{theirs}.attention.self.{name}");
        for (name, parts) in [
            ("qkv", vec![own("query"), own("key"), own("value")]),
            ("out", vec![format!("{theirs}.attention.output.dense")]),
            ("up", vec![format!("{theirs}.intermediate.dense")]),
            ("down", vec![format!("{theirs}.output.dense")]),
        ] {
            let all =
                |what: &str| parts.iter().map(|part| get(&format!("{part}.{what}"))).collect::<Result<Vec<_>, _>>();
            put(format!("blocks.{layer}.{name}.weight"), turned(&parts[0], &all("weight")?)?);
            put(format!("blocks.{layer}.{name}.bias"), joined(&parts[0], &all("bias")?)?);
        }
    }
    Ok(ours)
}

/// What Hugging Face calls the dense layer of this weight of ours in a BERT's encoder; nothing if it is none of the encoder's.
pub(super) fn modules(weight: &str) -> Option<Vec<String>> {
    let mut parts = weight.split('.');
    let (Some("blocks"), Some(layer), Some(name), Some("weight"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let theirs: &[&str] = match name {
        "qkv" => &["attention.self.query", "attention.self.key", "attention.self.value"],
        "out" => &["attention.output.dense"],
        "up" => &["intermediate.dense"],
        "down" => &["output.dense"],
        _ => return None,
    };
    Some(theirs.iter().map(|theirs| format!("encoder.layer.{layer}.{theirs}")).collect())
}

/// Weights `[out, in]` as `[in, out]`, several of them side by side.
fn turned(name: &str, parts: &[TensorData]) -> Result<TensorData, String> {
    let inputs = match parts[0].shape()[..] {
        [_, inputs] => inputs,
        _ => return Err(format!("`{name}.weight` has the shape {:?}, but two sides were expected", parts[0].shape())),
    };
    let rows: Vec<f32> = parts.iter().map(|part| floats(name, part)).collect::<Result<Vec<_>, _>>()?.concat();
    if inputs == 0 || parts.iter().any(|part| part.shape().len() != 2 || part.shape()[1] != inputs) {
        return Err(format!("the parts of `{name}` have different widths"));
    }
    let outputs = rows.len() / inputs;
    let turned = (0..inputs).flat_map(|input| (0..outputs).map(move |output| (input, output)));
    let values = turned.map(|(input, output)| rows[output * inputs + input]).collect::<Vec<f32>>();
    Ok(TensorData::new(values, [inputs, outputs]))
}

fn joined(name: &str, parts: &[TensorData]) -> Result<TensorData, String> {
    let values = parts.iter().map(|part| floats(name, part)).collect::<Result<Vec<_>, _>>()?.concat();
    let length = values.len();
    Ok(TensorData::new(values, [length]))
}

fn floats(name: &str, data: &TensorData) -> Result<Vec<f32>, String> {
    data.as_slice::<f32>().map(<[f32]>::to_vec).map_err(|_| format!("`{name}` holds no 32-bit floats"))
}
