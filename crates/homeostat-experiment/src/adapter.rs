//! The folder `adapter` of a run: its changes of low rank alone, or its prefixes, in the files of the library PEFT, or what else alone has
//! learnt, beside what tells the network that they belong to. It does not know the loop.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::{Device, TensorData};
use homeostat_artifact::{ArtifactError, RunWriter, atomic, sha256};
use homeostat_task::{
    ForeignNames, PEFT_FILES, PeftAdapter, PeftConfig, PeftFolder, PeftLayer, PeftPrefix, PeftTask, Task, Weights,
    WeightsError, read_foreign, transpose,
};
use homeostat_tasks::TaskConfig;
use homeostat_train::{Factors, LoraConfig, divided};
use serde::{Deserialize, Serialize};

use crate::{Experiment, ExperimentError, kind::Kind, plan::Plan};

/// What the folder is called, and what is in it beside PEFT's two files.
const FOLDER: &str = "adapter";
const BESIDE: &str = "beside.safetensors";
const BASE: &str = "base.json";

/// The network that an adapter belongs to.
#[derive(Serialize, Deserialize)]
struct Base {
    /// What the run began with; nothing where its weights were drawn.
    from: Option<String>,
    /// The SHA-256 of that file.
    sha256: Option<String>,
    /// The adapter that the run put into these weights before it learnt changes of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<String>,
    /// The SHA-256 of a safetensors file of all tensors that have not learnt, by our names.
    tensors: String,
    /// The seed by which weights that were drawn can be drawn again.
    seed: u64,
}

/// Refuses an adapter that has learnt with other weights than those of the file with this hash; one that does not tell with which, as those
/// of PEFT, is taken on trust.
pub(crate) fn check_base(folder: &Path, sha256: &str) -> Result<(), String> {
    let path = folder.join(BASE);
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read(&path).map_err(|error| format!("{BASE}: {error}"))?;
    let Base { from, sha256: own, adapter, seed, .. } =
        serde_json::from_slice(&text).map_err(|error| format!("{BASE} is not what a run leaves: {error}"))?;
    let weights = match (from, adapter, own) {
        (None, ..) => format!("weights drawn by the seed {seed}, which no file holds"),
        (Some(from), Some(adapter), _) => format!("{from} after {adapter} was put into it"),
        (Some(from), None, Some(own)) if own != sha256 => {
            format!("{from} of the SHA-256 {own}, but that of train.pretrained.from is {sha256}")
        }
        (Some(_), None, _) => return Ok(()),
    };
    let mend = "begin with what it belongs to, or with the artifact of its run, which has it";
    Err(format!("belongs to {weights}: {mend} (without {BASE} it is taken on trust)"))
}

/// Of the two files of PEFT, one behind the other, or of the parts alone.
pub(crate) fn adapter_sha256(folder: &Path) -> Result<String, ArtifactError> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(ArtifactError::read(&path))
    };
    let names = if has_parts_alone(folder) { &[BESIDE][..] } else { &PEFT_FILES };
    Ok(sha256(&names.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?.concat()))
}

fn has_parts_alone(folder: &Path) -> bool {
    folder.join(BESIDE).is_file() && !PEFT_FILES.iter().any(|name| folder.join(name).exists())
}

/// What a folder with an adapter holds.
pub(crate) enum Adapter {
    /// Files of PEFT.
    Peft(PeftFolder),
    /// Parameters of ours that have learnt alone.
    Parts(Weights),
}

impl Adapter {
    /// # Errors
    /// A file is missing or broken, or it is of another kind.
    pub(crate) fn read(folder: &Path) -> Result<Self, WeightsError> {
        if has_parts_alone(folder) {
            read_foreign(&folder.join(BESIDE)).map(Self::Parts)
        } else {
            PeftFolder::read(folder).map(Self::Peft)
        }
    }

    /// Its tensors that `train.pretrained.allow` may name.
    pub(crate) fn others(&self) -> Option<&Weights> {
        match self {
            Self::Peft(PeftFolder::LowRank(adapter)) => Some(&adapter.others),
            Self::Peft(PeftFolder::Prefix(_)) => None,
            Self::Parts(parts) => Some(parts),
        }
    }
}

