//! A table over the enum: every network, with no code of its own here.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod both_kernels;
mod originals;
mod registry;
mod shared_data;

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleVisitor, Param},
    nn::loss::CrossEntropyLossConfig,
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Distribution, Gradients, Int, Tensor, TensorData},
};
use homeostat_models::{
    CifarResNetConfig, CnnConfig, ConvNextConfig, EfficientNetLiteConfig, GanConfig, GoogLeNetConfig, ImageModel,
    ImageModelConfig, ImageShape, InceptionV3Config, MlpConfig, MobileNetV2Config, ModelError, Padding, ResNetConfig,
    UnetConfig, VggConfig, WideResNetConfig,
};
use homeostat_task::Weights;

const SHAPE: ImageShape = ImageShape { channels: 2, height: 17, width: 14 };

/// Odd sides, where the network takes them.
fn shape_for(config: &ImageModelConfig) -> ImageShape {
    shape_of(config, [SHAPE.height, SHAPE.width])
}

/// These sides, or the next that the network takes.
fn shape_of(config: &ImageModelConfig, [height, width]: [usize; 2]) -> ImageShape {
    let multiple = if let ImageModelConfig::Vit(config) = config { config.patch } else { 1 };
    let side = |side: usize| side.max(config.smallest()).next_multiple_of(multiple);
    ImageShape { height: side(height), width: side(width), ..SHAPE }
}

fn device() -> Device {
    homeostat_device::open(homeostat_device::DeviceChoice::Cpu).unwrap()
}

fn images(batch: usize, shape: ImageShape, device: &Device) -> Tensor<4> {
    Tensor::random([batch, shape.channels, shape.height, shape.width], Distribution::Default, device)
}

/// The sum of squares of all that the network says in training, further heads included.
fn said(network: &ImageModel, x: Tensor<4>) -> Tensor<1> {
    let scores = network.training_scores(x);
    let squares = |scores: Tensor<2>| (scores.clone() * scores).sum();
    scores.auxiliary.into_iter().fold(squares(scores.main), |sum, (weight, scores)| sum + squares(scores) * weight)
}

fn floats(data: &TensorData) -> impl Iterator<Item = f32> {
    data.as_slice::<f32>().unwrap().iter().copied()
}

/// The largest of the absolute values. All are finite, for `f32::max` passes over NaN.
fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |largest, value| {
        assert!(value.is_finite(), "{value} is no value to compare");
        value.abs().max(largest)
    })
}

/// The largest difference, in parts of the reference's largest value, or of `floor` if that is larger; all values are finite.
fn apart(ours: &TensorData, reference: &TensorData, floor: f32) -> f32 {
    assert_eq!(ours.shape(), reference.shape());
    let differences = floats(ours).zip(floats(reference)).map(|(ours, reference)| ours - reference);
    largest(differences) / largest(floats(reference)).max(floor)
}

/// The names of the parameters without a gradient, or with one that is zero everywhere or not finite.
struct WithoutGradient<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    found: Vec<String>,
}

impl ModuleVisitor for WithoutGradient<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.last().is_some_and(|name| name.starts_with("running_")) {
            return;
        }
        let size = param.val().grad(self.gradients).map(|gradient| gradient.abs().sum().into_scalar::<f32>());
        if size.is_none_or(|size| size == 0.0 || !size.is_finite()) {
            self.found.push(self.path.join("."));
        }
    }
}

#[test]
fn every_network_gives_scores_for_odd_batches() {
    for config in ImageModelConfig::examples() {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device()).unwrap();
        for batch in [1, 3] {
            assert_eq!(network.forward(images(batch, shape, &device())).dims(), [batch, 5], "{config:?}");
        }
    }
}

/// As low as can be, and as narrow.
#[test]
fn every_network_takes_images_that_are_large_along_one_side_only() {
    for config in ImageModelConfig::examples() {
        let smallest = config.smallest();
        for sides in [[smallest, smallest + 28], [smallest + 28, smallest]] {
            let shape = shape_of(&config, sides);
            let network = config.init(shape, 5, &device()).unwrap();
            assert_eq!(network.forward(images(1, shape, &device())).dims(), [1, 5], "{config:?}: {shape:?}");
        }
    }
}

