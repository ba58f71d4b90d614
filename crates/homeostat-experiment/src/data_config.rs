//! The `[data]` table: which samples, how they are divided and augmented. It stays at home: serving never reads it.

use std::path::PathBuf;

use homeostat_data::{
    DataError, DataRoot, ImageAugment, MixConfig, OnCorrupt, Progressive, SamplingConfig, SourceConfig, SplitConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExperimentError, TextDataConfig};

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
    /// Texts to learn from, for the tasks that take them; `source`, `augment`, `mix` and `progressive` are of pictures.
    pub text: Option<TextDataConfig>,
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
            text: None,
        }
    }
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

    /// Where the samples are; nothing for those that are built in.
    pub(crate) fn locate(&self, roots: &DataRoot) -> Result<Option<PathBuf>, DataError> {
        match &self.text {
            Some(text) => roots.find(text.source.folder()).map(Some),
            None => self.source.locate(roots),
        }
    }

    /// Refuses values that no data could make right, for a task with texts or with pictures.
    pub(crate) fn check(&self, of_texts: bool) -> Result<(), ExperimentError> {
        self.split.check("data.split")?;
        self.sampling.check("data.sampling")?;
        if !(self.fraction > 0.0 && self.fraction <= 1.0) {
            let problem = format!("is {}, but has to be above 0 and at most 1", self.fraction);
            return Err(ExperimentError::setting("data.fraction", problem));
        }
        self.augment.check("data.augment")?;
        self.mix.check("data.mix")?;
        self.progressive.as_ref().map_or(Ok(()), |progressive| progressive.check("data.progressive"))?;
        let Self { split, fraction, sampling, on_corrupt, .. } = self.clone();
        let texts = Self { split, fraction, sampling, on_corrupt, text: self.text.clone(), ..Self::default() };
        match &self.text {
            None if of_texts => Err(ExperimentError::setting("data.text", "is missing, but the task is about texts")),
            Some(_) if !of_texts => {
                Err(ExperimentError::setting("data.text", "is given, but the task is about pictures"))
            }
            Some(_) if *self != texts => {
                let problem = "has a source, augment, mix or progressive of pictures, but the task is about texts: they stand in data.text";
                Err(ExperimentError::setting("data", problem))
            }
            Some(text) => text.check(),
            None => Ok(()),
        }
    }
}
