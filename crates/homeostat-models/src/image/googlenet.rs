//! GoogLeNet (Szegedy et al. 2014, Going Deeper with Convolutions) with batch normalisation, as torchvision has it: modules
//! that look with windows of several sizes, and two further heads in training. What the paper calls 5x5 is 3x3 there.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Activation, Kernels, adaptive_avg_pool2d};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{ConvNorm, Then, Window, branches, classify, max_pool, max_pool_all, mean, row},
    check_dropout, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

const NAME: &str = "googlenet";
const EPSILON: f64 = 1e-3;
/// The weight of a further head in the loss.
const AUXILIARY: f64 = 0.3;
/// Rows and columns that a further head sees.
const PARTS: usize = 4;
/// A stage's modules: outputs of 1x1; inner and outputs of 3x3, twice; outputs after pooling. In widths.
const STAGES: [&[[usize; 6]]; 5] = [
    &[[8, 12, 16, 2, 4, 4], [16, 16, 24, 4, 12, 8]],
    &[[24, 12, 26, 2, 6, 8]],
    &[[20, 14, 28, 3, 8, 8], [16, 16, 32, 3, 8, 8], [14, 18, 36, 4, 8, 8]],
    &[[32, 20, 40, 4, 16, 16]],
    &[[32, 20, 40, 4, 16, 16], [48, 24, 48, 6, 16, 16]],
];
/// torchvision's names of them.
const MODULES: [&[&str]; 5] = [&["3a", "3b"], &["4a"], &["4b", "4c", "4d"], &["4e"], &["5a", "5b"]];

/// Modules that look with windows of several sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GoogLeNetConfig {
    /// An eighth of the first convolution's channels, to which all others are in proportion.
    pub width: usize,
    /// Whether two further heads learn in training.
    pub auxiliary: bool,
    /// Share of the features dropped before the head in training, in 0..1.
    pub dropout: f64,
    /// Share of the features dropped in further heads in training, in 0..1.
    pub auxiliary_dropout: f64,
}

impl Default for GoogLeNetConfig {
    fn default() -> Self {
        Self { width: 8, auxiliary: true, dropout: 0.2, auxiliary_dropout: 0.7 }
    }
}

impl Describe for GoogLeNetConfig {
    fn check(&self) -> Result<(), ModelError> {
        check_width(NAME, "width", self.width)?;
        let [_, inner, outer, ..] = STAGES[4][1].map(|channels| channels * self.width);
        check_convolutions(NAME, 1, 3, [inner, outer])?;
        check_dropout(NAME, self.dropout)?;
        check_dropout(NAME, self.auxiliary_dropout)
    }

    fn smallest(&self) -> usize {
        15
    }

    fn names(&self) -> Vec<NameTable> {
        let mut rows = Vec::new();
        let mut row = |ours: String, theirs: String| {
            rows.push((format!("{ours}.conv"), format!("{theirs}.conv")));
            rows.push((format!("{ours}.norm"), format!("{theirs}.bn")));
        };
        for conv in 0..3 {
            row(format!("stem.{conv}"), format!("conv{}", conv + 1));
        }
        for (stage, modules) in MODULES.iter().enumerate() {
            for (module, name) in modules.iter().enumerate() {
                // The first way has one convolution, the pooling comes before that of the last.
                for (conv, place) in ["1", "2.0", "2.1", "3.0", "3.1", "4.1"].into_iter().enumerate() {
                    row(format!("stages.{stage}.{module}.convs.{conv}"), format!("inception{name}.branch{place}"));
                }
            }
        }
        row("auxiliary.{a}.conv".to_owned(), "aux{a+1}.conv".to_owned());
        for (ours, theirs) in
            [("auxiliary.{a}.hidden", "aux{a+1}.fc1"), ("auxiliary.{a}.head", "aux{a+1}.fc2"), ("head", "fc")]
        {
            rows.push((ours.to_owned(), theirs.to_owned()));
        }
        let ignored = if self.auxiliary { vec![] } else { vec!["aux1.*".to_owned(), "aux2.*".to_owned()] };
        vec![NameTable { ignored, ..NameTable::of("torchvision", rows) }]
    }
}

