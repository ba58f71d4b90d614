//! From words to values: sources and settings. It does not know verbs.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

use anyhow::{anyhow, bail};
use homeostat_artifact::Run;
use homeostat_data::{AnySource, DataRoot, PackedConfig, SourceConfig};
use homeostat_experiment::{Experiment, ExperimentText, Setting};
use homeostat_fetch::{Cache, FetchOptions, Hub};
use homeostat_kernels::Kernels;
use homeostat_train::Workers;

use crate::cli::{ExperimentArgs, KernelChoice, Place};

/// The kinds of sources of pictures that are folders.
const KINDS: [&str; 7] = ["idx", "cifar10", "cifar100", "numpy", "image-folder", "image-table", "web-dataset"];

/// The kinds of sources of texts.
const TEXTS: [&str; 2] = ["table", "text-folder"];

/// What [`source`] takes, or texts: `table:FOLDER,KEY=VALUE,...`, `text-folder:FOLDER`, or a folder or a table's file that looks so.
pub(crate) fn any_source(word: &str, roots: &DataRoot) -> anyhow::Result<AnySource> {
    let kind = word.split_once(':').map(|(kind, _)| kind);
    if kind.is_some_and(|kind| TEXTS.contains(&kind)) {
        return Ok(word.parse()?);
    }
    match roots.find(word).or_else(|_| roots.find_file(word)) {
        Ok(path) if kind.is_none() && word != "digits" => Ok(AnySource::guess(&path, word.trim_end_matches('/'))?),
        _ => {
            let unknown = || unknown(word, "folder or file", &[&KINDS[..], &TEXTS].concat());
            Ok(AnySource::Pictures(pictures(word, roots)?.ok_or_else(unknown)?))
        }
    }
}

/// `digits`, a folder that is found, `packed:FILE`, `KIND:FOLDER`, or `KIND:FOLDER,KEY=VALUE,...`.
pub(crate) fn source(word: &str, roots: &DataRoot) -> anyhow::Result<SourceConfig> {
    pictures(word, roots)?.ok_or_else(|| unknown(word, "folder", &KINDS))
}

/// Data to measure a run of this experiment on: of pictures what [`source`] takes; of texts what [`any_source`] takes, where a file or
/// a folder is read as the run's own data were.
pub(crate) fn source_like(experiment: &Experiment, word: &str, roots: &DataRoot) -> anyhow::Result<AnySource> {
    let Some(text) = &experiment.data.text else { return Ok(AnySource::Pictures(source(word, roots)?)) };
    if roots.find(word).is_ok() {
        return Ok(AnySource::Texts(text.source.elsewhere(word, vec![])));
    }
    if let Ok(path) = roots.find_file(word) {
        // In full: below another root there may be the same folder.
        let path = path.canonicalize()?;
        let [folder, file] = [path.parent().map(Path::as_os_str), path.file_name()].map(Option::unwrap_or_default);
        let file = file.to_string_lossy().into_owned();
        return Ok(AnySource::Texts(text.source.elsewhere(&folder.to_string_lossy(), vec![file])));
    }
    if TEXTS.iter().any(|kind| word.strip_prefix(kind).is_some_and(|rest| rest.starts_with(':'))) {
        return any_source(word, roots);
    }
    bail!(
        "there is no file or folder `{word}`: give one like those that the run has learnt from, or table:FOLDER or text-folder:FOLDER, perhaps \
         with options, as in table:FOLDER,text=question"
    );
}

/// What [`source`] takes; nothing for a word that is none of it.
fn pictures(word: &str, roots: &DataRoot) -> anyhow::Result<Option<SourceConfig>> {
    let kind = word.split_once(':').map(|(kind, _)| kind);
    Ok(match kind {
        None if word == "digits" => Some(SourceConfig::Digits),
        Some("packed") => Some(SourceConfig::Packed(PackedConfig { file: word["packed:".len()..].to_owned() })),
        Some(kind) if KINDS.contains(&kind) => Some(word.parse()?),
        _ => roots.find(word).ok().map(|path| SourceConfig::of_folder(&path, word.trim_end_matches('/'))),
    })
}

