//! The `[data]` table: which samples, how they are divided and augmented. It stays at home: serving never reads it.

use homeostat_data::{ImageAugment, MixConfig, OnCorrupt, Progressive, SamplingConfig, SourceConfig, SplitConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the network learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// Where samples come from.
    pub source: SourceConfig,
    /// How they are divided into training, validation and test.
    pub split: SplitConfig,
    /// The fraction of the training part that is learnt from, above 0 to 1, with the proportions of the classes kept. A smaller
    /// fraction is part of a larger one.
    pub fraction: f64,
    /// In what order training samples come, and how often.
    pub sampling: SamplingConfig,
    /// What is done to a sample that cannot be read.
    pub on_corrupt: OnCorrupt,
    /// Random changes of training samples, in this order, before they are prepared.
    pub augment: ImageAugment,
    /// Mixing of training samples within a batch.
    pub mix: MixConfig,
    /// Whether training pictures are small at first and grow with the epochs; for networks that take pictures of any size.
    pub progressive: Option<Progressive>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: SourceConfig::default(),
            split: SplitConfig::default(),
            fraction: 1.0,
            sampling: SamplingConfig::default(),
            on_corrupt: OnCorrupt::default(),
            augment: ImageAugment::default(),
            mix: MixConfig::default(),
            progressive: None,
        }
    }
}
