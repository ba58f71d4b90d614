//! Networks that look at images, grouped by signature: `[batch, channels, height, width] -> [batch, classes]`.
//! Adding one is a file beside this one, and the lines here that the compiler names.

pub(crate) mod alexnet;
pub(crate) mod blocks;
pub(crate) mod cifar_resnet;
pub(crate) mod cnn;
pub(crate) mod convnext;
pub(crate) mod efficientnet_lite;
pub(crate) mod googlenet;
pub(crate) mod inception_v3;
pub(crate) mod inverted_residual;
pub(crate) mod lenet;
pub(crate) mod mlp;
pub(crate) mod mobilenet_v2;
pub(crate) mod network;
pub(crate) mod resnet;
pub(crate) mod trace;
pub(crate) mod vgg;
pub(crate) mod vit;
pub(crate) mod wide_resnet;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use homeostat_kernels::Activation;

use crate::{ModelError, size};
use alexnet::{AlexNet, AlexNetConfig};
use blocks::classify;
use cifar_resnet::{CifarResNet, CifarResNetConfig};
use cnn::{Cnn, CnnConfig};
use convnext::{ConvNext, ConvNextConfig};
use efficientnet_lite::EfficientNetLiteConfig;
use googlenet::{GoogLeNet, GoogLeNetConfig};
use inception_v3::{InceptionV3, InceptionV3Config};
use inverted_residual::InvertedResiduals;
use lenet::{LeNet, LeNetConfig};
use mlp::{Mlp, MlpConfig};
use mobilenet_v2::MobileNetV2Config;
use network::{Describe, ImageNetwork, NameTable};
use resnet::{ResNet, ResNetConfig};
use vgg::{Vgg, VggConfig};
use vit::{Vit, VitConfig};
use wide_resnet::{WideResNet, WideResNetConfig};

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
    pub(crate) fn check(self, network: &'static str) -> Result<(), ModelError> {
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
    /// LeNet-5: two convolutions with mean pooling, and three dense layers, all with the hyperbolic tangent.
    #[serde(rename = "lenet")]
    LeNet(LeNetConfig),
    /// AlexNet: five convolutions and three dense layers.
    #[serde(rename = "alexnet")]
    AlexNet(AlexNetConfig),
    /// VGG: stages of 3x3 convolutions, and three dense layers.
    Vgg(VggConfig),
    /// ResNet: blocks that learn what to add to their input; also the Wide ResNets of torchvision.
    #[serde(rename = "resnet")]
    ResNet(ResNetConfig),
    /// ResNet for images of 32 pixels.
    #[serde(rename = "cifar-resnet")]
    CifarResNet(CifarResNetConfig),
    /// Pre-activation and Wide ResNet for images of 32 pixels.
    #[serde(rename = "wide-resnet")]
    WideResNet(WideResNetConfig),
    /// GoogLeNet: modules that look with windows of several sizes.
    #[serde(rename = "googlenet")]
    GoogLeNet(GoogLeNetConfig),
    /// Inception-v3: modules of convolutions that are cut into narrow ones.
    InceptionV3(InceptionV3Config),
    /// MobileNetV2: inverted residuals, for small machines.
    #[serde(rename = "mobilenet-v2")]
    MobileNetV2(MobileNetV2Config),
    /// EfficientNet-Lite 0 to 4: EfficientNet for small machines.
    #[serde(rename = "efficientnet-lite")]
    EfficientNetLite(EfficientNetLiteConfig),
    /// ConvNeXt: a convolutional network built like a Transformer.
    #[serde(rename = "convnext")]
    ConvNext(ConvNextConfig),
    /// Vision Transformer: patches of the image as tokens.
    Vit(VitConfig),
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
            Self::LeNet(_) => "lenet",
            Self::AlexNet(_) => "alexnet",
            Self::Vgg(_) => "vgg",
            Self::ResNet(_) => "resnet",
            Self::CifarResNet(_) => "cifar-resnet",
            Self::WideResNet(_) => "wide-resnet",
            Self::GoogLeNet(_) => "googlenet",
            Self::InceptionV3(_) => "inception-v3",
            Self::MobileNetV2(_) => "mobilenet-v2",
            Self::EfficientNetLite(_) => "efficientnet-lite",
            Self::ConvNext(_) => "convnext",
            Self::Vit(_) => "vit",
        }
    }

    fn description(&self) -> &dyn Describe {
        match self {
            Self::Mlp(config) => config,
            Self::Cnn(config) => config,
            Self::LeNet(config) => config,
            Self::AlexNet(config) => config,
            Self::Vgg(config) => config,
            Self::ResNet(config) => config,
            Self::CifarResNet(config) => config,
            Self::WideResNet(config) => config,
            Self::GoogLeNet(config) => config,
            Self::InceptionV3(config) => config,
            Self::MobileNetV2(config) => config,
            Self::EfficientNetLite(config) => config,
            Self::ConvNext(config) => config,
            Self::Vit(config) => config,
        }
    }

    /// Refuses settings that make no network, whatever the images.
    ///
    /// # Errors
    /// Names the first setting out of range.
    pub fn check(&self) -> Result<(), ModelError> {
        self.description().check()
    }

    /// The smallest side of an image that the network can look at.
    #[must_use]
    pub fn smallest(&self) -> usize {
        self.description().smallest()
    }

    /// Whether one network takes pictures of any size; if not, its weights are bound to the size that it was made for.
    #[must_use]
    pub fn takes_any_size(&self) -> bool {
        self.description().takes_any_size()
    }

    /// How well-known implementations call the network's layers; none where there is none.
    #[must_use]
    pub fn names(&self) -> Vec<NameTable> {
        self.description().names()
    }

    /// Makes the network live, its weights drawn from the device's seeded generator.
    ///
    /// # Errors
    /// The images are too small for the network, a setting is out of range, or there would be too many parameters.
    pub fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<ImageModel, ModelError> {
        let network = self.undrawn(shape, classes, device)?;
        size::draw(&network);
        Ok(network)
    }

    /// How many parameters learn, without taking memory for them.
    ///
    /// # Errors
    /// As for [`init`](Self::init).
    pub fn parameters(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<u64, ModelError> {
        Ok(size::learnt(&self.undrawn(shape, classes, device)?))
    }

    /// The network, its weights not drawn yet.
    fn undrawn(&self, shape: ImageShape, classes: usize, device: &Device) -> Result<ImageModel, ModelError> {
        self.check()?;
        shape.check(self.name())?;
        let (ImageShape { height, width, .. }, needed) = (shape, self.smallest());
        if height.min(width) < needed {
            return Err(ModelError::TooSmall { network: self.name(), height, width, needed });
        }
        let network = match self {
            Self::Mlp(config) => ImageModel::Mlp(config.init(shape, classes, device)),
            Self::Cnn(config) => ImageModel::Cnn(config.init(shape, classes, device)),
            Self::LeNet(config) => ImageModel::LeNet(config.init(shape, classes, device)),
            Self::AlexNet(config) => ImageModel::AlexNet(config.init(shape, classes, device)),
            Self::Vgg(config) => ImageModel::Vgg(config.init(shape, classes, device)),
            Self::ResNet(config) => ImageModel::ResNet(config.init(shape, classes, device)),
            Self::CifarResNet(config) => ImageModel::CifarResNet(config.init(shape, classes, device)),
            Self::WideResNet(config) => ImageModel::WideResNet(config.init(shape, classes, device)),
            Self::GoogLeNet(config) => ImageModel::GoogLeNet(config.init(shape, classes, device)),
            Self::InceptionV3(config) => ImageModel::InceptionV3(config.init(shape, classes, device)),
            Self::MobileNetV2(config) => ImageModel::MobileNetV2(config.init(shape, classes, device)),
            Self::EfficientNetLite(config) => ImageModel::EfficientNetLite(config.init(shape, classes, device)),
            Self::ConvNext(config) => ImageModel::ConvNext(config.init(shape, classes, device)),
            Self::Vit(config) => ImageModel::Vit(config.init(shape, classes, device)?),
        };
        size::check(self.name(), &network)?;
        Ok(network)
    }

    /// One small configuration of every network, for tables that test them all.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        vec![
            Self::Mlp(MlpConfig { hidden: vec![16, 8], dropout: 0.1 }),
            Self::Cnn(CnnConfig { widths: vec![4, 8], hidden: vec![16], ..CnnConfig::default() }),
            Self::Cnn(CnnConfig {
                widths: vec![4, 6, 8],
                hidden: vec![],
                padding: cnn::Padding::Same,
                dropout: 0.2,
                ..CnnConfig::default()
            }),
            Self::Cnn(CnnConfig { widths: vec![4, 8], head: cnn::Head::Mean, hidden: vec![], ..CnnConfig::default() }),
            Self::LeNet(LeNetConfig::default()),
            Self::AlexNet(AlexNetConfig { width: 1, hidden: 32, dropout: 0.1 }),
            Self::Vgg(VggConfig { depth: 11, width: 4, hidden: 32, batch_norm: false, dropout: 0.1 }),
            Self::Vgg(VggConfig { depth: 13, width: 4, hidden: 32, batch_norm: true, dropout: 0.0 }),
            Self::ResNet(ResNetConfig { width: 4, ..ResNetConfig::default() }),
            Self::ResNet(ResNetConfig {
                depth: 50,
                width: 4,
                widening: 2,
                stem: resnet::Stem::Small,
                squeeze_excitation: true,
                stochastic_depth: 0.2,
                ..ResNetConfig::default()
            }),
            Self::ResNet(ResNetConfig { width: 4, squeeze_excitation: true, ..ResNetConfig::default() }),
            Self::CifarResNet(CifarResNetConfig { width: 4, ..CifarResNetConfig::default() }),
            Self::WideResNet(WideResNetConfig { depth: 10, widening: 1, dropout: 0.1, stochastic_depth: 0.1 }),
            Self::GoogLeNet(GoogLeNetConfig { width: 1, ..GoogLeNetConfig::default() }),
            Self::InceptionV3(InceptionV3Config { width: 1, auxiliary: false, dropout: 0.1 }),
            Self::MobileNetV2(MobileNetV2Config { width: 0.25, features: 64, ..MobileNetV2Config::default() }),
            Self::EfficientNetLite(EfficientNetLiteConfig {
                width: 0.25,
                features: 64,
                tensorflow: true,
                stochastic_depth: 0.1,
                ..EfficientNetLiteConfig::default()
            }),
            Self::ConvNext(ConvNextConfig { blocks: vec![1, 1, 2], width: 8, stochastic_depth: 0.1 }),
            Self::Vit(VitConfig {
                patch: 4,
                width: 16,
                depth: 3,
                heads: 2,
                stochastic_depth: 0.1,
                ..VitConfig::default()
            }),
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
    /// See [`LeNetConfig`].
    LeNet(LeNet),
    /// See [`AlexNetConfig`].
    AlexNet(AlexNet),
    /// See [`VggConfig`].
    Vgg(Vgg),
    /// See [`ResNetConfig`].
    ResNet(ResNet),
    /// See [`CifarResNetConfig`].
    CifarResNet(CifarResNet),
    /// See [`WideResNetConfig`].
    WideResNet(WideResNet),
    /// See [`GoogLeNetConfig`].
    GoogLeNet(GoogLeNet),
    /// See [`InceptionV3Config`].
    InceptionV3(InceptionV3),
    /// See [`MobileNetV2Config`].
    MobileNetV2(InvertedResiduals),
    /// See [`EfficientNetLiteConfig`].
    EfficientNetLite(InvertedResiduals),
    /// See [`ConvNextConfig`].
    ConvNext(ConvNext),
    /// See [`VitConfig`].
    Vit(Vit),
}

