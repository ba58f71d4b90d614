//! Which class a picture belongs to. It does not know the loop, the server, or where pictures come from.

use burn::tensor::{DType, Device, Tensor, TensorData};
use homeostat_data::{DataError, Image, ImagePrepare, Normalize, PIXEL_LIMIT, PrepareStep, Shape};
use homeostat_kernels::{Kernels, scaled_levels};
use homeostat_metrics::{Loss, Predictions, Truth};
use homeostat_models::{ImageModel, ImageModelConfig, ImageShape, TrainingScores};
use homeostat_task::{InputError, Outcome, Task, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ClassWeights, LossConfig, Probabilities};

/// Which class a picture belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageClassificationConfig {
    /// The names of the classes, in the order of the scores; taken from the data when empty.
    pub labels: Vec<String>,
    /// The shape of a prepared picture; taken from the data when absent.
    pub input: Option<InputShape>,
    /// What is done to every picture before the network sees it, in training and in serving.
    pub prepare: ImagePrepare,
    /// The network.
    pub model: ImageModelConfig,
    /// How wrong scores are.
    pub loss: LossConfig,
}

impl Default for ImageClassificationConfig {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            input: None,
            prepare: ImagePrepare(vec![PrepareStep::NormalizeFromTrain]),
            model: ImageModelConfig::default(),
            loss: LossConfig::default(),
        }
    }
}

/// The shape of a prepared picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InputShape {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl From<Shape> for InputShape {
    fn from(shape: Shape) -> Self {
        Self { channels: shape.channels, height: shape.height, width: shape.width }
    }
}

const KEY: &str = "task.image-classification";

impl ImageClassificationConfig {
    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        let wrong = |error: DataError| TaskError::new(error.to_string());
        self.prepare.check(&format!("{KEY}.prepare")).map_err(wrong)?;
        if let Some(input) = self.input {
            input.check()?;
            self.prepare.check_channels(&format!("{KEY}.prepare"), input.channels).map_err(wrong)?;
        }
        self.model.check().map_err(|error| TaskError::new(error.to_string()))?;
        let classes = (!self.labels.is_empty()).then_some(self.labels.len());
        self.loss.problem(classes).map_or(Ok(()), |problem| Err(TaskError::new(format!("`{KEY}.loss`: {problem}"))))
    }

    /// The living task; all that training chooses by itself must be there.
    ///
    /// # Errors
    /// Something is missing or does not fit together; names it.
    pub fn init(&self) -> Result<ImageClassification, TaskError> {
        self.check()?;
        let missing = |what: &str| Err(TaskError::new(format!("{KEY}.{what} is not known yet: training fills it in")));
        if self.labels.len() < 2 {
            return missing("labels");
        }
        let Some(input) = self.input else { return missing("input") };
        if self.prepare.wants_stats() {
            return missing("prepare (normalize-from-train)");
        }
        if self.loss.class_weights() == Some(&ClassWeights::Balanced) {
            return missing("loss (balanced class-weights)");
        }
        Ok(ImageClassification { config: self.clone(), input })
    }
}

impl InputShape {
    fn check(self) -> Result<(), TaskError> {
        let Self { channels, height, width } = self;
        if !matches!(channels, 1 | 3) {
            let problem = format!("is {channels}, but pictures have 1 (grey) or 3 (colour)");
            return Err(TaskError::new(format!("`{KEY}.input.channels`: {problem}")));
        }
        let pixels = (height as u64).saturating_mul(width as u64);
        if !(1..=PIXEL_LIMIT).contains(&pixels) {
            let problem = format!("{height} x {width} pixels, but a picture has 1 to {PIXEL_LIMIT}");
            return Err(TaskError::new(format!("`{KEY}.input`: {problem}")));
        }
        Ok(())
    }
}

/// The living task.
#[derive(Clone, Debug)]
pub struct ImageClassification {
    config: ImageClassificationConfig,
    input: InputShape,
}

