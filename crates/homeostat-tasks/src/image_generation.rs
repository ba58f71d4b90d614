//! Making pictures: of a seed, or of a place among the latents. It does not know the loop, the server, or where pictures come from.

mod adversary;
mod autoencoder;
mod diffusion;
mod request;

use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use homeostat_data::{DataError, Image, ImagePrepare, Rng, Shape, stream};
use homeostat_metrics::Measurements;
use homeostat_models::{Gan, ImageShape, ModelError, Unet, Vae};
use homeostat_task::{InputError, Outcome, Task, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adversary::{AdversarialLoss, AdversaryConfig, PenaltyConfig, slopes};
pub use autoencoder::{AutoencoderConfig, Elbo, elbo};
pub use diffusion::DiffusionConfig;
pub use request::{GeneratedImage, PictureRequest};

use crate::{ImageBatch, InputShape, classification::reason};

/// Making pictures like those of the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageGenerationConfig {
    /// The shape of a picture; taken from the data when absent.
    pub input: Option<InputShape>,
    /// What is done to every picture before the network sees it; levels stay levels, so `normalize` is no step of it.
    pub prepare: ImagePrepare,
    /// What makes the pictures, and how it learns to.
    pub model: GenerativeConfig,
}

/// What makes pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GenerativeConfig {
    /// A variational autoencoder: also gives pictures back, and goes from one to another.
    Vae(AutoencoderConfig),
    /// A generator that learns from a critic, which learns to tell what it makes from true pictures.
    Gan(AdversaryConfig),
    /// A network that takes noise away, a little at a time.
    Diffusion(DiffusionConfig),
}

impl Default for GenerativeConfig {
    fn default() -> Self {
        Self::Vae(AutoencoderConfig::default())
    }
}

const KEY: &str = "task.image-generation";

impl ImageGenerationConfig {
    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        let wrong = |error: DataError| TaskError::new(error.to_string());
        self.prepare.check(&format!("{KEY}.prepare")).map_err(wrong)?;
        if self.prepare.tail().is_some() || self.prepare.wants_stats() {
            let problem = "normalises, but a made picture has levels: leave that step out";
            return Err(TaskError::new(format!("`{KEY}.prepare` {problem}")));
        }
        if let Some(input) = self.input {
            input.check(KEY)?;
            self.prepare.check_channels(&format!("{KEY}.prepare"), input.channels).map_err(wrong)?;
        }
        match &self.model {
            GenerativeConfig::Vae(config) => config.check(&format!("{KEY}.model.vae")),
            GenerativeConfig::Gan(config) => config.check(&format!("{KEY}.model.gan")),
            GenerativeConfig::Diffusion(config) => config.check(&format!("{KEY}.model.diffusion")),
        }
    }

    /// The living task; all that training chooses by itself must be there.
    ///
    /// # Errors
    /// Something is missing or does not fit together; names it.
    pub fn init(&self) -> Result<ImageGeneration, TaskError> {
        self.check()?;
        let Some(input) = self.input else {
            return Err(TaskError::new(format!("{KEY}.input is not known yet: training fills it in")));
        };
        Ok(ImageGeneration { config: self.clone(), input })
    }
}

/// The living task.
#[derive(Clone, Debug)]
pub struct ImageGeneration {
    config: ImageGenerationConfig,
    input: InputShape,
}

/// What a request asks for, and what training looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum PictureSample {
    /// This picture: to learn from, or to be given back.
    Picture(Image),
    /// A picture of this request.
    Asked(PictureRequest),
}

/// A sample made ready.
#[derive(Clone, Debug, PartialEq)]
pub enum PictureInput {
    /// The levels of a picture.
    Picture(Image),
    /// A place among the latents.
    Latent {
        /// Its numbers.
        values: Vec<f32>,
        /// What else is random of the picture is of this seed.
        seed: u64,
    },
}

