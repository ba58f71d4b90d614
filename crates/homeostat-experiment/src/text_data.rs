//! The `[data.text]` table: which texts, and what they are cut and started with. It does not know the network.

use std::path::Path;

use homeostat_config::Resolved;
use homeostat_data::{DataRoot, TextAugment, TextSourceConfig, TextTableConfig, Tokenizer, TokenizerConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Experiment, ExperimentError};

/// What a network for texts learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TextDataConfig {
    /// Where texts come from.
    pub source: TextSourceConfig,
    /// What cuts them into tokens.
    pub tokenizer: TokenizerSource,
    /// Random changes of training texts, in this order.
    pub augment: TextAugment,
    /// How many batches of the shuffled order are sorted by length together, so that little is filled up; 1 sorts none.
    pub bucket_batches: usize,
}

/// Where a tokenizer comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerSource {
    /// It is learnt from the training part.
    Train(TokenizerConfig),
    /// A `tokenizer.json`, or a `vocab.txt` of BERT in lower case, relative to the data root; or `hf:OWNER/NAME`, perhaps with `@REVISION`
    /// and `:FILE`, of a hub of models.
    File(String),
}

impl Default for TextDataConfig {
    fn default() -> Self {
        Self {
            source: TextSourceConfig::Table(TextTableConfig::default()),
            tokenizer: TokenizerSource::Train(TokenizerConfig::default()),
            augment: TextAugment::default(),
            bucket_batches: 50,
        }
    }
}

impl TextDataConfig {
    /// Refuses values that no data could make right.
    pub(crate) fn check(&self) -> Result<(), ExperimentError> {
        self.augment.check("data.text.augment")?;
        self.tokenizer.check("data.text.tokenizer")?;
        let problem = "is 0, but has to be at least 1";
        if self.bucket_batches > 0 {
            Ok(())
        } else {
            Err(ExperimentError::setting("data.text.bucket-batches", problem))
        }
    }
}

impl TokenizerSource {
    /// Refuses values that no data could make right, for the dotted `key` at which they stand.
    pub(crate) fn check(&self, key: &str) -> Result<(), ExperimentError> {
        match self {
            Self::Train(config) => Ok(config.check(&format!("{key}.train"))?),
            Self::File(file) => check_relative(&format!("{key}.file"), file),
        }
    }

    /// The tokenizer of a task, whose number of tokens is the vocabulary where the experiment says none; `key` is that of the task.
    pub(crate) fn choose(
        &self,
        resolved: &mut Resolved<Experiment>,
        (key, vocabulary): (&str, Option<usize>),
        roots: &DataRoot,
        texts: impl IntoIterator<Item = String>,
    ) -> Result<Tokenizer, ExperimentError> {
        let tokenizer = self.open(roots, texts)?;
        if vocabulary.is_none() {
            resolved.choose(&format!("{key}.vocabulary"), tokenizer.size(), "the tokens of the tokenizer")?;
        }
        Ok(tokenizer)
    }

    /// The tokenizer, learnt from these texts or read.
    fn open(&self, roots: &DataRoot, texts: impl IntoIterator<Item = String>) -> Result<Tokenizer, ExperimentError> {
        match self {
            Self::Train(config) => Ok(Tokenizer::train(config, texts)?),
            Self::File(file) => Ok(Tokenizer::open(&roots.find_file(file)?)?),
        }
    }
}

fn check_relative(key: &str, file: &str) -> Result<(), ExperimentError> {
    if Path::new(file).is_absolute() {
        let problem = "is an absolute path, but an experiment says what, not where: name it below --data-root";
        return Err(ExperimentError::setting(key, problem));
    }
    Ok(())
}
