//! Walks one sample through an experiment and tells what each step makes of it. It does not know how that is shown.

use burn::tensor::DType;
use homeostat_config::Resolved;
use homeostat_data::{Image, ImageAugment, SampleKey};
use homeostat_task::{Outcome, Task};
use homeostat_tasks::{ImageBatch, Target, TaskConfig};

use crate::{
    Experiment, ExperimentError, Setting,
    images::{Images, examples},
    kind::Kind,
    plan::Plan,
    sheet::sheet,
    sorting::Sorting,
};

/// Rows and columns of the sheet of augmented samples.
const ROWS: usize = 8;
const COLUMNS: usize = 8;

/// What becomes of samples in an experiment.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What each step made of one sample.
    pub steps: Vec<Inspected>,
    /// That sample and others, a row each: as it is, and as the first epochs see it, before it is prepared.
    pub sheet: Image,
}

/// What a step made of the sample.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Inspected {
    /// The step: `read`, `augment: rotate`, `prepare` ...
    pub step: String,
    /// The type and shape of what came out.
    pub shape: String,
    /// The smallest and largest value, and the mean, where there are numbers.
    pub range: String,
}

/// Walks the training sample at `position` through the experiment, with the first epoch's augmentation, and draws a sheet of augmented samples.
///
/// # Errors
/// The experiment does not fit the data, or the sample cannot be read.
pub fn inspect(
    resolved: Resolved<Experiment>,
    position: usize,
    setting: &Setting<'_>,
) -> Result<Inspection, ExperimentError> {
    let problem = match resolved.value.task {
        TaskConfig::ImageClassification(_) => None,
        TaskConfig::LanguageModel(_) => Some("is about texts that are gone on with, but inspect shows pictures"),
        TaskConfig::TextClassification(_) | TaskConfig::SentenceEmbedding(_) => {
            Some("is about texts, but inspect shows pictures; for texts: homeostat data describe EXPERIMENT")
        }
        TaskConfig::Recommendation(_) => Some("is about purchases, but inspect shows pictures"),
        TaskConfig::ImageGeneration(_) => Some("makes pictures, but inspect shows those that are sorted"),
    };
    if let Some(problem) = problem {
        return Err(ExperimentError::setting("task", problem));
    }
    let mut resolved = resolved;
    <Images as Kind>::adopt_network(&mut resolved, setting, &mut |_| ())?;
    let plan = Plan::<Images>::make(resolved, &setting.roots, setting.workers)?;
    let experiment = plan.experiment();
    let Some(&index) = plan.splits.train.get(position) else {
        let problem =
            format!("is {position}, but the training part has {} samples, numbered from 0", plan.splits.train.len());
        return Err(ExperimentError::setting("--sample", problem));
    };
    let mut steps = Vec::new();
    let bytes = plan.source.bytes(index)?;
    steps.push(Inspected {
        step: format!("sample {}", plan.source.name(index)),
        shape: format!("{} bytes", bytes.len()),
        range: String::new(),
    });
    let mut image = plan.task.read(&bytes)?;
    steps.push(of_image("read", &image));
    let key = SampleKey { seed: experiment.seed, epoch: 0, sample: index as u64 };
    for (at, step) in experiment.data.augment.0.iter().enumerate() {
        // A prefix of the list draws the same numbers as the whole: each step has its own.
        let prefix = ImageAugment(experiment.data.augment.0[..=at].to_vec());
        let augmented = prefix.apply(plan.source.get(index)?, key);
        steps.push(of_image(&format!("augment: {}", kind(step)), &augmented));
        image = augmented;
    }
    let input = plan.task.prepare(image)?;
    steps.push(of_image("prepare", &input));
    let device = setting.device.clone().inner();
    device.seed(experiment.seed);
    let model = plan.task.init(&device)?;
    let ImageBatch(batch) = plan.task.collate(std::slice::from_ref(&input), &device);
    let values = batch.clone().into_data_dtype(DType::F32);
    let values = values.as_slice::<f32>().unwrap_or_default();
    steps.push(Inspected {
        step: "collate".to_owned(),
        shape: format!("tensor {:?} on {}", batch.dims(), setting.device_name),
        range: range(values, 2),
    });
    let label = u32::try_from(plan.source.label(index)).unwrap_or(u32::MAX);
    let outcome = <Images as Sorting>::in_views(&plan.task, None).loss(
        &model,
        ImageBatch(batch.clone()),
        &[Target::Class(label)],
    );
    steps.push(Inspected {
        step: "loss (untrained)".to_owned(),
        shape: "a number".to_owned(),
        range: format!("{:.4}", outcome.loss().into_scalar::<f64>()),
    });
    if let Some(response) = plan.task.respond(&model, ImageBatch(batch)).pop() {
        steps.push(Inspected {
            step: "respond (untrained)".to_owned(),
            shape: format!("{} classes", plan.task.labels().len()),
            range: format!(
                "`{}` {:.3}; truth `{}`",
                response.label,
                response.confidence,
                plan.task.labels()[plan.source.label(index)]
            ),
        });
    }
    Ok(Inspection { steps, sheet: augmented_sheet(&plan, position) })
}

/// The training sample at `position`, which can be read, and others spread over the training part.
fn augmented_sheet(plan: &Plan<Images>, position: usize) -> Image {
    let examples = examples(plan, &plan.splits.train);
    let stride = (plan.splits.train.len() / ROWS).max(1);
    let others = (0..plan.splits.train.len()).step_by(stride).filter(|&other| other != position);
    let seen = |position: usize| {
        let row = (0..COLUMNS as u64 - 1).map(|epoch| examples.augmented(position, plan.experiment().seed, epoch));
        let row = row.collect::<Result<Vec<_>, _>>().ok()?;
        let original = row.first().map(|[original, _]| original.clone());
        Some(original.into_iter().chain(row.into_iter().map(|[_, augmented]| augmented)).collect::<Vec<_>>())
    };
    let rows: Vec<Vec<Image>> = std::iter::once(position).chain(others).filter_map(seen).take(ROWS).collect();
    sheet(&rows)
}

fn of_image(step: &str, image: &Image) -> Inspected {
    let levels: Vec<f32> = image.pixels().iter().map(|&level| f32::from(level)).collect();
    let channels = if image.channels() == 1 { "channel" } else { "channels" };
    let shape = format!("{} x {} pixels, {} {channels}", image.height(), image.width(), image.channels());
    Inspected { step: step.to_owned(), shape, range: range(&levels, 0) }
}

/// The smallest and the largest value with so many decimals, and the mean with one more.
fn range(values: &[f32], decimals: usize) -> String {
    let (low, high) =
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
    format!("{low:.decimals$} to {high:.decimals$}, mean {mean:.0$}", decimals + 1)
}

/// The name of a step in the experiment's file.
fn kind(step: &impl serde::Serialize) -> String {
    match serde_json::to_value(step) {
        Ok(serde_json::Value::Object(table)) => table.keys().next().cloned().unwrap_or_default(),
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
