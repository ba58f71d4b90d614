//! The weights of a BERT by the names that Hugging Face gives them, under the names of [`Transformer`](super::Transformer). It does
//! not know files.

use std::{collections::BTreeMap, slice};

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

/// A tensor of ours, and those of theirs that it is made of.
struct Row {
    ours: String,
    theirs: Vec<String>,
}

impl Row {
    /// A dense layer's rows are its inputs here, and its outputs there.
    fn is_turned(&self) -> bool {
        self.ours.starts_with("blocks.") && self.ours.ends_with(".weight")
    }
}

/// All tensors of an encoder of so many blocks.
fn rows(depth: usize) -> Vec<Row> {
    let row = |ours: String, theirs: String| Row { ours, theirs: vec![theirs] };
    let norm = |ours: &str, theirs: &str| {
        [("gamma", "weight"), ("beta", "bias")]
            .map(|(own, other)| row(format!("{ours}.{own}"), format!("{theirs}.{other}")))
    };
    let table =
        |ours: &str, theirs: &str| row(format!("{ours}.weight"), format!("embeddings.{theirs}_embeddings.weight"));
    let mut rows = vec![table("tokens", "word"), table("places", "position"), table("types", "token_type")];
    rows.extend(norm("norm", "embeddings.LayerNorm"));
    for layer in 0..depth {
        let (ours, theirs) = (format!("blocks.{layer}"), format!("encoder.layer.{layer}"));
        rows.extend(norm(&format!("{ours}.attention_norm"), &format!("{theirs}.attention.output.LayerNorm")));
        rows.extend(norm(&format!("{ours}.dense_norm"), &format!("{theirs}.output.LayerNorm")));
        for (dense, parts) in DENSE {
            rows.extend(["weight", "bias"].map(|what| Row {
                ours: format!("{ours}.{dense}.{what}"),
                theirs: parts.iter().map(|part| format!("{theirs}.{part}.{what}")).collect(),
            }));
        }
    }
    rows
}

/// The dense layers of a block, and those of theirs whose outputs stand side by side in each.
const DENSE: [(&str, &[&str]); 4] = [
    ("qkv", &["attention.self.query", "attention.self.key", "attention.self.value"]),
    ("out", &["attention.output.dense"]),
    ("up", &["intermediate.dense"]),
    ("down", &["output.dense"]),
];

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
    let depth = (0..).take_while(|layer| get(&format!("encoder.layer.{layer}.output.dense.weight")).is_ok()).count();
    let ours = rows(depth).into_iter().map(|row| {
        let parts = row.theirs.iter().map(|name| get(name)).collect::<Result<Vec<_>, _>>()?;
        let data = match parts.as_slice() {
            parts if row.is_turned() => turned(&row.theirs[0], parts)?,
            [whole] => whole.clone(),
            parts => joined(&row.theirs[0], parts)?,
        };
        Ok((row.ours, data))
    });
    ours.collect()
}

/// The reverse of [`bert_weights`], without `bert.` before the names.
///
/// # Errors
/// Names a tensor that a BERT has not, or one of a BERT that is missing.
pub(super) fn to_bert(ours: &BTreeMap<String, TensorData>) -> Result<BTreeMap<String, TensorData>, String> {
    let depth = (0..).take_while(|layer| ours.contains_key(&format!("blocks.{layer}.out.weight"))).count();
    let rows = rows(depth);
    if let Some(more) = ours.keys().find(|name| rows.iter().all(|row| row.ours != **name)) {
        return Err(format!("a BERT has no place for `{more}`"));
    }
    let mut theirs = BTreeMap::new();
    for row in rows {
        let whole = ours.get(&row.ours).ok_or_else(|| format!("a BERT needs `{}`, which is not there", row.ours))?;
        let (name, count) = (&row.ours, row.theirs.len());
        let parts = if row.is_turned() {
            parted(name, &turned(name, slice::from_ref(whole))?, count)?
        } else {
            parted(name, whole, count)?
        };
        theirs.extend(row.theirs.into_iter().zip(parts));
    }
    Ok(theirs)
}

/// What Hugging Face calls the dense layer of this weight of ours in a BERT's encoder; nothing if it is none of the encoder's.
pub(super) fn modules(weight: &str) -> Option<Vec<String>> {
    let mut parts = weight.split('.');
    let (Some("blocks"), Some(layer), Some(name), Some("weight"), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let (_, theirs) = DENSE.iter().find(|(dense, _)| *dense == name)?;
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

/// As many equal parts of the first side, one behind the other.
fn parted(name: &str, whole: &TensorData, count: usize) -> Result<Vec<TensorData>, String> {
    let (mut shape, values) = (whole.shape().to_vec(), floats(name, whole)?);
    match shape.first_mut() {
        Some(side) if !values.is_empty() && side.is_multiple_of(count) => *side /= count,
        _ => return Err(format!("`{name}` does not fall into {count} equal parts")),
    }
    Ok(values.chunks(values.len() / count).map(|part| TensorData::new(part.to_vec(), shape.clone())).collect())
}

fn floats(name: &str, data: &TensorData) -> Result<Vec<f32>, String> {
    data.as_slice::<f32>().map(<[f32]>::to_vec).map_err(|_| format!("`{name}` holds no 32-bit floats"))
}
