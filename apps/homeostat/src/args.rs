//! From words to values: sources and settings. It does not know verbs.

use anyhow::{Context, bail};
use homeostat_data::{Cifar10Config, IdxConfig, ImageFolderConfig, SourceConfig};
use homeostat_experiment::{Experiment, Setting};
use homeostat_train::Workers;

use crate::cli::{ExperimentArgs, Place};

/// `digits`, or `KIND:FOLDER`.
pub(crate) fn source(word: &str) -> anyhow::Result<SourceConfig> {
    let Some((kind, folder)) = word.split_once(':') else {
        if word == "digits" {
            return Ok(SourceConfig::Digits);
        }
        bail!("unknown source `{word}`: give digits, idx:FOLDER, cifar10:FOLDER or image-folder:FOLDER");
    };
    let folder = folder.to_owned();
    match kind {
        "idx" => Ok(SourceConfig::Idx(IdxConfig { folder, ..IdxConfig::default() })),
        "cifar10" => Ok(SourceConfig::Cifar10(Cifar10Config { folder })),
        "image-folder" => Ok(SourceConfig::ImageFolder(ImageFolderConfig { folder })),
        _ => bail!("unknown kind of source `{kind}`: give idx:FOLDER, cifar10:FOLDER or image-folder:FOLDER"),
    }
}

/// The experiment with what the command line says on top.
pub(crate) fn experiment(args: &ExperimentArgs) -> anyhow::Result<homeostat_config::Resolved<Experiment>> {
    Ok(Experiment::find(&args.experiment)?.overrides(&args.overrides).load()?)
}

/// Opens the device and hands the rest of the place on.
pub(crate) fn with_setting<R>(place: &Place, act: impl FnOnce(&Setting<'_>) -> anyhow::Result<R>) -> anyhow::Result<R> {
    let choice = homeostat_device::resolve(place.device);
    let device = homeostat_device::open(choice)?;
    let stop = crate::interrupt::flag().context("cannot listen to signals")?;
    let defaults = Workers::default();
    act(&Setting {
        device: &device,
        device_name: &choice.to_string(),
        workers: Workers { threads: place.workers.unwrap_or(defaults.threads), ..defaults },
        roots: place.roots(),
        stop: &stop,
        features: features(),
    })
}

/// The backends of this build.
fn features() -> Vec<String> {
    homeostat_device::built_in().iter().map(|feature| (*feature).to_owned()).collect()
}

/// The time now, as a folder can be named: `2026-11-23T17-13-05Z`.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}
