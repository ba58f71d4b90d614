//! Experiments with pairs of texts that belong together: what a sentence embedding is told by the data. It does not know runs.

use std::{collections::BTreeMap, sync::Arc};

use homeostat_config::Resolved;
use homeostat_control::Goal;
use homeostat_data::{DataError, DataRoot, SamplingConfig, Source, Splits, TOKENIZER_FILE, TextSource, Texts as Store};
use homeostat_metrics::{Found, PairFigures};
use homeostat_models::NameTable;
use homeostat_report::{Classification, Headline, Lengths, Report, Value, Written};
use homeostat_task::{Task, Weights};
use homeostat_tasks::{PairTokens, SentenceEmbedding, SentenceEmbeddingConfig, TaskConfig};
use homeostat_train::{Examples, Meters, TrainConfig, Workers};

use crate::{
    DataConfig, Experiment, ExperimentError, Setting, Stage,
    evaluate_run::{Measured, pass},
    kind::Kind,
    own_figures,
    pair_examples::PairExamples,
    plan::Plan,
    pretrained::adopt_bert,
    text_rows::warn_of_cut_texts,
    texts::{all_texts, below_network, table},
};

/// Texts that are to have vectors.
pub(crate) struct Embeddings;

const KEY: &str = "task.sentence-embedding";
const TASK: &str = "a sentence embedding";
/// Pairs that a report shows.
const SHOWN: usize = 12;

/// The vectors of a part, from which a page tells how its pairs were found.
pub(crate) struct Pairs {
    figures: PairFigures,
    /// The pairs as they were measured, by their numbers in the source.
    indices: Vec<usize>,
}

/// The figures that evaluations give, with the direction in which each is good.
pub(crate) fn goals(train: &TrainConfig) -> Result<BTreeMap<String, Goal>, ExperimentError> {
    own_figures::goals(&PairFigures::whole(), TASK, train)
}

/// Fills in the figures that the task has.
pub(crate) fn choose_figures(resolved: &mut Resolved<Experiment>) -> Result<(), ExperimentError> {
    own_figures::choose(resolved, TASK, ("mrr", "how high the own partner stands among all"))
}

impl Kind for Embeddings {
    type Task = SentenceEmbedding;
    type Store = Store;
    type Meter = PairFigures;
    type Findings = Pairs;

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<TextSource, ExperimentError> {
        let source = table(data).source.open_with(roots, data.on_corrupt)?;
        if data.sampling != SamplingConfig::default() {
            let problem = "draws by classes, which pairs have not: leave it out";
            return Err(ExperimentError::setting("data.sampling", problem));
        }
        let has_pair = source.is_empty() || source.get(0)?.pair.is_some();
        if !has_pair {
            let problem = "has texts alone, but a sentence embedding learns from pairs: name the column of the second text, pair = ...";
            return Err(ExperimentError::setting("data.text.source", problem));
        }
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
        source: &Arc<Source<Store>>,
        splits: &Splits,
        (roots, workers): (&DataRoot, Workers),
    ) -> Result<SentenceEmbedding, ExperimentError> {
        let from = table(&resolved.value.data).tokenizer.clone();
        let known = (KEY, config(&resolved.value.task).vocabulary);
        let tokenizer = from.choose(resolved, known, roots, all_texts(source, &splits.train))?;
        let task = config(&resolved.value.task).init(tokenizer)?;
        let are_cut = |pair: &PairTokens| pair.texts().map(|text| text.is_cut).collect::<Vec<_>>();
        warn_of_cut_texts(&task, (task.config().prepare.max_length, are_cut), source, splits, workers)?;
        Ok(task)
    }

    fn check(plan: &Plan<Self>, _: &Setting<'_>) -> Result<(), ExperimentError> {
        if plan.experiment().train.batch_size > 1 {
            return Ok(());
        }
        let problem = "is 1, but a text is told from the partners of the others in its batch: take 2 at least, and 32 or more to learn well";
        Err(ExperimentError::setting("train.batch-size", problem))
    }

    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<SentenceEmbedding>> {
        let Experiment { data, .. } = plan.experiment();
        Arc::new(PairExamples::new(&plan.task, &plan.source, indices, (data, table(data))))
    }

