//! Experiments whose network makes pictures: what it is told by the data, what is measured of it, and what a page shows. It does not
//! know runs.

mod distance;
mod examples;

use std::{collections::BTreeMap, sync::Arc};

use homeostat_artifact::Figures;
use homeostat_config::Resolved;
use homeostat_control::Goal;
use homeostat_data::{DataError, DataRoot, Image, MixConfig, Pictures, Rng, SamplingConfig, Source, Splits, stream};
use homeostat_metrics::MeanFigures;
use homeostat_models::NameTable;
use homeostat_report::{Headline, Picture, Report, Value};
use homeostat_task::Task;
use homeostat_tasks::{
    AutoencoderConfig, GenerativeConfig, GenerativeModel, ImageGeneration, ImageGenerationConfig, InputShape,
    PictureRequest, TaskConfig,
};
use homeostat_train::{AverageConfig, Examples, Meter, Meters, TrainConfig, Workers};

use crate::{
    DataConfig, Experiment, ExperimentError, Setting,
    evaluate_run::{Measured, Pass, pass},
    images::first_shape,
    kind::Kind,
    own_figures,
    plan::Plan,
    sheet::sheet,
};
use distance::{Distance, measure_distance};
use examples::GenerationExamples;

/// Pictures that are made.
pub(crate) struct Generation;

const KEY: &str = "task.image-generation";
const TASK: &str = "a network that makes pictures";
/// Rows and columns of made pictures on a page.
const ROWS: u64 = 8;
const COLUMNS: u8 = 8;
/// Nats a picture that are next to nothing: the autoencoder tells no picture from another.
const COLLAPSED: f64 = 0.5;
/// Steps of the way from one picture to another.
const STEPS: u64 = 8;

/// What was made, beside the figures.
pub(crate) struct Made {
    /// Pictures of the seeds from 1 on.
    drawn: Image,
    /// Ways from one picture to another.
    ways: Image,
    /// Measured pictures, each above what was made of it.
    given_back: Option<Image>,
    distance: Option<Distance>,
}

/// The figures that evaluations give, with the direction in which each is good.
pub(crate) fn goals(
    task: &ImageGenerationConfig,
    train: &TrainConfig,
) -> Result<BTreeMap<String, Goal>, ExperimentError> {
    own_figures::goals(&MeanFigures::new(task.model.figures()), TASK, train)
}

/// What is measured and watched by default is of classes: made pictures have their own figures.
pub(crate) fn choose_figures(resolved: &mut Resolved<Experiment>) -> Result<(), ExperimentError> {
    own_figures::choose(resolved, TASK, ("loss", "the least of the validation part"))?;
    let is_default_average = resolved.value.train.average.is_none();
    let plays = matches!(config(&resolved.value.task).model, GenerativeConfig::Gan(_));
    if plays && is_default_average {
        let reason = "what two lose that play against each other tells nothing: the last weights count";
        resolved.choose("train.average", AverageConfig::Last(1), reason)?;
    }
    Ok(())
}

