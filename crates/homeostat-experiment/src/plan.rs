//! From an experiment to what can be trained: the data opened and divided, and every blank filled in, each with the
//! reason of the choice. It does not know runs.

use std::sync::Arc;

use burn::tensor::Device;
use homeostat_config::Resolved;
use homeostat_data::{
    ChannelStats, DataError, DataRoot, Image, ImagePrepare, LabelKind, Loader, LoaderOptions, OnCorrupt, PrepareStep,
    Rows, Skipped, Source, Splits, Weigh,
};
use homeostat_metrics::{Classes, MetricSet};
use homeostat_task::Task;
use homeostat_tasks::{
    ClassWeights, ImageClassification, ImageClassificationConfig, InputShape, LossConfig, TaskConfig,
};
use homeostat_train::{Examples, Meters, Workers};

use crate::{DataConfig, Experiment, ExperimentError, image_examples::ImageExamples};

/// An experiment with its data, ready to be trained.
pub(crate) struct Plan {
    pub(crate) resolved: Resolved<Experiment>,
    pub(crate) task: ImageClassification,
    pub(crate) source: Arc<Source>,
    pub(crate) splits: Splits,
}

const TASK: &str = "task.image-classification";

impl Plan {
    /// Opens the data and fills in what the experiment leaves to it.
    pub(crate) fn make(
        mut resolved: Resolved<Experiment>,
        roots: &DataRoot,
        workers: Workers,
    ) -> Result<Self, ExperimentError> {
        let source = Arc::new(open(&resolved.value.data, roots)?);
        choose_split(&mut resolved, &source)?;
        resolved.value.data.sampling.check_classes("data.sampling", source.classes())?;
        let splits = resolved.value.data.split.split(&source, resolved.value.seed)?;
        let splits = splits.with_fraction(resolved.value.data.fraction, &source, resolved.value.seed);
        choose_labels(&mut resolved, &source)?;
        choose_input(&mut resolved, &source, &splits)?;
        choose_normalization(&mut resolved, &source, &splits, workers)?;
        choose_class_weights(&mut resolved, &source, &splits)?;
        let task = image_classification(&resolved.value).init()?;
        Ok(Self { resolved, task, source, splits })
    }

    pub(crate) fn experiment(&self) -> &Experiment {
        &self.resolved.value
    }

    /// Refuses what would stop the first step, or all that comes after the last, before a directory is made.
    pub(crate) fn check(&self, device: &Device, workers: Workers) -> Result<(), ExperimentError> {
        self.check_progressive()?;
        let Experiment { train, .. } = self.experiment();
        train.optimizer.init(&self.task.init(device)?, &train.groups)?;
        self.meters()?;
        self.check_samples(workers)
    }

    /// Small pictures need a network that takes them: the weights of some are bound to one size.
    fn check_progressive(&self) -> Result<(), ExperimentError> {
        let Some(progressive) = &self.experiment().data.progressive else { return Ok(()) };
        let (model, InputShape { height, width, .. }) = (&self.task.config().model, self.task.input());
        let full = height.min(width);
        let problem = if !model.takes_any_size() {
            format!(
                "makes pictures of several sizes, but the weights of this {} are bound to {height} x {width} pixels; model.cnn.head = \
                 \"mean\" takes any size",
                model.name()
            )
        } else if progressive.from > full {
            format!(
                "begins with from = {}, but the prepared pictures have only {full} pixels on their shorter side",
                progressive.from
            )
        } else {
            return Ok(());
        };
        Err(ExperimentError::setting("data.progressive", problem))
    }

    /// Reads the parts that are measured: what is broken in them would else be met when the training is done. Those that
    /// are to be left out are left out then.
    fn check_samples(&self, workers: Workers) -> Result<(), ExperimentError> {
        if self.experiment().data.on_corrupt == OnCorrupt::Skip {
            return Ok(());
        }
        let measured = [self.splits.valid.as_slice(), &self.splits.test].concat();
        let (examples, positions) = (self.examples(&measured), (0..measured.len()).collect());
        let read = move |positions: &[usize]| examples.rows(positions, None).map(drop);
        Ok(in_pieces(positions, workers, read).collect::<Result<(), _>>()?)
    }

    /// A part of the data as the loop sees it.
    pub(crate) fn examples(&self, indices: &[usize]) -> ImageExamples {
        ImageExamples::new(&self.task, &self.source, indices, &self.experiment().data)
    }

    /// What is measured in training and in evaluation.
    pub(crate) fn meters(&self) -> Result<Meters<MetricSet>, ExperimentError> {
        // Each answer is scored as one of the classes, also where a sigmoid a class was trained.
        let valid = MetricSet::init(&self.experiment().train.metrics, Classes::OneOf(self.task.labels().len()))?;
        Ok(Meters { train: valid.clone().streaming_only(), valid })
    }

    /// How many samples of each class a part has.
    pub(crate) fn counts(&self, indices: &[usize]) -> Vec<usize> {
        counts(&self.source, indices)
    }
}

