//! Texts as the loop sees them: read, augment (in training), prepare. It does not know the loop.

use std::sync::Arc;

use homeostat_data::{
    Buckets, DataError, LabelKind, OnCorrupt, SampleKey, SamplingConfig, Skipped, TextAugment, TextSource, Tokens,
    Weigh,
};
use homeostat_task::Task;
use homeostat_tasks::{Target, TextClassification};
use homeostat_train::{Draw, Examples, Rows};

use crate::{DataConfig, TextDataConfig};

/// A part of a source of texts.
pub(crate) struct TextExamples {
    task: TextClassification,
    source: Arc<TextSource>,
    indices: Vec<usize>,
    augment: TextAugment,
    sampling: SamplingConfig,
    on_corrupt: OnCorrupt,
    buckets: Option<Buckets>,
}

impl TextExamples {
    pub(crate) fn new(
        task: &TextClassification,
        source: &Arc<TextSource>,
        indices: &[usize],
        (data, text): (&DataConfig, &TextDataConfig),
    ) -> Self {
        // The length in bytes stands for that in tokens: they go together, and nothing has to be cut into tokens for it.
        let length = |&index: &usize| {
            let sample = source.get(index).unwrap_or_default();
            sample.text.len() + sample.pair.map_or(0, |pair| pair.len())
        };
        let sorted = text.bucket_batches > 1;
        let buckets = || Buckets { lengths: indices.iter().map(length).collect(), window: text.bucket_batches };
        Self {
            task: task.clone(),
            source: Arc::clone(source),
            indices: indices.to_vec(),
            augment: text.augment.clone(),
            sampling: data.sampling.clone(),
            on_corrupt: data.on_corrupt,
            buckets: sorted.then(buckets),
        }
    }

    /// `again` counts how often the sample came before in this epoch.
    fn input(&self, (index, again): (usize, usize), draw: Option<Draw>) -> Result<Tokens, DataError> {
        let mut sample = self.source.get(index)?;
        let sample_key = index as u64 | (again as u64) << 40;
        let key = draw.map(|Draw { seed, epoch, .. }| SampleKey { seed, epoch, sample: sample_key });
        if let Some(key) = key {
            sample.text = self.augment.apply(&sample.text, key);
        }
        let prepared = self.task.prepare(sample);
        let tokens = prepared
            .map_err(|error| DataError::Corrupt { name: self.source.name(index), why: format!("the text {error}") })?;
        Ok(match key {
            Some(key) => self.augment.apply_to_tokens(tokens, self.task.tokenizer(), key),
            None => tokens,
        })
    }
}

impl Examples<TextClassification> for TextExamples {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let first = |&index: &usize| self.source.labels(index).first().map_or(0, |label| *label as usize);
        let labels: Vec<usize> = self.indices.iter().map(first).collect();
        self.sampling.order(&labels, self.source.classes(), (seed, epoch))
    }

    fn buckets(&self) -> Option<&Buckets> {
        self.buckets.as_ref()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<TextClassification>, DataError> {
        let mut rows = Rows { inputs: vec![], truths: vec![], positions: vec![], skipped: vec![], bytes: 0 };
        for &position in positions {
            let (position, again) = (position % self.len(), position / self.len());
            let index = self.indices[position];
            match self.input((index, again), draw) {
                Ok(tokens) => {
                    rows.bytes += tokens.bytes();
                    rows.inputs.push(tokens);
                    rows.truths.push(match self.source.label_kind() {
                        LabelKind::Several => Target::Several(self.source.labels(index).to_vec()),
                        LabelKind::One | LabelKind::None => Target::Class(self.source.labels(index)[0]),
                    });
                    rows.positions.push(position);
                }
                Err(DataError::Corrupt { name, why }) if self.on_corrupt == OnCorrupt::Skip => {
                    rows.skipped.push(Skipped { name, reason: why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }
}
