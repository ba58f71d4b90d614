//! Inception-v3 (Szegedy et al. 2015, Rethinking the Inception Architecture for Computer Vision): modules of convolutions
//! that are cut into narrow ones, and a further head in training.

use burn::{
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};
use homeostat_kernels::{Activation, AvgPool2dOptions, Kernels, avg_pool2d};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::{Border, ConvNorm, Then, Window, classify, max_pool, mean},
    check_dropout, check_width,
    network::{Describe, ImageNetwork, NameTable},
};
use crate::{ModelError, size::check_convolutions};

const NAME: &str = "inception-v3";
const EPSILON: f64 = 1e-3;
/// The weight of the further head in the loss.
const AUXILIARY: f64 = 0.4;
/// The smallest side of which something is left at the end, and of which enough is left for the further head.
const SMALLEST: [usize; 2] = [75, 299];

/// What a convolution of a module looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Input,
    /// The mean of the pixels around each.
    Mean,
    /// The convolution at this place in the module.
    Conv(usize),
}

/// torchvision's name of a convolution of a module, what it looks at, its outputs in widths, its window, and its stride.
type Row = (&'static str, Source, usize, [usize; 2], usize);

/// The modules of figures 5, 6 and 7, and those that halve the sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// With so many outputs after pooling.
    Square(usize),
    HalveFirst,
    /// With so many channels between the narrow convolutions.
    Narrow(usize),
    HalveSecond,
    Wide,
}

/// The stages, and torchvision's names of their modules.
const STAGES: [&[(&str, Kind)]; 3] = [
    &[("5b", Kind::Square(2)), ("5c", Kind::Square(4)), ("5d", Kind::Square(4))],
    &[
        ("6a", Kind::HalveFirst),
        ("6b", Kind::Narrow(8)),
        ("6c", Kind::Narrow(10)),
        ("6d", Kind::Narrow(10)),
        ("6e", Kind::Narrow(12)),
    ],
    &[("7a", Kind::HalveSecond), ("7b", Kind::Wide), ("7c", Kind::Wide)],
];
/// torchvision's names of the convolutions before them.
const STEM: [&str; 5] = ["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"];

impl Kind {
    fn halves(self) -> bool {
        matches!(self, Self::HalveFirst | Self::HalveSecond)
    }

    fn rows(self) -> Vec<Row> {
        use Source::{Conv, Input, Mean};
        match self {
            Self::Square(pooled) => vec![
                ("1x1", Input, 4, [1, 1], 1),
                ("5x5_1", Input, 3, [1, 1], 1),
                ("5x5_2", Conv(1), 4, [5, 5], 1),
                ("3x3dbl_1", Input, 4, [1, 1], 1),
                ("3x3dbl_2", Conv(3), 6, [3, 3], 1),
                ("3x3dbl_3", Conv(4), 6, [3, 3], 1),
                ("_pool", Mean, pooled, [1, 1], 1),
            ],
            Self::HalveFirst => vec![
                ("3x3", Input, 24, [3, 3], 2),
                ("3x3dbl_1", Input, 4, [1, 1], 1),
                ("3x3dbl_2", Conv(1), 6, [3, 3], 1),
                ("3x3dbl_3", Conv(2), 6, [3, 3], 2),
            ],
            Self::Narrow(inner) => vec![
                ("1x1", Input, 12, [1, 1], 1),
                ("7x7_1", Input, inner, [1, 1], 1),
                ("7x7_2", Conv(1), inner, [1, 7], 1),
                ("7x7_3", Conv(2), 12, [7, 1], 1),
                ("7x7dbl_1", Input, inner, [1, 1], 1),
                ("7x7dbl_2", Conv(4), inner, [7, 1], 1),
                ("7x7dbl_3", Conv(5), inner, [1, 7], 1),
                ("7x7dbl_4", Conv(6), inner, [7, 1], 1),
                ("7x7dbl_5", Conv(7), 12, [1, 7], 1),
                ("_pool", Mean, 12, [1, 1], 1),
            ],
            Self::HalveSecond => vec![
                ("3x3_1", Input, 12, [1, 1], 1),
                ("3x3_2", Conv(0), 20, [3, 3], 2),
                ("7x7x3_1", Input, 12, [1, 1], 1),
                ("7x7x3_2", Conv(2), 12, [1, 7], 1),
                ("7x7x3_3", Conv(3), 12, [7, 1], 1),
                ("7x7x3_4", Conv(4), 12, [3, 3], 2),
            ],
            Self::Wide => vec![
                ("1x1", Input, 20, [1, 1], 1),
                ("3x3_1", Input, 24, [1, 1], 1),
                ("3x3_2a", Conv(1), 24, [1, 3], 1),
                ("3x3_2b", Conv(1), 24, [3, 1], 1),
                ("3x3dbl_1", Input, 28, [1, 1], 1),
                ("3x3dbl_2", Conv(4), 24, [3, 3], 1),
                ("3x3dbl_3a", Conv(5), 24, [1, 3], 1),
                ("3x3dbl_3b", Conv(5), 24, [3, 1], 1),
                ("_pool", Mean, 12, [1, 1], 1),
            ],
        }
    }

