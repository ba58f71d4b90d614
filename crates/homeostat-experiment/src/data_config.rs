//! The `[data]` table: which samples, how they are divided and augmented. It stays at home: serving never reads it.

use homeostat_data::{ImageAugment, MixConfig, OnCorrupt, SourceConfig, SplitConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExperimentError, TextDataConfig};

/// What the network learns from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// Where samples come from.
    pub source: SourceConfig,
    /// How they are divided into training, validation and test.
    pub split: SplitConfig,
    /// What is done to a sample that cannot be read.
    pub on_corrupt: OnCorrupt,
    /// Random changes of training samples, in this order, before they are prepared.
    pub augment: ImageAugment,
    /// Mixing of training samples within a batch.
    pub mix: MixConfig,
    /// Texts to learn from, for the tasks that take them; `source`, `augment` and `mix` are of pictures.
    pub text: Option<TextDataConfig>,
}

impl DataConfig {
    /// The folder of the samples, as the experiment names it; nothing for those that are built in.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        match &self.text {
            Some(text) => Some(text.source.folder()),
            None => self.source.folder(),
        }
    }

    /// Refuses values that no data could make right, for a task with texts or with pictures.
    pub(crate) fn check(&self, of_texts: bool) -> Result<(), ExperimentError> {
        self.split.check("data.split")?;
        self.augment.check("data.augment")?;
        self.mix.check("data.mix")?;
        let pictures = Self { split: self.split.clone(), on_corrupt: self.on_corrupt, ..Self::default() };
        match &self.text {
            None if of_texts => Err(ExperimentError::setting("data.text", "is missing, but the task is about texts")),
            Some(_) if !of_texts => {
                Err(ExperimentError::setting("data.text", "is given, but the task is about pictures"))
            }
            Some(_) if *self != (Self { text: self.text.clone(), ..pictures }) => {
                let problem =
                    "has a source, augment or mix of pictures, but the task is about texts: they stand in data.text";
                Err(ExperimentError::setting("data", problem))
            }
            Some(text) => text.check(),
            None => Ok(()),
        }
    }
}
