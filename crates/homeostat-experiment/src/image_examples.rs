//! Images as the loop sees them: read, augment (in training), prepare, mix. It does not know the loop.

use std::sync::Arc;

use homeostat_data::{BatchKey, DataError, Image, ImageAugment, MixConfig, OnCorrupt, SampleKey, Source};
use homeostat_task::Task;
use homeostat_tasks::{ImageClassification, Target};
use homeostat_train::{Draw, Examples, Rows};

use crate::DataConfig;

/// A part of an image source.
pub(crate) struct ImageExamples {
    task: ImageClassification,
    source: Arc<Source>,
    indices: Vec<usize>,
    augment: ImageAugment,
    mix: MixConfig,
    on_corrupt: OnCorrupt,
}

impl ImageExamples {
    pub(crate) fn new(task: &ImageClassification, source: &Arc<Source>, indices: &[usize], data: &DataConfig) -> Self {
        Self {
            task: task.clone(),
            source: Arc::clone(source),
            indices: indices.to_vec(),
            augment: data.augment.clone(),
            mix: data.mix.clone(),
            on_corrupt: data.on_corrupt,
        }
    }

    /// A sample as training sees it in the first epoch, before mixing.
    pub(crate) fn augmented(&self, position: usize, seed: u64) -> Result<Image, DataError> {
        let index = self.indices[position];
        Ok(self.augment.apply(self.source.get(index)?, SampleKey { seed, epoch: 0, sample: index as u64 }))
    }

    fn prepare(&self, index: usize, image: Image, draw: Option<Draw>) -> Result<Image, DataError> {
        let image = match draw {
            Some(Draw { seed, epoch, .. }) => {
                self.augment.apply(image, SampleKey { seed, epoch, sample: index as u64 })
            }
            None => image,
        };
        self.task
            .prepare(image)
            .map_err(|error| DataError::Corrupt { name: self.source.name(index), why: error.to_string() })
    }

    #[expect(clippy::cast_possible_truncation, reason = "labels are numbers of classes, read as 32-bit ones")]
    fn mixed(&self, inputs: &mut [Image], indices: &[usize], draw: Option<Draw>) -> Vec<Target> {
        let hard = |&index: &usize| Target::Class(self.source.label(index) as u32);
        let hard: Vec<Target> = indices.iter().map(hard).collect();
        let Some(Draw { seed, epoch, batch }) = draw.filter(|_| !self.mix.is_off()) else { return hard };
        let mixed = self.mix.mix(inputs, BatchKey { seed, epoch, batch });
        let classes = self.source.classes().len();
        hard.iter().zip(mixed).map(|(own, mixed)| own.mix(&hard[mixed.partner], mixed.weight, classes)).collect()
    }
}

impl Examples<ImageClassification> for ImageExamples {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<ImageClassification>, DataError> {
        let indices: Vec<usize> = positions.iter().map(|&position| self.indices[position]).collect();
        let read = homeostat_data::Rows::read(&self.source, &indices, self.on_corrupt)?;
        let mut skipped = read.skipped;
        let (mut inputs, mut kept) = (Vec::with_capacity(read.images.len()), Vec::with_capacity(read.images.len()));
        for (index, image) in read.indices.into_iter().zip(read.images) {
            match self.prepare(index, image, draw) {
                Ok(input) => {
                    inputs.push(input);
                    kept.push(index);
                }
                Err(DataError::Corrupt { name, why }) if self.on_corrupt == OnCorrupt::Skip => {
                    skipped.push(homeostat_data::Skipped { name, reason: why });
                }
                Err(error) => return Err(error),
            }
        }
        let truths = self.mixed(&mut inputs, &kept, draw);
        let bytes = inputs.iter().map(|input| input.pixels().len()).sum();
        // `kept` is a subsequence of `indices`, so one walk finds every position.
        let mut walk = positions.iter().zip(&indices);
        let positions =
            kept.iter().filter_map(|kept| walk.find(|(_, index)| *index == kept).map(|(&position, _)| position));
        let positions = positions.collect();
        Ok(Rows { inputs, truths, positions, skipped, bytes })
    }
}
