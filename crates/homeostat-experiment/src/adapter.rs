//! The folder `adapter` of a run: its changes of low rank alone, or its prefixes, in the files of the library PEFT, beside what tells the
//! network that they belong to. It does not know the loop.

use std::{collections::BTreeMap, fs};

use burn::tensor::TensorData;
use homeostat_artifact::{ArtifactError, RunWriter, atomic, sha256};
use homeostat_task::{
    ForeignNames, PEFT_FILES, PeftAdapter, PeftConfig, PeftLayer, PeftPrefix, Task, Weights, transpose,
};
use homeostat_train::{Factors, LoraConfig, divided};
use serde::Serialize;

use crate::{Experiment, ExperimentError, kind::Kind, plan::Plan};

/// What the folder is called, and what is in it beside PEFT's two files.
const FOLDER: &str = "adapter";
const BESIDE: &str = "beside.safetensors";
const BASE: &str = "base.json";

/// The network that an adapter belongs to.
#[derive(Serialize)]
struct Base<'a> {
    /// What the run began with; nothing where its weights were drawn.
    from: Option<&'a str>,
    /// The SHA-256 of that file.
    sha256: Option<String>,
    /// The SHA-256 of a safetensors file of all tensors that have not learnt, by our names.
    tensors: String,
    /// The seed by which weights that were drawn can be drawn again.
    seed: u64,
}

/// Writes the folder, whole or not at all.
pub(crate) fn write_adapter<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    lora: &LoraConfig,
    unmerged: &<K::Task as Task>::Model,
) -> Result<(), ExperimentError> {
    let experiment = plan.experiment();
    let from = experiment.train.pretrained.as_ref().map(|pretrained| pretrained.from.as_str());
    let config = PeftConfig {
        base_model_name_or_path: from.map(|from| from.strip_prefix("hf:").unwrap_or(from).to_owned()),
        r: lora.rank,
        lora_alpha: lora.alpha,
        lora_dropout: lora.dropout,
        use_rslora: lora.rank_stabilized,
        ..PeftConfig::default()
    };
    let factors = LoraConfig::factors(unmerged);
    let layers = factors.iter().flat_map(|(weight, factors)| layers(modules(plan, unmerged, weight), factors));
    let files = PeftAdapter::new(layers.collect(), config).to_files();
    write(plan, run, files, lora.beside_and_base(unmerged))
}

/// Writes the folder of a network with prefixes, whole or not at all; nothing of one without.
pub(crate) fn write_prefix<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    network: &<K::Task as Task>::Model,
) -> Result<(), ExperimentError> {
    let weights = Weights::of(network);
    let layers = prefixes(&weights);
    if layers.is_empty() {
        return Ok(());
    }
    let Experiment { train, task, .. } = plan.experiment();
    let base = train.pretrained.as_ref().map(|from| from.from.strip_prefix("hf:").unwrap_or(&from.from).to_owned());
    let files = PeftPrefix { base, heads: task.key_heads().unwrap_or(1), layers }.to_files();
    let is_prefix = |name: &str| name.contains(PREFIX);
    let rest = weights.tensors().clone().into_iter().filter(|(name, _)| !is_prefix(name));
    let rest = Weights::from_tensors(rest.collect());
    let all = ["*".to_owned()];
    let learners = if train.learn.is_empty() { &all[..] } else { &train.learn };
    write(plan, run, files, divided(&rest, learners))
}

/// What the parameters of a block's prefix are called below the block.
const PREFIX: &str = ".prefix.";