/// What a network says in training.
#[derive(Clone, Debug)]
pub struct TrainingScores {
    /// `[batch, classes]`
    pub main: Tensor<2>,
    /// What further heads say, each with its weight in the loss; most networks have none.
    pub auxiliary: Vec<(f64, Tensor<2>)>,
}

impl From<Tensor<2>> for TrainingScores {
    fn from(main: Tensor<2>) -> Self {
        Self { main, auxiliary: Vec::new() }
    }
}

impl ImageModel {
    /// What every network for images can do.
    #[must_use]
    pub fn network(&self) -> &dyn ImageNetwork {
        match self {
            Self::Mlp(network) => network,
            Self::Cnn(network) => network,
            Self::LeNet(network) => network,
            Self::AlexNet(network) => network,
            Self::Vgg(network) => network,
            Self::ResNet(network) => network,
            Self::CifarResNet(network) => network,
            Self::WideResNet(network) => network,
            Self::GoogLeNet(network) => network,
            Self::InceptionV3(network) => network,
            Self::MobileNetV2(network) => network,
            Self::EfficientNetLite(network) => network,
            Self::ConvNext(network) => network,
            Self::Vit(network) => network,
        }
    }

    /// `[batch, channels, height, width] -> [batch, classes]`
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.network().forward(images)
    }

    /// What the head sees: `[batch, channels, height, width] -> [batch, width]`
    #[must_use]
    pub fn pooled(&self, images: Tensor<4>) -> Tensor<2> {
        let network = self.network();
        network.pool(network.features(images).pop().expect("a network has a stage"))
    }

    /// What the head makes of what it sees: `[batch, width] -> [batch, classes]`
    #[must_use]
    pub fn decide(&self, pooled: Tensor<2>) -> Tensor<2> {
        classify(self.network().head(), pooled, Activation::Linear)
    }

    /// What training looks at: the scores, and, where the device computes gradients, those of further heads.
    #[must_use]
    pub fn training_scores(&self, images: Tensor<4>) -> TrainingScores {
        let network = self.network();
        let learns = images.device().is_autodiff();
        let features = network.features(images);
        let auxiliary = if learns { network.auxiliary(&features) } else { Vec::new() };
        TrainingScores { main: network.decide(features), auxiliary }
    }

    /// What comes out of each stage, the last stage last: `[batch, channels, height, width]` each.
    #[must_use]
    pub fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        self.network().features(images)
    }
}

