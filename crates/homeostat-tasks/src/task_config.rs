//! The `[task]` table. It does not know who reads it.

use std::sync::Arc;

use homeostat_data::{ASSORTMENT_FILE, Assortment, TOKENIZER_FILE, Tokenizer};
use homeostat_task::{TaskError, TaskVisitor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ImageClassificationConfig, ImageGenerationConfig, LanguageModelConfig, RecommendationConfig,
    SentenceEmbeddingConfig, TextClassificationConfig,
};

/// The question that the network answers; the only part of an experiment that travels with the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskConfig {
    /// Which class a picture belongs to.
    ImageClassification(ImageClassificationConfig),
    /// Which class a text belongs to, or a pair of texts.
    TextClassification(TextClassificationConfig),
    /// Making pictures like those of the data.
    ImageGeneration(ImageGenerationConfig),
    /// Going on with a text, token by token.
    LanguageModel(LanguageModelConfig),
    /// A vector for a text, near to those of texts that mean the same.
    SentenceEmbedding(SentenceEmbeddingConfig),
    /// What a user buys next, by what they and others have bought.
    Recommendation(RecommendationConfig),
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self::ImageClassification(ImageClassificationConfig::default())
    }
}

impl TaskConfig {
    /// The name that stands in an artifact.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ImageClassification(_) => "image-classification",
            Self::TextClassification(_) => "text-classification",
            Self::ImageGeneration(_) => "image-generation",
            Self::LanguageModel(_) => "language-model",
            Self::SentenceEmbedding(_) => "sentence-embedding",
            Self::Recommendation(_) => "recommendation",
        }
    }

    /// What the scores of classes are divided by; 1 where there are none.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        match self {
            Self::ImageClassification(config) => config.temperature,
            Self::TextClassification(config) => config.temperature,
            Self::ImageGeneration(_)
            | Self::LanguageModel(_)
            | Self::SentenceEmbedding(_)
            | Self::Recommendation(_) => 1.0,
        }
    }

    /// The heads of the keys of a block of the network, where that attends to tokens.
    #[must_use]
    pub fn key_heads(&self) -> Option<usize> {
        match self {
            Self::TextClassification(config) => config.model.key_heads(),
            Self::SentenceEmbedding(config) => config.model.key_heads(),
            Self::LanguageModel(config) => Some(config.model.key_heads()),
            Self::ImageClassification(_) | Self::ImageGeneration(_) | Self::Recommendation(_) => None,
        }
    }

    /// Refuses settings that make no task, whatever the data.
    ///
    /// # Errors
    /// Names the first of them.
    pub fn check(&self) -> Result<(), TaskError> {
        match self {
            Self::ImageClassification(config) => config.check(),
            Self::TextClassification(config) => config.check(),
            Self::ImageGeneration(config) => config.check(),
            Self::LanguageModel(config) => config.check(),
            Self::SentenceEmbedding(config) => config.check(),
            Self::Recommendation(config) => config.check(),
        }
    }

    /// Reads the `task.toml` of an artifact that says it is of this [`kind`](Self::kind).
    ///
    /// # Errors
    /// The text is no such table, or one of another kind.
    pub fn parse(kind: &str, text: &str) -> Result<Self, TaskError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            TaskError::new(format!("task.toml, line {line}: {}", error.message()))
        })?;
        if config.kind() == kind {
            return Ok(config);
        }
        let problem =
            format!("is of the kind `{}`, but artifact.json says `{kind}`: publish the artifact anew", config.kind());
        Err(TaskError::new(format!("task.toml {problem}")))
    }

    /// The one `match` that opens an artifact's task; the visitor brings the artifact's further files.
    ///
    /// # Errors
    /// The table is incomplete: it was not written by a training; or a further file is missing or broken.
    pub fn open<V: TaskVisitor>(&self, visitor: V) -> Result<V::Output, TaskError> {
        match self {
            Self::ImageClassification(config) => Ok(visitor.visit(config.init()?)),
            Self::ImageGeneration(config) => Ok(visitor.visit(config.init()?)),
            Self::TextClassification(config) => {
                let tokenizer = tokenizer(&visitor)?;
                Ok(visitor.visit(config.init(tokenizer)?))
            }
            Self::LanguageModel(config) => {
                let tokenizer = tokenizer(&visitor)?;
                Ok(visitor.visit(config.init(tokenizer)?))
            }
            Self::SentenceEmbedding(config) => {
                let tokenizer = tokenizer(&visitor)?;
                Ok(visitor.visit(config.init(tokenizer)?))
            }
            Self::Recommendation(config) => {
                let (tokenizer, assortment) = (tokenizer(&visitor)?, assortment(&visitor)?);
                Ok(visitor.visit(config.init(&tokenizer, Arc::new(assortment))?))
            }
        }
    }
}

fn tokenizer<V: TaskVisitor>(visitor: &V) -> Result<Tokenizer, TaskError> {
    Tokenizer::from_json(&visitor.asset(TOKENIZER_FILE)?).map_err(|error| TaskError::new(error.to_string()))
}

fn assortment<V: TaskVisitor>(visitor: &V) -> Result<Assortment, TaskError> {
    let bytes = visitor.asset(ASSORTMENT_FILE)?;
    let text = String::from_utf8_lossy(&bytes);
    Assortment::from_json_lines(&text).map_err(|error| TaskError::new(error.to_string()))
}
