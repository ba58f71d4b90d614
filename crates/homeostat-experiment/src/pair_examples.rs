//! Pairs of texts as the loop sees them: read, augment (in training), prepare. It does not know the loop.

use std::sync::Arc;

use homeostat_data::{Buckets, DataError, OnCorrupt, SampleKey, Skipped, TextAugment, TextSource, Weigh};
use homeostat_task::Task;
use homeostat_tasks::{PairTokens, SentenceEmbedding};
use homeostat_train::{Draw, Examples, Rows};

use crate::{DataConfig, TextDataConfig};

/// A part of a source of pairs.
pub(crate) struct PairExamples {
    task: SentenceEmbedding,
    source: Arc<TextSource>,
    indices: Vec<usize>,
    augment: TextAugment,
    on_corrupt: OnCorrupt,
    buckets: Option<Buckets>,
}

impl PairExamples {
    pub(crate) fn new(
        task: &SentenceEmbedding,
        source: &Arc<TextSource>,
        indices: &[usize],
        (data, text): (&DataConfig, &TextDataConfig),
    ) -> Self {
        // The length in bytes stands for that in tokens: they go together, and nothing has to be cut into tokens for it.
        let length = |&index: &usize| {
            let sample = source.get(index).unwrap_or_default();
            sample.text.len().max(sample.pair.map_or(0, |pair| pair.len()))
        };
        let buckets = || Buckets { lengths: indices.iter().map(length).collect(), window: text.bucket_batches };
        Self {
            task: task.clone(),
            source: Arc::clone(source),
            indices: indices.to_vec(),
            augment: text.augment.clone(),
            on_corrupt: data.on_corrupt,
            buckets: (text.bucket_batches > 1).then(buckets),
        }
    }

    /// `again` counts how often the pair came before in this epoch; only first texts are augmented.
    fn input(&self, (index, again): (usize, usize), draw: Option<Draw>) -> Result<PairTokens, DataError> {
        let mut sample = self.source.get(index)?;
        let sample_key = index as u64 | (again as u64) << 40;
        let key = draw.map(|Draw { seed, epoch, .. }| SampleKey { seed, epoch, sample: sample_key });
        if let Some(key) = key {
            sample.text = self.augment.apply(&sample.text, key);
        }
        let corrupt = |why: String| DataError::Corrupt { name: self.source.name(index), why };
        let pair = self.task.prepare(sample).map_err(|error| corrupt(format!("a text {error}")))?;
        if pair.second.is_none() {
            return Err(corrupt("has no second text".to_owned()));
        }
        Ok(match key {
            Some(key) => {
                PairTokens { first: self.augment.apply_to_tokens(pair.first, self.task.tokenizer(), key), ..pair }
            }
            None => pair,
        })
    }
}

impl Examples<SentenceEmbedding> for PairExamples {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn buckets(&self) -> Option<&Buckets> {
        self.buckets.as_ref()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<SentenceEmbedding>, DataError> {
        let mut rows = Rows { inputs: vec![], truths: vec![], positions: vec![], skipped: vec![], bytes: 0 };
        for &position in positions {
            let (position, again) = (position % self.len(), position / self.len());
            match self.input((self.indices[position], again), draw) {
                Ok(pair) => {
                    rows.bytes += pair.first.bytes() + pair.second.as_ref().map_or(0, Weigh::bytes);
                    rows.inputs.push(pair);
                    rows.truths.push(());
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
