//! The experiment file: what it holds, and how it is found and read. It does not know how it is run.

use std::{collections::BTreeMap, fs, path::Path};

use homeostat_artifact::Run;
use homeostat_config::{Layers, Resolved, nearest_names};
use homeostat_control::{ControlConfig, Goal, Monitor};
use homeostat_data::SourceConfig;
use homeostat_metrics::MetricSet;
use homeostat_tasks::TaskConfig;
use homeostat_train::{TrainConfig, TrainError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DataConfig, ExperimentError, data_config::Samples, embeddings, generation, language, recommendations,
    texts::check_pairs,
};

/// One file determines a run. It says what, never where: no device, no absolute path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experiment {
    /// The name; runs are kept in a folder of this name.
    pub name: String,
    /// The seed of everything random: division, weights, order, augmentation, dropout.
    pub seed: u64,
    /// The question that the network answers; the only part that travels with the weights.
    pub task: TaskConfig,
    /// What it learns from.
    pub data: DataConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// What watches the training and acts on it.
    pub control: ControlConfig,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            name: "experiment".to_owned(),
            seed: 1,
            task: TaskConfig::default(),
            data: DataConfig::default(),
            train: TrainConfig::default(),
            control: ControlConfig::default(),
        }
    }
}

/// The built-in experiments: name and text, as they stand in `experiments/`.
pub const BUILTIN: [(&str, &str); 22] = [
    ("digits", include_str!("../../../experiments/digits.toml")),
    ("mnist", include_str!("../../../experiments/mnist.toml")),
    ("fashion-mnist", include_str!("../../../experiments/fashion-mnist.toml")),
    ("cifar10-jpeg", include_str!("../../../experiments/cifar10-jpeg.toml")),
    ("cifar10-cnn", include_str!("../../../experiments/cifar10-cnn.toml")),
    ("cifar-resnet20", include_str!("../../../experiments/cifar-resnet20.toml")),
    ("fashion-vit", include_str!("../../../experiments/fashion-vit.toml")),
    ("flowers-transfer", include_str!("../../../experiments/flowers-transfer.toml")),
    ("flowers-finetune", include_str!("../../../experiments/flowers-finetune.toml")),
    ("banking77", include_str!("../../../experiments/banking77.toml")),
    ("banking77-minilm", include_str!("../../../experiments/banking77-minilm.toml")),
    ("banking77-lora", include_str!("../../../experiments/banking77-lora.toml")),
    ("vae-mnist", include_str!("../../../experiments/vae-mnist.toml")),
    ("dcgan-fashion", include_str!("../../../experiments/dcgan-fashion.toml")),
    ("diffusion-mnist", include_str!("../../../experiments/diffusion-mnist.toml")),
    ("clinc150", include_str!("../../../experiments/clinc150.toml")),
    ("twitter-financial-news", include_str!("../../../experiments/twitter-financial-news.toml")),
    ("sms-spam-lstm", include_str!("../../../experiments/sms-spam-lstm.toml")),
    ("sms-spam-transformer", include_str!("../../../experiments/sms-spam-transformer.toml")),
    ("cranfield", include_str!("../../../experiments/cranfield.toml")),
    ("online-retail", include_str!("../../../experiments/online-retail.toml")),
    ("tinyshakespeare", include_str!("../../../experiments/tinyshakespeare.toml")),
];

/// Short forms of keys that a command line often sets; `KIND` is that of the experiment's task.
const SHORT: [(&str, &str); 11] = [
    ("model", "task.KIND.model"),
    ("prepare", "task.KIND.prepare"),
    ("loss", "task.KIND.loss"),
    ("source", "data.source"),
    ("split", "data.split"),
    ("augment", "data.augment"),
    ("mix", "data.mix"),
    ("epochs", "train.epochs"),
    ("batch-size", "train.batch-size"),
    ("optimizer", "train.optimizer"),
    ("schedule", "train.schedule"),
];

/// An experiment before it is read: a text, and what the command line says on top.
#[derive(Clone, Debug)]
pub struct ExperimentText {
    layers: Layers,
    /// The task's kind, for short forms.
    kind: String,
}

