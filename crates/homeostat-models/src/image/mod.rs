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

use crate::ModelError;
use cnn::{Cnn, CnnConfig};
use mlp::{Mlp, MlpConfig};

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

    /// Makes the network live, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The images are too small for the network, or a setting is out of range.
    pub fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<ImageModel, ModelError> {
        let network = match self {
            Self::Mlp(config) => ImageModel::Mlp(config.init(shape, classes, device)?),
            Self::Cnn(config) => ImageModel::Cnn(config.init(shape, classes, device)?),
        };
        // Burn draws weights at first use; drawn here, they depend on the seed alone.
        Ok(network.materialize())
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
fn check_dropout(network: &'static str, dropout: f64) -> Result<(), ModelError> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(ModelError::Setting {
        network,
        setting: "dropout",
        problem: format!("is {dropout}, but must lie in 0..1 (1 excluded)"),
    })
}

/// Widths that make a layer.
fn check_widths(network: &'static str, setting: &'static str, widths: &[usize]) -> Result<(), ModelError> {
    if widths.iter().all(|&width| width > 0) {
        return Ok(());
    }
    Err(ModelError::Setting { network, setting, problem: format!("is {widths:?}, but every width must be at least 1") })
}
