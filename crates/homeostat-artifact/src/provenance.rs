//! `provenance.json`: with what, where and by which words a run was made. Does not know the device crate: its words are handed in.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::thread;

use serde::{Deserialize, Serialize};

/// All that is needed to tell why two runs of one experiment differ. What this crate cannot know is left empty by
/// [`Provenance::gather`] and filled in by the caller:
///
/// ```
/// use homeostat_artifact::Provenance;
///
/// let provenance = Provenance { seed: 7, device: "cpu (flex)".into(), ..Provenance::gather() };
/// assert!(provenance.cores > 0 && provenance.rustc.contains("rustc"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Provenance {
    /// Version of Homeostat.
    pub homeostat: String,
    /// Version of Burn.
    pub burn: String,
    /// Version of the compiler.
    pub rustc: String,
    /// Features that were built in.
    pub features: Vec<String>,
    /// Git revision of the folder that training was started in, if there is one.
    pub git: Option<String>,
    /// The operating system and its kernel.
    pub os: String,
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The device that was trained on.
    pub device: String,
    /// The folder below which the data were found, so that the run can be resumed and measured without naming it again.
    pub data_root: Option<PathBuf>,
    /// The command line.
    pub command: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// When training began, in UTC.
    pub started: String,
    /// Whether the file of weights that it began with has our own names, as one that a run has published.
    pub own_names: bool,
    /// What was trained on what.
    pub hashes: Hashes,
}

/// SHA-256 of what determines a run, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hashes {
    /// Of `experiment.toml`.
    pub experiment: String,
    /// The data's fingerprint.
    pub data: String,
    /// Of `split.json`.
    pub split: String,
    /// Of the file of weights that it began with, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Of the two files of the adapter that was put into them, one behind the other, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

impl Provenance {
    /// What can be found out about this process and this machine.
    #[must_use]
    pub fn gather() -> Self {
        Self {
            homeostat: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: env!("HOMEOSTAT_RUSTC").to_owned(),
            os: os(),
            cpu: cpu(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            command: env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            ..Self::default()
        }
    }
}

fn os() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or(env::consts::OS);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {} {}", name.trim_matches('"'), env::consts::ARCH, kernel.trim()).trim_end().to_owned()
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    model.map_or(env::consts::ARCH, |(_, model)| model).to_owned()
}