    fn meters(_: &Plan<Self>) -> Result<Meters<PairFigures>, ExperimentError> {
        Ok(Meters { train: PairFigures::default(), valid: PairFigures::whole() })
    }

    fn measure(
        plan: &Plan<Self>,
        model: &<SentenceEmbedding as Task>::Model,
        indices: &[usize],
        setting: &Setting<'_>,
    ) -> Result<Option<Measured<Pairs>>, ExperimentError> {
        let examples = Self::examples(plan, indices);
        let mut seen = Vec::new();
        let passed = pass(plan, model, &examples, PairFigures::whole(), setting, &mut |rows, _| {
            seen.extend(rows.positions.iter().map(|&position| indices[position]));
        })?;
        Ok(passed.map(|pass| pass.measured(|figures| Pairs { figures, indices: seen })))
    }

    fn request(plan: &Plan<Self>, index: usize) -> Result<Vec<u8>, DataError> {
        Ok(plan.source.get(index)?.text.into_bytes())
    }

    fn report(
        plan: &Plan<Self>,
        _: &<SentenceEmbedding as Task>::Model,
        measured: &Measured<Pairs>,
        report: &mut Report,
    ) -> Result<(), ExperimentError> {
        report.headlines.push(Headline {
            label: "learnt from".to_owned(),
            value: Value::Count(plan.splits.train.len() as u64),
            note: format!(
                "pairs; each first text of {} pairs looks for its second among all of them",
                measured.samples
            ),
        });
        let Pairs { figures, indices } = &measured.findings;
        let found = figures.found();
        let words = |index: usize| Some(plan.source.get(index).ok()?.text.split_whitespace().count());
        let lengths = indices.iter().zip(&found).filter_map(|(&index, pair)| Some((words(index)?, pair.rank <= 1.0)));
        let lengths = Lengths::of("recall-1", lengths.collect());
        report.classification = Some(Classification { part: measured.part.to_owned(), lengths, ..Default::default() });
        report.answered = found_worst(plan, indices, &found)?;
        Ok(())
    }

    fn ask(run: &str) -> String {
        format!("homeostat search index {run} TABLE INDEX")
    }

    fn names(_: &SentenceEmbedding) -> Vec<NameTable> {
        Vec::new()
    }

    fn translated(_: &SentenceEmbedding, theirs: Weights) -> Result<Weights, String> {
        below_network(theirs)
    }

    fn modules(task: &SentenceEmbedding, weight: &str) -> Option<Vec<String>> {
        task.config().model.bert_modules(weight.strip_prefix("network.")?)
    }

    fn assets(task: &SentenceEmbedding) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(TOKENIZER_FILE.to_owned(), task.tokenizer().to_json().into_bytes())])
    }
}

/// The first texts that are farthest from finding their own second one, the worst first, each with the text that was taken for it.
fn found_worst(plan: &Plan<Embeddings>, indices: &[usize], found: &[Found]) -> Result<Vec<Written>, DataError> {
    let pairs = indices.iter().copied().zip(found);
    let mut wrong: Vec<(usize, &Found)> = pairs.filter(|(_, pair)| pair.rank > 1.0).collect();
    wrong.sort_by(|a, b| b.1.rank.total_cmp(&a.1.rank).then(a.0.cmp(&b.0)));
    let second = |index: usize| plan.source.get(index).map(|sample| sample.pair.unwrap_or_default());
    let shown = wrong.into_iter().take(SHOWN).map(|(index, pair)| {
        let (own, taken) = (second(index)?, second(indices[pair.rival])?);
        let (rank, of) = (pair.rank, found.len());
        Ok(Written {
            prompt: plan.source.get(index)?.text,
            text: format!("\n\nTaken for its own:\n{taken}\n\nIts own:\n{own}"),
            how: format!("{}, one of those found worst: its own text has rank {rank} of {of}", plan.source.name(index)),
        })
    });
    shown.collect()
}

fn config(task: &TaskConfig) -> &SentenceEmbeddingConfig {
    let TaskConfig::SentenceEmbedding(config) = task else { panic!("the kind was chosen by the task") };
    config
}
