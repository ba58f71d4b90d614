//! Well-known networks by name, as torchvision and timm spell it where they have the network, with where their published
//! weights are and what these expect of an image. It does not fetch, and does not know files.

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
    /// Products that are summed for one image.
    pub macs: u64,
    /// Where its published weights are, in names that we read: `hf:OWNER/NAME`, or an address.
    pub weights: Option<&'static str>,
    /// What the published weights expect.
    pub expects: Expects,
}

/// How an image is made ready for published weights: resized, cropped, and normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expects {
    /// The shorter side of the resized image, of which the middle is taken.
    pub resize: usize,
    /// Whether the image is resized with cubic splines; else linearly.
    pub bicubic: bool,
    /// The mean of each channel, for levels in 0..1.
    pub mean: [f64; 3],
    /// Its standard deviation.
    pub std: [f64; 3],
}

const IMAGENET: Expects =
    Expects { resize: 256, bicubic: false, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/// Levels in -1..1.
const HALVES: Expects = Expects { resize: 256, bicubic: true, mean: [0.5; 3], std: [0.5; 3] };
/// The images of 32 pixels, as they are.
const SMALL: Expects = Expects { resize: 32, ..IMAGENET };

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
            ..known("lenet5", ImageModelConfig::LeNet(LeNetConfig::default()), 32, 10)
        }];
        let imagenet = |name, config| known(name, config, 224, 1000);
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
        for (name, depth, resize) in [("seresnet18", 18, 256), ("seresnet34", 34, 256), ("seresnet50", 50, 235)] {
            let config = ResNetConfig { squeeze_excitation: true, ..resnet(depth, 1) };
            let expects = Expects { resize, bicubic: true, ..IMAGENET };
            all.push(Self { expects, ..imagenet(name, ImageModelConfig::ResNet(config)) });
        }
        for (name, depth) in [
            ("cifar_resnet20", 20),
            ("cifar_resnet32", 32),
            ("cifar_resnet44", 44),
            ("cifar_resnet56", 56),
            ("cifar_resnet110", 110),
        ] {
            let config = CifarResNetConfig { depth, ..CifarResNetConfig::default() };
            all.push(Self { expects: SMALL, ..known(name, ImageModelConfig::CifarResNet(config), 32, 10) });
        }
        for (name, depth, widening) in [
            ("wide_resnet16_8", 16, 8),
            ("wide_resnet28_10", 28, 10),
            ("wide_resnet40_4", 40, 4),
            ("preact_resnet112", 112, 1),
        ] {
            let config = WideResNetConfig { depth, widening, ..WideResNetConfig::default() };
            all.push(Self { expects: SMALL, ..known(name, ImageModelConfig::WideResNet(config), 32, 10) });
        }
        // With published weights, torchvision's two turn what is normalised as for ImageNet into levels in -1..1.
        let halves = Expects { bicubic: false, ..HALVES };
        let googlenet = ImageModelConfig::GoogLeNet(GoogLeNetConfig::default());
        all.push(Self { expects: halves, ..imagenet("googlenet", googlenet) });
        let inception = ImageModelConfig::InceptionV3(InceptionV3Config::default());
        let expects = Expects { resize: 342, ..halves };
        all.push(Self { expects, ..known("inception_v3", inception, 299, 1000) });
        all.push(imagenet("mobilenet_v2", ImageModelConfig::MobileNetV2(MobileNetV2Config::default())));
        for (name, width) in [("mobilenetv2_050", 0.5), ("mobilenetv2_100", 1.0), ("mobilenetv2_140", 1.4)] {
            let config = MobileNetV2Config { width, ..MobileNetV2Config::default() };
            let expects = Expects { bicubic: true, ..IMAGENET };
            all.push(Self { expects, ..imagenet(name, ImageModelConfig::MobileNetV2(config)) });
        }
        for (size, name, tensorflow_name, side, resize) in [
            (0, "efficientnet_lite0", "tf_efficientnet_lite0", 224, 256),
            (1, "efficientnet_lite1", "tf_efficientnet_lite1", 240, 272),
            (2, "efficientnet_lite2", "tf_efficientnet_lite2", 260, 292),
            (3, "efficientnet_lite3", "tf_efficientnet_lite3", 300, 331),
            (4, "efficientnet_lite4", "tf_efficientnet_lite4", 380, 413),
        ] {
            let dropout = if size < 2 { 0.2 } else { 0.3 };
            for (name, tensorflow, expects) in
                [(name, false, Expects { bicubic: true, ..IMAGENET }), (tensorflow_name, true, HALVES)]
            {
                let bicubic = !tensorflow || size < 3;
                let config = EfficientNetLiteConfig { size, tensorflow, dropout, ..EfficientNetLiteConfig::default() };
                let expects = Expects { resize, bicubic, ..expects };
                let config = ImageModelConfig::EfficientNetLite(config);
                all.push(Self { expects, ..known(name, config, side, 1000) });
            }
        }
        for (name, blocks) in [("convnext_tiny", vec![3, 3, 9, 3]), ("convnext_small", vec![3, 3, 27, 3])] {
            let config = ConvNextConfig { blocks, ..ConvNextConfig::default() };
            let expects = Expects { resize: 235, bicubic: true, ..IMAGENET };
            all.push(Self { expects, ..known(name, ImageModelConfig::ConvNext(config), 224, 1000) });
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
            let expects = Expects { resize: 248, ..HALVES };
            all.push(Self { expects, ..known(name, ImageModelConfig::Vit(config), 224, 1000) });
        }
        let config = VitConfig { patch: 4, ..VitConfig::default() };
        all.push(Self { expects: SMALL, ..known("vit_tiny_patch4_32", ImageModelConfig::Vit(config), 32, 10) });
        all
    }

    /// The first digits of the SHA-256 of its published weights, where their file's name ends with them: as PyTorch's hub has it.
    #[must_use]
    pub fn weights_hash(&self) -> Option<&'static str> {
        let (stem, _) = self.weights?.strip_prefix("https:")?.rsplit_once('.')?;
        let (_, digits) = stem.rsplit_once('-')?;
        (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
    }

    /// The names of the classes of its published weights, in the order of the scores; none without such weights.
    #[must_use]
    pub fn labels(&self) -> Vec<&'static str> {
        match (self.weights, self.classes) {
            (Some(_), 1000) => IMAGENET_LABELS.lines().collect(),
            (Some(_), 10) => CIFAR10_LABELS.to_vec(),
            _ => Vec::new(),
        }
    }
}