/// The parts that have learnt alone as parameters of this network, whose names are `own`; what is allowed may have another shape, or no use.
///
/// # Errors
/// Lists what does not fit.
pub(crate) fn fitting_parts(parts: &Weights, own: &ForeignNames, allow: &[String]) -> Result<Weights, WeightsError> {
    let others = own.pairs().map(|(name, _)| name).filter(|name| !parts.tensors().contains_key(*name));
    let allow: Vec<String> = others.map(str::to_owned).chain(allow.iter().cloned()).collect();
    Ok(own.adopt(parts, &allow)?.weights)
}

/// Refuses changes that cannot stand in one folder, before anything is learnt; `as_own` as in [`layers_of_base`].
pub(crate) fn check_targets<K: Kind>(plan: &Plan<K>, as_own: bool, device: &Device) -> Result<(), ExperimentError> {
    let Some(lora) = &plan.experiment().train.lora else { return Ok(()) };
    let network = plan.task.init(device)?;
    let [_, base] = lora.beside_and_base(&network);
    let is_narrow = |name: &&String| name.split('.').any(|part| part == "prefix" || part.ends_with("adapter"));
    if let Some(name) = base.tensors().keys().find(is_narrow) {
        tracing::warn!(
            "train.lora: `{name}` and its like do not learn; if they should, name them in train.lora.beside, beside `head.*`"
        );
    }
    layers_of_base(plan, &network, &lora.target_names(&network)?, as_own).map(drop)
}

/// Writes the folder, whole or not at all.
pub(crate) fn write_adapter<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    lora: &LoraConfig,
    unmerged: &<K::Task as Task>::Model,
) -> Result<(), ExperimentError> {
    let pretrained = plan.experiment().train.pretrained.as_ref();
    let as_own = pretrained.is_none() || run.provenance()?.is_some_and(|provenance| provenance.own_names);
    let factors = LoraConfig::factors(unmerged);
    let weights: Vec<String> = factors.keys().cloned().collect();
    let LayersOfBase { modules, lie_as_ours } = layers_of_base(plan, unmerged, &weights, as_own)?;
    let config = PeftConfig {
        base_model_name_or_path: base_name(plan),
        r: lora.rank,
        lora_alpha: lora.alpha,
        lora_dropout: lora.dropout,
        use_rslora: lora.rank_stabilized,
        fan_in_fan_out: lie_as_ours,
        ..PeftConfig::default()
    };
    let layers = modules.into_iter().zip(factors.values()).flat_map(|(modules, factors)| layers(modules, factors));
    let files = PeftAdapter::new(layers.collect(), config).to_files();
    write(plan, run, Some(files), lora.beside_and_base(unmerged), adapter_before(plan))
}

fn adapter_before<K: Kind>(plan: &Plan<K>) -> Option<String> {
    plan.experiment().train.pretrained.as_ref().and_then(|pretrained| pretrained.adapter.clone())
}

/// Writes the folder of a network with prefixes, or of one of which some parameters alone have learnt, whole or not at all; nothing of another.
pub(crate) fn write_alone<K: Kind>(
    plan: &Plan<K>,
    run: &RunWriter,
    network: &<K::Task as Task>::Model,
) -> Result<(), ExperimentError> {
    let weights = Weights::of(network);
    let layers = prefixes(&weights);
    let Experiment { train, task, .. } = plan.experiment();
    let learners = if train.learn.is_empty() {
        vec!["*".to_owned()]
    } else {
        let thawed = train.unfreeze.iter().map(|thaw| thaw.parameters.clone());
        // Running statistics may have moved with them.
        let moved = ["*.running_mean", "*.running_var"].map(str::to_owned);
        train.learn.iter().cloned().chain(thawed).chain(moved).collect()
    };
    if layers.is_empty() {
        if train.learn.is_empty() {
            return Ok(());
        }
        return write(plan, run, None, divided(&weights, &learners), adapter_before(plan));
    }
    let asked = match task {
        TaskConfig::LanguageModel(_) => PeftTask::CausalLm,
        _ => PeftTask::FeatureExtraction,
    };
    let prefix = PeftPrefix { base: base_name(plan), heads: task.key_heads().unwrap_or(1), layers };
    let is_prefix = |name: &str| name.contains(PREFIX);
    let rest = weights.tensors().clone().into_iter().filter(|(name, _)| !is_prefix(name));
    let rest = Weights::from_tensors(rest.collect());
    write(plan, run, Some(prefix.to_files(asked)), divided(&rest, &learners), adapter_before(plan))
}

