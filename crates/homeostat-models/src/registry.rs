//! Well-known networks by name, as torchvision and timm spell them, with what their published weights expect of an image.
//! It does not know files.

use crate::{
    AlexNetConfig, CifarResNetConfig, ConvNextConfig, EfficientNetLiteConfig, GoogLeNetConfig, ImageModelConfig,
    ImageShape, InceptionV3Config, LeNetConfig, MobileNetV2Config, ResNetConfig, VggConfig, VitConfig,
    WideResNetConfig,
};

/// A well-known network.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownNetwork {
    /// Its name.
    pub name: &'static str,
    /// What it is made from.
    pub config: ImageModelConfig,
    /// The image that it is made for.
    pub input: ImageShape,
    /// The classes of its published weights.
    pub classes: usize,
    /// Millions of products that are summed for one image.
    pub mega_macs: u32,
    /// Who has published weights, in names that we read.
    pub weights: Option<&'static str>,
    /// What the published weights expect.
    pub expects: Expects,
}

/// How an image is made ready for published weights: resized, cropped, and normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expects {
    /// The share of a side of the resized image that the crop keeps.
    pub crop: f64,
    /// Whether the image is resized with cubic splines; else linearly.
    pub bicubic: bool,
    /// The mean of each channel, for levels in 0..1.
    pub mean: [f64; 3],
    /// Its standard deviation.
    pub std: [f64; 3],
}

const IMAGENET: Expects =
    Expects { crop: 0.875, bicubic: false, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/// Levels in -1..1.
const HALVES: Expects = Expects { crop: 0.875, bicubic: true, mean: [0.5; 3], std: [0.5; 3] };
const TORCHVISION: Option<&str> = Some("torchvision");
const TIMM: Option<&str> = Some("timm");

impl KnownNetwork {
    /// The network of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.name == name)
    }

    /// All of them, by family.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self {
            input: ImageShape { channels: 1, height: 32, width: 32 },
            weights: None,
            ..known("lenet5", ImageModelConfig::LeNet(LeNetConfig::default()), 32, 10, None)
        }];
        let imagenet = |name, config| known(name, config, 224, 1000, TORCHVISION);
        all.push(imagenet("alexnet", ImageModelConfig::AlexNet(AlexNetConfig::default())));
        for (depth, plain, normed) in
            [(11, "vgg11", "vgg11_bn"), (13, "vgg13", "vgg13_bn"), (16, "vgg16", "vgg16_bn"), (19, "vgg19", "vgg19_bn")]
        {
            for (name, batch_norm) in [(plain, false), (normed, true)] {
                let config = VggConfig { depth, batch_norm, ..VggConfig::default() };
                all.push(imagenet(name, ImageModelConfig::Vgg(config)));
            }
        }
        let resnet = |depth, widening| ResNetConfig { depth, widening, ..ResNetConfig::default() };
        for (name, depth, widening) in [
            ("resnet18", 18, 1),
            ("resnet34", 34, 1),
            ("resnet50", 50, 1),
            ("resnet101", 101, 1),
            ("resnet152", 152, 1),
            ("wide_resnet50_2", 50, 2),
            ("wide_resnet101_2", 101, 2),
        ] {
            all.push(imagenet(name, ImageModelConfig::ResNet(resnet(depth, widening))));
        }
        for (name, depth) in [("seresnet18", 18), ("seresnet34", 34), ("seresnet50", 50)] {
            let config = ResNetConfig { squeeze_excitation: true, ..resnet(depth, 1) };
            let expects = Expects { bicubic: true, ..IMAGENET };
            all.push(Self { expects, weights: TIMM, ..imagenet(name, ImageModelConfig::ResNet(config)) });
        }
        for (name, depth) in [
            ("cifar_resnet20", 20),
            ("cifar_resnet32", 32),
            ("cifar_resnet44", 44),
            ("cifar_resnet56", 56),
            ("cifar_resnet110", 110),
        ] {
            let config = CifarResNetConfig { depth, ..CifarResNetConfig::default() };
            let expects = Expects { crop: 1.0, ..IMAGENET };
            let weights = Some("pytorch_resnet_cifar10");
            all.push(Self { expects, ..known(name, ImageModelConfig::CifarResNet(config), 32, 10, weights) });
        }
        for (name, depth, widening) in [
            ("wide_resnet16_8", 16, 8),
            ("wide_resnet28_10", 28, 10),
            ("wide_resnet40_4", 40, 4),
            ("preact_resnet112", 112, 1),
        ] {
            let config = WideResNetConfig { depth, widening, ..WideResNetConfig::default() };
            let expects = Expects { crop: 1.0, ..IMAGENET };
            all.push(Self { expects, ..known(name, ImageModelConfig::WideResNet(config), 32, 10, None) });
        }
        all.push(imagenet("googlenet", ImageModelConfig::GoogLeNet(GoogLeNetConfig::default())));
        let inception = ImageModelConfig::InceptionV3(InceptionV3Config::default());
        all.push(known("inception_v3", inception, 299, 1000, TORCHVISION));
        all.push(imagenet("mobilenet_v2", ImageModelConfig::MobileNetV2(MobileNetV2Config::default())));
        for (name, width) in [("mobilenetv2_050", 0.5), ("mobilenetv2_100", 1.0), ("mobilenetv2_140", 1.4)] {
            let config = MobileNetV2Config { width, ..MobileNetV2Config::default() };
            let expects = Expects { bicubic: true, ..IMAGENET };
            all.push(Self { expects, weights: TIMM, ..imagenet(name, ImageModelConfig::MobileNetV2(config)) });
        }
        for (size, name, tensorflow_name, side, crop) in [
            (0, "efficientnet_lite0", "tf_efficientnet_lite0", 224, 0.875),
            (1, "efficientnet_lite1", "tf_efficientnet_lite1", 240, 0.882),
            (2, "efficientnet_lite2", "tf_efficientnet_lite2", 260, 0.890),
            (3, "efficientnet_lite3", "tf_efficientnet_lite3", 300, 0.904),
            (4, "efficientnet_lite4", "tf_efficientnet_lite4", 380, 0.920),
        ] {
            let dropout = if size < 2 { 0.2 } else { 0.3 };
            for (name, tensorflow, expects) in
                [(name, false, Expects { bicubic: true, ..IMAGENET }), (tensorflow_name, true, HALVES)]
            {
                let config = EfficientNetLiteConfig { size, tensorflow, dropout, ..EfficientNetLiteConfig::default() };
                let expects = Expects { crop, ..expects };
                let config = ImageModelConfig::EfficientNetLite(config);
                all.push(Self { expects, ..known(name, config, side, 1000, TIMM) });
            }
        }
        for (name, blocks) in [("convnext_tiny", vec![3, 3, 9, 3]), ("convnext_small", vec![3, 3, 27, 3])] {
            let config = ConvNextConfig { blocks, ..ConvNextConfig::default() };
            let expects = Expects { crop: 0.95, bicubic: true, ..IMAGENET };
            all.push(Self { expects, ..known(name, ImageModelConfig::ConvNext(config), 224, 1000, TIMM) });
        }
        for (name, patch, width, heads) in [
            ("vit_tiny_patch16_224", 16, 192, 3),
            ("vit_small_patch8_224", 8, 384, 6),
            ("vit_small_patch16_224", 16, 384, 6),
            ("vit_small_patch32_224", 32, 384, 6),
            ("vit_base_patch8_224", 8, 768, 12),
            ("vit_base_patch16_224", 16, 768, 12),
            ("vit_base_patch32_224", 32, 768, 12),
        ] {
            let config = VitConfig { patch, width, heads, ..VitConfig::default() };
            let expects = Expects { crop: 0.9, ..HALVES };
            all.push(Self { expects, ..known(name, ImageModelConfig::Vit(config), 224, 1000, TIMM) });
        }
        let config = VitConfig { patch: 4, ..VitConfig::default() };
        let expects = Expects { crop: 1.0, ..IMAGENET };
        all.push(Self { expects, ..known("vit_tiny_patch4_32", ImageModelConfig::Vit(config), 32, 10, None) });
        all
    }
}

