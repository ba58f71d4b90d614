//! EfficientNet-Lite (Google 2020, after Tan & Le 2019, EfficientNet: Rethinking Model Scaling): the stages of EfficientNet
//! without squeeze and excitation, and with ReLU6, so that small machines compute it well.

use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ImageShape,
    blocks::whole_eights,
    check_dropout, check_factor, check_rate, check_width,
    inverted_residual::{InvertedResiduals, Plan, Stage},
    network::{Describe, NameTable},
};
use crate::ModelError;

const NAME: &str = "efficientnet-lite";
/// Expansion, channels, blocks, stride and kernel of each stage of the smallest.
const STAGES: [[usize; 5]; 7] = [
    [1, 16, 1, 1, 3],
    [6, 24, 2, 2, 3],
    [6, 40, 2, 2, 5],
    [6, 80, 3, 2, 3],
    [6, 112, 3, 1, 5],
    [6, 192, 4, 2, 5],
    [6, 320, 1, 1, 3],
];
/// How much wider and deeper each size is.
const SIZES: [[f64; 2]; 5] = [[1.0, 1.0], [1.0, 1.1], [1.1, 1.2], [1.2, 1.4], [1.4, 1.8]];

/// EfficientNet without squeeze and excitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EfficientNetLiteConfig {
    /// 0 to 4: how wide and deep it is.
    pub size: usize,
    /// The channels of the size times this, in whole eights.
    pub width: f64,
    /// Channels of the last convolution, which the head sees.
    pub features: usize,
    /// Whether borders and normalisation are as in TensorFlow, where the published weights come from.
    pub tensorflow: bool,
    /// Share of the features dropped before the head in training, in 0..1.
    pub dropout: f64,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

impl Default for EfficientNetLiteConfig {
    fn default() -> Self {
        Self { size: 0, width: 1.0, features: 1280, tensorflow: false, dropout: 0.2, stochastic_depth: 0.0 }
    }
}

impl Describe for EfficientNetLiteConfig {
    fn check(&self) -> Result<(), ModelError> {
        if self.size >= SIZES.len() {
            let problem = format!("is {}, but there are 0 to {}", self.size, SIZES.len() - 1);
            return Err(ModelError::Setting { network: NAME, setting: "size", problem });
        }
        check_factor(NAME, "width", self.width)?;
        check_width(NAME, "features", self.features)?;
        self.plan().check(NAME)?;
        check_dropout(NAME, self.dropout)?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn names(&self) -> Vec<NameTable> {
        let plan = self.plan();
        let mut rows = vec![
            ("stem.conv".to_owned(), "_conv_stem".to_owned()),
            ("stem.norm".to_owned(), "_bn0".to_owned()),
            ("last.conv".to_owned(), "_conv_head".to_owned()),
            ("last.norm".to_owned(), "_bn1".to_owned()),
            ("head".to_owned(), "_fc".to_owned()),
        ];
        for (place, (stage, block, widens)) in plan.in_a_row().enumerate() {
            // A block that does not widen lacks the first layer, and keeps the numbers of the others.
            let layers = ["expand", "depthwise", "project"].into_iter().enumerate().skip(usize::from(!widens));
            for (conv, (layer, name)) in layers.enumerate() {
                let ours = |part| format!("stages.{stage}.{block}.convs.{conv}.{part}");
                rows.push((ours("conv"), format!("_blocks.{place}._{name}_conv")));
                rows.push((ours("norm"), format!("_blocks.{place}._bn{layer}")));
            }
        }
        vec![plan.timm(), NameTable::of("EfficientNet-PyTorch", rows)]
    }
}

impl EfficientNetLiteConfig {
    fn plan(&self) -> Plan {
        let [width, depth] = SIZES[self.size.min(SIZES.len() - 1)];
        let stage = |(at, [expansion, channels, blocks, stride, kernel]): (usize, [usize; 5])| {
            // The first and the last stage are not deepened.
            let fixed = at == 0 || at == STAGES.len() - 1;
            Stage {
                expansion,
                channels: whole_eights(channels as f64 * width * self.width),
                blocks: if fixed { blocks } else { deepened(blocks, depth) },
                stride,
                kernel,
            }
        };
        Plan {
            stem: whole_eights(32.0 * self.width),
            stages: STAGES.into_iter().enumerate().map(stage).collect(),
            features: self.features,
            dropout: self.dropout,
            stochastic_depth: self.stochastic_depth,
            tensorflow: self.tensorflow,
        }
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> InvertedResiduals {
        self.plan().init(shape.channels, classes, device)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few blocks")]
fn deepened(blocks: usize, factor: f64) -> usize {
    (blocks as f64 * factor).ceil() as usize
}