/// What is true of a picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// This class.
    Class(u32),
    /// Each class with this probability, `[classes]`.
    Soft(Vec<f32>),
}

/// Prepared pictures on the device, normalised: `[batch, channels, height, width]`.
#[derive(Clone, Debug)]
pub struct ImageBatch(pub Tensor<4>);

/// What a caller gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageResponse {
    /// The most probable class.
    pub label: String,
    /// Its probability.
    pub confidence: f32,
    /// The probability of every class, in the order of the labels.
    pub probabilities: Vec<f32>,
}

/// The loss of a batch, and what metrics need.
#[derive(Debug)]
pub struct ImageClassificationOutcome {
    loss: Tensor<1>,
    weight: f64,
    scores: Tensor<2>,
    probabilities: Probabilities,
    labels: Vec<u32>,
}

impl ImageClassification {
    /// The names of the classes, in the order of the scores.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.config.labels
    }

    /// The shape of a prepared picture.
    #[must_use]
    pub fn input(&self) -> InputShape {
        self.input
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &ImageClassificationConfig {
        &self.config
    }

    fn targets(&self, truths: &[Target], device: &Device) -> Tensor<2> {
        let classes = self.labels().len();
        let mut rows = vec![0.0_f32; truths.len() * classes];
        for (row, truth) in rows.chunks_exact_mut(classes).zip(truths) {
            match truth {
                Target::Class(class) => row[*class as usize] = 1.0,
                Target::Soft(probabilities) => row.copy_from_slice(probabilities),
            }
        }
        Tensor::from_data(TensorData::new(rows, [truths.len(), classes]), device)
    }
}

impl Task for ImageClassification {
    type Sample = Image;
    type Truth = Target;
    type Input = Image;
    type Batch = ImageBatch;
    type Model = ImageModel;
    type Outcome = ImageClassificationOutcome;
    type Response = ImageResponse;

    fn init(&self, device: &Device) -> Result<ImageModel, TaskError> {
        let InputShape { channels, height, width } = self.input;
        let shape = ImageShape { channels, height, width };
        self.config.model.init(shape, self.labels().len(), device).map_err(|error| TaskError::new(error.to_string()))
    }

    fn read(&self, bytes: &[u8]) -> Result<Image, InputError> {
        Image::decode(bytes).map_err(reason)
    }

    fn prepare(&self, sample: Image) -> Result<Image, InputError> {
        let image = self
            .config
            .prepare
            .host(sample.to_channels(self.input.channels))
            .map_err(reason)?
            .to_channels(self.input.channels);
        if InputShape::from(image.shape()) == self.input {
            return Ok(image);
        }
        let InputShape { height, width, .. } = self.input;
        Err(InputError::new(format!(
            "the picture has {} x {} pixels, but the network takes {height} x {width}: resize it, or train with \
             prepare = [{{ resize = {{ size = [{height}, {width}] }} }}, ...]",
            image.height(),
            image.width()
        )))
    }

