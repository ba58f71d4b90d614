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
mod generative;
mod image;
mod registry;
mod sequence;
mod size;
mod summary;
mod two_tower;

pub use error::ModelError;
pub use generative::{
    gan::{Critic, Gan, GanConfig},
    unet::{Unet, UnetConfig},
    vae::{Posterior, Vae, VaeConfig},
};
pub use image::{
    ImageModel, ImageModelConfig, ImageShape, TrainingScores,
    alexnet::{AlexNet, AlexNetConfig},
    cifar_resnet::{CifarResNet, CifarResNetConfig},
    cnn::{Cnn, CnnConfig, Head, Padding},
    convnext::{ConvNext, ConvNextConfig},
    efficientnet_lite::EfficientNetLiteConfig,
    googlenet::{GoogLeNet, GoogLeNetConfig},
    inception_v3::{InceptionV3, InceptionV3Config},
    inverted_residual::InvertedResiduals,
    lenet::{LeNet, LeNetConfig},
    mlp::{Mlp, MlpConfig},
    mobilenet_v2::MobileNetV2Config,
    network::{ImageNetwork, NameTable},
    resnet::{ResNet, ResNetConfig, Stem},
    vgg::{Vgg, VggConfig},
    vit::{Vit, VitConfig},
    wide_resnet::{WideResNet, WideResNetConfig},
};
pub use registry::{Expects, KnownNetwork};
pub use sequence::{
    Pooling, SequenceInput, SequenceModel, SequenceModelConfig,
    bert::bert_weights,
    classifier::SequenceClassifier,
    decoder::{Decoder, DecoderConfig, FeedKind, KeyValueCache, NormKind, PlaceKind},
    encoder::SequenceEncoder,
    language::{LanguageNetwork, LanguageNetworkConfig, Writer},
    recurrent::{Recurrent, RecurrentConfig},
    text_cnn::{TextCnn, TextCnnConfig},
    transformer::{NormPlace, Transformer, TransformerConfig},
};
pub use summary::{Layer, summarize};
pub use two_tower::{ItemFeatures, ItemWords, TwoTower, TwoTowerConfig};
