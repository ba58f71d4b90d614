//! The `[data]` table: which samples, how they are divided and augmented. It stays at home: serving never reads it.

use std::path::PathBuf;

use homeostat_data::{
    DataError, DataRoot, ImageAugment, MixConfig, OnCorrupt, Progressive, SamplingConfig, SourceConfig, SplitConfig,
};
use homeostat_tasks::TaskConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CorpusDataConfig, ExperimentError, InteractionDataConfig, TextDataConfig, TokenizerSource};

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
    /// Texts to go on with, for language models; what stands for pictures and in `text` is of other tasks.
    pub corpus: Option<CorpusDataConfig>,
    /// Who bought what, for recommendations; what stands for pictures, in `text` and in `corpus` is of other tasks.
    pub interactions: Option<InteractionDataConfig>,
}

/// What a task learns from, by the table in which its source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    /// Pictures, in the table itself.
    Pictures,
    /// Texts, in `text`.
    Texts,
    /// Texts that are read on, in `corpus`.
    Corpus,
    /// Purchases, in `interactions`.
    Interactions,
}

impl Samples {
    pub(crate) fn of(task: &TaskConfig) -> Self {
        match task {
            TaskConfig::ImageClassification(_) | TaskConfig::ImageGeneration(_) => Self::Pictures,
            TaskConfig::TextClassification(_) | TaskConfig::SentenceEmbedding(_) => Self::Texts,
            TaskConfig::LanguageModel(_) => Self::Corpus,
            TaskConfig::Recommendation(_) => Self::Interactions,
        }
    }
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
            corpus: None,
            interactions: None,
        }
    }
}

impl DataConfig {
    /// The folder of the samples, as the experiment names it; nothing for those that are built in.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        match (&self.text, &self.corpus, &self.interactions) {
            (Some(text), ..) => Some(text.source.folder()),
            (None, Some(corpus), _) => Some(corpus.source.folder()),
            (None, None, Some(interactions)) => Some(&interactions.source.folder),
            (None, None, None) => self.source.folder(),
        }
    }

    /// The key of the tokenizer's file, and what the experiment calls it; nothing where it is learnt, or there is none.
    pub(crate) fn tokenizer_file(&self) -> Option<(&'static str, &str)> {
        let text = self.text.as_ref().map(|text| ("data.text.tokenizer.file", &text.tokenizer));
        let corpus = self.corpus.as_ref().map(|corpus| ("data.corpus.tokenizer.file", &corpus.tokenizer));
        let interactions = self.interactions.as_ref();
        let interactions = interactions.map(|table| ("data.interactions.tokenizer.file", &table.tokenizer));
        match text.or(corpus).or(interactions)? {
            (key, TokenizerSource::File(file)) => Some((key, file)),
            (_, TokenizerSource::Train(_)) => None,
        }
    }

    /// Where the samples are; nothing for those that are built in.
    pub(crate) fn locate(&self, roots: &DataRoot) -> Result<Option<PathBuf>, DataError> {
        match (&self.text, &self.corpus, &self.interactions) {
            (None, None, None) => self.source.locate(roots),
            _ => self.folder().map(|folder| roots.find(folder)).transpose(),
        }
    }

    /// Refuses values that no data could make right, for a task with such samples.
    pub(crate) fn check(&self, samples: Samples) -> Result<(), ExperimentError> {
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
        let of_texts = samples == Samples::Texts;
        match (&self.corpus, samples) {
            (_, Samples::Corpus) => return self.check_corpus(),
            (_, Samples::Interactions) => return self.check_interactions(),
            (Some(_), _) => {
                let problem = "is given, but the task is no language model";
                return Err(ExperimentError::setting("data.corpus", problem));
            }
            (None, _) => {}
        }
        if self.interactions.is_some() {
            let problem = "is given, but the task is no recommendation";
            return Err(ExperimentError::setting("data.interactions", problem));
        }
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

    fn check_corpus(&self) -> Result<(), ExperimentError> {
        let Some(corpus) = &self.corpus else {
            let problem = "is missing, but the task is a language model";
            return Err(ExperimentError::setting("data.corpus", problem));
        };
        let Self { split, on_corrupt, .. } = self.clone();
        let own = Self { split, on_corrupt, corpus: self.corpus.clone(), ..Self::default() };
        if *self != own {
            let problem = "has settings of other tasks than a language model, which takes split, on-corrupt and corpus";
            return Err(ExperimentError::setting("data", problem));
        }
        corpus.check()
    }

    fn check_interactions(&self) -> Result<(), ExperimentError> {
        let Some(interactions) = &self.interactions else {
            let problem = "is missing, but the task is a recommendation";
            return Err(ExperimentError::setting("data.interactions", problem));
        };
        let Self { split, fraction, sampling, on_corrupt, .. } = self.clone();
        let own =
            Self { split, fraction, sampling, on_corrupt, interactions: self.interactions.clone(), ..Self::default() };
        if *self != own {
            let problem = "has settings of other tasks than a recommendation, which takes split, fraction, on-corrupt and interactions";
            return Err(ExperimentError::setting("data", problem));
        }
        interactions.check()
    }
}
