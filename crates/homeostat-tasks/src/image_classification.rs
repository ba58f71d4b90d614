//! Which class a picture belongs to. It does not know the loop, the server, or where pictures come from.

use burn::{
    nn::Linear,
    tensor::{
        Device, Tensor, TensorData,
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    },
};
use homeostat_data::{
    DataError, Image, ImagePrepare, Normalize, PIXEL_LIMIT, PrepareStep, Shape, TestViews, five_corners,
};
use homeostat_kernels::{Kernels, scaled_levels};
use homeostat_models::{ImageModel, ImageModelConfig, ImageShape, TrainingScores};
use homeostat_task::{
    Headed, HostTensor, InputError, Signature, Task, TaskError, TensorDoor, TensorRequest, TensorSpec, ValueKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ClassWeights, LossConfig,
    classification::{
        ClassificationOutcome, ClassificationResponse, Target, check_temperature, finite, mean_scores, probabilities,
        reason, table, tempered,
    },
};

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
    /// What scores are divided by, above 0; `train.calibrate` finds it at the end of a training.
    pub temperature: f64,
    /// In which views a picture is answered: the answer is the mean of their probabilities (test-time augmentation). Where it is not set,
    /// and in training, the picture is seen once, as it is.
    pub tta: Option<TestViews>,
}

