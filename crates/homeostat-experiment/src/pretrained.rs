//! Weights to begin with: where they come from, and what they expect of a picture. It does not know the loop.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use homeostat_artifact::{ArtifactError, sha256_stream};
use homeostat_config::{Origin, Resolved};
use homeostat_data::{
    CenterCrop, DataRoot, Filter, ImagePrepare, Normalize, PrepareStep, Resize, ResizeMode, Size, TOKENIZER_FILE,
    Tokenizer,
};
use homeostat_fetch::{FetchError, HubFile};
use homeostat_models::{Expects, ImageModelConfig, KnownNetwork, NameTable, TransformerConfig};
use homeostat_task::{Adopted, ForeignNames, PeftFolder, Task, Weights, WeightsError, name_fits, read_checkpoint};
use homeostat_tasks::{ImageClassificationConfig, TaskConfig};
use homeostat_train::PretrainedConfig;
use serde::{Deserialize, Serialize};

use crate::{
    Experiment, ExperimentError, Setting, Stage,
    adapter::{Adapter, adapter_sha256, check_base, fitting_parts, with_prefix},
    kind::Kind,
};

const KEY: &str = "train.pretrained";
const PREPARE: &str = "task.image-classification.prepare";
/// What a folder or repository of which no file is named may call its weights.
const USUAL: [&str; 3] = ["model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors"];
/// Where a run has published its weights.
const OF_RUN: &str = "artifact/model.safetensors";
/// What a repository that names no file may call its tokenizer.
const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
/// What tells of the network beside its weights.
const CONFIG: &str = "config.json";
const NO_CACHE: &str = "there is no place for the cache: set HOMEOSTAT_CACHE to a folder";
/// Settings of networks of texts that are no matter of their weights.
const OWN: [&str; 3] = ["dropout", "adapter", "prefix"];
/// Settings of networks that published weights do not depend on.
const OF_TRAINING: [&str; 5] = ["dropout", "stochastic-depth", "zero-init", "auxiliary", "auxiliary-dropout"];