/// The source of an image classification. What is broken beyond being a sample was left out, or is an error.
pub(crate) fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source, ExperimentError> {
    let source = data.source.open_with(roots, data.on_corrupt)?;
    if source.label_kind() != LabelKind::One {
        let problem = "has several labels for a picture, but image classification takes one";
        return Err(ExperimentError::setting("data.source", problem));
    }
    if let Some(first) = source.left_out().first() {
        let (count, Skipped { name, reason }) = (source.left_out().len(), first);
        tracing::warn!(count, first = name, reason, "samples are left out, for they cannot be read");
    }
    Ok(source)
}

fn image_classification(experiment: &Experiment) -> &ImageClassificationConfig {
    let TaskConfig::ImageClassification(config) = &experiment.task;
    config
}

fn counts(source: &Source, indices: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; source.classes().len()];
    indices.iter().for_each(|&index| counts[source.label(index)] += 1);
    counts
}

fn choose_split(resolved: &mut Resolved<Experiment>, source: &Source) -> Result<(), ExperimentError> {
    match resolved.value.data.split.resolve(source) {
        Some((split, reason)) => Ok(resolved.choose("data.split", split, &reason)?),
        None => Ok(()),
    }
}

fn choose_labels(resolved: &mut Resolved<Experiment>, source: &Source) -> Result<(), ExperimentError> {
    let labels = &image_classification(&resolved.value).labels;
    if labels.is_empty() {
        return Ok(resolved.choose(&format!("{TASK}.labels"), source.classes(), "the classes of the data")?);
    }
    if labels != source.classes() {
        let problem = format!(
            "names {} classes ({}), but the data have {} ({})",
            labels.len(),
            labels.join(", "),
            source.classes().len(),
            source.classes().join(", ")
        );
        return Err(ExperimentError::setting(&format!("{TASK}.labels"), problem));
    }
    Ok(())
}

fn choose_input(resolved: &mut Resolved<Experiment>, source: &Source, splits: &Splits) -> Result<(), ExperimentError> {
    let config = image_classification(&resolved.value);
    if config.input.is_some() {
        return Ok(());
    }
    let (shape, reason) = match config.prepare.input_shape() {
        Some(shape) => (shape, "determined by prepare".to_owned()),
        None => first_shape(&config.prepare, source, &splits.train, resolved.value.data.on_corrupt)?,
    };
    Ok(resolved.choose(&format!("{TASK}.input"), InputShape::from(shape), &reason)?)
}

/// The shape of the first training sample that can be read.
fn first_shape(
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
    let config = image_classification(&resolved.value);
    if !config.prepare.wants_stats() {
        return Ok(());
    }
    let mut prepare = config.prepare.clone();
    let channels = config.input.map_or(3, |input| input.channels);
    let stats = training_stats(source, &splits.train, (&prepare, channels), resolved.value.data.on_corrupt, workers)?;
    prepare.resolve(&stats);
    let reason = format!("from {} training samples", splits.train.len());
    let position = prepare.0.iter().position(|step| matches!(step, PrepareStep::Normalize(_))).unwrap_or(0);
    Ok(resolved.choose(&format!("{TASK}.prepare.{position}"), &prepare.0[position], &reason)?)
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

/// What a worker found out about some samples.
struct Found<R>(R);

impl<R> Weigh for Found<R> {
    fn bytes(&self) -> usize {
        size_of::<R>()
    }
}

/// What `find` gives for these samples, some at a time, by all workers and in order; the first error is the last.
fn in_pieces<R: Send + 'static>(
    samples: Vec<usize>,
    workers: Workers,
    find: impl Fn(&[usize]) -> Result<R, DataError> + Send + Sync + 'static,
) -> impl Iterator<Item = Result<R, DataError>> {
    const PIECE: usize = 64;
    let pieces = samples.len().div_ceil(PIECE);
    let make = move |piece: usize| find(&samples[piece * PIECE..samples.len().min((piece + 1) * PIECE)]).map(Found);
    let options = LoaderOptions { workers: workers.threads, prefetch_bytes: workers.prefetch_bytes };
    Loader::start(0..pieces, options, Arc::new(make)).map(|found| found.map(|Found(found)| found))
}

fn choose_class_weights(
    resolved: &mut Resolved<Experiment>,
    source: &Source,
    splits: &Splits,
) -> Result<(), ExperimentError> {
    let mut loss = image_classification(&resolved.value).loss.clone();
    let Some(weights) = loss.resolve(&counts(source, &splits.train)) else { return Ok(()) };
    let key = match loss {
        LossConfig::CrossEntropy(_) => "cross-entropy",
        LossConfig::BinaryCrossEntropy(_) => "binary-cross-entropy",
        LossConfig::Focal(_) => "focal",
        LossConfig::MeanSquaredError => return Ok(()),
    };
    let key = format!("{TASK}.loss.{key}.class-weights");
    Ok(resolved.choose(&key, ClassWeights::Given(weights), "balanced, from the training part")?)
}