impl Experiment {
    /// A built-in experiment, or a file whose name ends in `.toml`.
    ///
    /// # Errors
    /// There is no such experiment, or the file cannot be read, or sets nothing.
    pub fn find(name: &str) -> Result<ExperimentText, ExperimentError> {
        if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
            let text =
                fs::read_to_string(name).map_err(|source| ExperimentError::Read { path: name.to_owned(), source })?;
            if text.parse::<toml::Table>().is_ok_and(|table| table.is_empty()) {
                return Err(ExperimentError::Empty { path: name.to_owned() });
            }
            return Ok(Self::text(name, &text));
        }
        Self::builtin(name)
    }

    /// A built-in experiment.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn builtin(name: &str) -> Result<ExperimentText, ExperimentError> {
        let Some((name, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) else {
            let similar = |known: &&str| known.starts_with(name) || name.starts_with(*known) || known.contains(name);
            let known = BUILTIN.map(|(known, _)| known);
            let within = known.iter().copied().find(similar).map(str::to_owned);
            let nearest = within.or_else(|| nearest_names(name, &known).first().cloned());
            return Err(ExperimentError::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
                nearest: nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?")),
            });
        };
        Ok(Self::text(name, text))
    }

    /// The experiment of a run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_run(run: &Run) -> Result<ExperimentText, ExperimentError> {
        let path = run.path().join("experiment.toml");
        Ok(Self::text(&path.display().to_string(), &run.experiment()?))
    }

    /// An experiment from a text; `name` is what errors call it.
    #[must_use]
    pub fn text(name: &str, text: &str) -> ExperimentText {
        // A text that is no TOML is complained of when it is loaded.
        let table = text.parse::<toml::Table>().unwrap_or_default();
        let kind = table.get("task").and_then(|task| task.as_table()?.keys().next().cloned());
        let kind = kind.unwrap_or_else(|| TaskConfig::default().kind().to_owned());
        ExperimentText { layers: Layers::new().file(name, text), kind }
    }

    /// Refuses values that no data could make right.
    fn check(&self) -> Result<(), ExperimentError> {
        Run::check_name(&self.name)?;
        self.task.check()?;
        self.data.check(Samples::of(&self.task))?;
        check_pairs(&self.task, &self.data)?;
        self.train.check()?;
        MetricSet::check(&self.train.metrics)?;
        let goals = self.goals()?;
        Monitor::find(&self.train.monitor, &goals, "train.monitor").map_err(TrainError::from)?;
        self.control.init(&goals).map_err(TrainError::from)?;
        match self.data.folder().filter(|folder| Path::new(folder).is_absolute()) {
            Some(path) => {
                let key = if matches!(self.data.source, SourceConfig::Packed(_)) { "file" } else { "folder" };
                Err(ExperimentError::AbsolutePath { path: path.to_owned(), key })
            }
            None => Ok(()),
        }
    }
}

impl Experiment {
    /// The figures that evaluations give, with the direction in which each is good.
    fn goals(&self) -> Result<BTreeMap<String, Goal>, ExperimentError> {
        match &self.task {
            TaskConfig::ImageClassification(_)
            | TaskConfig::TextClassification(_)
            | TaskConfig::LanguageModel(_)
            | TaskConfig::SentenceEmbedding(_)
            | TaskConfig::Recommendation(_)
                if self.train.frechet.is_some() =>
            {
                let problem = "is of made pictures, but the task makes none: leave it out";
                Err(ExperimentError::setting("train.frechet", problem))
            }
            TaskConfig::ImageClassification(_) | TaskConfig::TextClassification(_) => Ok(self.train.goals()),
            TaskConfig::ImageGeneration(task) => generation::goals(task, &self.train),
            TaskConfig::LanguageModel(_) => language::goals(&self.train),
            TaskConfig::SentenceEmbedding(_) => embeddings::goals(&self.train),
            TaskConfig::Recommendation(_) => recommendations::goals(&self.train),
        }
    }
}

impl ExperimentText {
    /// Adds `key=value` words of a command line; keys may be shortened (`model.cnn.dropout`, `epochs`).
    #[must_use]
    pub fn overrides<S: AsRef<str>>(self, words: &[S]) -> Self {
        let words: Vec<String> = words.iter().map(|word| lengthen(word.as_ref(), &self.kind)).collect();
        Self { layers: self.layers.overrides(&words), ..self }
    }

    /// Reads it, and checks all that can be checked without data.
    ///
    /// # Errors
    /// A key, a type or a value is wrong; names it, its line, and the nearest right one.
    pub fn load(&self) -> Result<Resolved<Experiment>, ExperimentError> {
        let mut resolved: Resolved<Experiment> = self.layers.load()?;
        match resolved.value.task {
            TaskConfig::LanguageModel(_) => language::choose_figures(&mut resolved)?,
            TaskConfig::ImageGeneration(_) => generation::choose_figures(&mut resolved)?,
            TaskConfig::SentenceEmbedding(_) => embeddings::choose_figures(&mut resolved)?,
            TaskConfig::Recommendation(_) => recommendations::choose_figures(&mut resolved)?,
            TaskConfig::ImageClassification(_) | TaskConfig::TextClassification(_) => {}
        }
        resolved.value.check()?;
        Ok(resolved)
    }
}

fn lengthen(word: &str, kind: &str) -> String {
    let head = word.split(['.', '=']).next().unwrap_or_default();
    match SHORT.iter().find(|(short, _)| *short == head) {
        Some((short, long)) => format!("{}{}", long.replace("KIND", kind), &word[short.len()..]),
        None => word.to_owned(),
    }
}

/// The page `docs/reference/experiment.md`, made from the doc comments of the structs.
#[must_use]
pub fn reference_page() -> String {
    let page = homeostat_config::reference::<Experiment>("The experiment file");
    let rows: String = SHORT.iter().map(|(short, long)| format!("| `{short}` | `{long}` |\n")).collect();
    format!("{page}\n## Short forms on the command line\n\n| short | stands for |\n|---|---|\n{rows}")
}
