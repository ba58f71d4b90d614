//! Experiments with pictures: what their task is told by the data. It does not know runs.

use std::{collections::BTreeMap, sync::Arc};

use homeostat_artifact::Artifact;
use homeostat_config::Resolved;
use homeostat_data::{
    AnySource, ChannelStats, DataError, DataRoot, Image, ImagePrepare, OnCorrupt, Pictures, PrepareStep, Progressive,
    Rows, Source, Splits, TestViews,
};
use homeostat_models::NameTable;
use homeostat_report::{Picture, Shown};
use homeostat_tasks::{ImageClassification, ImageClassificationConfig, InputShape, TaskConfig};
use homeostat_train::{Examples, Workers};

use crate::{
    DataConfig, Experiment, ExperimentError, Setting, Stage,
    image_examples::ImageExamples,
    plan::{Plan, in_pieces},
    pretrained::{adopt_prepare, choose_prepare},
    sorting::{ClassSettings, Sorting, check_source},
};

/// Pictures.
pub(crate) struct Images;

const KEY: &str = "task.image-classification";

impl Sorting for Images {
    type Task = ImageClassification;
    type Store = Pictures;

    const KEY: &'static str = KEY;

    fn settings(task: &TaskConfig) -> ClassSettings<'_> {
        let ImageClassificationConfig { labels, loss, temperature, .. } = config(task);
        ClassSettings { labels, loss, temperature: *temperature }
    }

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source, ExperimentError> {
        let source = data.source.open_with(roots, data.on_corrupt)?;
        check_source(&source, "data.source", "picture")?;
        Ok(source)
    }

    fn adopt_network(
        resolved: &mut Resolved<Experiment>,
        setting: &Setting<'_>,
        observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<(), ExperimentError> {
        adopt_prepare(resolved, setting, observe)
    }

    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source>,
        splits: &Splits,
        (roots, workers): (&DataRoot, Workers),
    ) -> Result<ImageClassification, ExperimentError> {
        choose_prepare(resolved, roots)?;
        choose_input(resolved, source, splits)?;
        choose_normalization(resolved, source, splits, workers)?;
        let task = config(&resolved.value.task).init()?;
        if let Some(progressive) = &resolved.value.data.progressive {
            check_progressive(progressive, &task)?;
        }
        Ok(task)
    }

    fn put_source(data: &mut DataConfig, other: AnySource, _: &[String]) -> Result<(), ExperimentError> {
        let AnySource::Pictures(source) = other else {
            return Err(ExperimentError::setting("--data", "is about texts, but the run is about pictures"));
        };
        data.source = source;
        Ok(())
    }

    fn published(task: &TaskConfig, _: &Artifact) -> Result<ImageClassification, ExperimentError> {
        Ok(config(task).init()?)
    }

    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<ImageClassification>> {
        Arc::new(examples(plan, indices))
    }

    fn moves(data: &DataConfig) -> Option<&'static str> {
        let reasons = [
            (!data.augment.0.is_empty(), "data.augment changes the pictures"),
            (!data.mix.is_off(), "data.mix mixes the pictures"),
            (data.progressive.is_some(), "data.progressive changes the size of the pictures"),
        ];
        reasons.into_iter().find(|(moves, _)| *moves).map(|(_, reason)| reason)
    }

    fn at_temperature(task: &ImageClassification, temperature: f64) -> ImageClassification {
        task.clone().at_temperature(temperature)
    }

    fn in_views(task: &ImageClassification, views: Option<TestViews>) -> ImageClassification {
        task.clone().in_views(views)
    }

    fn request(source: &Source, index: usize) -> Result<Vec<u8>, DataError> {
        source.bytes(index)
    }

    fn shown(source: &Source, index: usize) -> Result<Shown, DataError> {
        Ok(Shown::Picture(source.get(index)?.encode_png()))
    }

    fn augmented(plan: &Plan<Self>, index: usize) -> Option<Picture> {
        // One that cannot be read stands in the list of those.
        let [_, image] = examples(plan, &[index]).augmented(0, plan.experiment().seed, 0).ok()?;
        Some(Picture { png: image.encode_png(), caption: plan.labels()[plan.source.label(index)].clone() })
    }

    fn names(task: &ImageClassification) -> Vec<NameTable> {
        task.config().model.names()
    }

    fn assets(_: &ImageClassification) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::new()
    }
}

pub(crate) fn examples(plan: &Plan<Images>, indices: &[usize]) -> ImageExamples {
    ImageExamples::new(&plan.task, &plan.source, indices, &plan.experiment().data)
}

fn config(task: &TaskConfig) -> &ImageClassificationConfig {
    let TaskConfig::ImageClassification(config) = task else { panic!("the kind was chosen by the task") };
    config
}

