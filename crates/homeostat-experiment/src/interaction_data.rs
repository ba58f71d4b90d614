//! The `[data.interactions]` table: who bought what, and how items' texts are cut. It does not know the network.

use homeostat_data::{InteractionsConfig, TokenizerConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ExperimentError, TokenizerSource};

/// What a recommendation learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InteractionDataConfig {
    /// Where purchases and items come from.
    pub source: InteractionsConfig,
    /// What cuts the items' texts into words.
    pub tokenizer: TokenizerSource,
}

impl Default for InteractionDataConfig {
    fn default() -> Self {
        Self { source: InteractionsConfig::default(), tokenizer: TokenizerSource::Train(TokenizerConfig::default()) }
    }
}

impl InteractionDataConfig {
    /// Refuses values that no data could make right.
    pub(crate) fn check(&self) -> Result<(), ExperimentError> {
        self.source.check("data.interactions.source")?;
        self.tokenizer.check("data.interactions.tokenizer")
    }
}
