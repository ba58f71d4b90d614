//! Texts with their classes as the loop sees them: read, augment (in training), prepare. It does not know the loop.

use std::sync::Arc;

use homeostat_data::{Buckets, DataError, LabelKind, SamplingConfig, TextSource, Weigh};
use homeostat_task::Task;
use homeostat_tasks::{Target, TextClassification};
use homeostat_train::{Draw, Examples, Rows};

use crate::{
    DataConfig, TextDataConfig,
    text_rows::{Made, Read, TextRows},
};

/// A part of a source of texts.
pub(crate) struct TextExamples {
    task: TextClassification,
    texts: TextRows,
    sampling: SamplingConfig,
}

impl TextExamples {
    pub(crate) fn new(
        task: &TextClassification,
        source: &Arc<TextSource>,
        indices: &[usize],
        (data, text): (&DataConfig, &TextDataConfig),
    ) -> Self {
        let texts = TextRows::new(source, indices, (data, text), |sample| {
            sample.text.len() + sample.pair.as_ref().map_or(0, String::len)
        });
        Self { task: task.clone(), texts, sampling: data.sampling.clone() }
    }

    fn row(&self, Read { sample, index, key }: Read) -> Result<Made<TextClassification>, DataError> {
        let prepared = self.task.prepare(sample);
        let tokens = prepared.map_err(|error| self.texts.corrupt(index, format!("the text {error}")))?;
        let tokens = self.texts.augmented(tokens, self.task.tokenizer(), key);
        let source = &self.texts.source;
        let target = match source.label_kind() {
            LabelKind::Several => Target::Several(source.labels(index).to_vec()),
            LabelKind::One | LabelKind::None => Target::Class(source.labels(index)[0]),
        };
        let bytes = tokens.bytes();
        Ok((tokens, target, bytes))
    }
}

impl Examples<TextClassification> for TextExamples {
    fn len(&self) -> usize {
        self.texts.indices.len()
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let source = &self.texts.source;
        let first = |&index: &usize| source.labels(index).first().map_or(0, |label| *label as usize);
        let labels: Vec<usize> = self.texts.indices.iter().map(first).collect();
        self.sampling.order(&labels, source.classes(), (seed, epoch))
    }

    fn buckets(&self) -> Option<&Buckets> {
        self.texts.buckets.as_ref()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<TextClassification>, DataError> {
        self.texts.rows(positions, draw, |read| self.row(read))
    }
}