/// Small pictures need a network that takes them: the weights of some are bound to one size.
fn check_progressive(progressive: &Progressive, task: &ImageClassification) -> Result<(), ExperimentError> {
    let (model, from, InputShape { height, width, .. }) = (&task.config().model, progressive.from, task.input());
    let (full, least) = (height.min(width), model.smallest());
    let problem = if !model.takes_any_size() {
        format!(
            "makes pictures of several sizes, but the weights of this {} are bound to {height} x {width} pixels; model.cnn.head = \
             \"mean\" takes any size",
            model.name()
        )
    } else if from > full {
        format!("begins with from = {from}, but the prepared pictures have only {full} pixels on their shorter side")
    } else if from < least {
        format!("begins with from = {from}, but this {} takes no side below {least} pixels", model.name())
    } else {
        return Ok(());
    };
    Err(ExperimentError::setting("data.progressive", problem))
}

fn choose_input(resolved: &mut Resolved<Experiment>, source: &Source, splits: &Splits) -> Result<(), ExperimentError> {
    let config = config(&resolved.value.task);
    if config.input.is_some() {
        return Ok(());
    }
    let (shape, reason) = match config.prepare.input_shape() {
        Some(shape) => (shape, "determined by prepare".to_owned()),
        None => first_shape(&config.prepare, source, &splits.train, resolved.value.data.on_corrupt)?,
    };
    Ok(resolved.choose(&format!("{KEY}.input"), InputShape::from(shape), &reason)?)
}

/// The shape of the first training sample that can be read.
pub(crate) fn first_shape(
    prepare: &ImagePrepare,
    source: &Source,
    train: &[usize],
    on_corrupt: OnCorrupt,
) -> Result<(homeostat_data::Shape, String), ExperimentError> {
    let mut broken = None;
    for &index in train {
        let name = source.name(index);
        match source.get(index).and_then(|image| prepare.host(drop_alpha(image))).map_err(|error| error.named(&name)) {
            Ok(image) => return Ok((image.shape(), format!("the shape of {name}"))),
            Err(error @ DataError::Corrupt { .. }) if on_corrupt == OnCorrupt::Skip => broken = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(broken
        .unwrap_or_else(|| DataError::Split {
            name: source.title().to_owned(),
            why: "there is nothing to train on".to_owned(),
        })
        .into())
}

fn drop_alpha(image: Image) -> Image {
    if image.channels() == 4 { image.to_channels(3) } else { image }
}

fn choose_normalization(
    resolved: &mut Resolved<Experiment>,
    source: &Arc<Source>,
    splits: &Splits,
    workers: Workers,
) -> Result<(), ExperimentError> {
    let config = config(&resolved.value.task);
    if !config.prepare.wants_stats() {
        return Ok(());
    }
    let mut prepare = config.prepare.clone();
    let channels = config.input.map_or(3, |input| input.channels);
    let stats = training_stats(source, &splits.train, (&prepare, channels), resolved.value.data.on_corrupt, workers)?;
    prepare.resolve(&stats);
    let reason = format!("from {} training samples", splits.train.len());
    let position = prepare.0.iter().position(|step| matches!(step, PrepareStep::Normalize(_))).unwrap_or(0);
    Ok(resolved.choose(&format!("{KEY}.prepare.{position}"), &prepare.0[position], &reason)?)
}

/// Mean and spread of the training pictures, counted by all workers; sums of integers, so their order does not matter.
fn training_stats(
    source: &Arc<Source>,
    train: &[usize],
    (prepare, channels): (&ImagePrepare, usize),
    on_corrupt: OnCorrupt,
    workers: Workers,
) -> Result<ChannelStats, ExperimentError> {
    let (read, prepare) = (Arc::clone(source), prepare.clone());
    let stats = move |indices: &[usize]| {
        let mut stats = ChannelStats::default();
        for index in indices {
            // One at a time: a photograph can be large.
            let rows = Rows::read(&read, std::slice::from_ref(index), on_corrupt)?;
            for image in rows.samples {
                let prepared = prepare.host(image.to_channels(channels));
                match prepared.and_then(|image| stats.add(&image.to_channels(channels))) {
                    Err(DataError::Corrupt { .. }) if on_corrupt == OnCorrupt::Skip => {}
                    counted => counted.map_err(|error| error.named(&read.name(*index)))?,
                }
            }
        }
        Ok(stats)
    };
    let mut all = ChannelStats::default();
    for stats in in_pieces(train.to_vec(), workers, stats) {
        all = all.merge(&stats?);
    }
    if all == ChannelStats::default() {
        let why = "no training sample can be read".to_owned();
        return Err(DataError::Split { name: source.title().to_owned(), why }.into());
    }
    Ok(all)
}