/// Weights to begin with.
pub(crate) struct Initial {
    /// In the names of the task's network.
    pub(crate) weights: Adopted,
    /// The SHA-256 of their file.
    pub(crate) sha256: String,
    /// That of the adapter's files, if there is one.
    pub(crate) adapter_sha256: Option<String>,
    /// Whether the file of weights has our own names, as one that a run has published.
    pub(crate) own_names: bool,
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
    let file = fs::File::open(&path).map_err(ArtifactError::read(&path))?;
    let (sha256, _) = sha256_stream(file).map_err(ArtifactError::read(&path))?;
    let (theirs, beside) = read_checkpoint(&path).map_err(in_file)?;
    check_tokenizer::<K>(task, &path)?;
    let folder = from.adapter.as_ref().map(|folder| setting.roots.find(folder)).transpose()?;
    let in_folder = |problem: String| {
        wrong(format!("{}: {problem}", folder.as_ref().map_or_else(String::new, |path| path.display().to_string())))
    };
    let adapter = folder.as_ref().map(|folder| Adapter::read(folder)).transpose();
    let adapter = adapter.map_err(|error| wrong(error.to_string()))?;
    let adapter_sha256 = folder.as_ref().map(|folder| adapter_sha256(folder)).transpose()?;
    folder.as_ref().map_or(Ok(()), |folder| check_base(folder, &sha256)).map_err(in_folder)?;
    let theirs = match &adapter {
        Some(Adapter::Peft(PeftFolder::LowRank(adapter))) => {
            adapter.merged_into(&theirs, &from.allow).map_err(|error| in_folder(error.to_string()))?
        }
        _ => theirs,
    };
    let network = task.init(setting.device).map_err(|error| wrong(error.to_string()))?;
    let own = ForeignNames::own(&network);
    let parts = match &adapter {
        Some(Adapter::Parts(parts)) => fitting_parts(parts, &own, &from.allow),
        _ => Ok(Weights::default()),
    };
    let parts = parts.map_err(|error| in_folder(error.to_string()))?;
    let hits = own.hits(&theirs);
    // What is translated loses what our network has not.
    let mut known: BTreeSet<String> = theirs.tensors().keys().cloned().collect();
    known.extend(adapter.iter().filter_map(Adapter::others).flat_map(|others| others.tensors().keys().cloned()));
    let theirs = K::translated(task, theirs).map_err(|problem| wrong(format!("{}: {problem}", path.display())))?;
    let own_names = hits > 0 && own.hits(&theirs) == hits;
    let of_table = |NameTable { rows, as_ours, ignored, .. }: NameTable| {
        let names = ForeignNames::of(&network, &rows).map_err(in_file)?;
        Ok((names.lying_as_ours(&as_ours), ignored, false))
    };
    let mut names = K::names(task).into_iter().map(of_table).collect::<Result<Vec<_>, ExperimentError>>()?;
    // What a run has published is in our own names, and what was translated is now.
    names.push((own, Vec::new(), own_names));
    let best = names.into_iter().max_by_key(|(names, ..)| names.hits(&theirs));
    let (names, ignored, own_names) = best.ok_or_else(|| wrong("has no names".to_owned()))?;
    let theirs = match &adapter {
        Some(Adapter::Peft(PeftFolder::Prefix(prefix))) => with_prefix(&theirs, &names, prefix).map_err(in_folder)?,
        _ => theirs,
    };
    known.extend(theirs.tensors().keys().cloned());
    check_allow(from, &names, &known)?;
    let given: Vec<String> = parts.tensors().keys().cloned().collect();
    let allow = [from.allow.as_slice(), &ignored, &given].concat();
    let mut weights = names
        .adopt(&theirs, &allow)
        .map_err(|error| wrong(format!("{}: {}", path.display(), misfit(&error, &names, &theirs, &allow))))?;
    weights.kept.retain(|name| !parts.tensors().contains_key(name));
    let tensors = [weights.weights, parts].into_iter().flat_map(|weights| weights.tensors().clone());
    weights.weights = Weights::from_tensors(tensors.collect());
    let is_ignored = |name: &str| ignored.iter().any(|pattern| name_fits(pattern, name));
    let unused = weights.unused.iter().filter(|name| !is_ignored(name)).cloned();
    let unused: Vec<String> = unused.chain(beside).collect();
    let applied = weights.weights.tensors().len();
    observe(Stage::Adopted { from: &from.from, applied, kept: &weights.kept, unused: &unused });
    Ok(Initial { weights, sha256, adapter_sha256, own_names })
}

/// Refuses to allow what is neither the network's nor among these names of the files: a slip that would hide until it is needed.
fn check_allow(from: &PretrainedConfig, names: &ForeignNames, known: &BTreeSet<String>) -> Result<(), ExperimentError> {
    let own = || names.pairs().flat_map(|(ours, theirs)| [ours, theirs]);
    let all = || own().chain(known.iter().map(String::as_str));
    match from.allow.iter().find(|pattern| !all().any(|name| name_fits(pattern, name))) {
        Some(pattern) => {
            let problem = format!("allow: `{pattern}` matches no tensor of the network, nor of {}", from.from);
            Err(ExperimentError::setting(KEY, problem))
        }
        None => Ok(()),
    }
}

/// Refuses a tokenizer that numbers the tokens otherwise than the one beside the weights; where the numbers of tokens differ, the shapes tell.
fn check_tokenizer<K: Kind>(task: &K::Task, weights: &Path) -> Result<(), ExperimentError> {
    let beside =
        [format!("assets/{TOKENIZER_FILE}"), TOKENIZER_FILE.to_owned()].map(|name| weights.with_file_name(name));
    let Some(path) = beside.into_iter().find(|path| path.is_file()) else { return Ok(()) };
    let Some(own) = K::assets(task).remove(TOKENIZER_FILE) else { return Ok(()) };
    let (own, Ok(theirs)) = (Tokenizer::from_json(&own)?, Tokenizer::open(&path)) else { return Ok(()) };
    let size = own.size();
    let mut ids = 0..u32::try_from(size).unwrap_or(u32::MAX);
    let Some(id) = ids.find(|&id| own.token(id) != theirs.token(id)).filter(|_| size == theirs.size()) else {
        return Ok(());
    };
    let [here, there] = [own, theirs].map(|tokenizer| tokenizer.token(id).unwrap_or_default());
    let problem = format!(
        "the tokenizer is not that of the weights: token {id} is `{here}`, but `{there}` in {}; name that one in tokenizer.file",
        path.display()
    );
    Err(ExperimentError::setting(KEY, problem))
}