impl GoogLeNetConfig {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> GoogLeNet {
        let layer = |window, channels| ConvNorm::with_epsilon(window, channels, EPSILON, device);
        let width = self.width;
        let mut from = 24 * width;
        let mut ends = Vec::new();
        let mut stages = Vec::new();
        for modules in STAGES {
            let mut stage = Vec::new();
            for module in modules {
                let [one, three_in, three, five_in, five, pooled] = module.map(|channels| channels * width);
                stage.push(Inception {
                    convs: vec![
                        layer(Window::same(1), [from, one]),
                        layer(Window::same(1), [from, three_in]),
                        layer(Window::same(3), [three_in, three]),
                        layer(Window::same(1), [from, five_in]),
                        layer(Window::same(3), [five_in, five]),
                        layer(Window::same(1), [from, pooled]),
                    ],
                });
                from = one + three + five + pooled;
            }
            ends.push(from);
            stages.push(stage);
        }
        let auxiliary = |from| Auxiliary {
            conv: layer(Window::same(1), [from, 16 * width]),
            hidden: LinearConfig::new(16 * width * PARTS * PARTS, 128 * width).init(device),
            dropout: DropoutConfig::new(self.auxiliary_dropout).init(),
            head: LinearConfig::new(128 * width, classes).init(device),
        };
        GoogLeNet {
            stem: vec![
                layer(Window::same(7).stride(2), [shape.channels, 8 * width]),
                layer(Window::same(1), [8 * width; 2]),
                layer(Window::same(3), [8 * width, 24 * width]),
            ],
            stages,
            auxiliary: if self.auxiliary { vec![auxiliary(ends[1]), auxiliary(ends[2])] } else { vec![] },
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(from, classes).init(device),
        }
    }
}

/// See [`GoogLeNetConfig`].
#[derive(Module, Debug)]
pub struct GoogLeNet {
    stem: Vec<ConvNorm>,
    stages: Vec<Vec<Inception>>,
    auxiliary: Vec<Auxiliary>,
    dropout: Dropout,
    head: Linear,
}

/// 1x1; 3x3; 3x3 again; and pooling, side by side.
#[derive(Module, Debug)]
struct Inception {
    convs: Vec<ConvNorm>,
}

impl Inception {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let way = |convs: &[ConvNorm], x: Tensor<4>| convs.iter().fold(x, |x, conv| conv.forward(x, None, Then::Relu));
        let [one, two, three, pooled] = branches(x);
        let ways = vec![
            way(&self.convs[..1], one),
            way(&self.convs[1..3], two),
            way(&self.convs[3..5], three),
            way(&self.convs[5..], max_pool(pooled, 3, 1, 1)),
        ];
        Tensor::cat(ways, 1)
    }
}

#[derive(Module, Debug)]
struct Auxiliary {
    conv: ConvNorm,
    hidden: Linear,
    dropout: Dropout,
    head: Linear,
}

impl Auxiliary {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let parts = adaptive_avg_pool2d(x, [PARTS; 2], Kernels::selected());
        let x = row(self.conv.forward(parts, None, Then::Relu));
        let hidden = self.dropout.forward(classify(&self.hidden, x, Activation::Relu));
        classify(&self.head, hidden, Activation::Linear)
    }
}

impl ImageNetwork for GoogLeNet {
    /// Cut where sides halve, and where further heads look.
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let x = max_pool_all(self.stem[0].forward(images, None, Then::Relu), 3, 2);
        let x = self.stem[1..].iter().fold(x, |x, conv| conv.forward(x, None, Then::Relu));
        let mut x = max_pool_all(x, 3, 2);
        let mut features = Vec::new();
        for (stage, modules) in self.stages.iter().enumerate() {
            x = match stage {
                1 => max_pool_all(x, 3, 2),
                4 => max_pool_all(x, 2, 2),
                _ => x,
            };
            x = modules.iter().fold(x, |x, module| module.forward(x));
            features.push(x.clone());
        }
        features
    }

    fn pool(&self, last: Tensor<4>) -> Tensor<2> {
        self.dropout.forward(mean(last))
    }

    fn head(&self) -> &Linear {
        &self.head
    }

    fn auxiliary(&self, features: &[Tensor<4>]) -> Vec<(f64, Tensor<2>)> {
        let heads = self.auxiliary.iter().zip(&features[1..]);
        heads.map(|(head, x)| (AUXILIARY, head.forward(x.clone()))).collect()
    }
}
