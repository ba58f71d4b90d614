//! The tasks: what travels with the weights, as data and as code.
//!
//! [`TaskConfig`] is the `[task]` table of an experiment and of an artifact. [`TaskConfig::open`] is the one `match` that
//! turns it into a living [`Task`](homeostat_task::Task) for whoever does not care which (serving, verifying).
//!
//! ```
//! use homeostat_data::ImagePrepare;
//! use homeostat_tasks::{ImageClassificationConfig, InputShape};
//!
//! let config = ImageClassificationConfig {
//!     labels: vec!["cat".into(), "dog".into()],
//!     input: Some(InputShape { channels: 3, height: 32, width: 32 }),
//!     prepare: ImagePrepare::default(),
//!     ..ImageClassificationConfig::default()
//! };
//! let task = config.init()?;
//! assert_eq!(task.labels(), ["cat", "dog"]);
//! # Ok::<(), homeostat_task::TaskError>(())
//! ```
//!
//! It does not know the loop or the server.

mod classification;
mod image_classification;
mod image_generation;
mod language_model;
mod loss;
mod recommendation;
mod sentence_embedding;
mod task_config;
mod text_classification;

pub use classification::{ClassificationOutcome, ClassificationResponse, Target};
pub use image_classification::{ImageBatch, ImageClassification, ImageClassificationConfig, InputShape};
pub use image_generation::{
    AdversarialLoss, AdversaryConfig, AutoencoderConfig, Chance, DiffusionConfig, Elbo, GeneratedImage,
    GenerationOutcome, GenerativeConfig, GenerativeModel, ImageGeneration, ImageGenerationConfig, PenaltyConfig,
    PictureBatch, PictureInput, PictureRequest, PictureSample, elbo, slopes,
};
pub use language_model::{
    Ended, GenerationConfig, LanguageBatch, LanguageInput, LanguageModel, LanguageModelConfig, LanguageOutcome,
    LanguageResponse, NextTokens, Prompt, Sampler, prompt_request,
};
pub use loss::{
    BinaryCrossEntropyConfig, ClassWeights, CrossEntropyConfig, FocalConfig, LossConfig, LossValue, Probabilities,
};
pub use recommendation::{
    Bought, Next, Recommendation, RecommendationConfig, RecommendationOutcome, RecommendationResponse, Recommended,
    UserBatch, recommendation_request,
};
pub use sentence_embedding::{
    EmbeddingOutcome, EmbeddingResponse, PairBatch, PairTokens, SentenceEmbedding, SentenceEmbeddingConfig,
};
pub use task_config::TaskConfig;
pub use text_classification::{TextBatch, TextClassification, TextClassificationConfig, text_request};