/// Why weights do not fit, and how to mend it. What is too much for a line goes to the log.
fn misfit(error: &WeightsError, names: &ForeignNames, theirs: &Weights, allow: &[String]) -> String {
    let line = error.to_string();
    let WeightsError::Mismatch { problems, .. } = error else { return line };
    problems.iter().for_each(|problem| tracing::debug!("{problem}"));
    let is_whole = problems.iter().all(|problem| line.contains(problem));
    let rest = if is_whole { "" } else { " (--log-level debug lists all)" };
    let mend = if names.adopt(theirs, &[allow, &["head.*".to_owned()]].concat()).is_ok() {
        "for a head of its own set train.pretrained.allow = [\"head.*\"]"
    } else if problems.iter().any(|problem| wants_colour(problem)) {
        "they are for coloured pictures: make yours so with prepare = [{ channels = 3 }, ...]"
    } else {
        "choose the network of these weights, or name what may differ in train.pretrained.allow"
    };
    format!("{line}{rest}; {mend}")
}

/// Whether a tensor does not fit only because it is for three channels and the pictures have one.
fn wants_colour(problem: &str) -> bool {
    let lists = problem.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(list, _)| list);
    let shapes: Vec<Vec<&str>> = lists.map(|list| list.split(", ").collect()).collect();
    let [theirs, ours] = shapes.as_slice() else { return false };
    matches!((&theirs[..], &ours[..]), ([a, "3", b, c], [d, "1", e, f]) if [a, b, c] == [d, e, f])
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
        return file_here(word, &setting.roots);
    }
    let hub = setting.hub.ok_or_else(|| ExperimentError::setting(KEY, NO_CACHE))?;
    let mut watch = |progress: homeostat_fetch::Progress<'_>| observe(Stage::Fetching(progress));
    if word.starts_with("hf:") {
        let wanted: HubFile = word.parse().map_err(wrong)?;
        return hub.file(&wanted, &USUAL, &mut watch).map_err(wrong);
    }
    hub.from_address(word, known_hash(from), &mut watch).map_err(wrong)
}

/// The file of this name, or in the folder of this name the one that is called as usual, or that a run has published.
fn file_here(name: &str, roots: &DataRoot) -> Result<PathBuf, ExperimentError> {
    let none = match roots.find_file(name) {
        Ok(path) => return Ok(path),
        Err(none) => none,
    };
    let Ok(folder) = roots.find(name) else {
        return Err(KnownNetwork::find(name).map_or_else(|| none.into(), |known| of_that_name(&known)));
    };
    let found = USUAL.iter().chain([&OF_RUN]).map(|file| folder.join(file)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let problem = format!("{} has no {}: name the file in it", folder.display(), USUAL.join(" nor "));
        ExperimentError::setting(KEY, problem)
    })
}

/// What to say where the name of a network stands for its weights.
fn of_that_name(KnownNetwork { name, weights, .. }: &KnownNetwork) -> ExperimentError {
    let mend = match weights {
        Some(weights) => format!("its weights are from = \"{weights}\""),
        None => "no weights of it are known: give a file, hf:OWNER/NAME or an address".to_owned(),
    };
    ExperimentError::setting(KEY, format!("there is no file `{name}`, but a network of that name; {mend}"))
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
    let Some(from) = resolved.value.train.pretrained.as_ref().map(|from| from.from.clone()) else { return Ok(()) };
    let Some(text) = config_beside(&from, setting, observe)? else { return Ok(()) };
    let key = format!("{key}.model");
    let Some(Some(network)) = understood(resolved, &key, TransformerConfig::of_transformers(&text))? else {
        return Ok(());
    };
    adopt_settings(resolved, &format!("{key}.transformer"), &network, &from)
}