fn unknown(word: &str, place: &str, kinds: &[&str]) -> anyhow::Error {
    let what = if word.contains(':') { "unknown source".to_owned() } else { format!("there is no {place}") };
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind}:FOLDER")).collect();
    anyhow!(
        "{what} `{word}`: give a folder, digits, packed:FILE, or one of {}, perhaps with options, as in \
         image-table:FOLDER,label=kind",
        kinds.join(", ")
    )
}

/// Refuses to write a file of another kind than its name says: it may be one that was to be read.
pub(crate) fn check_ending(file: &Path, endings: &[&str]) -> anyhow::Result<()> {
    let is_one = |found: &OsStr| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending));
    if file.extension().is_some_and(is_one) {
        return Ok(());
    }
    let endings: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    bail!("cannot write {}: the name of such a file ends in {}", file.display(), endings.join(" or "))
}

/// The experiment with what the command line says on top.
pub(crate) fn experiment(args: &ExperimentArgs) -> anyhow::Result<homeostat_config::Resolved<Experiment>> {
    Ok(find(&args.experiment)?.overrides(&args.overrides).load()?)
}

/// A built-in experiment, a file, or a run's; where the word is none, what may have been meant.
pub(crate) fn find(word: &str) -> anyhow::Result<ExperimentText> {
    let path = Path::new(word);
    if let Ok(run) = Run::open(path) {
        return Ok(Experiment::of_run(&run)?);
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    if Experiment::builtin(word).is_ok() || (is_toml && path.is_file()) {
        return Ok(Experiment::find(word)?);
    }
    if path.is_dir() {
        bail!(
            "{word} is a folder, not an experiment: to learn from what is in it, type: homeostat init {word} --train"
        );
    }
    if path.with_added_extension("toml").is_file() {
        bail!("no experiment `{word}`; did you mean `{word}.toml`?");
    }
    if path.is_file() {
        bail!("{word} is a file, but the name of an experiment's file ends in .toml: rename it");
    }
    if is_toml && Experiment::builtin(&stem).is_ok() {
        bail!("there is no file {word}; the experiment `{stem}`, without .toml, is built in");
    }
    Ok(Experiment::find(word)?)
}

/// What the record of a run says of its place, for where the command line is silent.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) device: Option<String>,
    pub(crate) data_root: Option<PathBuf>,
}

impl Known {
    pub(crate) fn of(run: &Run) -> anyhow::Result<Self> {
        let made = run.provenance()?.unwrap_or_default();
        Ok(Self { device: Some(made.device).filter(|name| !name.is_empty()), data_root: made.data_root })
    }
}

/// Opens the device and hands the rest of the place on; `stop` ends a training after its step.
pub(crate) fn with_setting<R>(
    place: &Place,
    known: Known,
    stop: &AtomicBool,
    act: impl FnOnce(&Setting<'_>) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let roots = place.roots.find()?.or(known.data_root);
    let device = place.device.as_deref().or(known.device.as_deref());
    let choice = homeostat_device::resolve(device.unwrap_or("auto").parse()?);
    let device = homeostat_device::open(choice)?;
    match place.kernels {
        KernelChoice::Own => Kernels::Own,
        KernelChoice::Burn => Kernels::Burn,
    }
    .select();
    let cache = Cache::find(|name| std::env::var_os(name));
    let hub = cache.map(|cache| Hub::find(|name| std::env::var_os(name), &cache, &FetchOptions::default()));
    act(&Setting {
        device: &device,
        device_name: &choice.to_string(),
        workers: workers(place.workers),
        roots,
        hub: hub.as_ref(),
        stop,
        features: features(),
        git: git_revision(),
    })
}

/// As many threads as were asked for, or one a core.
fn workers(threads: Option<usize>) -> Workers {
    let defaults = Workers::default();
    Workers { threads: threads.unwrap_or(defaults.threads), ..defaults }
}

/// The backends of this build.
fn features() -> Vec<String> {
    homeostat_device::built_in().iter().map(|feature| (*feature).to_owned()).collect()
}

/// The revision of the folder that this runs in, if it is under git; a changed tree is marked.
fn git_revision() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=40"]).output().ok()?;
    let revision = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !revision.is_empty()).then_some(revision)
}

/// The time now, as a folder can be named: `2026-11-23T17-13-05Z`.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}