/// A dropout rate that Burn accepts.
pub(crate) fn check_dropout(network: &'static str, dropout: f64) -> Result<(), ModelError> {
    check_rate(network, "dropout", dropout)
}

fn check_rate(network: &'static str, setting: &'static str, rate: f64) -> Result<(), ModelError> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(ModelError::Setting { network, setting, problem: format!("is {rate}, but must lie in 0..1 (1 excluded)") })
}

/// What channels are multiplied by.
fn check_factor(network: &'static str, setting: &'static str, factor: f64) -> Result<(), ModelError> {
    if (0.01..=100.0).contains(&factor) {
        return Ok(());
    }
    Err(ModelError::Setting { network, setting, problem: format!("is {factor}, but must lie in 0.01..=100") })
}

pub(crate) fn check_width(network: &'static str, setting: &'static str, width: usize) -> Result<(), ModelError> {
    if (1..=MAX_WIDTH).contains(&width) {
        return Ok(());
    }
    Err(ModelError::Setting { network, setting, problem: format!("is {width}, but must lie in 1..={MAX_WIDTH}") })
}

/// A depth among those that there are.
fn check_depth(network: &'static str, depth: usize, known: &[usize]) -> Result<(), ModelError> {
    if known.contains(&depth) {
        return Ok(());
    }
    Err(ModelError::Setting { network, setting: "depth", problem: format!("is {depth}, but must be one of {known:?}") })
}

/// Widths that make layers, of which there is at least one.
pub(crate) fn check_stages(network: &'static str, setting: &'static str, widths: &[usize]) -> Result<(), ModelError> {
    if widths.is_empty() {
        let problem = "is empty, but needs at least one width".to_owned();
        return Err(ModelError::Setting { network, setting, problem });
    }
    check_widths(network, setting, widths)
}

/// Widths that make layers, if any.
pub(crate) fn check_widths(network: &'static str, setting: &'static str, widths: &[usize]) -> Result<(), ModelError> {
    let problem = match widths.iter().find(|width| !(1..=MAX_WIDTH).contains(*width)) {
        Some(width) => format!("has a width of {width}, but widths lie in 1..={MAX_WIDTH}"),
        None if widths.len() > MAX_DEPTH => {
            format!("has {} widths, but at most {MAX_DEPTH} are possible", widths.len())
        }
        None => return Ok(()),
    };
    Err(ModelError::Setting { network, setting, problem })
}