/// The keys and values of the blocks of a network, in their order.
fn prefixes(weights: &Weights) -> Vec<[TensorData; 2]> {
    let block = |name: &String| {
        let block = name.strip_suffix(&format!("{PREFIX}keys"))?;
        let number: usize = block.rsplit('.').next()?.parse().ok()?;
        let [keys, values] = ["keys", "values"].map(|part| weights.tensors().get(&format!("{block}{PREFIX}{part}")));
        Some((number, [keys?.clone(), values?.clone()]))
    };
    weights.tensors().keys().filter_map(block).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// A prefix that others have trained, as tensors of our network beside those that it begins with.
///
/// # Errors
/// The network has none, or others.
pub(crate) fn with_prefix(theirs: &Weights, names: &ForeignNames, prefix: &PeftPrefix) -> Result<Weights, String> {
    let mut tensors = theirs.tensors().clone();
    let mut blocks = 0;
    for (ours, theirs) in names.pairs().filter(|(ours, _)| ours.contains(PREFIX)) {
        let number = ours.split(PREFIX).next().and_then(|block| block.rsplit('.').next()?.parse::<usize>().ok());
        let Some(layer) = number.and_then(|number| prefix.layers.get(number)) else { continue };
        let part = usize::from(ours.ends_with("values"));
        tensors.insert(theirs.to_owned(), layer[part].clone());
        blocks += usize::from(part == 0);
    }
    if blocks == prefix.layers.len() {
        return Ok(Weights::from_tensors(tensors));
    }
    let length = prefix.layers.first().map_or(0, |layer| layer[0].shape()[0]);
    let problem = format!("has prefixes for {} blocks, but the network has {blocks} with one", prefix.layers.len());
    Err(format!("{problem}: set its prefix = {length} and its depth"))
}

/// Writes PEFT's files, what learnt beside them, and what tells the base.
fn write<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    [config, tensors]: [Vec<u8>; 2],
    [beside, base]: [Weights; 2],
) -> Result<(), ExperimentError> {
    let experiment = plan.experiment();
    let from = experiment.train.pretrained.as_ref().map(|pretrained| pretrained.from.as_str());
    let [beside, base] = [beside, base].map(|weights| weights.to_safetensors(&BTreeMap::new()));
    let sha256_of_file = run.provenance()?.and_then(|provenance| provenance.hashes.weights);
    let base = Base { from, sha256: sha256_of_file, tensors: sha256(&base), seed: experiment.seed };
    let base = serde_json::to_vec_pretty(&base).unwrap_or_else(|error| panic!("plain data as JSON: {error}"));
    let [config_name, tensors_name] = PEFT_FILES;
    atomic::write_dir(&run.path().join(FOLDER), |folder| {
        for (name, bytes) in [(config_name, &config), (tensors_name, &tensors), (BESIDE, &beside), (BASE, &base)] {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(ArtifactError::write(&path))?;
        }
        Ok(())
    })
}

/// What others call the dense layer of a weight of ours; several where they stand side by side in ours.
fn modules<K: Kind>(plan: &Plan<K>, network: &<K::Task as Task>::Model, weight: &str) -> Vec<String> {
    let layer = |name: &str| name.strip_suffix(".weight").unwrap_or(name).to_owned();
    let known = K::modules(&plan.task, weight);
    let of_table = || {
        let table = K::names(&plan.task).into_iter().next()?;
        let names = ForeignNames::of(network, &table.rows).ok()?;
        Some(vec![layer(names.theirs(weight)?)])
    };
    known.or_else(of_table).unwrap_or_else(|| vec![layer(weight)])
}

/// The layers that stand side by side in one weight of ours: they share its first matrix, and have a part of the second each.
fn layers(modules: Vec<String>, Factors { a, b }: &Factors) -> Vec<PeftLayer> {
    let count = modules.len();
    let (a, b) = (transpose(a), transpose(b));
    let [outputs, rank] = [b.shape()[0], b.shape()[1]];
    let rows = outputs / count;
    let values = b.as_slice::<f32>().unwrap_or_default();
    let part = |at: usize| {
        let values = values[at * rows * rank..(at + 1) * rows * rank].to_vec();
        TensorData::new(values, [rows, rank])
    };
    modules.into_iter().enumerate().map(|(at, module)| PeftLayer { module, a: a.clone(), b: part(at) }).collect()
}