/// Inputs on the device.
#[derive(Clone, Debug)]
pub struct PictureBatch {
    /// The pictures, levels from 0 to 1.
    pictures: Option<ImageBatch>,
    /// The latents, `[rows, latent]`.
    latents: Option<Tensor<2>>,
    /// The seeds of the latents.
    seeds: Vec<u64>,
    /// Of each input, whether it is a picture.
    is_picture: Vec<bool>,
}

/// What is random of a sample that is learnt from, and when it is met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// The seed of all that is drawn for it.
    pub seed: u64,
    /// Epochs of the training before it, fractions included; infinite where it is measured.
    pub epoch: f64,
    /// The batch that it stands in, of the whole training, from 0.
    pub batch: u64,
}

/// The networks.
#[allow(clippy::large_enum_variant, reason = "one a process; a box would only add a hop")]
#[derive(Module, Debug)]
pub enum GenerativeModel {
    /// Of [`GenerativeConfig::Vae`].
    Vae(Vae),
    /// Of [`GenerativeConfig::Gan`].
    Gan(Gan),
    /// Of [`GenerativeConfig::Diffusion`].
    Diffusion(Unet),
}

/// The loss of a batch, and its figures.
#[derive(Debug)]
pub struct GenerationOutcome {
    loss: Tensor<1>,
    /// The figures beside the loss, each of one number.
    figures: Vec<Tensor<1>>,
    samples: usize,
}

impl Outcome for GenerationOutcome {
    type Record = Measurements;

    fn loss(&self) -> Tensor<1> {
        self.loss.clone()
    }

    fn weight(&self) -> f64 {
        self.samples as f64
    }

    fn record(self) -> Measurements {
        let all = std::iter::once(self.loss).chain(self.figures);
        Measurements { means: all.map(Tensor::into_scalar::<f64>).collect(), weight: self.samples as f64 }
    }
}

impl ImageGeneration {
    /// The shape of a picture.
    #[must_use]
    pub fn input(&self) -> InputShape {
        self.input
    }

    /// The table that it was made from.
    #[must_use]
    pub fn config(&self) -> &ImageGenerationConfig {
        &self.config
    }

