//! Experiments with texts: what their task is told by the data. It does not know runs.

use std::{collections::BTreeMap, sync::Arc};

use homeostat_artifact::Artifact;
use homeostat_config::Resolved;
use homeostat_data::{
    AnySource, DataError, DataRoot, Splits, TOKENIZER_FILE, TextSource, TextSourceConfig, Texts as TextStore,
    Tokenizer, Tokens,
};
use homeostat_models::{NameTable, bert_weights};
use homeostat_report::{Picture, Shown};
use homeostat_task::Weights;
use homeostat_tasks::{TaskConfig, TextClassification, TextClassificationConfig, text_request};
use homeostat_train::{Examples, Workers};

use crate::{
    DataConfig, Experiment, ExperimentError, Setting, Stage, TextDataConfig,
    kind::Kind,
    language::Language,
    plan::{Plan, divided},
    pretrained::adopt_bert,
    sorting::{ClassSettings, Sorting, check_source},
    text_examples::TextExamples,
    text_rows::warn_of_cut_texts,
};

/// Texts, alone or in pairs.
pub(crate) struct Texts;

const KEY: &str = "task.text-classification";

impl Sorting for Texts {
    type Task = TextClassification;
    type Store = TextStore;

    const KEY: &'static str = KEY;

    fn settings(task: &TaskConfig) -> ClassSettings<'_> {
        let TextClassificationConfig { labels, loss, temperature, .. } = config(task);
        ClassSettings { labels, loss, temperature: *temperature }
    }

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<TextSource, ExperimentError> {
        let source = table(data).source.open_with(roots, data.on_corrupt)?;
        check_source(&source, "data.text.source", "text")?;
        Ok(source)
    }

    fn adopt_network(
        resolved: &mut Resolved<Experiment>,
        setting: &Setting<'_>,
        observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<(), ExperimentError> {
        adopt_bert(KEY, resolved, setting, observe)
    }

    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<TextSource>,
        splits: &Splits,
        (roots, workers): (&DataRoot, Workers),
    ) -> Result<TextClassification, ExperimentError> {
        // What comes with weights to begin with is not known before.
        check_pairs(&resolved.value.task, &resolved.value.data)?;
        let from = table(&resolved.value.data).tokenizer.clone();
        let known = (KEY, config(&resolved.value.task).vocabulary);
        let tokenizer = from.choose(resolved, known, roots, all_texts(source, &splits.train))?;
        let task = config(&resolved.value.task).init(tokenizer)?;
        Self::warn_of_cut(&task, source, splits, workers)?;
        Ok(task)
    }

    fn warn_of_cut(
        task: &TextClassification,
        source: &Arc<TextSource>,
        splits: &Splits,
        workers: Workers,
    ) -> Result<(), ExperimentError> {
        let most = task.config().prepare.max_length;
        warn_of_cut_texts(task, (most, |tokens: &Tokens| vec![tokens.is_cut]), source, splits, workers)
    }

    fn put_source(data: &mut DataConfig, other: AnySource, labels: &[String]) -> Result<(), ExperimentError> {
        let AnySource::Texts(mut source) = other else {
            return Err(ExperimentError::setting("--data", "is about pictures, but the run is about texts"));
        };
        match &mut source {
            TextSourceConfig::Table(table) if table.classes.is_empty() => {
                (table.classes, table.names_only) = (labels.to_vec(), true);
            }
            TextSourceConfig::Table(_) => {}
            TextSourceConfig::TextFolder(folder) => folder.labelled = true,
        }
        let text = table(data).clone();
        let has_pairs =
            |source: &TextSourceConfig| matches!(source, TextSourceConfig::Table(table) if !table.pair.is_empty());
        if has_pairs(&source) != has_pairs(&text.source) {
            let problem = if has_pairs(&source) {
                "has pairs of texts, but the run knows single ones"
            } else {
                "has single texts, but the run knows pairs: name the column of the second, as in table:FILE,pair=COLUMN"
            };
            return Err(ExperimentError::setting("--data", problem));
        }
        data.text = Some(TextDataConfig { source, ..text });
        Ok(())
    }

    fn published(task: &TaskConfig, artifact: &Artifact) -> Result<TextClassification, ExperimentError> {
        Ok(config(task).init(Tokenizer::from_json(&artifact.asset(TOKENIZER_FILE)?)?)?)
    }

    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<TextClassification>> {
        let Experiment { data, .. } = plan.experiment();
        Arc::new(TextExamples::new(&plan.task, &plan.source, indices, (data, table(data))))
    }

    fn moves(data: &DataConfig) -> Option<&'static str> {
        (!table(data).augment.0.is_empty()).then_some("data.text.augment changes the texts")
    }

    fn at_temperature(task: &TextClassification, temperature: f64) -> TextClassification {
        task.clone().at_temperature(temperature)
    }

    fn request(source: &TextSource, index: usize) -> Result<Vec<u8>, DataError> {
        Ok(text_request(&source.get(index)?))
    }

    fn shown(source: &TextSource, index: usize) -> Result<Shown, DataError> {
        let sample = source.get(index)?;
        let lines = std::iter::once(sample.text).chain(sample.pair).collect::<Vec<_>>();
        Ok(Shown::Text(lines.join("\n")))
    }

    fn length(source: &TextSource, index: usize) -> Option<usize> {
        let sample = source.get(index).ok()?;
        let words = |text: &str| text.split_whitespace().count();
        Some(words(&sample.text) + sample.pair.as_deref().map_or(0, words))
    }

    fn augmented(_: &Plan<Self>, _: usize) -> Option<Picture> {
        None
    }

    fn names(_: &TextClassification) -> Vec<NameTable> {
        Vec::new()
    }

    fn translated(_: &TextClassification, theirs: Weights) -> Result<Weights, String> {
        below_network(theirs)
    }

    fn modules(task: &TextClassification, weight: &str) -> Option<Vec<String>> {
        task.config().model.bert_modules(weight.strip_prefix("network.")?)
    }

    fn assets(task: &TextClassification) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(TOKENIZER_FILE.to_owned(), task.tokenizer().to_json().into_bytes())])
    }
}