    fn collate(&self, inputs: &[Image], device: &Device) -> ImageBatch {
        let InputShape { channels, .. } = self.input;
        // All of a batch have one size, in training perhaps a smaller one than in serving.
        let Some(Shape { height, width, .. }) = inputs.first().map(Image::shape) else {
            panic!("a batch has at least one picture")
        };
        // The channels of a pixel stay side by side: so the own kernels read them.
        let levels = inputs.iter().map(Image::pixels).collect::<Vec<_>>().concat();
        let Normalize { mean, std } = self.config.prepare.tail().cloned().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "the network computes in single precision")]
        let row = |of: &dyn Fn(f64, f64) -> f64| -> Vec<f32> {
            let values = mean.iter().zip(&std).map(|(&mean, &std)| of(mean, std) as f32);
            values.cycle().take(width * channels).collect()
        };
        // (level / 255 - mean) / std, as one product and one sum.
        let (scale, shift) = (row(&|_, std| 1.0 / (255.0 * std)), row(&|mean, std| -mean / std));
        let rows = scaled_levels(levels, &scale, &shift, device, Kernels::selected());
        ImageBatch(rows.reshape([inputs.len(), height, width, channels]).permute([0, 3, 1, 2]))
    }

    fn loss(
        &self,
        model: &ImageModel,
        ImageBatch(images): ImageBatch,
        truths: &[Target],
    ) -> ImageClassificationOutcome {
        let TrainingScores { main: scores, auxiliary } = model.training_scores(images);
        let targets = self.targets(truths, &scores.device());
        let loss = self.config.loss.of(scores.clone(), targets.clone());
        let further =
            auxiliary.into_iter().map(|(weight, scores)| self.config.loss.of(scores, targets.clone()).mean * weight);
        ImageClassificationOutcome {
            loss: further.fold(loss.mean, |sum, loss| sum + loss),
            weight: loss.weight,
            scores: scores.inner(),
            probabilities: self.config.loss.probabilities(),
            labels: truths.iter().map(Target::label).collect(),
        }
    }

    fn respond(&self, model: &ImageModel, ImageBatch(images): ImageBatch) -> Vec<ImageResponse> {
        let probabilities = host(self.config.loss.probabilities().of(model.forward(images)));
        probabilities
            .chunks_exact(self.labels().len())
            .map(|row| {
                let best = largest(row);
                ImageResponse { label: self.labels()[best].clone(), confidence: row[best], probabilities: row.to_vec() }
            })
            .collect()
    }

    fn agree(&self, expected: &ImageResponse, found: &ImageResponse, tolerance: f64) -> bool {
        let near = |a: f32, b: f32| (f64::from(a) - f64::from(b)).abs() <= tolerance;
        let same_rows = expected.probabilities.len() == found.probabilities.len()
            && expected.probabilities.iter().zip(&found.probabilities).all(|(&a, &b)| near(a, b));
        // Where two classes tie but for rounding, either may come first.
        let confident = f64::from(expected.confidence) - 2.0 * tolerance;
        let tied = expected.probabilities.iter().filter(|&&p| f64::from(p) >= confident).count() > 1;
        same_rows && near(expected.confidence, found.confidence) && (tied || expected.label == found.label)
    }
}

impl Outcome for ImageClassificationOutcome {
    type Record = Predictions;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn record(self) -> Predictions {
        let [_, classes] = self.scores.dims();
        let loss = Loss { mean: self.loss.into_scalar::<f64>(), weight: self.weight };
        Predictions::new(classes, host(self.probabilities.of(self.scores)), Truth::OneOf(self.labels), loss)
    }
}

impl Target {
    /// The class, or the most probable one.
    #[must_use]
    pub fn label(&self) -> u32 {
        match self {
            Self::Class(class) => *class,
            Self::Soft(probabilities) => u32::try_from(largest(probabilities)).unwrap_or(u32::MAX),
        }
    }

    /// This target with the weight `share`, and `other` with the rest, over so many classes.
    #[must_use]
    pub fn mix(&self, other: &Self, share: f32, classes: usize) -> Self {
        let mut mixed = vec![0.0; classes];
        for (target, weight) in [(self, share), (other, 1.0 - share)] {
            match target {
                Self::Class(class) => mixed[*class as usize] += weight,
                Self::Soft(probabilities) => {
                    mixed.iter_mut().zip(probabilities).for_each(|(sum, probability)| *sum += weight * probability);
                }
            }
        }
        Self::Soft(mixed)
    }
}

/// The position of the largest value, the first among equals; 0 if there is none.
fn largest(row: &[f32]) -> usize {
    let first = row.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    first.map_or(0, |(at, _)| at)
}

/// What is wrong with a picture, without a name: whoever sent it knows which it was.
fn reason(error: DataError) -> InputError {
    match error {
        DataError::Corrupt { why, .. } => InputError::new(why),
        other => InputError::new(other.to_string()),
    }
}

fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).as_slice::<f32>().map(<[f32]>::to_vec).unwrap_or_default()
}
