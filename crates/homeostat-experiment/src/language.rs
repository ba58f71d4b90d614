//! Experiments with texts that are gone on with: what a language model is told by the data, and what a page shows of it. It does not
//! know runs.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use homeostat_config::Resolved;
use homeostat_control::Goal;
use homeostat_data::{
    Corpus, DataError, DataRoot, Given, GivenSplit, SequentialSplit, Source, SplitConfig, Splits, TOKENIZER_FILE,
    Tokenizer,
};
use homeostat_metrics::LanguageFigures;
use homeostat_models::{LanguageNetworkConfig, NameTable};
use homeostat_report::{Headline, Report, Value, Written};
use homeostat_task::Task;
use homeostat_tasks::{
    GenerationConfig, LanguageModel, LanguageModelConfig, LanguageResponse, Prompt, TaskConfig, prompt_request,
};
use homeostat_train::{Examples, Meters, TrainConfig, Workers};

use crate::{
    CorpusDataConfig, DataConfig, Experiment, ExperimentError, Setting, Stage,
    evaluate_run::{Measured, pass},
    kind::Kind,
    own_figures,
    plan::Plan,
    pretrained::{adopt_settings, config_beside, understood},
    window_examples::WindowExamples,
};

/// Texts that are gone on with.
pub(crate) struct Language;

const KEY: &str = "task.language-model";
const TASK: &str = "a language model";
/// Characters of a prompt that a text is gone on with.
const PROMPT: usize = 48;
/// Tokens of a golden answer.
const GOLDEN_TOKENS: usize = 24;
/// Texts on a page, and the tokens of each.
const WRITTEN: usize = 4;
const WRITTEN_TOKENS: usize = 600;

/// The figures that evaluations give, with the direction in which each is good.
pub(crate) fn goals(train: &TrainConfig) -> Result<BTreeMap<String, Goal>, ExperimentError> {
    own_figures::goals(&LanguageFigures::default(), TASK, train)
}

/// Fills in the figures that the task has.
pub(crate) fn choose_figures(resolved: &mut Resolved<Experiment>) -> Result<(), ExperimentError> {
    own_figures::choose(resolved, TASK, ("loss", "nats a token, the least"))
}

impl Kind for Language {
    type Task = LanguageModel;
    type Store = Corpus;
    type Meter = LanguageFigures;
    type Findings = ();

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source<Corpus>, ExperimentError> {
        let table = table(data);
        let texts = table.source.open_with(roots, data.on_corrupt)?;
        Ok(Corpus::of(&texts, &table.between)?)
    }

