//! The files in `experiments/` and the built-in ones are the same, and each of them is right.

use std::{collections::BTreeMap, fs, path::Path, sync::atomic::AtomicBool};

use burn::tensor::Device;
use homeostat_data::{PrepareStep, Tokenizer, TokenizerConfig};
use homeostat_experiment::{BUILTIN, Experiment};
use homeostat_task::{Task, TaskError, TaskVisitor, Weights, name_fits};
use homeostat_tasks::{InputShape, TaskConfig};
use homeostat_train::TrainConfig;

use crate::place::Place;

fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_file_is_built_in_and_nothing_else_is() {
    let built_in = BUILTIN.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(BTreeMap::from(built_in), files(), "add the file to BUILTIN in experiment.rs");
}

#[test]
fn every_experiment_loads_is_named_after_its_file_and_reads_back_from_what_is_shown_and_written() {
    for (name, text) in BUILTIN {
        let resolved = Experiment::builtin(name).unwrap().load().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(resolved.value.name, name);
        assert!(text.starts_with("# "), "{name} opens with what it is");
        for again in [resolved.show(), homeostat_config::to_toml(&resolved.value)] {
            let read = Experiment::text("again", &again).load().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(read.value, resolved.value, "{name}");
        }
    }
}

/// The task with made-up answers to what it leaves to the data; nothing where these make the network.
fn without_data(mut task: TaskConfig, tokenizer: &Tokenizer) -> Option<TaskConfig> {
    let labels = ["one", "other"].map(str::to_owned).to_vec();
    let (input, vocabulary) = (Some(InputShape { channels: 3, height: 32, width: 32 }), Some(tokenizer.size()));
    match &mut task {
        TaskConfig::ImageClassification(config) => {
            config.prepare.0.retain(|step| *step != PrepareStep::NormalizeFromTrain);
            (config.labels, config.input) = (labels, input);
        }
        TaskConfig::ImageGeneration(config) => config.input = input,
        TaskConfig::TextClassification(config) => (config.labels, config.vocabulary) = (labels, vocabulary),
        TaskConfig::LanguageModel(config) => config.vocabulary = vocabulary,
        TaskConfig::SentenceEmbedding(config) => config.vocabulary = vocabulary,
        TaskConfig::Recommendation(_) => return None,
    }
    Some(task)
}

/// Looks whether what an experiment says of parameters is of some that its network has.
struct CheckNames<'a> {
    name: &'a str,
    train: &'a TrainConfig,
    tokenizer: &'a Tokenizer,
    device: &'a Device,
}

impl TaskVisitor for CheckNames<'_> {
    type Output = ();

    fn asset(&self, _: &str) -> Result<Vec<u8>, TaskError> {
        Ok(self.tokenizer.to_json().into_bytes())
    }

    fn visit<T: Task>(self, task: T) {
        let Self { name, train, device, .. } = self;
        let network = task.init(&device.clone().autodiff()).unwrap_or_else(|error| panic!("{name}: {error}"));
        train.check_network(&network).unwrap_or_else(|error| panic!("{name}: {error}"));
        for pattern in train.pretrained.iter().flat_map(|pretrained| &pretrained.allow) {
            let weights = Weights::of(&network);
            assert!(weights.tensors().keys().any(|tensor| name_fits(pattern, tensor)), "{name}: allow `{pattern}`");
        }
    }
}

#[test]
fn what_an_experiment_says_of_parameters_fits_its_network() {
    let (place, stop) = (Place::new(), AtomicBool::new(false));
    let device = place.setting(&stop).device;
    let tokenizer = TokenizerConfig { size: 60, ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::train(&tokenizer, ["a cat of three years purrs"]).unwrap();
    for (name, _) in BUILTIN {
        let Experiment { task, train, .. } = Experiment::builtin(name).unwrap().load().unwrap().value;
        let Some(task) = without_data(task, &tokenizer) else { continue };
        let checked = task.open(CheckNames { name, train: &train, tokenizer: &tokenizer, device });
        checked.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn an_empty_file_is_an_experiment_too() {
    assert_eq!(Experiment::text("empty.toml", "").load().unwrap().value, Experiment::default());
}