/// What a `config.json` says; one that cannot be understood is passed over with a warning where the experiment has its own `model` at `key`.
pub(crate) fn understood<N>(
    resolved: &Resolved<Experiment>,
    key: &str,
    network: Result<N, String>,
) -> Result<Option<N>, ExperimentError> {
    match network {
        Err(problem) if *resolved.provenance.get(key) != Origin::Default => {
            tracing::warn!("the config.json beside the weights {problem}: {key} is what the experiment says");
            Ok(None)
        }
        Err(problem) => Err(ExperimentError::setting(KEY, format!("its config.json {problem}"))),
        Ok(network) => Ok(Some(network)),
    }
}

/// Puts at the dotted `key` what the `config.json` beside the weights says of the network there, one setting at a time, where the experiment
/// says nothing of it; what it says otherwise is warned of. A network of another kind stays as it is.
pub(crate) fn adopt_settings(
    resolved: &mut Resolved<Experiment>,
    key: &str,
    theirs: &impl Serialize,
    from: &str,
) -> Result<(), ExperimentError> {
    let place = format!("/{}", key.replace('.', "/"));
    let (theirs, all) = (serde_json::json!(theirs), serde_json::json!(resolved.value));
    let (Some(theirs), Some(ours)) = (theirs.as_object(), all.pointer(&place)) else { return Ok(()) };
    for (name, value) in theirs.iter().filter(|(name, value)| ours.get(name) != Some(value)) {
        let key = format!("{key}.{name}");
        if *resolved.provenance.get(&key) == Origin::Default {
            resolved.choose(&key, value, &format!("config.json beside {from}"))?;
        } else if !OWN.contains(&name.as_str()) {
            tracing::warn!("{key} is {}, but the config.json beside {from} says {value}", ours[name]);
        }
    }
    Ok(())
}

