//! Experiments with what users buy next: what the task is told by the data, what is measured of it, and what a page shows. It does not
//! know runs.

use std::{collections::BTreeMap, sync::Arc};

use homeostat_config::Resolved;
use homeostat_control::Goal;
use homeostat_data::{
    ASSORTMENT_FILE, Assortment, DataError, DataRoot, Histories, SamplingConfig, Source, Splits, TOKENIZER_FILE,
};
use homeostat_metrics::MeanFigures;
use homeostat_models::NameTable;
use homeostat_report::{Headline, Report, Value, Written};
use homeostat_task::Task;
use homeostat_tasks::{Recommendation, RecommendationConfig, TaskConfig, recommendation_request};
use homeostat_train::{Examples, Meters, TrainConfig, Workers};

use crate::{
    DataConfig, Experiment, ExperimentError, InteractionDataConfig, Setting,
    evaluate_run::{Measured, pass},
    interaction_examples::{InteractionExamples, codes},
    kind::Kind,
    own_figures,
    plan::Plan,
};

/// What users buy next.
pub(crate) struct Recommendations;

const KEY: &str = "task.recommendation";
const TASK: &str = "a recommendation";
/// Users on a page.
const SHOWN: usize = 6;
/// Items of a user on a page.
const ITEMS: usize = 12;

/// The figures that evaluations give, with the direction in which each is good.
pub(crate) fn goals(train: &TrainConfig) -> Result<BTreeMap<String, Goal>, ExperimentError> {
    own_figures::goals(&MeanFigures::new(&RecommendationConfig::FIGURES), TASK, train)
}

/// Fills in the figures that the task has.
pub(crate) fn choose_figures(resolved: &mut Resolved<Experiment>) -> Result<(), ExperimentError> {
    own_figures::choose(resolved, TASK, ("ndcg-10", "how high what is bought next stands among the first ten"))
}

impl Kind for Recommendations {
    type Task = Recommendation;
    type Store = Histories;
    type Meter = MeanFigures;
    /// Some users, with what they were offered.
    type Findings = Vec<Written>;

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source<Histories>, ExperimentError> {
        if data.sampling != SamplingConfig::default() {
            let problem = "draws by classes, but users have none: leave it out";
            return Err(ExperimentError::setting("data.sampling", problem));
        }
        Ok(table(data).source.open(roots, data.on_corrupt)?)
    }

    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source<Histories>>,
        _: &Splits,
        (roots, _): (&DataRoot, Workers),
    ) -> Result<Recommendation, ExperimentError> {
        let items = source.assortment().items();
        let texts = items.iter().map(|item| item.text.clone());
        let from = table(&resolved.value.data).tokenizer.clone();
        let known = (KEY, config(&resolved.value.task).vocabulary);
        let tokenizer = from.choose(resolved, known, roots, texts)?;
        if config(&resolved.value.task).items.is_none() {
            resolved.choose(&format!("{KEY}.items"), items.len(), "the items that were bought")?;
        }
        let task = config(&resolved.value.task).init(&tokenizer, Arc::new(source.assortment().clone()))?;
        if task.cut_texts() > 0 {
            let (cut, most) = (task.cut_texts(), task.config().prepare.max_length);
            tracing::warn!(
                "{cut} of {} items' texts have more than {most} tokens: their ends are cut off",
                items.len()
            );
        }
        Ok(task)
    }

    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<Recommendation>> {
        Arc::new(InteractionExamples::new(&plan.task, &plan.source, indices))
    }

    fn meters(_: &Plan<Self>) -> Result<Meters<MeanFigures>, ExperimentError> {
        let figures = MeanFigures::new(&RecommendationConfig::FIGURES);
        Ok(Meters { train: figures.clone(), valid: figures })
    }

    fn measure(
        plan: &Plan<Self>,
        model: &<Recommendation as Task>::Model,
        indices: &[usize],
        setting: &Setting<'_>,
    ) -> Result<Option<Measured<Vec<Written>>>, ExperimentError> {
        let examples = Self::examples(plan, indices);
        let passed = pass(plan, model, &examples, Self::meters(plan)?.valid, setting, &mut |_, _| ())?;
        let shown = indices.iter().step_by((indices.len() / SHOWN).max(1)).take(SHOWN);
        let findings = shown.map(|&index| shown_user(plan, model, index, setting)).collect::<Result<Vec<_>, _>>()?;
        Ok(passed.map(|pass| pass.measured(|_| findings)))
    }

    fn request(plan: &Plan<Self>, index: usize) -> Result<Vec<u8>, DataError> {
        let history = plan.source.get(index)?;
        Ok(recommendation_request(&codes(&plan.source, &history.purchases[..history.before])))
    }

    fn report(
        plan: &Plan<Self>,
        _: &<Recommendation as Task>::Model,
        measured: &Measured<Vec<Written>>,
        report: &mut Report,
    ) -> Result<(), ExperimentError> {
        for (label, figure) in [("hit rate", "popular-hit-rate-10"), ("nDCG", "popular-ndcg-10")] {
            report.headlines.extend(measured.figures.get(figure).map(|value| Headline {
                label: format!("{label} of what most have bought"),
                value: if label == "nDCG" { Value::Number(value) } else { Value::Share(value) },
                note: "the same ten for all, but for what a user has".to_owned(),
            }));
        }
        report.headlines.push(Headline {
            label: "learnt from".to_owned(),
            value: Value::Count(plan.splits.train.len() as u64),
            note: format!(
                "users of {} items; measured on {}",
                plan.source.assortment().items().len(),
                measured.samples
            ),
        });
        report.answered.clone_from(&measured.findings);
        Ok(())
    }

    fn ask(run: &str) -> String {
        format!("homeostat predict {run} --text CODE,CODE,...")
    }

    fn names(_: &Recommendation) -> Vec<NameTable> {
        Vec::new()
    }

    fn assets(task: &Recommendation) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([
            (TOKENIZER_FILE.to_owned(), task.tokenizer().to_json().into_bytes()),
            (ASSORTMENT_FILE.to_owned(), task.assortment().to_json_lines().into_bytes()),
        ])
    }
}