    fn adopt_network(
        resolved: &mut Resolved<Experiment>,
        setting: &Setting<'_>,
        observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<(), ExperimentError> {
        let Some(from) = resolved.value.train.pretrained.as_ref().map(|pretrained| pretrained.from.clone()) else {
            return Ok(());
        };
        let key = |name: &str| format!("{KEY}.{name}");
        let Some(text) = config_beside(&from, setting, observe)? else { return Ok(()) };
        let network = LanguageNetworkConfig::of_transformers(&text);
        let Some((LanguageNetworkConfig::Decoder(network), _, tied)) = understood(resolved, &key("model"), network)?
        else {
            return Ok(());
        };
        adopt_settings(resolved, &key("model.decoder"), &network, &from)?;
        adopt_settings(resolved, KEY, &serde_json::json!({ "tied": tied }), &from)
    }

    fn division(
        split: &SplitConfig,
        source: &Source<Corpus>,
    ) -> Result<Option<(SplitConfig, String)>, ExperimentError> {
        if source.len() < 2 {
            let characters: usize = (0..source.len()).map(|index| source.amount(index)).sum();
            let problem = format!(
                "has {characters} characters, too few for a window to learn from and another to be measured with: add text"
            );
            return Err(ExperimentError::setting("data.corpus.source", problem));
        }
        let has = |given| (0..source.len()).any(|index| source.given(index) == Some(given));
        match split {
            SplitConfig::Auto if has(Given::Train) && has(Given::Valid) => {
                let given = SplitConfig::Given(GivenSplit::default());
                Ok(Some((given, "the texts come divided".to_owned())))
            }
            SplitConfig::Auto if has(Given::Test) || has(Given::Valid) => {
                let problem = "finds texts of some parts alone: name both a training and a validation part so (train.txt, valid.txt), \
                               or join all of them with `sequential`";
                Err(ExperimentError::setting("data.split", problem))
            }
            SplitConfig::Auto => {
                let last = SplitConfig::Sequential(SequentialSplit::default());
                Ok(Some((last, "a language model is measured with what comes behind".to_owned())))
            }
            SplitConfig::Given(_) if has(Given::Valid) => Ok(None),
            SplitConfig::Given(_) => {
                let problem = "finds no validation part: name a file so (valid.txt), or choose `sequential`";
                Err(ExperimentError::setting("data.split.given", problem))
            }
            SplitConfig::Sequential(_) => Ok(None),
            _ => {
                let problem = "divides at random, but a language model reads on: choose `sequential` or `given`";
                Err(ExperimentError::setting("data.split", problem))
            }
        }
    }

    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source<Corpus>>,
        splits: &Splits,
        (roots, _): (&DataRoot, Workers),
    ) -> Result<LanguageModel, ExperimentError> {
        let data = table(&resolved.value.data).clone();
        data.check_length(config(&resolved.value.task).length)?;
        let known = (KEY, config(&resolved.value.task).vocabulary);
        let tokenizer = data.tokenizer.choose(resolved, known, roots, [source.text(&splits.train)])?;
        Ok(config(&resolved.value.task).init(tokenizer)?)
    }

    fn check(plan: &Plan<Self>, _: &Setting<'_>) -> Result<(), ExperimentError> {
        let (Splits { train, valid, test }, tokenizer) = (&plan.splits, plan.task.tokenizer());
        let mut told = Vec::new();
        for (name, part) in [("training", train), ("validation", valid), ("test", test)] {
            let windows = windows(plan, part, false).map_err(|error| in_part(name, error))?;
            let [count, all] = tokenizer.unknown().map_or([0, 0], |unknown| windows.count(unknown));
            if count > 0 {
                told.push(format!("{count} of {all} {name} tokens"));
            }
        }
        if !told.is_empty() {
            tracing::warn!(
                "{} stand for what the tokenizer does not know: figures by character flatter, for its characters are not foretold",
                told.join(", ")
            );
        } else if !gives_back(tokenizer, &plan.source.text(valid))? {
            tracing::warn!(
                "the tokenizer does not give a text back as it was (capitals, spaces): figures by character flatter, and texts are written \
                 so; `characters`, and `bpe` with lowercase = false, lose nothing"
            );
        }
        Ok(())
    }

    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<LanguageModel>> {
        let is_training = indices == plan.splits.train;
        let windows = windows(plan, indices, is_training);
        Arc::new(windows.unwrap_or_else(|error| panic!("a part that was checked to have a window: {error}")))
    }

    fn meters(_: &Plan<Self>) -> Result<Meters<LanguageFigures>, ExperimentError> {
        Ok(Meters { train: LanguageFigures::default(), valid: LanguageFigures::default() })
    }

    fn measure(
        plan: &Plan<Self>,
        model: &<LanguageModel as Task>::Model,
        indices: &[usize],
        setting: &Setting<'_>,
    ) -> Result<Option<Measured<()>>, ExperimentError> {
        let examples = Self::examples(plan, indices);
        let passed = pass(plan, model, &examples, LanguageFigures::default(), setting, &mut |_, _| ())?;
        Ok(passed.map(|pass| pass.measured(|_| ())))
    }

    /// The beginning of a piece, to be gone on with by the likeliest tokens.
    fn request(plan: &Plan<Self>, index: usize) -> Result<Vec<u8>, DataError> {
        let text = beginning(plan, &plan.source.get(index)?);
        prompt_request(&text, &serde_json::json!({ "temperature": 0.0, "max-tokens": GOLDEN_TOKENS, "stop": [] }))
    }