/// The `config.json` that lies beside weights in a folder, on a hub or at an address; nothing where there is none.
pub(crate) fn config_beside(
    from: &str,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<Option<String>, ExperimentError> {
    let path = if from.starts_with("hf:") {
        let weights: HubFile =
            from.parse().map_err(|error: FetchError| ExperimentError::setting(KEY, error.to_string()))?;
        let file = weights.file.as_deref().and_then(|file| file.rsplit_once('/'));
        let file = file.map_or_else(|| CONFIG.to_owned(), |(folder, _)| format!("{folder}/{CONFIG}"));
        let config = HubFile { file: Some(file), ..weights };
        let mut watch = |progress: homeostat_fetch::Progress<'_>| observe(Stage::Fetching(progress));
        // Without one, the network is what the experiment says by default; the weights tell whether that is right.
        setting.hub.and_then(|hub| hub.file(&config, &[], &mut watch).ok())
    } else if from.starts_with("http") {
        // Most addresses have none, which is no news.
        setting.hub.zip(config_address(from)).and_then(|(hub, url)| hub.small_from_address(&url).ok())
    } else {
        let beside = file_here(from, &setting.roots)?.with_file_name(CONFIG);
        beside.is_file().then_some(beside)
    };
    let Some(path) = path else { return Ok(None) };
    if from.starts_with("http") {
        // A server may answer with a page for people, in whatever script.
        return Ok(fs::read_to_string(path).ok().filter(|text| text.trim_start().starts_with('{')));
    }
    let text = fs::read_to_string(&path);
    text.map(Some).map_err(|source| ExperimentError::Read { path: path.display().to_string(), source })
}

fn config_address(weights: &str) -> Option<String> {
    let (folder, _) = weights.split(['?', '#']).next()?.rsplit_once('/')?;
    (!folder.ends_with('/')).then(|| format!("{folder}/{CONFIG}"))
}

/// What the weights of a source expect.
struct Known {
    /// Whose weights they are.
    name: String,
    prepare: ImagePrepare,
    /// None where they are not known.
    labels: Vec<String>,
    /// Whether it is a guess by the network's settings.
    is_presumed: bool,
}

/// Gives an experiment the preparation that stands beside weights that come over the network; one that has another is warned.
pub(crate) fn adopt_prepare(
    resolved: &mut Resolved<Experiment>,
    setting: &Setting<'_>,
    observe: &mut dyn FnMut(Stage<'_>),
) -> Result<(), ExperimentError> {
    let Some(from) = resolved.value.train.pretrained.as_ref().map(|from| from.from.clone()) else { return Ok(()) };
    let is_remote = from.starts_with("hf:") || from.starts_with("http");
    if !is_remote || listed(&from).is_some() {
        return Ok(());
    }
    let text = config_beside(&from, setting, observe)?;
    text.and_then(|text| of_timm(&from, &text)).map_or(Ok(()), |known| prepare_for(resolved, known))
}

/// Gives an experiment that begins with known weights their preparation; one that has another is warned.
pub(crate) fn choose_prepare(resolved: &mut Resolved<Experiment>, roots: &DataRoot) -> Result<(), ExperimentError> {
    let Some(from) = resolved.value.train.pretrained.clone() else { return Ok(()) };
    let TaskConfig::ImageClassification(config) = &resolved.value.task else { return Ok(()) };
    let Some(known) = known(&from.from, &config.model, roots) else {
        if *resolved.provenance.get(PREPARE) == Origin::Default {
            let from = &from.from;
            tracing::warn!(
                "what the weights of {from} expect of a picture is not known: {PREPARE} is what it is by default"
            );
        }
        return Ok(());
    };
    prepare_for(resolved, known)
}

/// Takes what weights expect; warns of another preparation, and of classes in another order.
fn prepare_for(
    resolved: &mut Resolved<Experiment>,
    Known { name, prepare, labels, is_presumed }: Known,
) -> Result<(), ExperimentError> {
    let TaskConfig::ImageClassification(config) = &resolved.value.task else { return Ok(()) };
    if labels.len() == config.labels.len()
        && let Some((ours, theirs)) = config.labels.iter().zip(&labels).find(|(ours, theirs)| ours != theirs)
    {
        tracing::warn!("class `{ours}` of the data stands where the weights of {name} have `{theirs}`");
    }
    if *resolved.provenance.get(PREPARE) == Origin::Default {
        if is_presumed {
            tracing::warn!("{PREPARE} is what the weights of {name} expect: set it where that is wrong");
        }
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
    if let Some(network) = listed(from) {
        return Some(of_network(&network));
    }
    // An address that is not listed may have weights that were made otherwise.
    let path = file_here(from, roots).ok()?;
    let task = fs::read_to_string(path.with_file_name("task.toml")).ok();
    if let Some(TaskConfig::ImageClassification(config)) =
        task.and_then(|text| TaskConfig::parse("image-classification", &text).ok())
    {
        let ImageClassificationConfig { prepare, labels, .. } = config;
        return Some(Known { name: from.to_owned(), prepare, labels, is_presumed: false });
    }
    let config = fs::read_to_string(path.with_file_name(CONFIG)).ok();
    if let Some(known) = config.and_then(|text| of_timm(from, &text)) {
        return Some(known);
    }
    let wanted = architecture(model);
    let mut alike = KnownNetwork::all();
    alike.retain(|network| network.weights.is_some() && architecture(&network.config) == wanted);
    let same = alike.windows(2).all(|pair| pair[0].expects == pair[1].expects);
    let network = alike.first().filter(|_| same)?;
    let name = format!("{from} (presumed to be those of {})", network.name);
    Some(Known { name, is_presumed: true, ..of_network(network) })
}

/// The well-known network whose published weights lie here.
fn listed(from: &str) -> Option<KnownNetwork> {
    let address = from.strip_prefix("hf:").map_or(from, |rest| rest.split(['@', ':']).next().unwrap_or(rest));
    let is_here = |network: &KnownNetwork| {
        network.weights.is_some_and(|weights| weights.strip_prefix("hf:").unwrap_or(weights) == address)
    };
    KnownNetwork::all().into_iter().find(is_here)
}

/// What timm's `config.json` says that weights expect of a picture.
#[derive(Deserialize)]
struct TimmExpects {
    /// `[channels, height, width]`
    input_size: [usize; 3],
    interpolation: Filter,
    /// The side of what is cut out over that of the resized picture.
    crop_pct: f64,
    #[serde(default)]
    crop_mode: CropMode,
    mean: Vec<f64>,
    std: Vec<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CropMode {
    #[default]
    Center,
    Squash,
}

/// None where it says nothing of pictures, or something that no preparation does.
fn of_timm(from: &str, config: &str) -> Option<Known> {
    #[derive(Deserialize)]
    struct Config {
        pretrained_cfg: TimmExpects,
    }
    let Config { pretrained_cfg } = serde_json::from_str(config).ok()?;
    let TimmExpects { input_size: [_, side, width], interpolation, crop_pct, crop_mode, mean, std } = pretrained_cfg;
    if side != width || !(0.1..=1.0).contains(&crop_pct) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a side of a picture")]
    let resized = (side as f64 / crop_pct).floor() as usize;
    let mode = match crop_mode {
        CropMode::Center => ResizeMode::ShorterSide,
        CropMode::Squash => ResizeMode::Stretch,
    };
    let prepare = ImagePrepare(vec![
        PrepareStep::Resize(Resize { size: Size::Square(resized), mode, filter: interpolation }),
        PrepareStep::CenterCrop(CenterCrop { size: Size::Square(side), fill: 0 }),
        PrepareStep::Normalize(Normalize { mean, std }),
    ]);
    Some(Known { name: from.to_owned(), prepare, labels: Vec::new(), is_presumed: false })
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
    Known { name: network.name.to_owned(), prepare, labels, is_presumed: false }
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

    #[test]
    fn weights_for_coloured_pictures_are_told_from_those_of_another_network() {
        let told =
            |theirs: &str, ours: &str| wants_colour(&format!("`a` (our `b`) has shape [{theirs}], needed [{ours}]"));
        assert!(told("32, 3, 3, 3", "32, 1, 3, 3"));
        for [theirs, ours] in [["32, 3, 3, 3", "16, 1, 3, 3"], ["32, 1, 3, 3", "32, 3, 3, 3"], ["10, 3", "10, 1"]] {
            assert!(!told(theirs, ours), "{theirs} {ours}");
        }
    }

    #[test]
    fn what_a_file_expects_is_a_guess_until_its_config_says_it() {
        let folder = tempfile::tempdir().unwrap();
        let roots = DataRoot::new([folder.path()]);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let chosen = |from: &str| {
            let text = format!(
                "name = \"a\"\n[task.image-classification]\nmodel.cifar-resnet = {{ depth = 20 }}\n[train]\npretrained.from = \"{from}\""
            );
            let mut resolved = Experiment::text("a.toml", &text).load().unwrap();
            choose_prepare(&mut resolved, &roots).unwrap();
            (serde_json::json!(resolved.value.task)["image-classification"]["prepare"].to_string(), resolved.show())
        };
        write("model.safetensors", "");
        let (guess, shown) = chosen("model.safetensors");
        assert!(shown.contains("model.safetensors (presumed to be those of cifar_resnet20) expect"), "{shown}");
        write(
            CONFIG,
            r#"{"pretrained_cfg": {"input_size": [3, 40, 40], "interpolation": "bicubic", "crop_pct": 0.95,
                "crop_mode": "center", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "pool_size": [7, 7]}}"#,
        );
        for from in ["model.safetensors", "./"] {
            let (known, shown) = chosen(from);
            assert!(shown.contains(&format!("what the weights of {from} expect")), "{shown}");
            // As timm does it: 40 / 0.95, without what is behind the point.
            let steps = [
                r#"{"resize":{"size":42,"mode":"shorter-side","filter":"bicubic"}}"#,
                r#"{"center-crop":{"size":40,"fill":0}}"#,
                r#"{"normalize":{"mean":[0.5,0.4,0.3],"std":[0.2,0.2,0.1]}}"#,
            ];
            assert_eq!(known, format!("[{}]", steps.join(",")));
        }
        for (word, other) in [("bicubic", "random"), ("center", "border"), ("0.95", "0"), ("40, 40", "40, 20")] {
            let text = fs::read_to_string(folder.path().join(CONFIG)).unwrap();
            write(CONFIG, &text.replace(word, other));
            assert_eq!(chosen("model.safetensors").0, guess, "{other}");
            write(CONFIG, &text);
        }
    }

    #[test]
    fn a_config_is_looked_for_in_the_folder_of_an_address() {
        for (address, config) in [
            ("https://a.org/b/c.pth?d=e/f", Some("https://a.org/b/config.json")),
            ("https://a.org/c.pth", Some("https://a.org/config.json")),
            ("https://a.org", None),
        ] {
            assert_eq!(config_address(address).as_deref(), config);
        }
    }
}
