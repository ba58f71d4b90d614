//! Prefixes of attention in the files of the library PEFT (`PREFIX_TUNING`): keys and values that stand before those of a text in each
//! block. It does not know networks, nor who trained them.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PEFT_FILES, PeftAdapter, Weights, WeightsError, read_foreign};

/// What PEFT calls the one tensor.
const TENSOR: &str = "prompt_embeddings";
const KIND: &str = "PREFIX_TUNING";

/// `adapter_config.json`, as far as it says what a prefix computes.
#[derive(Serialize, Deserialize)]
struct Config {
    peft_type: String,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    /// See [`PeftTask`]; here it is nothing.
    #[serde(default)]
    task_type: Option<String>,
    num_virtual_tokens: usize,
    /// Features of the keys of a block, and of its values.
    token_dim: usize,
    num_attention_heads: usize,
    num_layers: usize,
    #[serde(default = "one")]
    num_transformer_submodules: usize,
    #[serde(default)]
    encoder_hidden_size: Option<usize>,
    /// Whether a network stands between the tensor and the keys; what is saved is behind it in any case.
    #[serde(default)]
    prefix_projection: bool,
    #[serde(default)]
    inference_mode: bool,
    /// What this program does not know.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

fn one() -> usize {
    1
}

/// What PEFT asks the network for that it puts prefixes before. One that is asked for nothing computes without them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeftTask {
    /// Features of each token.
    FeatureExtraction,
    /// Scores of the next token.
    CausalLm,
}

impl PeftTask {
    fn name(self) -> &'static str {
        match self {
            Self::FeatureExtraction => "FEATURE_EXTRACTION",
            Self::CausalLm => "CAUSAL_LM",
        }
    }
}

/// Keys and values of no token.
#[derive(Clone, Debug, PartialEq)]
pub struct PeftPrefix {
    /// The network that they belong to.
    pub base: Option<String>,
    /// The heads of a block's keys.
    pub heads: usize,
    /// Keys and values of each block, `[prefix, heads * width]`.
    pub layers: Vec<[TensorData; 2]>,
}

/// What a folder that PEFT has saved holds.
#[derive(Clone, Debug, PartialEq)]
pub enum PeftFolder {
    /// Changes of low rank, which are merged into weights.
    LowRank(Box<PeftAdapter>),
    /// Prefixes of attention, which are parameters of their own.
    Prefix(PeftPrefix),
}

impl PeftFolder {
    /// Reads the two files in a folder.
    ///
    /// # Errors
    /// A file is missing or broken, or it is of another kind.
    pub fn read(folder: &Path) -> Result<Self, WeightsError> {
        #[derive(Deserialize)]
        struct Kind {
            peft_type: String,
        }
        // What cannot be read so is complained of by who reads all of it.
        let text = fs::read(folder.join(PEFT_FILES[0])).unwrap_or_default();
        match serde_json::from_slice(&text) {
            Ok(Kind { peft_type }) if peft_type == KIND => PeftPrefix::read(folder).map(Self::Prefix),
            _ => PeftAdapter::read(folder).map(|adapter| Self::LowRank(Box::new(adapter))),
        }
    }
}

impl PeftPrefix {
    /// Reads the two files in a folder.
    ///
    /// # Errors
    /// A file is missing or broken, or they do not fit together.
    pub fn read(folder: &Path) -> Result<Self, WeightsError> {
        let [config, weights] = PEFT_FILES.map(|file| folder.join(file));
        let broken = |reason: String| WeightsError::Format { reason: format!("{}: {reason}", config.display()) };
        let text = fs::read(&config).map_err(|error| broken(error.to_string()))?;
        let Config {
            peft_type,
            base_model_name_or_path,
            num_virtual_tokens,
            token_dim,
            num_attention_heads: heads,
            num_layers,
            ..
        } = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        if peft_type != KIND {
            return Err(broken(format!("peft_type is {peft_type}, but {KIND} was expected")));
        }
        let file = read_foreign(&weights)?;
        let Some(data) = file.tensors().get(TENSOR) else {
            return Err(WeightsError::mismatch(&[format!("there is no tensor `{TENSOR}` in the file")]));
        };
        let wanted = [num_virtual_tokens, num_layers.saturating_mul(2).saturating_mul(token_dim)];
        if data.shape().to_vec() != wanted || wanted.contains(&0) {
            let problem = format!("`{TENSOR}` is {:?}, but {wanted:?} was expected", data.shape().to_vec());
            return Err(WeightsError::mismatch(&[problem]));
        }
        let values = data.as_slice::<f32>().unwrap_or_default();
        let part = |at: usize| {
            let row = |row: &[f32]| row[at * token_dim..(at + 1) * token_dim].to_vec();
            TensorData::new(values.chunks_exact(wanted[1]).flat_map(row).collect::<Vec<_>>(), [wanted[0], token_dim])
        };
        let layers = (0..num_layers).map(|layer| [part(2 * layer), part(2 * layer + 1)]).collect();
        Ok(Self { base: base_model_name_or_path, heads, layers })
    }

    /// The content of the two files, for a network that is asked for this.
    ///
    /// # Panics
    /// If there is no block, or blocks have prefixes of different sides.
    #[must_use]
    pub fn to_files(&self, task: PeftTask) -> [Vec<u8>; 2] {
        let [prefix, width] = [self.layers[0][0].shape()[0], self.layers[0][0].shape()[1]];
        let parts: Vec<&[f32]> = self.layers.iter().flatten().map(|data| data.as_slice().unwrap_or_default()).collect();
        assert!(parts.iter().all(|part| part.len() == prefix * width), "a prefix has the same sides in all blocks");
        let row = |row: usize| parts.iter().flat_map(move |part| &part[row * width..(row + 1) * width]);
        let values: Vec<f32> = (0..prefix).flat_map(row).copied().collect();
        let config = Config {
            peft_type: KIND.to_owned(),
            base_model_name_or_path: self.base.clone(),
            task_type: Some(task.name().to_owned()),
            num_virtual_tokens: prefix,
            token_dim: width,
            num_attention_heads: self.heads,
            num_layers: self.layers.len(),
            num_transformer_submodules: 1,
            encoder_hidden_size: Some(width),
            prefix_projection: false,
            inference_mode: true,
            others: BTreeMap::new(),
        };
        let config = serde_json::to_vec_pretty(&config).unwrap_or_else(|error| panic!("plain data as JSON: {error}"));
        let tensor = TensorData::new(values, [prefix, parts.len() * width]);
        let tensors = Weights::from_tensors([(TENSOR.to_owned(), tensor)].into());
        [config, tensors.to_safetensors(&BTreeMap::new())]
    }
}