fn config(task: &TaskConfig) -> &TextClassificationConfig {
    let TaskConfig::TextClassification(config) = task else { panic!("the kind was chosen by the task") };
    config
}

pub(crate) fn table(data: &DataConfig) -> &TextDataConfig {
    data.text.as_ref().unwrap_or_else(|| panic!("an experiment with texts was checked to have [data.text]"))
}

/// The texts of the training part of an experiment, those of pairs one by one; of a language model it is one text.
///
/// # Errors
/// The experiment is not about texts, or its data cannot be read or divided.
pub fn training_texts(experiment: &Experiment, roots: &DataRoot) -> Result<Vec<String>, ExperimentError> {
    let Experiment { data, .. } = experiment;
    if data.corpus.is_some() {
        let source = <Language as Kind>::open(data, roots)?;
        let chosen = <Language as Kind>::division(&data.split, &source)?.map(|(split, _)| split);
        let splits = divided(experiment, &source, chosen.as_ref())?;
        return Ok(vec![source.text(&splits.train)]);
    }
    if data.text.is_none() {
        return Err(ExperimentError::setting("data.text", "is missing: the experiment is not about texts"));
    }
    let source = table(data).source.open_with(roots, data.on_corrupt)?;
    let chosen = data.split.resolve(&source).map(|(split, _)| split);
    let splits = divided(experiment, &source, chosen.as_ref())?;
    Ok(all_texts(&source, &splits.train).collect())
}

pub(crate) fn all_texts(source: &TextSource, indices: &[usize]) -> impl Iterator<Item = String> {
    let samples = indices.iter().filter_map(|&index| source.get(index).ok());
    samples.flat_map(|sample| std::iter::once(sample.text).chain(sample.pair))
}

/// The encoder of a BERT as the network of a task; other weights stay as they are.
pub(crate) fn below_network(theirs: Weights) -> Result<Weights, String> {
    if !theirs.tensors().keys().any(|name| name.ends_with("embeddings.word_embeddings.weight")) {
        return Ok(theirs);
    }
    let ours = bert_weights(theirs.tensors())?;
    Ok(Weights::from_tensors(ours.into_iter().map(|(name, data)| (format!("network.{name}"), data)).collect()))
}

/// Refuses pairs where the network is told of second texts, but knows one kind of tokens alone.
pub(crate) fn check_pairs(task: &TaskConfig, data: &DataConfig) -> Result<(), ExperimentError> {
    let TaskConfig::TextClassification(TextClassificationConfig { model, .. }) = task else { return Ok(()) };
    let has_pairs = matches!(&table(data).source, TextSourceConfig::Table(table) if !table.pair.is_empty());
    if !has_pairs || model.types() != Some(1) {
        return Ok(());
    }
    let problem = "is 1, but data.text.source.table.pair names second texts, whose tokens are of a second kind: \
                   set it to 2, or to 0 for a network that does not tell them apart";
    Err(ExperimentError::setting(&format!("{KEY}.model.{}.types", model.name()), problem))
}
