//! What all tasks about texts share of how the loop sees them: read, augment (in training), in buckets of like length. It does not know
//! what a task makes of a text.

use std::sync::Arc;

use homeostat_data::{
    Buckets, DataError, OnCorrupt, SampleKey, Skipped, Splits, TextAugment, TextSample, TextSource, Tokenizer, Tokens,
};
use homeostat_task::Task;
use homeostat_train::{Draw, Rows, Workers};

use crate::{DataConfig, ExperimentError, TextDataConfig, plan::in_pieces};

/// A part of a source of texts.
pub(crate) struct TextRows {
    pub(crate) source: Arc<TextSource>,
    pub(crate) indices: Vec<usize>,
    pub(crate) buckets: Option<Buckets>,
    augment: TextAugment,
    on_corrupt: OnCorrupt,
}

/// A text that was read.
pub(crate) struct Read {
    pub(crate) sample: TextSample,
    /// Its number in the source.
    pub(crate) index: usize,
    /// What its changes are drawn by, in training.
    pub(crate) key: Option<SampleKey>,
}

/// What a task makes of a text: an input and what is true of it, and the bytes that they take.
pub(crate) type Made<T> = (<T as Task>::Input, <T as Task>::Truth, usize);

/// Whether each text of an input was cut.
type AreCut<T> = fn(&<T as Task>::Input) -> Vec<bool>;

/// Says once how many texts of each part have more than so many tokens and lose their end; `are_cut` tells it of each text of an input.
pub(crate) fn warn_of_cut_texts<T: Task<Sample = TextSample>>(
    task: &T,
    (most, are_cut): (usize, AreCut<T>),
    source: &Arc<TextSource>,
    splits: &Splits,
    workers: Workers,
) -> Result<(), ExperimentError> {
    let mut told = Vec::new();
    for (name, part) in [("training", &splits.train), ("validation", &splits.valid), ("test", &splits.test)] {
        let (task, source) = (task.clone(), Arc::clone(source));
        // What cannot be read or prepared is told where it is met.
        let count = move |indices: &[usize]| {
            let samples = indices.iter().filter_map(|&index| source.get(index).ok());
            let inputs = samples.filter_map(|sample| task.prepare(sample).ok());
            let texts: Vec<bool> = inputs.flat_map(|input| are_cut(&input)).collect();
            Ok([texts.iter().filter(|is_cut| **is_cut).count(), texts.len()])
        };
        let counts = in_pieces(part.clone(), workers, count).collect::<Result<Vec<_>, DataError>>()?;
        let [cut, all] = counts.into_iter().fold([0, 0], |[cut, all], [more, of]| [cut + more, all + of]);
        if cut > 0 {
            told.push(format!("{cut} of {all} {name} texts"));
        }
    }
    if !told.is_empty() {
        tracing::warn!("{} have more than {most} tokens: their ends are cut off", told.join(", "));
    }
    Ok(())
}

impl TextRows {
    /// The length is one in bytes, which stands for that in tokens: they go together, and nothing has to be cut into tokens for it.
    pub(crate) fn new(
        source: &Arc<TextSource>,
        indices: &[usize],
        (data, text): (&DataConfig, &TextDataConfig),
        length: fn(&TextSample) -> usize,
    ) -> Self {
        let length = |&index: &usize| length(&source.get(index).unwrap_or_default());
        let buckets = || Buckets { lengths: indices.iter().map(length).collect(), window: text.bucket_batches };
        Self {
            source: Arc::clone(source),
            indices: indices.to_vec(),
            buckets: (text.bucket_batches > 1).then(buckets),
            augment: text.augment.clone(),
            on_corrupt: data.on_corrupt,
        }
    }

    /// The text at a place of the part, augmented; a place behind the part is a text that came before in this epoch.
    fn read(&self, position: usize, draw: Option<Draw>) -> Result<Read, DataError> {
        let (position, again) = (position % self.indices.len(), position / self.indices.len());
        let index = self.indices[position];
        let mut sample = self.source.get(index)?;
        let sample_key = index as u64 | (again as u64) << 40;
        let key = draw.map(|Draw { seed, epoch, .. }| SampleKey { seed, epoch, sample: sample_key });
        if let Some(key) = key {
            sample.text = self.augment.apply(&sample.text, key);
        }
        Ok(Read { sample, index, key })
    }

    /// The tokens of a text with the changes of training.
    pub(crate) fn augmented(&self, tokens: Tokens, tokenizer: &Tokenizer, key: Option<SampleKey>) -> Tokens {
        match key {
            Some(key) => self.augment.apply_to_tokens(tokens, tokenizer, key),
            None => tokens,
        }
    }

    /// An error about a text of this number in the source.
    pub(crate) fn corrupt(&self, index: usize, why: String) -> DataError {
        DataError::Corrupt { name: self.source.name(index), why }
    }

    /// What `make` makes of the texts at these places; broken ones are left out where the experiment says so.
    pub(crate) fn rows<T: Task>(
        &self,
        positions: &[usize],
        draw: Option<Draw>,
        make: impl Fn(Read) -> Result<Made<T>, DataError>,
    ) -> Result<Rows<T>, DataError> {
        let mut rows = Rows { inputs: vec![], truths: vec![], positions: vec![], skipped: vec![], bytes: 0 };
        for &position in positions {
            match self.read(position, draw).and_then(&make) {
                Ok((input, truth, bytes)) => {
                    rows.bytes += bytes;
                    rows.inputs.push(input);
                    rows.truths.push(truth);
                    rows.positions.push(position % self.indices.len());
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