#[test]
fn every_parameter_of_every_network_gets_a_gradient() {
    let device = device().autodiff();
    // No example, for its further head needs images so large that other tests would take minutes.
    let inception = InceptionV3Config { width: 1, ..InceptionV3Config::default() };
    for config in ImageModelConfig::examples().into_iter().chain([ImageModelConfig::InceptionV3(inception)]) {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device).unwrap();
        let gradients = said(&network, images(8, shape, &device)).backward();
        let mut visitor = WithoutGradient { path: vec![], gradients: &gradients, found: vec![] };
        network.visit(&mut visitor);
        assert!(visitor.found.is_empty(), "{config:?}: no gradient at {:?}", visitor.found);
    }
}

#[test]
fn the_reference_network_has_the_parameters_of_its_description() {
    let shape = ImageShape { channels: 3, height: 32, width: 32 };
    let network = ImageModelConfig::Cnn(CnnConfig::default()).init(shape, 10, &device()).unwrap();
    // 3*32*9+32, 32*64*9+64, 64*6*6*64+64, 64*10+10
    assert_eq!(network.num_params(), 896 + 18_496 + 147_520 + 650);
    let linear = ImageModelConfig::Mlp(MlpConfig { hidden: vec![], dropout: 0.0 }).init(shape, 10, &device()).unwrap();
    assert_eq!(linear.num_params(), 3 * 32 * 32 * 10 + 10);
}

#[test]
fn a_record_brings_back_the_same_answers() {
    let device = device();
    for config in ImageModelConfig::examples() {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device).unwrap();
        let twin = config.init(shape, 5, &device).unwrap();
        let x = images(3, shape, &device);
        let before = network.forward(x.clone()).into_data();
        let after = twin.load_record(network.into_record()).forward(x).into_data();
        assert_eq!(before, after, "{config:?}");
    }
}

#[test]
fn safetensors_bring_back_the_same_answers() {
    let device = device();
    for config in ImageModelConfig::examples() {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device).unwrap();
        let twin = config.init(shape, 5, &device).unwrap();
        let (x, file) = (images(3, shape, &device), Weights::of(&network).to_safetensors(&BTreeMap::new()));
        let before = network.forward(x.clone()).into_data();
        assert_ne!(before, twin.forward(x.clone()).into_data(), "{config:?}: two draws are two networks");
        let twin = Weights::restore(twin, &file).unwrap();
        assert_eq!(before, twin.forward(x).into_data(), "{config:?}");
        assert_eq!(Weights::of(&twin).to_safetensors(&BTreeMap::new()), file, "{config:?}");
    }
}

/// What the examples have, so that no layer changes unseen; the known networks have theirs in `registry.rs`.
#[test]
fn every_example_has_the_parameters_that_it_had() {
    let count =
        |config: &ImageModelConfig| (config.name(), config.parameters(shape_for(config), 5, &device()).unwrap());
    let found: Vec<(&str, u64)> = ImageModelConfig::examples().iter().map(count).collect();
    let wanted: Vec<(&str, u64)> = EXAMPLES.iter().map(|&(name, parameters, _)| (name, parameters)).collect();
    assert_eq!(found, wanted);
}

/// Name, parameters, and the channels, height and width of what comes out of each stage.
const EXAMPLES: &[(&str, u64, &[[usize; 3]])] = &[
    ("mlp", 7_813, &[[476, 1, 1], [16, 1, 1], [8, 1, 1]]),
    ("cnn", 985, &[[4, 7, 6], [8, 2, 2]]),
    ("cnn", 823, &[[4, 8, 7], [6, 4, 3], [8, 2, 1]]),
    ("cnn", 417, &[[4, 7, 6], [8, 2, 2]]),
    ("lenet", 17_271, &[[6, 8, 7], [16, 2, 1]]),
    ("alexnet", 78_405, &[[8, 7, 7], [24, 3, 3], [32, 1, 1]]),
    ("vgg", 87_673, &[[4, 16, 16], [8, 8, 8], [16, 4, 4], [32, 2, 2], [32, 1, 1]]),
    ("vgg", 88_773, &[[4, 16, 16], [8, 8, 8], [16, 4, 4], [32, 2, 2], [32, 1, 1]]),
    ("resnet", 44_741, &[[4, 5, 4], [8, 3, 2], [16, 2, 1], [32, 1, 1]]),
    ("resnet", 281_925, &[[16, 17, 14], [32, 9, 7], [64, 5, 4], [128, 3, 2]]),
    ("resnet", 46_845, &[[4, 5, 4], [8, 3, 2], [16, 2, 1], [32, 1, 1]]),
    ("cifar-resnet", 17_205, &[[4, 17, 14], [8, 9, 7], [16, 5, 4]]),
    ("wide-resnet", 77_381, &[[16, 17, 14], [32, 9, 7], [64, 5, 4]]),
    ("googlenet", 159_599, &[[60, 2, 2], [64, 1, 1], [66, 1, 1], [104, 1, 1], [128, 1, 1]]),
    ("inception-v3", 87_795, &[[18, 7, 7], [48, 3, 3], [128, 1, 1]]),
    ("mobilenet-v2", 138_653, &[[8, 9, 7], [8, 5, 4], [8, 3, 2], [16, 2, 1], [24, 2, 1], [40, 1, 1], [80, 1, 1]]),
    ("efficientnet-lite", 258_205, &[[8, 9, 7], [8, 5, 4], [16, 3, 2], [24, 2, 1], [32, 2, 1], [48, 1, 1], [80, 1, 1]]),
    ("convnext", 27_213, &[[8, 4, 4], [16, 2, 2], [32, 1, 1]]),
    ("vit", 10_837, &[[16, 21, 1], [16, 21, 1], [16, 21, 1]]),
];

