//! Pictures to learn from, as the loop sees them: read, augment (in training), prepare, each with what is random of it. It does not
//! know the loop.

use std::sync::Arc;

use homeostat_data::{DataError, Image, ImageAugment, OnCorrupt, Rng, SampleKey, Skipped, Source, stream};
use homeostat_task::Task;
use homeostat_tasks::{Chance, ImageGeneration, PictureInput, PictureSample};
use homeostat_train::{Draw, Examples, Rows};

use crate::DataConfig;

/// A part of a source of pictures.
pub(super) struct GenerationExamples {
    task: ImageGeneration,
    source: Arc<Source>,
    indices: Vec<usize>,
    augment: ImageAugment,
    on_corrupt: OnCorrupt,
    /// Samples of a batch: how far an epoch has come is told by the batches before.
    batch_size: usize,
}

impl GenerationExamples {
    pub(super) fn new(
        task: &ImageGeneration,
        source: &Arc<Source>,
        indices: &[usize],
        (data, batch_size): (&DataConfig, usize),
    ) -> Self {
        Self {
            task: task.clone(),
            source: Arc::clone(source),
            indices: indices.to_vec(),
            augment: data.augment.clone(),
            on_corrupt: data.on_corrupt,
            batch_size,
        }
    }

    fn prepare(&self, key: SampleKey, image: Image, draw: Option<Draw>) -> Result<PictureInput, DataError> {
        let image = if draw.is_some() { self.augment.apply(image, key) } else { image };
        let corrupt = |why: String| DataError::Corrupt { name: self.source.name(usize_of(key.sample)), why };
        self.task.prepare(PictureSample::Picture(image)).map_err(|error| corrupt(error.to_string()))
    }

    /// What is random of a sample: in training another in each epoch, where it is measured always the same.
    fn chance(&self, key: SampleKey, draw: Option<Draw>) -> Chance {
        let SampleKey { seed, epoch, sample } = key;
        let rng = |epoch| Rng::keyed(seed, [epoch, sample, stream("chance", 0)]).next_u64();
        match draw {
            None => Chance { seed: rng(u64::MAX), epoch: f64::INFINITY, batch: 0 },
            Some(Draw { batch, .. }) => {
                let batches = self.indices.len().div_ceil(self.batch_size) as u64;
                let passed = epoch as f64 + batch as f64 / batches as f64;
                Chance { seed: rng(epoch), epoch: passed, batch: epoch * batches + batch }
            }
        }
    }
}

impl Examples<ImageGeneration> for GenerationExamples {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<ImageGeneration>, DataError> {
        let (seed, epoch) = draw.map_or((0, 0), |draw| (draw.seed, draw.epoch));
        let mut rows = Rows { inputs: vec![], truths: vec![], positions: vec![], skipped: vec![], bytes: 0 };
        for &position in positions {
            let (position, again) = (position % self.len(), position / self.len());
            let index = self.indices[position];
            // One that comes again in an epoch is drawn for as a sample of its own.
            let key = SampleKey { seed, epoch, sample: index as u64 | (again as u64) << 40 };
            let prepared = self.source.get(index).map_err(|error| error.named(&self.source.name(index)));
            match prepared.and_then(|image| self.prepare(key, image, draw)) {
                Ok(input) => {
                    rows.bytes += if let PictureInput::Picture(picture) = &input { picture.pixels().len() } else { 0 };
                    rows.inputs.push(input);
                    rows.truths.push(self.chance(key, draw));
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

/// The sample of a key, without how often it came.
fn usize_of(sample: u64) -> usize {
    usize::try_from(sample & ((1 << 40) - 1)).unwrap_or(usize::MAX)
}
