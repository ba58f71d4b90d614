//! Weights to begin with: where they come from, and what they expect of a picture. It does not know the loop.

use std::{fs, path::PathBuf};

use homeostat_artifact::{ArtifactError, sha256_stream};
use homeostat_config::{Origin, Resolved};
use homeostat_data::{CenterCrop, DataRoot, Filter, ImagePrepare, Normalize, PrepareStep, Resize, ResizeMode, Size};
use homeostat_fetch::{FetchError, HubFile};
use homeostat_models::{Expects, ImageModelConfig, KnownNetwork, NameTable, SequenceModelConfig, TransformerConfig};
use homeostat_task::{Adopted, ForeignNames, PeftFolder, Task, WeightsError, read_foreign};
use homeostat_tasks::{ImageClassificationConfig, TaskConfig};
use homeostat_train::PretrainedConfig;

use crate::{Experiment, ExperimentError, Setting, Stage, adapter::with_prefix, kind::Kind};

const KEY: &str = "train.pretrained";
const PREPARE: &str = "task.image-classification.prepare";
/// What a repository that names no file may call its weights.
const USUAL: [&str; 3] = ["model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors"];
/// What a repository that names no file may call its tokenizer.
const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
const NO_CACHE: &str = "there is no place for the cache: set HOMEOSTAT_CACHE to a folder";
/// Settings of networks that published weights do not depend on.
const OF_TRAINING: [&str; 5] = ["dropout", "stochastic-depth", "zero-init", "auxiliary", "auxiliary-dropout"];

/// Weights to begin with.
pub(crate) struct Initial {
    /// In the names of the task's network.
    pub(crate) weights: Adopted,
    /// The SHA-256 of their file.
    pub(crate) sha256: String,
}