    /// What is measured beside each other, the loss first, and whether more of it is better.
    #[must_use]
    pub fn figures(&self) -> &'static [(&'static str, bool)] {
        self.config.model.figures()
    }

    /// Whether it can give pictures back: asked with a picture, it answers with what it makes of it.
    #[must_use]
    pub fn reconstructs(&self) -> bool {
        matches!(self.config.model, GenerativeConfig::Vae(_))
    }

    /// How many numbers a latent has.
    #[must_use]
    pub fn latent(&self) -> usize {
        match &self.config.model {
            GenerativeConfig::Vae(config) => config.network.latent,
            GenerativeConfig::Gan(config) => config.network.latent,
            GenerativeConfig::Diffusion(_) => {
                let InputShape { channels, height, width } = self.input;
                channels * height * width
            }
        }
    }

    /// The latent of this seed: numbers of the standard normal distribution.
    #[must_use]
    pub fn latent_of(&self, seed: u64) -> Vec<f32> {
        normal(seed, "latent", self.latent())
    }

    /// Pictures of these requests.
    ///
    /// # Errors
    /// A request cannot be answered.
    pub fn make(
        &self,
        model: &GenerativeModel,
        requests: &[PictureRequest],
        device: &Device,
    ) -> Result<Vec<Image>, InputError> {
        let ready = |request: &PictureRequest| self.prepare(PictureSample::Asked(request.clone()));
        let inputs = requests.iter().map(ready).collect::<Result<Vec<_>, _>>()?;
        Ok(self.images(model, self.collate(&inputs, device)))
    }

    /// What the network makes of these pictures.
    ///
    /// # Errors
    /// It is none that looks at pictures, or one of them is of another shape.
    pub fn reconstruct(
        &self,
        model: &GenerativeModel,
        pictures: &[Image],
        device: &Device,
    ) -> Result<Vec<Image>, InputError> {
        self.can_reconstruct()?;
        let ready = |picture: &Image| self.prepare(PictureSample::Picture(picture.clone()));
        let inputs = pictures.iter().map(ready).collect::<Result<Vec<_>, _>>()?;
        Ok(self.images(model, self.collate(&inputs, device)))
    }

    fn can_reconstruct(&self) -> Result<(), InputError> {
        if self.reconstructs() {
            return Ok(());
        }
        Err(InputError::new(
            "this network makes pictures and looks at none: ask it with a seed, as {\"seed\": 7}, or with a latent",
        ))
    }

    fn images(&self, model: &GenerativeModel, batch: PictureBatch) -> Vec<Image> {
        let PictureBatch { pictures, latents, seeds, is_picture } = batch;
        let mut given_back =
            pictures.map(|pictures| self.levels(self.given_back(model, pictures))).unwrap_or_default().into_iter();
        let mut made =
            latents.map(|latents| self.levels(self.made(model, latents, &seeds))).unwrap_or_default().into_iter();
        let next = |is_picture| if is_picture { given_back.next() } else { made.next() };
        is_picture.into_iter().map(next).map(|image| image.expect("an image an input")).collect()
    }

    /// Latents to pictures with levels from 0 to 1, `[batch, channels, height, width]`.
    fn made(&self, model: &GenerativeModel, latents: Tensor<2>, seeds: &[u64]) -> Tensor<4> {
        match (model, &self.config.model) {
            (GenerativeModel::Vae(vae), _) => autoencoder::made(vae, latents),
            (GenerativeModel::Gan(gan), _) => adversary::made(gan, latents),
            (GenerativeModel::Diffusion(unet), GenerativeConfig::Diffusion(config)) => {
                config.made(unet, latents, (self.input, seeds))
            }
            (GenerativeModel::Diffusion(_), _) => panic!("the network is that of the task"),
        }
    }

    /// # Panics
    /// If the network looks at no pictures.
    fn given_back(&self, model: &GenerativeModel, ImageBatch(pictures): ImageBatch) -> Tensor<4> {
        match model {
            GenerativeModel::Vae(vae) => autoencoder::given_back(vae, pictures),
            GenerativeModel::Gan(_) | GenerativeModel::Diffusion(_) => panic!("a picture is refused when it is read"),
        }
    }

    /// Numbers from 0 to 1 as levels.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels lie in 0..=255")]
    fn levels(&self, pictures: Tensor<4>) -> Vec<Image> {
        let InputShape { channels, height, width } = self.input;
        let shape = Shape { height, width, channels };
        let rows = pictures.permute([0, 2, 3, 1]).into_data_dtype(DType::F32);
        let rows = rows.as_slice::<f32>().unwrap_or_default();
        let level = |value: &f32| (255.0 * value).round().clamp(0.0, 255.0) as u8;
        rows.chunks_exact(shape.len()).map(|row| Image::new(shape, row.iter().map(level).collect())).collect()
    }
}

impl GenerativeConfig {
    /// What is measured, the loss first, and whether more of it is better.
    #[must_use]
    pub fn figures(&self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Vae(_) => autoencoder::FIGURES,
            Self::Gan(_) => adversary::FIGURES,
            Self::Diffusion(_) => diffusion::FIGURES,
        }
    }
}

/// Numbers of the standard normal distribution that depend on the seed and what they are for alone.
fn normal(seed: u64, what: &str, count: usize) -> Vec<f32> {
    let mut rng = Rng::keyed(seed, [0, 0, stream(what, 0)]);
    (0..count).map(|_| rng.normal()).collect()
}

/// The same for each sample of a batch, in rows.
fn normal_rows(truths: &[Chance], what: &str, width: usize, device: &Device) -> Tensor<2> {
    let rows: Vec<f32> = truths.iter().flat_map(|chance| normal(chance.seed, what, width)).collect();
    Tensor::from_data(TensorData::new(rows, [truths.len(), width]), device)
}

fn wrong(error: &ModelError) -> TaskError {
    TaskError::new(error.to_string())
}