    fn report(
        plan: &Plan<Self>,
        model: &<LanguageModel as Task>::Model,
        measured: &Measured<()>,
        report: &mut Report,
    ) -> Result<(), ExperimentError> {
        let characters = plan.splits.train.iter().map(|&index| plan.source.amount(index) as u64).sum();
        report.headlines.push(Headline {
            label: "learnt from".to_owned(),
            value: Value::Count(characters),
            note: format!("characters, and measured on {} windows behind them", measured.samples),
        });
        let Splits { valid, test, .. } = &plan.splits;
        let shown = if test.is_empty() { valid } else { test };
        let stride = (shown.len() / WRITTEN).max(1);
        for (at, &index) in shown.iter().step_by(stride).take(WRITTEN).enumerate() {
            let prompt = beginning(plan, &plan.source.get(index)?);
            report.written.extend(written(plan, model, prompt, at as u64 + 1));
        }
        Ok(())
    }

    fn ask(run: &str) -> String {
        format!("homeostat generate {run} --prompt TEXT")
    }

    fn names(task: &LanguageModel) -> Vec<NameTable> {
        task.config().names()
    }

    fn assets(task: &LanguageModel) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(TOKENIZER_FILE.to_owned(), task.tokenizer().to_json().into_bytes())])
    }
}

fn config(task: &TaskConfig) -> &LanguageModelConfig {
    let TaskConfig::LanguageModel(config) = task else { panic!("the kind was chosen by the task") };
    config
}

fn table(data: &DataConfig) -> &CorpusDataConfig {
    data.corpus
        .as_ref()
        .unwrap_or_else(|| panic!("an experiment with a language model was checked to have [data.corpus]"))
}

/// Characters of a text by which a tokenizer is tried.
const TRIED: usize = 10_000;

/// Whether the beginning of a text can be had back from its tokens.
fn gives_back(tokenizer: &Tokenizer, text: &str) -> Result<bool, DataError> {
    let text: String = text.chars().take(TRIED).collect();
    Ok(tokenizer.decode(&tokenizer.encode(&text)?)? == text)
}

/// Windows over a part, those of training as far apart as the experiment says, those to measure with as they overlap.
fn windows(plan: &Plan<Language>, indices: &[usize], is_training: bool) -> Result<WindowExamples, DataError> {
    let (data, length) = (table(&plan.experiment().data), plan.task.config().length);
    let stride = if is_training { data.stride.unwrap_or(length) } else { length - data.overlap };
    WindowExamples::new(plan.task.tokenizer().encode_counted(&plan.source.text(indices))?, length, stride)
}

/// A part that is too short, by its name.
fn in_part(name: &str, error: DataError) -> ExperimentError {
    match error {
        DataError::Config { why, .. } => {
            ExperimentError::setting(&format!("{KEY}.length"), format!("the {name} part: {why}"))
        }
        other => other.into(),
    }
}

/// The beginning of a piece as a prompt: shorter where the network has no places for all of it and refuses what is too long.
fn beginning(plan: &Plan<Language>, piece: &str) -> String {
    let first = |characters: usize| piece.chars().take(characters).collect::<String>();
    let how = &plan.task.config().generation;
    let is_read = |text: &String| plan.task.prepare(Prompt { text: text.clone(), how: how.clone() }).is_ok();
    let lengths = std::iter::successors(Some(PROMPT), |length| Some(length / 2)).take_while(|length| *length > 0);
    lengths.map(first).find(is_read).unwrap_or_else(|| first(1))
}

/// What the network makes of a prompt; nothing where it cannot be read.
fn written(plan: &Plan<Language>, model: &<LanguageModel as Task>::Model, text: String, seed: u64) -> Option<Written> {
    let own = &plan.task.config().generation;
    let how = GenerationConfig { seed, max_tokens: WRITTEN_TOKENS, stop: Vec::new(), ..own.clone() };
    let words = format!("temperature {}, seed {seed}", how.temperature);
    let input = plan.task.prepare(Prompt { text: text.clone(), how }).ok()?;
    let LanguageResponse { text: written, .. } = plan.task.go_on(model, &input, &mut |_| ControlFlow::Continue(()));
    Some(Written { prompt: text, text: written, how: words })
}