/// timm's `make_divisible(channels / 16, 8, round_limit=0)`, for the channels of the four stages.
#[test]
fn squeeze_and_excitation_has_the_hidden_channels_of_timm() {
    let parameters = |width, squeeze_excitation| {
        let config = ResNetConfig { width, squeeze_excitation, ..ResNetConfig::default() };
        ImageModelConfig::ResNet(config).parameters(SHAPE, 5, &device()).unwrap()
    };
    for (width, hidden) in [(4_usize, [8, 8, 8, 8]), (20, [8, 8, 8, 8]), (24, [8, 8, 8, 16]), (64, [8, 8, 16, 32])] {
        let layers = |(stage, hidden): (usize, u64)| {
            let channels = (width << stage) as u64;
            2 * channels * hidden + hidden + channels
        };
        // Two blocks a stage.
        let wanted = 2 * hidden.into_iter().enumerate().map(layers).sum::<u64>();
        assert_eq!(parameters(width, true) - parameters(width, false), wanted, "width {width}");
    }
}

#[test]
fn images_too_small_and_settings_out_of_range_are_said_in_one_line() {
    let small = ImageShape { channels: 1, height: 8, width: 8 };
    let error = ImageModelConfig::default().init(small, 10, &device()).unwrap_err();
    assert_eq!(error, ModelError::TooSmall { network: "cnn", height: 8, width: 8, needed: 10 });
    assert_eq!(error.to_string().lines().count(), 1);
    let config = CnnConfig { dropout: 1.0, ..CnnConfig::default() };
    assert!(ImageModelConfig::Cnn(config).init(SHAPE, 10, &device()).unwrap_err().to_string().contains("dropout is 1"));
    let config = MlpConfig { hidden: vec![4, 0], dropout: 0.0 };
    assert!(ImageModelConfig::Mlp(config).init(SHAPE, 10, &device()).unwrap_err().to_string().contains("a width of 0"));
    let empty = [UnetConfig { widths: vec![] }.check(), GanConfig { widths: vec![], ..GanConfig::default() }.check()];
    assert!(empty.iter().all(|checked| checked.as_ref().unwrap_err().to_string().contains("widths is empty")));
}

