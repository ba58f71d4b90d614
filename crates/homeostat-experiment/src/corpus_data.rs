//! The `[data.corpus]` table: which texts a language model reads, and how they are cut. It does not know the network.

use homeostat_data::{TextFolderConfig, TextSourceConfig, TokenizerConfig, TokenizerKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExperimentError, TokenizerSource};

/// What a language model learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CorpusDataConfig {
    /// Where texts come from; one is read behind the other.
    pub source: TextSourceConfig,
    /// What stands between two texts.
    pub between: String,
    /// What cuts them into tokens.
    pub tokenizer: TokenizerSource,
    /// Tokens from one training window to the next, at most the window's length, as which it counts when absent. They begin at
    /// another place in each epoch.
    pub stride: Option<usize>,
    /// Tokens of a window that is measured which the one before has foretold already: the more, the more each token has before it,
    /// and the longer it takes. Each token counts once.
    pub overlap: usize,
}

impl Default for CorpusDataConfig {
    fn default() -> Self {
        let characters = TokenizerConfig { kind: TokenizerKind::Characters, size: 1000, lowercase: false };
        Self {
            source: TextSourceConfig::TextFolder(TextFolderConfig::default()),
            between: "\n\n".to_owned(),
            tokenizer: TokenizerSource::Train(characters),
            stride: None,
            overlap: 0,
        }
    }
}

impl CorpusDataConfig {
    /// Refuses values that no data could make right.
    pub(crate) fn check(&self) -> Result<(), ExperimentError> {
        self.tokenizer.check("data.corpus.tokenizer")
    }

    /// Refuses what does not go with windows of this length.
    pub(crate) fn check_length(&self, length: usize) -> Result<(), ExperimentError> {
        let stride = self.stride.unwrap_or(length);
        if !(1..=length).contains(&stride) {
            let problem = format!("is {stride}, but must lie in 1..={length}, the length of a window");
            return Err(ExperimentError::setting("data.corpus.stride", problem));
        }
        if self.overlap >= length {
            let problem = format!("is {}, but must be below {length}, the length of a window", self.overlap);
            return Err(ExperimentError::setting("data.corpus.overlap", problem));
        }
        Ok(())
    }
}
