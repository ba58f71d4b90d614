//! Networks: tensor in, tensor out.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use homeostat_models::{CnnConfig, ImageModelConfig, ImageShape};
//!
//! # fn main() -> Result<(), homeostat_models::ModelError> {
//! let device = Device::flex();
//! let shape = ImageShape { channels: 3, height: 32, width: 32 };
//! let network = ImageModelConfig::Cnn(CnnConfig::default()).init(shape, 10, &device)?;
//! let scores = network.forward(Tensor::zeros([8, 3, 32, 32], &device));
//! assert_eq!(scores.dims(), [8, 10]);
//! # Ok(()) }
//! ```
//!
//! A network does not know labels, losses, files or backends.

mod error;
mod image;
mod sequence;
mod size;

pub use error::ModelError;
pub use image::{
    ImageModel, ImageModelConfig, ImageShape,
    cnn::{Cnn, CnnConfig, Padding},
    mlp::{Mlp, MlpConfig},
};
pub use sequence::{
    Pooling, SequenceInput, SequenceModel, SequenceModelConfig,
    bert::bert_weights,
    classifier::SequenceClassifier,
    recurrent::{Recurrent, RecurrentConfig},
    text_cnn::{TextCnn, TextCnnConfig},
    transformer::{NormPlace, Transformer, TransformerConfig},
};