impl Task for ImageGeneration {
    type Sample = PictureSample;
    type Truth = Chance;
    type Input = PictureInput;
    type Batch = PictureBatch;
    type Model = GenerativeModel;
    type Outcome = GenerationOutcome;
    type Response = GeneratedImage;

    fn init(&self, device: &Device) -> Result<GenerativeModel, TaskError> {
        let InputShape { channels, height, width } = self.input;
        let shape = ImageShape { channels, height, width };
        match &self.config.model {
            GenerativeConfig::Vae(config) => config.network.init(shape, device).map(GenerativeModel::Vae),
            GenerativeConfig::Gan(config) => config.network.init(shape, device).map(GenerativeModel::Gan),
            GenerativeConfig::Diffusion(config) => config.network.init(shape, device).map(GenerativeModel::Diffusion),
        }
        .map_err(|error| wrong(&error))
    }

    /// A picture, or a JSON object that asks for one.
    fn read(&self, bytes: &[u8]) -> Result<PictureSample, InputError> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return PictureRequest::read(bytes).map(PictureSample::Asked);
        }
        self.can_reconstruct()?;
        Image::decode(bytes).map(PictureSample::Picture).map_err(reason)
    }

    fn prepare(&self, sample: PictureSample) -> Result<PictureInput, InputError> {
        let picture = match sample {
            PictureSample::Asked(request) => return request.latent(self),
            PictureSample::Picture(picture) => picture,
        };
        let InputShape { channels, height, width } = self.input;
        let prepared = self.config.prepare.host(picture.to_channels(channels)).map_err(reason)?.to_channels(channels);
        if InputShape::from(prepared.shape()) == self.input {
            return Ok(PictureInput::Picture(prepared));
        }
        Err(InputError::new(format!(
            "the picture has {} x {} pixels, but the network takes {height} x {width}: resize it, or train with \
             prepare = [{{ resize = {{ size = [{height}, {width}] }} }}]",
            prepared.height(),
            prepared.width()
        )))
    }

    fn collate(&self, inputs: &[PictureInput], device: &Device) -> PictureBatch {
        let (mut pictures, mut latents, mut seeds, mut is_picture) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for input in inputs {
            is_picture.push(matches!(input, PictureInput::Picture(_)));
            match input {
                PictureInput::Picture(picture) => pictures.push(picture),
                PictureInput::Latent { values, seed } => {
                    latents.extend_from_slice(values);
                    seeds.push(*seed);
                }
            }
        }
        let rows = |values| Tensor::from_data(TensorData::new(values, [seeds.len(), self.latent()]), device);
        PictureBatch {
            pictures: (!pictures.is_empty()).then(|| ImageBatch::of_levels(&pictures, (&[0.0], &[1.0]), device)),
            latents: (!seeds.is_empty()).then(|| rows(latents)),
            seeds,
            is_picture,
        }
    }

    /// # Panics
    /// If the batch is none of pictures alone: what is asked for is answered, not learnt from.
    fn loss(&self, model: &GenerativeModel, batch: PictureBatch, truths: &[Chance]) -> GenerationOutcome {
        let Some(ImageBatch(pictures)) = batch.pictures.filter(|_| batch.latents.is_none()) else {
            panic!("training looks at pictures")
        };
        match (model, &self.config.model) {
            (GenerativeModel::Vae(vae), GenerativeConfig::Vae(config)) => config.outcome(vae, pictures, truths),
            (GenerativeModel::Gan(gan), GenerativeConfig::Gan(config)) => config.outcome(gan, pictures, truths),
            (GenerativeModel::Diffusion(unet), GenerativeConfig::Diffusion(config)) => {
                config.outcome(unet, pictures, truths)
            }
            _ => panic!("the network is that of the task"),
        }
    }

    fn respond(&self, model: &GenerativeModel, batch: PictureBatch) -> Vec<GeneratedImage> {
        self.images(model, batch).iter().map(GeneratedImage::of).collect()
    }

    fn agree(&self, expected: &GeneratedImage, found: &GeneratedImage, tolerance: f64) -> bool {
        expected.agrees(found, tolerance)
    }
}
