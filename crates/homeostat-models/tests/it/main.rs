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
    tensor::{Device, Distribution, Gradients, Int, Tensor},
};
use homeostat_models::{CnnConfig, ImageModel, ImageModelConfig, ImageShape, MlpConfig, ModelError, Padding};
use homeostat_task::Weights;

const SHAPE: ImageShape = ImageShape { channels: 2, height: 17, width: 14 };

/// Odd sides, where the network takes them.
fn shape_for(config: &ImageModelConfig) -> ImageShape {
    let multiple = if let ImageModelConfig::Vit(config) = config { config.patch } else { 1 };
    let side = |side: usize| side.max(config.smallest()).next_multiple_of(multiple);
    ImageShape { height: side(SHAPE.height), width: side(SHAPE.width), ..SHAPE }
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

/// The names of the parameters without a gradient, or with one that is zero everywhere.
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
        if size.is_none_or(|size| size == 0.0) {
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

#[test]
fn every_parameter_of_every_network_gets_a_gradient() {
    let device = device().autodiff();
    for config in ImageModelConfig::examples() {
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
    assert_eq!(found, EXAMPLES);
}

const EXAMPLES: &[(&str, u64)] = &[
    ("mlp", 7_813),
    ("cnn", 985),
    ("cnn", 823),
    ("cnn", 417),
    ("lenet", 17_271),
    ("alexnet", 78_405),
    ("vgg", 87_673),
    ("vgg", 88_773),
    ("resnet", 44_741),
    ("resnet", 281_925),
    ("cifar-resnet", 17_205),
    ("wide-resnet", 77_381),
    ("googlenet", 159_599),
    ("inception-v3", 87_795),
    ("mobilenet-v2", 138_653),
    ("efficientnet-lite", 258_205),
    ("convnext", 27_213),
    ("vit", 10_837),
];

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
}

/// What a model is asked for, and the words of its refusal. Each came without a word before: an endless search, an abort, a panic.
#[test]
fn sizes_that_no_machine_holds_are_refused_before_memory_is_taken() {
    let cnn = |widths: Vec<usize>, hidden: Vec<usize>| {
        ImageModelConfig::Cnn(CnnConfig { widths, hidden, ..CnnConfig::default() })
    };
    let mlp = |hidden: Vec<usize>| ImageModelConfig::Mlp(MlpConfig { hidden, dropout: 0.0 });
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
    ] {
        let error = config.init(shape, 10, &device()).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{config:?}: {error}");
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
    for config in ImageModelConfig::examples() {
        let shape = shape_for(&config);
        let network = config.init(shape, 5, &device()).unwrap();
        let x = images(2, shape, &device());
        let features = network.features(x.clone());
        assert!(features.iter().all(|stage| stage.dims()[0] == 2), "{config:?}");
        let last = features.last().unwrap().clone();
        let pooled = network.network().pool(last);
        assert_eq!(pooled.dims(), [2, network.network().head().weight.dims()[0]], "{config:?}");
    }
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
