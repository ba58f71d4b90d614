//! The weights of a BERT by the names that Hugging Face gives them, under the names of [`Transformer`](super::Transformer). It does
//! not know files.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

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

/// What Hugging Face calls the dense layer of this weight of ours (`blocks.0.qkv.weight`) in a BERT's encoder; several where they stand
/// side by side in one of ours. Nothing if it is none of the encoder's.
#[must_use]
pub fn bert_modules(weight: &str) -> Option<Vec<String>> {
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
    if inputs == 0 || parts.iter().any(|part| part.shape()[1..] != [inputs]) {
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