    /// The convolutions at which no other looks: they are the module's outputs, in order.
    fn ends(self) -> Vec<usize> {
        let rows = self.rows();
        let looked_at = |at: usize| rows.iter().any(|row| row.1 == Source::Conv(at));
        (0..rows.len()).filter(|&at| !looked_at(at)).collect()
    }
}

/// Modules of convolutions that are cut into narrow ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InceptionV3Config {
    /// Half of the first convolution's channels, to which all others are in proportion.
    pub width: usize,
    /// Whether a further head learns in training.
    pub auxiliary: bool,
    /// Share of the features dropped before the head in training, in 0..1.
    pub dropout: f64,
}

impl Default for InceptionV3Config {
    fn default() -> Self {
        Self { width: 16, auxiliary: true, dropout: 0.5 }
    }
}

impl Describe for InceptionV3Config {
    fn check(&self) -> Result<(), ModelError> {
        check_width(NAME, "width", self.width)?;
        // `branch3x3dbl_2` of the last module.
        check_convolutions(NAME, 1, 3, [28 * self.width, 24 * self.width])?;
        check_dropout(NAME, self.dropout)
    }

    fn smallest(&self) -> usize {
        SMALLEST[usize::from(self.auxiliary)]
    }

    fn names(&self) -> Vec<NameTable> {
        let mut rows = Vec::new();
        let mut row = |ours: String, theirs: String| {
            rows.push((format!("{ours}.conv"), format!("{theirs}.conv")));
            rows.push((format!("{ours}.norm"), format!("{theirs}.bn")));
        };
        for (conv, name) in STEM.into_iter().enumerate() {
            row(format!("stem.{conv}"), format!("Conv2d_{name}"));
        }
        for (stage, modules) in STAGES.into_iter().enumerate() {
            for (module, (name, kind)) in modules.iter().enumerate() {
                for (conv, (branch, ..)) in kind.rows().into_iter().enumerate() {
                    row(format!("stages.{stage}.{module}.convs.{conv}"), format!("Mixed_{name}.branch{branch}"));
                }
            }
        }
        row("auxiliary.convs.{c}".to_owned(), "AuxLogits.conv{c}".to_owned());
        rows.push(("auxiliary.head".to_owned(), "AuxLogits.fc".to_owned()));
        rows.push(("head".to_owned(), "fc".to_owned()));
        let ignored = if self.auxiliary { vec![] } else { vec!["AuxLogits.*".to_owned()] };
        vec![NameTable { ignored, ..NameTable::of("torchvision", rows) }]
    }
}