/// Those of ImageNet's challenge of 2012, as torchvision names them.
const IMAGENET_LABELS: &str = include_str!("labels/imagenet.txt");
const CIFAR10_LABELS: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

fn known(name: &'static str, config: ImageModelConfig, side: usize, classes: usize) -> KnownNetwork {
    let input = ImageShape { channels: 3, height: side, width: side };
    let macs = MACS.iter().find(|(known, _)| *known == name).map_or(0, |(_, macs)| *macs);
    let weights = WEIGHTS.iter().find(|(known, _)| *known == name).map(|(_, weights)| *weights);
    KnownNetwork { name, config, input, classes, macs, weights, expects: IMAGENET }
}

/// Where published weights are.
const WEIGHTS: &[(&str, &str)] = &[
    ("alexnet", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"),
    ("vgg11", "https://download.pytorch.org/models/vgg11-8a719046.pth"),
    ("vgg11_bn", "https://download.pytorch.org/models/vgg11_bn-6002323d.pth"),
    ("vgg13", "https://download.pytorch.org/models/vgg13-19584684.pth"),
    ("vgg13_bn", "https://download.pytorch.org/models/vgg13_bn-abd245e5.pth"),
    ("vgg16", "https://download.pytorch.org/models/vgg16-397923af.pth"),
    ("vgg16_bn", "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth"),
    ("vgg19", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"),
    ("vgg19_bn", "https://download.pytorch.org/models/vgg19_bn-c79401a0.pth"),
    ("resnet18", "https://download.pytorch.org/models/resnet18-f37072fd.pth"),
    ("resnet34", "https://download.pytorch.org/models/resnet34-b627a593.pth"),
    ("resnet50", "https://download.pytorch.org/models/resnet50-0676ba61.pth"),
    ("resnet101", "https://download.pytorch.org/models/resnet101-63fe2227.pth"),
    ("resnet152", "https://download.pytorch.org/models/resnet152-394f9c45.pth"),
    ("wide_resnet50_2", "https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth"),
    ("wide_resnet101_2", "https://download.pytorch.org/models/wide_resnet101_2-32ee1156.pth"),
    ("googlenet", "https://download.pytorch.org/models/googlenet-1378be20.pth"),
    ("inception_v3", "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth"),
    ("mobilenet_v2", "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"),
    (
        "cifar_resnet20",
        "https://github.com/akamaster/pytorch_resnet_cifar10/raw/d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/resnet20-12fca82f.th",
    ),
    (
        "cifar_resnet56",
        "https://github.com/akamaster/pytorch_resnet_cifar10/raw/d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/resnet56-4bfd9763.th",
    ),
    ("seresnet50", "hf:timm/seresnet50.a1_in1k"),
    ("mobilenetv2_050", "hf:timm/mobilenetv2_050.lamb_in1k"),
    ("mobilenetv2_100", "hf:timm/mobilenetv2_100.ra_in1k"),
    ("mobilenetv2_140", "hf:timm/mobilenetv2_140.ra_in1k"),
    ("efficientnet_lite0", "hf:timm/efficientnet_lite0.ra_in1k"),
    ("tf_efficientnet_lite0", "hf:timm/tf_efficientnet_lite0.in1k"),
    ("tf_efficientnet_lite1", "hf:timm/tf_efficientnet_lite1.in1k"),
    ("tf_efficientnet_lite2", "hf:timm/tf_efficientnet_lite2.in1k"),
    ("tf_efficientnet_lite3", "hf:timm/tf_efficientnet_lite3.in1k"),
    ("tf_efficientnet_lite4", "hf:timm/tf_efficientnet_lite4.in1k"),
    ("convnext_tiny", "hf:timm/convnext_tiny.in12k_ft_in1k"),
    ("convnext_small", "hf:timm/convnext_small.in12k_ft_in1k"),
    ("vit_tiny_patch16_224", "hf:timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    ("vit_small_patch16_224", "hf:timm/vit_small_patch16_224.augreg_in21k_ft_in1k"),
    ("vit_small_patch32_224", "hf:timm/vit_small_patch32_224.augreg_in21k_ft_in1k"),
    ("vit_base_patch8_224", "hf:timm/vit_base_patch8_224.augreg2_in21k_ft_in1k"),
    ("vit_base_patch16_224", "hf:timm/vit_base_patch16_224.augreg2_in21k_ft_in1k"),
    ("vit_base_patch32_224", "hf:timm/vit_base_patch32_224.augreg_in21k_ft_in1k"),
];

/// Counted once, by sending an image through; `cargo xtask parity` counts again.
const MACS: &[(&str, u64)] = &[
    ("lenet5", 416_520),
    ("alexnet", 714_188_480),
    ("vgg11", 7_609_090_048),
    ("vgg11_bn", 7_609_090_048),
    ("vgg13", 11_308_466_176),
    ("vgg13_bn", 11_308_466_176),
    ("vgg16", 15_470_264_320),
    ("vgg16_bn", 15_470_264_320),
    ("vgg19", 19_632_062_464),
    ("vgg19_bn", 19_632_062_464),
    ("resnet18", 1_814_073_344),
    ("resnet34", 3_663_761_408),
    ("resnet50", 4_089_184_256),
    ("resnet101", 7_801_405_440),
    ("resnet152", 11_513_626_624),
    ("wide_resnet50_2", 11_398_021_120),
    ("wide_resnet101_2", 22_753_050_624),
    ("seresnet18", 1_814_161_408),
    ("seresnet34", 3_663_920_128),
    ("seresnet50", 4_091_699_200),
    ("cifar_resnet20", 40_551_040),
    ("cifar_resnet32", 68_862_592),
    ("cifar_resnet44", 97_174_144),
    ("cifar_resnet56", 125_485_696),
    ("cifar_resnet110", 252_887_680),
    ("wide_resnet16_8", 1_548_145_664),
    ("wide_resnet28_10", 5_243_328_768),
    ("wide_resnet40_4", 1_298_582_016),
    ("preact_resnet112", 253_149_824),
    ("googlenet", 1_498_376_192),
    ("inception_v3", 5_713_216_096),
    ("mobilenet_v2", 300_774_272),
    ("mobilenetv2_050", 97_131_840),
    ("mobilenetv2_100", 300_774_272),
    ("mobilenetv2_140", 582_195_824),
    ("efficientnet_lite0", 385_187_552),
    ("tf_efficientnet_lite0", 385_187_552),
    ("efficientnet_lite1", 600_185_232),
    ("tf_efficientnet_lite1", 600_185_232),
    ("efficientnet_lite2", 859_736_272),
    ("tf_efficientnet_lite2", 859_736_272),
    ("efficientnet_lite3", 1_607_554_544),
    ("tf_efficientnet_lite3", 1_607_554_544),
    ("efficientnet_lite4", 3_943_564_112),
    ("tf_efficientnet_lite4", 3_943_564_112),
    ("convnext_tiny", 4_455_531_264),
    ("convnext_small", 8_683_712_256),
    ("vit_tiny_patch16_224", 1_253_683_200),
    ("vit_small_patch8_224", 22_405_742_592),
    ("vit_small_patch16_224", 4_598_882_304),
    ("vit_small_patch32_224", 1_142_909_952),
    ("vit_base_patch8_224", 78_148_337_664),
    ("vit_base_patch16_224", 17_563_828_224),
    ("vit_base_patch32_224", 4_409_186_304),
    ("vit_tiny_patch4_32", 365_107_584),
];