/// The weights of `train.pretrained`, fetched where they are not on this machine, with its adapter merged into them.
pub(crate) fn initial<K: Kind>(
    task: &K::Task,
    from: &PretrainedConfig,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Initial, ExperimentError> {
    let wrong = |problem: String| ExperimentError::setting(KEY, problem);
    let path = located(from, setting, observe)?;
    let in_file = |error: WeightsError| wrong(format!("{}: {error}", path.display()));
    let theirs = read_foreign(&path).map_err(in_file)?;
    let folder = from.adapter.as_ref().map(|folder| setting.roots.find(folder)).transpose()?;
    let in_folder = |problem: String| {
        wrong(format!("{}: {problem}", folder.as_ref().map_or_else(String::new, |path| path.display().to_string())))
    };
    let adapter = folder.as_ref().map(|folder| PeftFolder::read(folder)).transpose();
    let adapter = adapter.map_err(|error| wrong(error.to_string()))?;
    let theirs = match &adapter {
        Some(PeftFolder::LowRank(adapter)) => {
            adapter.merged_into(&theirs, &from.allow).map_err(|error| in_folder(error.to_string()))?
        }
        Some(PeftFolder::Prefix(_)) | None => theirs,
    };
    let theirs = K::translated(task, theirs).map_err(|problem| wrong(format!("{}: {problem}", path.display())))?;
    let network = task.init(setting.device).map_err(|error| wrong(error.to_string()))?;
    let of_table = |NameTable { rows, as_ours, ignored, .. }: NameTable| {
        let names = ForeignNames::of(&network, &rows).map_err(in_file)?;
        Ok((names.lying_as_ours(&as_ours), ignored))
    };
    let mut names = K::names(task).into_iter().map(of_table).collect::<Result<Vec<_>, ExperimentError>>()?;
    // What a run has published is in our own names.
    names.push((ForeignNames::own(&network), Vec::new()));
    let best = names.into_iter().max_by_key(|(names, _)| names.hits(&theirs));
    let (names, ignored) = best.ok_or_else(|| wrong("has no names".to_owned()))?;
    let theirs = match &adapter {
        Some(PeftFolder::Prefix(prefix)) => with_prefix(&theirs, &names, prefix).map_err(in_folder)?,
        Some(PeftFolder::LowRank(_)) | None => theirs,
    };
    let allow = [from.allow.as_slice(), &ignored].concat();
    let weights = names.adopt(&theirs, &allow).map_err(in_file)?;
    let file = fs::File::open(&path).map_err(ArtifactError::read(&path))?;
    let (sha256, _) = sha256_stream(file).map_err(ArtifactError::read(&path))?;
    Ok(Initial { weights, sha256 })
}

/// The file on this machine.
fn located(
    from: &PretrainedConfig,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<PathBuf, ExperimentError> {
    let wrong = |error: FetchError| ExperimentError::setting(KEY, error.to_string());
    let word = from.from.as_str();
    if !word.starts_with("hf:") && !word.starts_with("http") {
        return Ok(setting.roots.find_file(word)?);
    }
    let hub = setting.hub.ok_or_else(|| ExperimentError::setting(KEY, NO_CACHE))?;
    let mut watch = |progress: homeostat_fetch::Progress<'_>| observe(Stage::Fetching(progress));
    if word.starts_with("hf:") {
        let wanted: HubFile = word.parse().map_err(wrong)?;
        return hub.file(&wanted, &USUAL, &mut watch).map_err(wrong);
    }
    hub.from_address(word, known_hash(from), &mut watch).map_err(wrong)
}

/// The SHA-256 that the experiment gives, else what is known of that of published weights.
fn known_hash(from: &PretrainedConfig) -> Option<&str> {
    let published = || KnownNetwork::all().into_iter().find(|network| network.weights == Some(from.from.as_str()));
    from.sha256.as_deref().or_else(|| published()?.weights_hash())
}

/// Where data are looked for, with the tokenizer of an experiment where that is a hub's.
pub(crate) fn roots_with_tokenizer(
    experiment: &Experiment,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<DataRoot, ExperimentError> {
    let roots = setting.roots.clone();
    let Some((key, word)) = experiment.data.tokenizer_file().filter(|(_, word)| word.starts_with("hf:")) else {
        return Ok(roots);
    };
    let wrong = |problem: String| ExperimentError::setting(key, problem);
    let hub = setting.hub.ok_or_else(|| wrong(NO_CACHE.to_owned()))?;
    let wanted: HubFile = word.parse().map_err(|error: FetchError| wrong(error.to_string()))?;
    let mut watch = |progress: homeostat_fetch::Progress<'_>| observe(Stage::Fetching(progress));
    let path = hub.file(&wanted, &TOKENIZERS, &mut watch).map_err(|error| wrong(error.to_string()))?;
    Ok(roots.with_file(word, path))
}

/// Gives an experiment whose network begins with a BERT the settings of its `config.json`, where it says nothing of the network; `key` is
/// that of the task.
pub(crate) fn adopt_bert(
    key: &str,
    resolved: &mut Resolved<Experiment>,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<(), ExperimentError> {
    let model = format!("{key}.model");
    let is_said = *resolved.provenance.get(&model) != Origin::Default;
    let Some(from) = resolved.value.train.pretrained.as_ref().map(|from| from.from.clone()).filter(|_| !is_said) else {
        return Ok(());
    };
    let Some(text) = config_beside(&from, setting, observe)? else { return Ok(()) };
    let wrong = |problem: String| ExperimentError::setting(KEY, format!("its config.json {problem}"));
    let Some(network) = TransformerConfig::of_transformers(&text).map_err(wrong)? else { return Ok(()) };
    let network = SequenceModelConfig::Transformer(network);
    Ok(resolved.choose(&model, network, &format!("config.json beside {from}"))?)
}

/// The `config.json` that lies beside weights in a folder or on a hub; nothing where there is none.
pub(crate) fn config_beside(
    from: &str,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Option<String>, ExperimentError> {
    const NAME: &str = "config.json";
    let path = if from.starts_with("hf:") {
        let weights: HubFile =
            from.parse().map_err(|error: FetchError| ExperimentError::setting(KEY, error.to_string()))?;
        let file = weights.file.as_deref().and_then(|file| file.rsplit_once('/'));
        let file = file.map_or_else(|| NAME.to_owned(), |(folder, _)| format!("{folder}/{NAME}"));
        let config = HubFile { file: Some(file), ..weights };
        let mut watch = |progress: homeostat_fetch::Progress<'_>| observe(Stage::Fetching(progress));
        // Without one, the network is what the experiment says by default; the weights tell whether that is right.
        setting.hub.and_then(|hub| hub.file(&config, &[], &mut watch).ok())
    } else if from.starts_with("http") {
        None
    } else {
        let beside = setting.roots.find_file(from)?.with_file_name(NAME);
        beside.is_file().then_some(beside)
    };
    path.map(|path| {
        fs::read_to_string(&path).map_err(|source| ExperimentError::Read { path: path.display().to_string(), source })
    })
    .transpose()
}

/// What the weights of a source expect.
struct Known {
    name: String,
    prepare: ImagePrepare,
    /// None where they are not known.
    labels: Vec<String>,
}

/// Gives an experiment that begins with known weights their preparation; one that has another is warned.
pub(crate) fn choose_prepare(resolved: &mut Resolved<Experiment>, roots: &DataRoot) -> Result<(), ExperimentError> {
    let Some(from) = resolved.value.train.pretrained.clone() else { return Ok(()) };
    let TaskConfig::ImageClassification(config) = &resolved.value.task else { return Ok(()) };
    let set = *resolved.provenance.get(PREPARE) != Origin::Default;
    let Some(known) = known(&from.from, &config.model, roots) else {
        if !set {
            let from = &from.from;
            tracing::warn!(
                "what the weights of {from} expect of a picture is not known: {PREPARE} is what it is by default"
            );
        }
        return Ok(());
    };
    let Known { name, prepare, labels } = known;
    if labels.len() == config.labels.len()
        && let Some((ours, theirs)) = config.labels.iter().zip(&labels).find(|(ours, theirs)| ours != theirs)
    {
        tracing::warn!("class `{ours}` of the data stands where the weights of {name} have `{theirs}`");
    }
    if !set {
        return Ok(resolved.choose(PREPARE, &prepare, &format!("what the weights of {name} expect"))?);
    }
    if config.prepare != prepare {
        let [ours, theirs] = [&config.prepare, &prepare].map(|prepare| serde_json::json!(prepare).to_string());
        tracing::warn!("{PREPARE} is {ours}, but the weights of {name} expect {theirs}");
    }
    Ok(())
}

/// The known weights of this source: a run's, or those of a network by name.
fn known(from: &str, model: &ImageModelConfig, roots: &DataRoot) -> Option<Known> {
    let address = from.strip_prefix("hf:").map_or(from, |rest| rest.split(['@', ':']).next().unwrap_or(rest));
    let is_here = |network: &KnownNetwork| {
        network.weights.is_some_and(|weights| weights.strip_prefix("hf:").unwrap_or(weights) == address)
    };
    if let Some(network) = KnownNetwork::all().into_iter().find(is_here) {
        return Some(of_network(&network));
    }
    // An address that is not listed may have weights that were made otherwise.
    let path = roots.find_file(from).ok()?;
    let task = fs::read_to_string(path.with_file_name("task.toml")).ok();
    if let Some(TaskConfig::ImageClassification(config)) =
        task.and_then(|text| TaskConfig::parse("image-classification", &text).ok())
    {
        let ImageClassificationConfig { prepare, labels, .. } = config;
        return Some(Known { name: from.to_owned(), prepare, labels });
    }
    let wanted = architecture(model);
    let mut alike = KnownNetwork::all();
    alike.retain(|network| network.weights.is_some() && architecture(&network.config) == wanted);
    let same = alike.windows(2).all(|pair| pair[0].expects == pair[1].expects);
    alike.first().filter(|_| same).map(of_network)
}

/// The settings of a network, but for those that its published weights do not depend on.
fn architecture(model: &ImageModelConfig) -> serde_json::Value {
    let mut value = serde_json::json!(model);
    if let Some(settings) = value.get_mut(model.name()).and_then(serde_json::Value::as_object_mut) {
        settings.retain(|name, _| !OF_TRAINING.contains(&name.as_str()));
    }
    value
}

fn of_network(network: &KnownNetwork) -> Known {
    let Expects { resize, bicubic, mean, std } = network.expects;
    let filter = if bicubic { Filter::Bicubic } else { Filter::Bilinear };
    let prepare = ImagePrepare(vec![
        PrepareStep::Resize(Resize { size: Size::Square(resize), mode: ResizeMode::ShorterSide, filter }),
        PrepareStep::CenterCrop(CenterCrop { size: Size::Square(network.input.height), fill: 0 }),
        PrepareStep::Normalize(Normalize { mean: mean.to_vec(), std: std.to_vec() }),
    ]);
    let labels = network.labels().into_iter().map(str::to_owned).collect();
    Known { name: network.name.to_owned(), prepare, labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_published_weights_is_known_without_being_given() {
        let of = |address: &str, given: Option<&str>| {
            let from =
                PretrainedConfig { from: address.into(), sha256: given.map(str::to_owned), ..Default::default() };
            known_hash(&from).map(str::to_owned)
        };
        let resnet18 = KnownNetwork::find("resnet18").unwrap().weights.unwrap();
        assert_eq!(of(resnet18, None).as_deref(), Some("f37072fd"));
        assert_eq!(of(resnet18, Some("abc")).as_deref(), Some("abc"), "what is given counts");
        // A date is no hash.
        assert_eq!(of("https://example.org/net-20261129.pth", None), None);
    }
}