fn config(task: &TaskConfig) -> &RecommendationConfig {
    let TaskConfig::Recommendation(config) = task else { panic!("the kind was chosen by the task") };
    config
}

fn table(data: &DataConfig) -> &InteractionDataConfig {
    data.interactions
        .as_ref()
        .unwrap_or_else(|| panic!("an experiment with a recommendation was checked to have [data.interactions]"))
}

/// What a user had, what is recommended by that, and what they bought then.
fn shown_user(
    plan: &Plan<Recommendations>,
    model: &<Recommendation as Task>::Model,
    index: usize,
    setting: &Setting<'_>,
) -> Result<Written, ExperimentError> {
    let history = plan.source.get(index)?;
    let (had, bought) = history.purchases.split_at(history.before);
    let (had, bought) = (codes(&plan.source, had), codes(&plan.source, bought));
    let name = plan.source.name(index);
    let input = plan.task.prepare(had.clone());
    let input = input.map_err(|error| DataError::Corrupt { name: name.clone(), why: error.to_string() })?;
    let batch = plan.task.collate(&[input], &setting.device.clone().inner());
    let answers = plan.task.respond(model, batch);
    let recommended = answers.iter().flat_map(|answer| &answer.items).map(|item| {
        let mark = if bought.contains(&item.item) { ", bought then" } else { "" };
        format!("{} {} ({:.1} %{mark})", item.item, item.text, 100.0 * item.score)
    });
    let recommended = recommended.collect::<Vec<_>>().join("\n");
    let had = listed(plan.task.assortment(), had.iter().rev());
    let bought = listed(plan.task.assortment(), bought.iter());
    Ok(Written {
        prompt: format!("Had, the last first:\n{had}"),
        text: format!("\n\nRecommended:\n{recommended}\n\nBought then:\n{bought}"),
        how: name,
    })
}

/// Items by code and text, a line each; how many there are beside the first of them.
fn listed<'a>(items: &Assortment, codes: impl ExactSizeIterator<Item = &'a String>) -> String {
    let others = codes.len().saturating_sub(ITEMS);
    let line = |code: &String| {
        let text = items.place(code).map_or("", |place| items.items()[place as usize].text.as_str());
        format!("{code} {text}")
    };
    let mut lines: Vec<String> = codes.take(ITEMS).map(line).collect();
    lines.extend((others > 0).then(|| format!("and {others} others")));
    lines.join("\n")
}