fn known(
    name: &'static str,
    config: ImageModelConfig,
    side: usize,
    classes: usize,
    weights: Option<&'static str>,
) -> KnownNetwork {
    let input = ImageShape { channels: 3, height: side, width: side };
    let mega_macs = MEGA_MACS.iter().find(|(known, _)| *known == name).map_or(0, |(_, macs)| *macs);
    KnownNetwork { name, config, input, classes, mega_macs, weights, expects: IMAGENET }
}

/// Counted once, by sending an image through; `cargo xtask parity` counts again.
const MEGA_MACS: &[(&str, u32)] = &[
    ("lenet5", 1),
    ("alexnet", 715),
    ("vgg11", 7610),
    ("vgg11_bn", 7610),
    ("vgg13", 11309),
    ("vgg13_bn", 11309),
    ("vgg16", 15471),
    ("vgg16_bn", 15471),
    ("vgg19", 19633),
    ("vgg19_bn", 19633),
    ("resnet18", 1815),
    ("resnet34", 3664),
    ("resnet50", 4090),
    ("resnet101", 7802),
    ("resnet152", 11514),
    ("wide_resnet50_2", 11399),
    ("wide_resnet101_2", 22754),
    ("seresnet18", 1815),
    ("seresnet34", 3664),
    ("seresnet50", 4092),
    ("cifar_resnet20", 41),
    ("cifar_resnet32", 69),
    ("cifar_resnet44", 98),
    ("cifar_resnet56", 126),
    ("cifar_resnet110", 253),
    ("wide_resnet16_8", 1549),
    ("wide_resnet28_10", 5244),
    ("wide_resnet40_4", 1299),
    ("preact_resnet112", 254),
    ("googlenet", 1499),
    ("inception_v3", 5714),
    ("mobilenet_v2", 301),
    ("mobilenetv2_050", 98),
    ("mobilenetv2_100", 301),
    ("mobilenetv2_140", 583),
    ("efficientnet_lite0", 386),
    ("tf_efficientnet_lite0", 386),
    ("efficientnet_lite1", 601),
    ("tf_efficientnet_lite1", 601),
    ("efficientnet_lite2", 860),
    ("tf_efficientnet_lite2", 860),
    ("efficientnet_lite3", 1608),
    ("tf_efficientnet_lite3", 1608),
    ("efficientnet_lite4", 3944),
    ("tf_efficientnet_lite4", 3944),
    ("convnext_tiny", 4456),
    ("convnext_small", 8684),
    ("vit_tiny_patch16_224", 1254),
    ("vit_small_patch8_224", 22406),
    ("vit_small_patch16_224", 4599),
    ("vit_small_patch32_224", 1143),
    ("vit_base_patch8_224", 78149),
    ("vit_base_patch16_224", 17564),
    ("vit_base_patch32_224", 4410),
    ("vit_tiny_patch4_32", 366),
];