impl Default for ImageClassificationConfig {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            input: None,
            prepare: ImagePrepare(vec![PrepareStep::NormalizeFromTrain]),
            model: ImageModelConfig::default(),
            loss: LossConfig::default(),
            temperature: 1.0,
            tta: None,
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
            input.check(KEY)?;
            self.prepare.check_channels(&format!("{KEY}.prepare"), input.channels).map_err(wrong)?;
        }
        self.model.check().map_err(|error| TaskError::new(error.to_string()))?;
        check_temperature(KEY, self.temperature)?;
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
    /// Refuses shapes of no picture; `key` is that of the task.
    pub(crate) fn check(self, key: &str) -> Result<(), TaskError> {
        let Self { channels, height, width } = self;
        if !matches!(channels, 1 | 3) {
            let problem = format!("is {channels}, but pictures have 1 (grey) or 3 (colour)");
            return Err(TaskError::new(format!("`{key}.input.channels`: {problem}")));
        }
        let pixels = (height as u64).saturating_mul(width as u64);
        if !(1..=PIXEL_LIMIT).contains(&pixels) {
            let problem = format!("{height} x {width} pixels, but a picture has 1 to {PIXEL_LIMIT}");
            return Err(TaskError::new(format!("`{key}.input`: {problem}")));
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

/// Prepared pictures on the device, normalised: `[batch, channels, height, width]`.
#[derive(Clone, Debug)]
pub struct ImageBatch(pub Tensor<4>);

impl ImageBatch {
    /// The levels of pictures of one shape as `(level / 255 - mean) / std`, a mean and a deviation a channel, or one for all.
    ///
    /// # Panics
    /// If there is no picture.
    pub(crate) fn of_levels(pictures: &[&Image], (mean, std): (&[f64], &[f64]), device: &Device) -> Self {
        // All of a batch have one size, in training perhaps a smaller one than in serving.
        let Some(Shape { height, width, channels }) = pictures.first().map(|picture| picture.shape()) else {
            panic!("a batch has at least one picture")
        };
        // The channels of a pixel stay side by side: so the own kernels read them.
        let levels = pictures.iter().map(|picture| picture.pixels()).collect::<Vec<_>>().concat();
        #[expect(clippy::cast_possible_truncation, reason = "the network computes in single precision")]
        let row = |of: &dyn Fn(f64, f64) -> f64| -> Vec<f32> {
            let values = mean.iter().zip(std).map(|(&mean, &std)| of(mean, std) as f32);
            values.cycle().take(width * channels).collect()
        };
        // As one product and one sum.
        let (scale, shift) = (row(&|_, std| 1.0 / (255.0 * std)), row(&|mean, std| -mean / std));
        let rows = scaled_levels(levels, &scale, &shift, device, Kernels::selected());
        Self(rows.reshape([pictures.len(), height, width, channels]).permute([0, 3, 1, 2]))
    }

    /// Each view of all pictures, of their size.
    fn views(self, views: TestViews) -> Vec<Tensor<4>> {
        let Self(images) = self;
        let [_, _, height, width] = images.dims();
        match views {
            TestViews::Mirror => vec![images.clone(), images.flip([3])],
            TestViews::FiveCrop => {
                let [rows, columns] = [height, width].map(|side| (side * 7).div_ceil(8));
                let Some(corners) = five_corners([height, width], [rows, columns]) else {
                    unreachable!("a part is no larger than the whole")
                };
                let full = InterpolateOptions::new(InterpolateMode::Bilinear)
                    .with_align_corners(false)
                    .with_output_size([height, width]);
                let enlarged = |[top, left]: [usize; 2]| {
                    interpolate(images.clone().narrow(2, top, rows).narrow(3, left, columns), full.clone())
                };
                corners.map(enlarged).into()
            }
        }
    }
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

    /// The same task, whose scores are divided by this.
    #[must_use]
    pub fn at_temperature(mut self, temperature: f64) -> Self {
        self.config.temperature = temperature;
        self
    }

    /// The same task, which answers in these views.
    #[must_use]
    pub fn in_views(mut self, views: Option<TestViews>) -> Self {
        self.config.tta = views;
        self
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &ImageClassificationConfig {
        &self.config
    }

    /// What the network says before the temperature, `[batch, classes]`: of several views, scores whose probabilities are the mean of
    /// theirs.
    fn scores(&self, model: &ImageModel, batch: ImageBatch) -> Tensor<2> {
        match self.config.tta {
            None => model.forward(batch.0),
            Some(views) => {
                let scores: Vec<_> = batch.views(views).into_iter().map(|view| model.forward(view)).collect();
                mean_scores(&scores, self.config.loss.probabilities())
            }
        }
    }
}

impl Task for ImageClassification {
    type Sample = Image;
    type Truth = Target;
    type Input = Image;
    type Batch = ImageBatch;
    type Model = ImageModel;
    type Outcome = ClassificationOutcome;
    type Response = ClassificationResponse;

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
        let Normalize { mean, std } = self.config.prepare.tail().cloned().unwrap_or_default();
        ImageBatch::of_levels(&inputs.iter().collect::<Vec<_>>(), (&mean, &std), device)
    }

    /// Over several views it is that of the answer.
    fn loss(&self, model: &ImageModel, batch: ImageBatch, truths: &[Target]) -> ClassificationOutcome {
        let TrainingScores { main, auxiliary } = match self.config.tta {
            None => model.training_scores(batch.0),
            Some(_) => self.scores(model, batch).into(),
        };
        let scores = TrainingScores { main: tempered(main, self.config.temperature), auxiliary };
        ClassificationOutcome::of(scores, truths, &self.config.loss)
    }

    fn respond(&self, model: &ImageModel, batch: ImageBatch) -> Vec<ClassificationResponse> {
        let scores = tempered(self.scores(model, batch), self.config.temperature);
        ClassificationResponse::of(scores, self.labels(), &self.config.loss)
    }

    fn agree(&self, expected: &ClassificationResponse, found: &ClassificationResponse, tolerance: f64) -> bool {
        expected.agrees(found, tolerance)
    }

    fn tensor_door(&self) -> Option<&dyn TensorDoor<Self>> {
        Some(self)
    }
}

/// `image`: normalised pictures, FP32 `[batch, channels, height, width]`.
impl TensorDoor<Self> for ImageClassification {
    fn signature(&self) -> Signature {
        let InputShape { channels, height, width } = self.input;
        let image = TensorSpec {
            name: "image",
            kind: ValueKind::F32,
            shape: vec![None, Some(channels), Some(height), Some(width)],
            is_optional: false,
        };
        Signature {
            raw: "file",
            inputs: vec![image],
            outputs: vec![probabilities(self.labels().len())],
            labels: self.labels().to_vec(),
        }
    }

    fn check(&self, request: &TensorRequest) -> Result<(), InputError> {
        finite(request)
    }

    fn collate(&self, requests: &[&TensorRequest], device: &Device) -> ImageBatch {
        let InputShape { channels, height, width } = self.input;
        let pictures = requests.iter().filter_map(|request| request.get(0));
        // The channels of a pixel go side by side, as in `Task::collate`, so that the same kernels see the same.
        let mut values = Vec::new();
        for picture in pictures.flat_map(|tensor| tensor.floats().chunks_exact(channels * height * width)) {
            for pixel in 0..height * width {
                values.extend((0..channels).map(|channel| picture[channel * height * width + pixel]));
            }
        }
        let batch = values.len() / (channels * height * width);
        let rows = Tensor::<4>::from_data(TensorData::new(values, [batch, height, width, channels]), device);
        ImageBatch(rows.permute([0, 3, 1, 2]))
    }

    fn outputs(&self, responses: &[ClassificationResponse]) -> Vec<HostTensor> {
        vec![table(responses, self.labels().len())]
    }
}

impl Headed for ImageClassification {
    fn head<'a>(&self, model: &'a ImageModel) -> &'a Linear {
        model.network().head()
    }

    fn features(&self, model: &ImageModel, ImageBatch(images): ImageBatch) -> Tensor<2> {
        model.pooled(images)
    }

    fn loss_of_features(&self, model: &ImageModel, features: Tensor<2>, truths: &[Target]) -> ClassificationOutcome {
        let scores = tempered(model.decide(features), self.config.temperature);
        ClassificationOutcome::of(scores, truths, &self.config.loss)
    }

    fn respond_to_features(&self, model: &ImageModel, features: Tensor<2>) -> Vec<ClassificationResponse> {
        let scores = tempered(model.decide(features), self.config.temperature);
        ClassificationResponse::of(scores, self.labels(), &self.config.loss)
    }
}