impl Kind for Generation {
    type Task = ImageGeneration;
    type Store = Pictures;
    type Meter = MeanFigures;
    type Findings = Made;

    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source, ExperimentError> {
        let DataConfig { mix, progressive, sampling, .. } = data;
        let of_classes = [
            ("data.mix", *mix != MixConfig::default(), "mixes pictures"),
            ("data.progressive", progressive.is_some(), "makes pictures of other sizes"),
            ("data.sampling", *sampling != SamplingConfig::default(), "draws by classes"),
        ];
        if let Some((key, _, what)) = of_classes.into_iter().find(|(_, given, _)| *given) {
            let problem = format!("{what}, but the network is to make pictures like those of the data: leave it out");
            return Err(ExperimentError::setting(key, problem));
        }
        Ok(data.source.open_with(roots, data.on_corrupt)?)
    }

    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source>,
        splits: &Splits,
        _: (&DataRoot, Workers),
    ) -> Result<ImageGeneration, ExperimentError> {
        let ImageGenerationConfig { input, prepare, .. } = config(&resolved.value.task);
        if input.is_none() {
            let (shape, reason) = match prepare.input_shape() {
                Some(shape) => (shape, "determined by prepare".to_owned()),
                None => first_shape(prepare, source, &splits.train, resolved.value.data.on_corrupt)?,
            };
            resolved.choose(&format!("{KEY}.input"), InputShape::from(shape), &reason)?;
        }
        Ok(config(&resolved.value.task).init()?)
    }

    fn check(plan: &Plan<Self>, setting: &Setting<'_>) -> Result<(), ExperimentError> {
        let Experiment { train, task, .. } = plan.experiment();
        let epochs = train.epochs;
        if let GenerativeConfig::Vae(AutoencoderConfig { warmup_epochs, .. }) = config(task).model
            && epochs > 0
            && warmup_epochs > epochs as f64
        {
            tracing::warn!(
                "{KEY}.model.vae.warmup-epochs is {warmup_epochs} of {epochs} epochs: beta is never reached"
            );
        }
        train.frechet.as_ref().map_or(Ok(()), |frechet| distance::check(plan, frechet, setting))
    }

    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<ImageGeneration>> {
        let Experiment { data, train, .. } = plan.experiment();
        Arc::new(GenerationExamples::new(&plan.task, &plan.source, indices, (data, train.batch_size)))
    }

    fn meters(plan: &Plan<Self>) -> Result<Meters<MeanFigures>, ExperimentError> {
        let figures = MeanFigures::new(plan.task.figures());
        Ok(Meters { train: figures.clone(), valid: figures })
    }

    fn measure(
        plan: &Plan<Self>,
        model: &GenerativeModel,
        indices: &[usize],
        setting: &Setting<'_>,
    ) -> Result<Option<Measured<Made>>, ExperimentError> {
        let examples = Self::examples(plan, indices);
        let meter = Self::meters(plan)?.valid;
        let Some(passed) = pass(plan, model, &examples, meter, setting, &mut |_, _| ())? else { return Ok(None) };
        let Pass { meter, samples, skipped } = passed;
        let mut figures = if samples == 0 { Figures::default() } else { Meter::figures(&meter) };
        let distance = match &plan.experiment().train.frechet {
            Some(frechet) if samples > 0 => {
                let Some(distance) = measure_distance(plan, model, indices, frechet, setting)? else { return Ok(None) };
                figures.set("frechet", distance.made);
                Some(distance)
            }
            _ => None,
        };
        if let Some(divergence) = figures.get("divergence").filter(|nats| *nats < COLLAPSED) {
            tracing::warn!(
                "the divergence is {divergence:.3} nats a picture: pictures hardly depend on the seed; lower {KEY}.model.vae.beta, or train longer"
            );
        }
        let given_back = given_back(plan, model, indices, setting)?;
        let findings =
            Made { drawn: drawn(plan, model, setting)?, ways: ways(plan, model, setting)?, given_back, distance };
        Ok(Some(Measured { part: "test", figures, samples, skipped, findings }))
    }

    /// A seed; of a network that looks at pictures, half of the requests are pictures.
    fn request(plan: &Plan<Self>, index: usize) -> Result<Vec<u8>, DataError> {
        let coin = Rng::keyed(0, [index as u64, 0, stream("golden", 0)]).next_u64();
        if plan.task.reconstructs() && coin.is_multiple_of(2) {
            return plan.source.bytes(index);
        }
        Ok(PictureRequest::Seed(index as u64).to_bytes())
    }

    fn report(
        _: &Plan<Self>,
        _: &GenerativeModel,
        measured: &Measured<Made>,
        report: &mut Report,
    ) -> Result<(), ExperimentError> {
        let Made { drawn, ways, given_back, distance } = &measured.findings;
        if let Some(distance) = distance {
            report.headlines.insert(
                0,
                Headline {
                    label: format!("{} Fréchet distance", measured.part),
                    value: Value::Number(distance.made),
                    note: distance.note(),
                },
            );
        }
        let sheets = [
            (Some(drawn), format!("Made of the seeds 1 to {}.", ROWS * u64::from(COLUMNS))),
            (Some(ways), "From one seed to the next, a row each.".to_owned()),
            (
                given_back.as_ref(),
                format!("Pictures of the {} part, and below each what was made of it.", measured.part),
            ),
        ];
        let sheets = sheets.into_iter().filter_map(|(sheet, caption)| Some((sheet?, caption)));
        report.made = sheets.map(|(sheet, caption)| Picture { png: sheet.encode_png(), caption }).collect();
        Ok(())
    }

    fn ask(run: &str) -> String {
        format!("homeostat sample {run} --png FILE")
    }

    fn names(_: &ImageGeneration) -> Vec<NameTable> {
        Vec::new()
    }
}