impl InceptionV3Config {
    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> InceptionV3 {
        let layer = |window, channels: [usize; 2]| ConvNorm::with_epsilon(window, channels, EPSILON, device);
        let [w, mut from] = [self.width, 12 * self.width];
        let mut ends = Vec::new();
        let mut stages = Vec::new();
        for modules in STAGES {
            let mut stage = Vec::new();
            for &(_, kind) in modules {
                let rows = kind.rows();
                let conv = |&(_, source, to, kernel, stride): &Row| {
                    let from = if let Source::Conv(at) = source { rows[at].2 * w } else { from };
                    // What halves the sides sees no border.
                    let border = if stride == 1 { kernel.map(|side| side / 2) } else { [0; 2] };
                    let window = Window { kernel, stride, border: Border::Zeros(border), groups: 1 };
                    layer(window, [from, to * w])
                };
                stage.push(Mixed { convs: rows.iter().map(conv).collect() });
                let made: usize = kind.ends().into_iter().map(|at| rows[at].2 * w).sum();
                from = if kind.halves() { from + made } else { made };
            }
            ends.push(from);
            stages.push(stage);
        }
        let auxiliary = || Auxiliary {
            convs: vec![layer(Window::same(1), [ends[1], 8 * w]), layer(Window::valid(5), [8 * w, 48 * w])],
            head: LinearConfig::new(48 * w, classes).init(device),
        };
        InceptionV3 {
            stem: vec![
                layer(Window::valid(3).stride(2), [shape.channels, 2 * w]),
                layer(Window::valid(3), [2 * w, 2 * w]),
                layer(Window::same(3), [2 * w, 4 * w]),
                layer(Window::same(1), [4 * w, 5 * w]),
                layer(Window::valid(3), [5 * w, 12 * w]),
            ],
            stages,
            auxiliary: self.auxiliary.then(auxiliary),
            dropout: DropoutConfig::new(self.dropout).init(),
            head: LinearConfig::new(from, classes).init(device),
        }
    }
}

/// See [`InceptionV3Config`].
#[derive(Module, Debug)]
pub struct InceptionV3 {
    stem: Vec<ConvNorm>,
    stages: Vec<Vec<Mixed>>,
    auxiliary: Option<Auxiliary>,
    dropout: Dropout,
    head: Linear,
}

/// A module of the paper: its convolutions, in the order of [`Kind::rows`].
#[derive(Module, Debug)]
struct Mixed {
    convs: Vec<ConvNorm>,
}

impl Mixed {
    fn forward(&self, kind: Kind, x: Tensor<4>) -> Tensor<4> {
        let mut made: Vec<Tensor<4>> = Vec::new();
        for (conv, (_, source, ..)) in self.convs.iter().zip(kind.rows()) {
            let seen = match source {
                Source::Input => x.clone(),
                Source::Mean => around(x.clone()),
                Source::Conv(at) => made[at].clone(),
            };
            made.push(conv.forward(seen, None, Then::Relu));
        }
        let mut ends: Vec<Tensor<4>> = kind.ends().into_iter().map(|at| made[at].clone()).collect();
        if kind.halves() {
            ends.push(max_pool(x, 3, 2, 0));
        }
        Tensor::cat(ends, 1)
    }
}

/// The mean of the 3x3 pixels around each, zeros around the image.
fn around(x: Tensor<4>) -> Tensor<4> {
    let options = AvgPool2dOptions { stride: [1; 2], padding: [1; 2], ..AvgPool2dOptions::new([3; 2]) };
    avg_pool2d(x, &options, Kernels::selected())
}

#[derive(Module, Debug)]
struct Auxiliary {
    convs: Vec<ConvNorm>,
    head: Linear,
}

impl Auxiliary {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let options = AvgPool2dOptions { stride: [3; 2], ..AvgPool2dOptions::new([5; 2]) };
        let x = avg_pool2d(x, &options, Kernels::selected());
        let x = self.convs.iter().fold(x, |x, conv| conv.forward(x, None, Then::Relu));
        classify(&self.head, mean(x), Activation::Linear)
    }
}

impl ImageNetwork for InceptionV3 {
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let relu = |x, convs: &[ConvNorm]| convs.iter().fold(x, |x, conv| conv.forward(x, None, Then::Relu));
        let x = max_pool(relu(images, &self.stem[..3]), 3, 2, 0);
        let mut x = max_pool(relu(x, &self.stem[3..]), 3, 2, 0);
        let mut features = Vec::new();
        for (modules, kinds) in self.stages.iter().zip(STAGES) {
            x = modules.iter().zip(kinds).fold(x, |x, (module, &(_, kind))| module.forward(kind, x));
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
        self.auxiliary.iter().map(|head| (AUXILIARY, head.forward(features[1].clone()))).collect()
    }
}