/// What a model is asked for, and the words of its refusal. Each came without a word before: an endless search, an abort, a panic.
#[test]
fn sizes_that_no_machine_holds_are_refused_before_memory_is_taken() {
    let cnn = |widths: Vec<usize>, hidden: Vec<usize>| {
        ImageModelConfig::Cnn(CnnConfig { widths, hidden, ..CnnConfig::default() })
    };
    let mlp = |hidden: Vec<usize>| ImageModelConfig::Mlp(MlpConfig { hidden, dropout: 0.0 });
    let convnext = ConvNextConfig { blocks: vec![1 << 20, 1], ..ConvNextConfig::default() };
    let large = ImageShape { channels: 3, height: 8192, width: 8192 };
    for (config, shape, words) in [
        (cnn(vec![8; 12], vec![]), SHAPE, "at least 12286x12286"),
        (cnn(vec![8; 200], vec![]), SHAPE, "200 stages"),
        (cnn(vec![1 << 20, 1 << 20], vec![8]), large, "parameters"),
        (mlp(vec![9_000_000_000_000]), SHAPE, "a width of 9000000000000"),
        (mlp(vec![8; 2000]), SHAPE, "2000 widths"),
        (mlp(vec![1 << 20]), large, "211106244067338 parameters"),
        (mlp(vec![8]), ImageShape { height: 0, ..SHAPE }, "2 x 0 x 14"),
        (mlp(vec![8]), ImageShape { channels: 0, ..SHAPE }, "0 x 17 x 14"),
        (mlp(vec![8]), ImageShape { channels: 2, height: usize::MAX, width: usize::MAX }, "at most 67108864 pixels"),
        (ImageModelConfig::ConvNext(convnext), SHAPE, "1048577 blocks"),
    ] {
        let error = config.init(shape, 10, &device()).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{config:?}: {error}");
    }
    // What normalises over the batch takes memory as soon as it is made: its settings are refused before.
    let (width, widening, features) = (1 << 20, 1 << 20, 1 << 20);
    for config in [
        ImageModelConfig::Vgg(VggConfig { width, ..VggConfig::default() }),
        ImageModelConfig::ResNet(ResNetConfig { width, ..ResNetConfig::default() }),
        ImageModelConfig::ResNet(ResNetConfig { depth: 50, widening, ..ResNetConfig::default() }),
        ImageModelConfig::CifarResNet(CifarResNetConfig { width, ..CifarResNetConfig::default() }),
        ImageModelConfig::WideResNet(WideResNetConfig { widening, ..WideResNetConfig::default() }),
        ImageModelConfig::GoogLeNet(GoogLeNetConfig { width, ..GoogLeNetConfig::default() }),
        ImageModelConfig::InceptionV3(InceptionV3Config { width, ..InceptionV3Config::default() }),
        ImageModelConfig::MobileNetV2(MobileNetV2Config { width: 9.0, features, ..MobileNetV2Config::default() }),
        ImageModelConfig::EfficientNetLite(EfficientNetLiteConfig {
            width: 9.0,
            features,
            ..EfficientNetLiteConfig::default()
        }),
    ] {
        let error = config.check().unwrap_err();
        assert!(matches!(error, ModelError::TooLarge { .. }), "{config:?}: {error}");
    }
}

#[test]
fn the_smallest_image_that_is_named_is_taken_and_no_smaller_one() {
    for padding in [Padding::Valid, Padding::Same] {
        let config =
            ImageModelConfig::Cnn(CnnConfig { widths: vec![2; 3], hidden: vec![], padding, ..CnnConfig::default() });
        let init = |side| config.init(ImageShape { channels: 1, height: side, width: side }, 2, &device());
        let Err(ModelError::TooSmall { needed, .. }) = init(1) else { panic!("one pixel is too small") };
        assert!(init(needed).is_ok() && init(needed - 1).is_err(), "{needed}");
    }
}

/// The names of the parameters that wait for somebody to look at them.
#[derive(Default)]
struct Waiting(Vec<String>);

impl ModuleVisitor for Waiting {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_initialized() {
            self.0.push(param.id.to_string());
        }
    }
}

#[test]
fn weights_are_drawn_when_the_network_is_made() {
    for config in ImageModelConfig::examples() {
        let mut waiting = Waiting::default();
        config.init(shape_for(&config), 5, &device().autodiff()).unwrap().visit(&mut waiting);
        assert!(waiting.0.is_empty(), "{config:?}: {} parameters are not drawn", waiting.0.len());
    }
}

#[test]
fn every_network_shows_what_its_stages_make() {
    for (config, (_, _, stages)) in ImageModelConfig::examples().into_iter().zip(EXAMPLES) {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device()).unwrap();
        let features = network.features(images(2, shape, &device()));
        let found: Vec<[usize; 4]> = features.iter().map(Tensor::dims).collect();
        let wanted: Vec<[usize; 4]> =
            stages.iter().map(|&[channels, height, width]| [2, channels, height, width]).collect();
        assert_eq!(found, wanted, "{config:?}");
        let last = features.last().unwrap().clone();
        let pooled = network.network().pool(last);
        assert_eq!(pooled.dims(), [2, network.network().head().weight.dims()[0]], "{config:?}");
    }
}