/// What PEFT is told to load the base by.
fn base_name<K: Kind>(plan: &Plan<K>) -> Option<String> {
    let from = &plan.experiment().train.pretrained.as_ref()?.from;
    Some(from.strip_prefix("hf:").unwrap_or(from).to_owned())
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
    peft: Option<[Vec<u8>; 2]>,
    [beside, base]: [Weights; 2],
    adapter: Option<String>,
) -> Result<(), ExperimentError> {
    let Experiment { train, seed, .. } = plan.experiment();
    let from = train.pretrained.as_ref().map(|pretrained| pretrained.from.clone());
    let [beside, base] = [beside, base].map(|weights| weights.to_safetensors(&BTreeMap::new()));
    let sha256_of_file = run.provenance()?.and_then(|provenance| provenance.hashes.weights);
    let base = Base { from, sha256: sha256_of_file, adapter, tensors: sha256(&base), seed: *seed };
    let base = serde_json::to_vec_pretty(&base).unwrap_or_else(|error| panic!("plain data as JSON: {error}"));
    let peft = PEFT_FILES.into_iter().zip(peft.into_iter().flatten());
    let files: Vec<(&str, Vec<u8>)> = peft.chain([(BESIDE, beside), (BASE, base)]).collect();
    atomic::write_dir(&run.path().join(FOLDER), |folder| {
        for (name, bytes) in &files {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(ArtifactError::write(&path))?;
        }
        Ok(())
    })
}

/// What the base of a run calls the dense layers of some weights of ours.
struct LayersOfBase {
    /// Those of each weight; several where they stand side by side in ours.
    modules: Vec<Vec<String>>,
    /// Whether its weights are `[in, out]`, as ours are.
    lie_as_ours: bool,
}

/// The layers of these weights in the base, which has our names where `as_own` says so: what a run has published, or what was drawn.
///
/// # Errors
/// Some lie as ours and some do not, which the files of PEFT say once for all.
fn layers_of_base<K: Kind>(
    plan: &Plan<K>,
    network: &<K::Task as Task>::Model,
    weights: &[String],
    as_own: bool,
) -> Result<LayersOfBase, ExperimentError> {
    let table = K::names(&plan.task).into_iter().next().filter(|_| !as_own);
    let names =
        table.and_then(|table| Some(ForeignNames::of(network, &table.rows).ok()?.lying_as_ours(&table.as_ours)));
    let layer = |name: &str| name.strip_suffix(".weight").unwrap_or(name).to_owned();
    let of_weight = |weight: &String| {
        let known = K::modules(&plan.task, weight).filter(|_| !as_own).map(|modules| (modules, false));
        let of_table = || {
            let names = names.as_ref()?;
            Some((vec![layer(names.theirs(weight)?)], names.lies_as_ours(weight)))
        };
        known.or_else(of_table).unwrap_or_else(|| (vec![layer(weight)], true))
    };
    let (modules, lie_as_ours): (Vec<_>, Vec<_>) = weights.iter().map(of_weight).unzip();
    let one = |as_ours: bool| Some(&weights[lie_as_ours.iter().position(|lies| *lies == as_ours)?]);
    if let (Some(ours), Some(theirs)) = (one(true), one(false)) {
        let problem = format!(
            "has `{theirs}`, which the base keeps as [out, in], and `{ours}` as [in, out], but an adapter's files hold one kind: \
             choose one, and let the other learn by train.lora.beside"
        );
        return Err(ExperimentError::setting("train.lora.targets", problem));
    }
    Ok(LayersOfBase { modules, lie_as_ours: one(true).is_some() })
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