fn config(task: &TaskConfig) -> &ImageGenerationConfig {
    let TaskConfig::ImageGeneration(config) = task else { panic!("the kind was chosen by the task") };
    config
}

fn drawn(plan: &Plan<Generation>, model: &GenerativeModel, setting: &Setting<'_>) -> Result<Image, ExperimentError> {
    rows_of(plan, model, setting, ROWS, |row| {
        (1..=COLUMNS).map(|column| PictureRequest::Seed(row * u64::from(COLUMNS) + u64::from(column))).collect()
    })
}

fn ways(plan: &Plan<Generation>, model: &GenerativeModel, setting: &Setting<'_>) -> Result<Image, ExperimentError> {
    let step =
        |row: u64, at: u64| PictureRequest::Between { seeds: [row + 1, row + 2], at: at as f64 / (STEPS - 1) as f64 };
    rows_of(plan, model, setting, ROWS / 2, |row| (0..STEPS).map(|at| step(row, at)).collect())
}

/// A sheet of what is made of these requests, row by row.
fn rows_of(
    plan: &Plan<Generation>,
    model: &GenerativeModel,
    setting: &Setting<'_>,
    rows: u64,
    requests: impl Fn(u64) -> Vec<PictureRequest>,
) -> Result<Image, ExperimentError> {
    let device = setting.device.clone().inner();
    let rows = (0..rows).map(|row| plan.task.make(model, &requests(row), &device)).collect::<Result<Vec<_>, _>>()?;
    Ok(sheet(&rows))
}

/// Some measured pictures, each above what was made of it; nothing of a network that looks at none.
fn given_back(
    plan: &Plan<Generation>,
    model: &GenerativeModel,
    indices: &[usize],
    setting: &Setting<'_>,
) -> Result<Option<Image>, ExperimentError> {
    if !plan.task.reconstructs() {
        return Ok(None);
    }
    let pictures = prepared(plan, indices.iter().step_by((indices.len() / 32).max(1)).take(32))?;
    if pictures.is_empty() {
        return Ok(None);
    }
    let made = plan.task.reconstruct(model, &pictures, &setting.device.clone().inner())?;
    let columns = usize::from(COLUMNS);
    let pairs = pictures.chunks(columns).zip(made.chunks(columns));
    Ok(Some(sheet(&pairs.flat_map(|(pictures, made)| [pictures.to_vec(), made.to_vec()]).collect::<Vec<_>>())))
}

/// These samples as the network sees them; those that cannot be read are left out.
fn prepared<'a>(
    plan: &Plan<Generation>,
    indices: impl Iterator<Item = &'a usize>,
) -> Result<Vec<Image>, ExperimentError> {
    let mut pictures = Vec::new();
    for &index in indices {
        let read = plan.source.get(index).map_err(ExperimentError::from);
        match read.and_then(|image| Ok(plan.task.prepare(homeostat_tasks::PictureSample::Picture(image))?)) {
            Ok(homeostat_tasks::PictureInput::Picture(picture)) => pictures.push(picture),
            Ok(_) => unreachable!("a picture stays one"),
            Err(ExperimentError::Data(DataError::Corrupt { .. }) | ExperimentError::Input(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(pictures)
}
