//! Pairs of texts as the loop sees them: read, augment the first (in training), prepare both. It does not know the loop.

use std::sync::Arc;

use homeostat_data::{Buckets, DataError, TextSource, Weigh};
use homeostat_task::Task;
use homeostat_tasks::{PairTokens, SentenceEmbedding};
use homeostat_train::{Draw, Examples, Rows};

use crate::{
    DataConfig, TextDataConfig,
    text_rows::{Made, Read, TextRows},
};

/// A part of a source of pairs.
pub(crate) struct PairExamples {
    task: SentenceEmbedding,
    texts: TextRows,
}

impl PairExamples {
    pub(crate) fn new(
        task: &SentenceEmbedding,
        source: &Arc<TextSource>,
        indices: &[usize],
        setting: (&DataConfig, &TextDataConfig),
    ) -> Self {
        let texts = TextRows::new(source, indices, setting, |sample| {
            sample.text.len().max(sample.pair.as_ref().map_or(0, String::len))
        });
        Self { task: task.clone(), texts }
    }

    /// Only first texts are augmented.
    fn row(&self, Read { sample, index, key }: Read) -> Result<Made<SentenceEmbedding>, DataError> {
        let prepared = self.task.prepare(sample);
        let PairTokens { first, second } =
            prepared.map_err(|error| self.texts.corrupt(index, format!("a text {error}")))?;
        let Some(second) = second else {
            return Err(self.texts.corrupt(index, "has no second text".to_owned()));
        };
        let first = self.texts.augmented(first, self.task.tokenizer(), key);
        let bytes = first.bytes() + second.bytes();
        Ok((PairTokens { first, second: Some(second) }, (), bytes))
    }
}

impl Examples<SentenceEmbedding> for PairExamples {
    fn len(&self) -> usize {
        self.texts.indices.len()
    }

    fn buckets(&self) -> Option<&Buckets> {
        self.texts.buckets.as_ref()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<SentenceEmbedding>, DataError> {
        self.texts.rows(positions, draw, |read| self.row(read))
    }
}