#[test]
fn blocks_of_a_zero_init_network_add_nothing_at_the_start() {
    let config = ImageModelConfig::ResNet(ResNetConfig { width: 4, zero_init: true, ..ResNetConfig::default() });
    let [network, twin] = [(); 2].map(|()| config.init(SHAPE, 5, &device()).unwrap());
    let weights = Weights::of(&network);
    for (name, data) in weights.tensors().iter().filter(|(name, _)| name.ends_with(".gamma")) {
        let wanted = if name.contains(".convs.1.") { 0.0 } else { 1.0 };
        assert!(floats(data).all(|scale| scale == wanted), "{name}: not {wanted}");
    }
    // Behind the same stem other convolutions make no difference, as long as shortcuts have no weights: in the first stage.
    let mut tensors = Weights::of(&twin).tensors().clone();
    tensors.extend(weights.tensors().clone().into_iter().filter(|(name, _)| name.starts_with("stem.")));
    let twin = Weights::from_tensors(tensors).apply(twin).unwrap();
    let x = images(2, SHAPE, &device());
    let [ours, other] = [network, twin].map(|network| network.features(x.clone()).remove(0).into_data());
    assert_eq!(apart(&ours, &other, 0.0), 0.0);
}

/// ConvNeXt's blocks end with a plain sum and see each sample by itself, so what their branches were multiplied by can be told.
#[test]
fn stochastic_depth_leaves_out_the_branches_of_some_samples_and_enlarges_the_others() {
    let device = device().autodiff();
    let shape = ImageShape { channels: 2, height: 16, width: 16 };
    let init = |stochastic_depth| {
        let config = ConvNextConfig { blocks: vec![1; 3], width: 8, stochastic_depth };
        ImageModelConfig::ConvNext(config).init(shape, 5, &device).unwrap()
    };
    let (weights, x) = (Weights::of(&init(0.0)), images(64, shape, &device));
    // By the linear rule the last of three blocks is left out with the probability, the second with half of it, the first never.
    for (block, kept) in [1.0_f32, 1.0 / 0.8, 1.0 / 0.6].into_iter().enumerate() {
        let network = |stochastic_depth, adding| with_branch(&weights, adding).apply(init(stochastic_depth)).unwrap();
        let said = |network: &ImageModel, x: &Tensor<4>| network.features(x.clone()).swap_remove(block);
        let nothing = said(&network(0.0, None), &x);
        let branch = said(&network(0.0, Some(block)), &x) - nothing.clone();
        let stochastic = network(0.4, Some(block));
        let added = said(&stochastic, &x) - nothing;
        let product = |other: Tensor<4>| (other * branch.clone()).flatten::<2>(1, 3).sum_dim(1);
        let factors = (product(added) / product(branch.clone())).into_data();
        let is_near = |factor: f32, wanted: f32| (factor - wanted).abs() < 1e-3;
        assert!(floats(&factors).all(|factor| is_near(factor, 0.0) || is_near(factor, kept)), "{block}: {factors}");
        let left_out = floats(&factors).filter(|&factor| is_near(factor, 0.0)).count();
        assert!(left_out < 64 && (left_out > 0) == (block > 0), "block {block}: {left_out} of 64 left out");
        let [evaluated, plain] = [stochastic, network(0.0, Some(block))]
            .map(|network| said(&network.valid(), &x.clone().inner()).into_data());
        assert_eq!(evaluated, plain, "block {block}");
    }
}

/// These weights of a ConvNeXt with blocks of which one alone, or none, adds anything to its input.
fn with_branch(weights: &Weights, adding: Option<usize>) -> Weights {
    let mut tensors = weights.tensors().clone();
    for (name, data) in tensors.iter_mut().filter(|(name, _)| name.ends_with(".scale")) {
        let adds = adding.is_some_and(|stage| name.starts_with(&format!("stages.{stage}.")));
        let count = data.num_elements();
        *data = TensorData::new(vec![if adds { 1.0_f32 } else { 0.0 }; count], [count]);
    }
    Weights::from_tensors(tensors)
}

#[test]
fn every_network_learns_eight_samples_by_heart() {
    let device = device().autodiff();
    device.seed(3);
    for config in ImageModelConfig::examples() {
        let shape = shape_for(&config);
        let x = images(8, shape, &device);
        let labels = Tensor::<1, Int>::from_data([0, 1, 2, 3, 0, 1, 2, 3], &device);
        let criterion = CrossEntropyLossConfig::new().init(&device);
        let learn = |rate: f64| {
            let mut network = config.init(shape, 4, &device).unwrap();
            let mut optimizer = AdamConfig::new().init();
            for step in 0..500 {
                let loss = criterion.forward(network.forward(x.clone()), labels.clone());
                if loss.clone().into_scalar::<f32>() <= 0.2 {
                    return Some(step);
                }
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                network = optimizer.step(rate, network, gradients);
            }
            None
        };
        // The smallest form of a network may start with too few units alive: tests share the generator, so draws differ.
        assert!([5e-3, 2e-3, 5e-3].into_iter().find_map(learn).is_some(), "{config:?}");
    }
}
