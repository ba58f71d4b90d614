//! Networks that look at images, grouped by signature: `[batch, channels, height, width] -> [batch, classes]`.
//! Adding one is a file beside this one, and the lines here that the compiler names.

pub(crate) mod cnn;
pub(crate) mod mlp;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ModelError, size};
use cnn::{Cnn, CnnConfig};
use mlp::{Mlp, MlpConfig};

/// The most pixels of an image, as of the pictures that are read: 8192 x 8192.
const MAX_PIXELS: usize = 1 << 26;
/// The most units or channels of a layer.
const MAX_WIDTH: usize = 1 << 20;
/// The most layers or stages in a list.
const MAX_DEPTH: usize = 1000;

/// The shape of one prepared image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageShape {
    fn check(self, network: &'static str) -> Result<(), ModelError> {
        let Self { channels, height, width } = self;
        let pixels = height.checked_mul(width).filter(|pixels| (1..=MAX_PIXELS).contains(pixels));
        match pixels {
            Some(_) if (1..=MAX_WIDTH).contains(&channels) => Ok(()),
            _ => Err(ModelError::Setting {
                network,
                setting: "input",
                problem: format!(
                    "is {channels} x {height} x {width} (channels, height, width), but every side is at least 1, and at \
                     most {MAX_PIXELS} pixels are possible"
                ),
            }),
        }
    }
}

/// A network for images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageModelConfig {
    /// A multi-layer perceptron on the flattened pixels.
    Mlp(MlpConfig),
    /// The reference convolutional network: stages of convolution, ReLU and max-pooling, then dense layers.
    Cnn(CnnConfig),
}

impl Default for ImageModelConfig {
    fn default() -> Self {
        Self::Cnn(CnnConfig::default())
    }
}

impl ImageModelConfig {
    /// The name under which an experiment asks for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mlp(_) => "mlp",
            Self::Cnn(_) => "cnn",
        }
    }

    /// Refuses settings that make no network, whatever the images.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        match self {
            Self::Mlp(config) => config.check(),
            Self::Cnn(config) => config.check(),
        }
    }

    /// Makes the network live, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The images are too small for the network, a setting is out of range, or there would be too many parameters.
    pub fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<ImageModel, ModelError> {
        self.check()?;
        shape.check(self.name())?;
        let network = match self {
            Self::Mlp(config) => ImageModel::Mlp(config.init(shape, classes, device)),
            Self::Cnn(config) => ImageModel::Cnn(config.init(shape, classes, device)?),
        };
        size::check(self.name(), &network)?;
        size::draw(&network);
        Ok(network)
    }

    /// One small configuration of every network, for tables that test them all.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        vec![
            Self::Mlp(MlpConfig { hidden: vec![16, 8], dropout: 0.1 }),
            Self::Cnn(CnnConfig { widths: vec![4, 8], hidden: vec![16], ..CnnConfig::default() }),
            Self::Cnn(CnnConfig { widths: vec![4, 6, 8], hidden: vec![], padding: cnn::Padding::Same, dropout: 0.2 }),
        ]
    }
}

/// A living network for images.
#[derive(Module, Debug)]
pub enum ImageModel {
    /// See [`MlpConfig`].
    Mlp(Mlp),
    /// See [`CnnConfig`].
    Cnn(Cnn),
}

impl ImageModel {
    /// `[batch, channels, height, width] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Mlp(network) => network.forward(images),
            Self::Cnn(network) => network.forward(images),
        }
    }
}

/// A dropout rate that Burn accepts.
pub(crate) fn check_dropout(network: &'static str, dropout: f64) -> Result<(), ModelError> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(ModelError::Setting {
        network,
        setting: "dropout",
        problem: format!("is {dropout}, but must lie in 0..1 (1 excluded)"),
    })
}

/// Widths that make layers.
fn check_widths(network: &'static str, setting: &'static str, widths: &[usize]) -> Result<(), ModelError> {
    let problem = match widths.iter().find(|width| !(1..=MAX_WIDTH).contains(*width)) {
        Some(width) => format!("has a width of {width}, but widths lie in 1..={MAX_WIDTH}"),
        None if widths.len() > MAX_DEPTH => {
            format!("has {} widths, but at most {MAX_DEPTH} are possible", widths.len())
        }
        None => return Ok(()),
    };
    Err(ModelError::Setting { network, setting, problem })
}
