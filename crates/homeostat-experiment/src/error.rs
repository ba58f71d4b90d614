//! Why an experiment cannot be run. Each message is one line.

use std::path::Path;

use homeostat_artifact::ArtifactError;
use homeostat_config::{ConfigError, Origin};
use homeostat_data::DataError;
use homeostat_deploy::DeployError;
use homeostat_metrics::MetricError;
use homeostat_models::KnownNetwork;
use homeostat_report::ReportError;
use homeostat_task::{InputError, TaskError};
use homeostat_train::TrainError;

/// Why an experiment cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// There is neither a file nor a built-in experiment of this name.
    #[error("no experiment `{name}`: give a file that ends in .toml, or one of {known}{nearest}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The built-in ones.
        known: String,
        /// The nearest, as a question, or nothing.
        nearest: String,
    },
    /// The experiment's file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The experiment's file has no setting, which is rather a mistake than a wish for the defaults.
    #[error("{path} sets nothing: an experiment says at least one setting, such as name = \"mine\"")]
    Empty {
        /// The file.
        path: String,
    },
    /// An experiment that says where instead of what.
    #[error(
        "`data.source` names the absolute path {path}: an experiment says what, not where; write {key} = {:?}, and give --data-root {}",
        last(path),
        above(path)
    )]
    AbsolutePath {
        /// The path.
        path: String,
        /// The setting in which it stands.
        key: &'static str,
    },
    /// A setting that does not fit the data or another setting.
    #[error("`{key}`: {problem}")]
    Setting {
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The data are not those that the run began with.
    #[error("the data have changed since the run {run} began ({what}): bring the old data back, or train anew")]
    DataChanged {
        /// The run.
        run: String,
        /// What differs.
        what: &'static str,
    },
    /// The run cannot be resumed or measured as it stands.
    #[error("{run}: {problem}")]
    Run {
        /// The run.
        run: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The name of a known network where the experiment wants its family with settings.
    #[error(
        "{place}: `{key}` is a family of networks with its settings, and `{name}` is one network of a family: \
         `homeostat models show {name}` prints the line for it"
    )]
    KnownNetwork {
        /// Where the name stands.
        place: Origin,
        /// The key whose value it is.
        key: String,
        /// The name.
        name: String,
    },
    /// A configuration error.
    #[error(transparent)]
    Config(ConfigError),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A metric does not fit.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The run's directory cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The task's description makes no network.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A sample cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The artifact does not answer as it should.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The event files cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl ExperimentError {
    pub(crate) fn setting(key: &str, problem: impl Into<String>) -> Self {
        Self::Setting { key: key.to_owned(), problem: problem.into() }
    }

    pub(crate) fn run(path: &Path, problem: impl Into<String>) -> Self {
        Self::Run { run: path.display().to_string(), problem: problem.into() }
    }
}

impl From<ConfigError> for ExperimentError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::UnknownName { place, key, given, .. }
                if key.ends_with(".model") && KnownNetwork::find(&given).is_some() =>
            {
                Self::KnownNetwork { place, key, name: given }
            }
            error => Self::Config(error),
        }
    }
}

/// The name of the folder at the end of a path.
fn last(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folder above it.
fn above(path: &str) -> String {
    Path::new(path).parent().unwrap_or(Path::new("/")).display().to_string()
}
