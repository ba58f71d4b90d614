//! Low-rank adapters in the files of the library PEFT: `adapter_config.json` and `adapter_model.safetensors`. It does not know
//! networks, nor who trained the adapter.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Weights, WeightsError, name_fits, read_foreign};

/// What the two files are called.
pub const PEFT_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// What PEFT puts before the names of the network that it wraps.
const PREFIX: &str = "base_model.model.";
const A: &str = ".lora_A.weight";
const B: &str = ".lora_B.weight";

/// `adapter_config.json`, as far as it says what an adapter computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeftConfig {
    /// `LORA`.
    pub peft_type: String,
    /// The network that the adapter belongs to.
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    /// The rank.
    pub r: usize,
    /// The change is multiplied by this over the rank, or over its root.
    pub lora_alpha: f64,
    /// Share of inputs dropped in training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Whether `lora_alpha` stands over the root of the rank.
    #[serde(default)]
    pub use_rslora: bool,
    /// The names of the adapted layers, as a list or a pattern.
    #[serde(default)]
    pub target_modules: Value,
    /// Which biases were trained: `none`.
    #[serde(default = "none")]
    pub bias: String,
    /// Whether the base keeps weights as `[in, out]`.
    #[serde(default)]
    pub fan_in_fan_out: bool,
    /// Another `lora_alpha` for some layers.
    #[serde(default)]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Another rank for some layers.
    #[serde(default)]
    pub rank_pattern: BTreeMap<String, usize>,
    /// Whether the adapter is to be used, not trained.
    #[serde(default)]
    pub inference_mode: bool,
    /// What this program does not know.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

impl Default for PeftConfig {
    /// As PEFT has it.
    fn default() -> Self {
        Self {
            peft_type: "LORA".to_owned(),
            base_model_name_or_path: None,
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            target_modules: Value::Null,
            bias: none(),
            fan_in_fan_out: false,
            alpha_pattern: BTreeMap::new(),
            rank_pattern: BTreeMap::new(),
            inference_mode: true,
            others: BTreeMap::new(),
        }
    }
}

fn none() -> String {
    "none".to_owned()
}

/// Settings that change what an adapter computes, and are not done here.
const REFUSED: [&str; 6] =
    ["use_dora", "lora_bias", "layer_replication", "alora_invocation_tokens", "use_qalora", "trainable_token_indices"];

/// The change of one dense layer: `b a`, times the scale.
#[derive(Clone, Debug, PartialEq)]
pub struct PeftLayer {
    /// The layer's name in the base network: `encoder.layer.0.attention.self.query`.
    pub module: String,
    /// `[rank, in]`
    pub a: TensorData,
    /// `[out, rank]`
    pub b: TensorData,
}

/// An adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct PeftAdapter {
    /// Its settings.
    pub config: PeftConfig,
    /// Its layers.
    pub layers: Vec<PeftLayer>,
    /// Tensors beside them, such as a classifier that was trained along.
    pub others: Weights,
}

impl PeftAdapter {
    /// An adapter of these layers, which are the targets of the settings.
    #[must_use]
    pub fn new(layers: Vec<PeftLayer>, config: PeftConfig) -> Self {
        let modules: Vec<&str> = layers.iter().map(|layer| layer.module.as_str()).collect();
        let config = PeftConfig { target_modules: serde_json::json!(modules), ..config };
        Self { config, layers, others: Weights::default() }
    }

    /// Reads the two files in a folder.
    ///
    /// # Errors
    /// A file is missing or broken, or the adapter computes what is not done here.
    pub fn read(folder: &Path) -> Result<Self, WeightsError> {
        let [config, weights] = PEFT_FILES.map(|file| folder.join(file));
        let broken = |reason: String| WeightsError::Format { reason: format!("{}: {reason}", config.display()) };
        let text = fs::read(&config).map_err(|error| broken(error.to_string()))?;
        let config: PeftConfig = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        if config.peft_type != "LORA" {
            return Err(broken(format!("peft_type is {}, but only LORA is read", config.peft_type)));
        }
        let is_on = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
        if let Some(setting) = REFUSED.iter().find(|setting| config.others.get(**setting).is_some_and(is_on)) {
            return Err(broken(format!("{setting} is set, but that form of LoRA is not known here")));
        }
        let is_name = |text: &String| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if let Some(pattern) = config.alpha_pattern.keys().find(|pattern| !is_name(pattern)) {
            return Err(broken(format!("alpha_pattern has `{pattern}`, but only plain names are read")));
        }
        let (layers, others) = layers(&read_foreign(&weights)?)?;
        Ok(Self { config, layers, others })
    }

