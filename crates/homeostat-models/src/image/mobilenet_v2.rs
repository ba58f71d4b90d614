//! MobileNetV2 (Sandler et al. 2018, Inverted Residuals and Linear Bottlenecks): few products, for small machines.

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

const NAME: &str = "mobilenet-v2";
/// Expansion, channels, blocks and stride of each stage: table 2 of the paper.
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Inverted residuals: few products, for small machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MobileNetV2Config {
    /// The paper's channels times this, in whole eights.
    pub width: f64,
    /// Channels of the last convolution, which the head sees; more where the width is above 1.
    pub features: usize,
    /// Share of the features dropped before the head in training, in 0..1.
    pub dropout: f64,
    /// Share of samples in training for which the last block adds nothing, in 0..1; earlier blocks are left out less.
    pub stochastic_depth: f64,
}

impl Default for MobileNetV2Config {
    fn default() -> Self {
        Self { width: 1.0, features: 1280, dropout: 0.2, stochastic_depth: 0.0 }
    }
}

impl Describe for MobileNetV2Config {
    fn check(&self) -> Result<(), ModelError> {
        check_factor(NAME, "width", self.width)?;
        check_width(NAME, "features", self.features)?;
        self.plan().check(NAME)?;
        check_dropout(NAME, self.dropout)?;
        check_rate(NAME, "stochastic-depth", self.stochastic_depth)
    }

    fn names(&self) -> Vec<NameTable> {
        let plan = self.plan();
        let mut rows = vec![
            ("stem.conv".to_owned(), "features.0.0".to_owned()),
            ("stem.norm".to_owned(), "features.0.1".to_owned()),
        ];
        let mut place = 1;
        for (stage, block, widens) in plan.in_a_row() {
            // All layers but the last stand in a sequence of their own, with the curve after them.
            let inner = if widens { 2 } else { 1 };
            for conv in 0..=inner {
                let (norm, their_conv) = if conv < inner {
                    (format!("{conv}.1"), format!("{conv}.0"))
                } else {
                    ((conv + 1).to_string(), conv.to_string())
                };
                let ours = |part| format!("stages.{stage}.{block}.convs.{conv}.{part}");
                rows.push((ours("conv"), format!("features.{place}.conv.{their_conv}")));
                rows.push((ours("norm"), format!("features.{place}.conv.{norm}")));
            }
            place += 1;
        }
        rows.push(("last.conv".to_owned(), format!("features.{place}.0")));
        rows.push(("last.norm".to_owned(), format!("features.{place}.1")));
        rows.push(("head".to_owned(), "classifier.1".to_owned()));
        vec![plan.timm(), NameTable::of("torchvision", rows)]
    }
}

impl MobileNetV2Config {
    fn plan(&self) -> Plan {
        let channels = |channels: usize| whole_eights(channels as f64 * self.width);
        let stage = |[expansion, to, blocks, stride]: [usize; 4]| Stage {
            expansion,
            channels: channels(to),
            blocks,
            stride,
            kernel: 3,
        };
        Plan {
            stem: channels(32),
            stages: STAGES.map(stage).to_vec(),
            features: channels(self.features).max(self.features),
            dropout: self.dropout,
            stochastic_depth: self.stochastic_depth,
            tensorflow: false,
        }
    }

    pub(super) fn init(&self, shape: ImageShape, classes: usize, device: &Device) -> InvertedResiduals {
        self.plan().init(shape.channels, classes, device)
    }
}