    /// The content of the two files.
    #[must_use]
    pub fn to_files(&self) -> [Vec<u8>; 2] {
        let config =
            serde_json::to_vec_pretty(&self.config).unwrap_or_else(|error| panic!("plain data as JSON: {error}"));
        let name = |layer: &PeftLayer, part: &str| format!("{PREFIX}{}{part}", layer.module);
        let of = |layer: &PeftLayer| [(name(layer, A), layer.a.clone()), (name(layer, B), layer.b.clone())];
        let tensors = Weights::from_tensors(self.layers.iter().flat_map(of).collect());
        [config, tensors.to_safetensors(&BTreeMap::new())]
    }

    /// What the product of a layer's matrices is multiplied by.
    #[must_use]
    pub fn scale(&self, layer: &PeftLayer) -> f64 {
        let rank = layer.a.shape()[0] as f64;
        let of_layer = |name: &&String| is_below(&layer.module, name);
        let alpha = self.config.alpha_pattern.iter().find(|(name, _)| of_layer(name)).map(|(_, alpha)| *alpha);
        let alpha = alpha.unwrap_or(self.config.lora_alpha);
        alpha / if self.config.use_rslora { rank.sqrt() } else { rank }
    }

    /// The weights of the base network, in its own names, with the adapter merged into them. `allowed` are names of tensors of the adapter
    /// that may be without use, where a `*` stands for anything.
    ///
    /// # Errors
    /// A layer is not in the base or has other sides there, or a tensor of the adapter is without use.
    pub fn merged_into(&self, base: &Weights, allowed: &[String]) -> Result<Weights, WeightsError> {
        let unused =
            self.others.tensors().keys().filter(|name| !allowed.iter().any(|pattern| name_fits(pattern, name)));
        let mut problems: Vec<String> = unused.map(|name| format!("the adapter's `{name}` is not used")).collect();
        let mut tensors = base.tensors().clone();
        for layer in &self.layers {
            match self.merged_weight(base, layer) {
                Ok((name, weight)) => drop(tensors.insert(name, weight)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Weights::from_tensors(tensors)) } else { Err(WeightsError::mismatch(&problems)) }
    }

    fn merged_weight(&self, base: &Weights, layer: &PeftLayer) -> Result<(String, TensorData), String> {
        let wanted = format!("{}.weight", layer.module);
        let fits = |name: &&String| is_below(name, &wanted) || is_below(&wanted, name);
        let found: Vec<&String> = base.tensors().keys().filter(fits).collect();
        let [name] = found[..] else {
            let count = found.len();
            return Err(format!("the adapter is for `{}`, of which the base has {count}", layer.module));
        };
        let weight = &base.tensors()[name];
        let [[rank, inputs], [outputs, other]] = [&layer.a, &layer.b].map(|data| [data.shape()[0], data.shape()[1]]);
        let sides = if self.config.fan_in_fan_out { [inputs, outputs] } else { [outputs, inputs] };
        if rank != other || weight.shape().to_vec() != sides {
            let shapes = [&layer.a, &layer.b, weight].map(|data| data.shape().to_vec());
            return Err(format!("the shapes of `{}` do not fit together: {shapes:?}", layer.module));
        }
        let scale = self.scale(layer);
        let [a, b, w] = [&layer.a, &layer.b, weight].map(|data| data.as_slice::<f32>().unwrap_or_default());
        let change = |output: usize, input: usize| {
            let terms = (0..rank).map(|at| f64::from(b[output * rank + at]) * f64::from(a[at * inputs + input]));
            scale * terms.sum::<f64>()
        };
        #[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit floats")]
        let merged = w.iter().enumerate().map(|(at, weight)| {
            let (row, column) = (at / sides[1], at % sides[1]);
            let change = if self.config.fan_in_fan_out { change(column, row) } else { change(row, column) };
            (f64::from(*weight) + change) as f32
        });
        Ok((name.clone(), TensorData::new(merged.collect(), sides)))
    }
}

/// Whether the parts of a name end in those of another.
fn is_below(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('.'))
}

/// The pairs of matrices of a file, and what else is in it.
fn layers(file: &Weights) -> Result<(Vec<PeftLayer>, Weights), WeightsError> {
    let (mut layers, mut others) = (Vec::new(), file.tensors().clone());
    for name in file.tensors().keys() {
        let Some(module) = name.strip_suffix(A) else { continue };
        let Some(b) = others.remove(&format!("{module}{B}")) else { continue };
        let Some(a) = others.remove(name) else { continue };
        let module = module.strip_prefix(PREFIX).unwrap_or(module).to_owned();
        if [&a, &b].iter().any(|data| data.shape().len() != 2 || data.shape()[..].contains(&0)) {
            return Err(WeightsError::mismatch(&[format!("the matrices of `{module}` are none")]));
        }
        layers.push(PeftLayer { module, a, b });
    }
    if layers.is_empty() {
        return Err(WeightsError::mismatch(&["there is no layer with lora_A and lora_B in the file".to_owned()]));
    }
    Ok((layers, Weights::from_tensors(others)))
}
