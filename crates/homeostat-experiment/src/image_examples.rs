//! Images as the loop sees them: read, augment (in training), prepare, mix. It does not know the loop.

use std::sync::Arc;

use homeostat_data::{
    BatchKey, DataError, Image, ImageAugment, MixConfig, OnCorrupt, Progressive, SampleKey, SamplingConfig, Source,
};
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
    sampling: SamplingConfig,
    progressive: Option<Progressive>,
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
            sampling: data.sampling.clone(),
            progressive: data.progressive.clone(),
            on_corrupt: data.on_corrupt,
        }
    }

    /// A sample as it is, and as training sees it in this epoch, before mixing.
    pub(crate) fn augmented(&self, position: usize, seed: u64, epoch: u64) -> Result<[Image; 2], DataError> {
        let index = self.indices[position];
        let image = self.source.get(index)?;
        Ok([image.clone(), self.augment.apply(image, SampleKey { seed, epoch, sample: index as u64 })])
    }

    /// The input that a sample makes. `again` counts how often the sample came before in this epoch.
    fn prepare(&self, (index, again): (usize, usize), image: Image, draw: Option<Draw>) -> Result<Image, DataError> {
        let prepare = |image| {
            let corrupt = |why: String| DataError::Corrupt { name: self.source.name(index), why };
            self.task.prepare(image).map_err(|error| corrupt(error.to_string()))
        };
        let Some(Draw { seed, epoch, .. }) = draw else { return prepare(image) };
        // One that comes again is augmented as a sample of its own.
        let key = SampleKey { seed, epoch, sample: index as u64 | (again as u64) << 40 };
        let input = prepare(self.augment.apply(image, key))?;
        Ok(match &self.progressive {
            Some(progressive) => progressive.apply(&input, epoch),
            None => input,
        })
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

    fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let labels: Vec<usize> = self.indices.iter().map(|&index| self.source.label(index)).collect();
        self.sampling.order(&labels, self.source.classes(), (seed, epoch))
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<ImageClassification>, DataError> {
        let index = |position: usize| self.indices[position % self.len()];
        let indices: Vec<usize> = positions.iter().map(|&position| index(position)).collect();
        let read = homeostat_data::Rows::read(&self.source, &indices, self.on_corrupt)?;
        let mut skipped = read.skipped;
        let (mut inputs, mut kept) = (Vec::with_capacity(read.samples.len()), Vec::with_capacity(read.samples.len()));
        let mut met = Vec::with_capacity(read.samples.len());
        // What was read is a subsequence of what was asked for, so one walk finds every position.
        let mut walk = positions.iter();
        for (read, image) in read.indices.into_iter().zip(read.samples) {
            let Some(&position) = walk.find(|position| index(**position) == read) else { unreachable!("asked for") };
            match self.prepare((read, position / self.len()), image, draw) {
                Ok(input) => {
                    kept.push(read);
                    met.push(position % self.len());
                    inputs.push(input);
                }
                Err(DataError::Corrupt { name, why }) if self.on_corrupt == OnCorrupt::Skip => {
                    skipped.push(homeostat_data::Skipped { name, reason: why });
                }
                Err(error) => return Err(error),
            }
        }
        let truths = self.mixed(&mut inputs, &kept, draw);
        let bytes = inputs.iter().map(|input| input.pixels().len()).sum();
        Ok(Rows { inputs, truths, positions: met, skipped, bytes })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use homeostat_data::{AugmentStep, DataRoot, Flip, ImageFolderConfig, ImagePrepare, Rotate, Shape, SourceConfig};
    use homeostat_tasks::{ImageClassificationConfig, InputShape};

    use super::*;

    fn examples(source: &Arc<Source>, data: &DataConfig) -> ImageExamples {
        let shape = source.get(0).unwrap().shape();
        let config = ImageClassificationConfig {
            labels: source.classes().to_vec(),
            input: Some(InputShape::from(shape)),
            prepare: ImagePrepare(vec![]),
            ..ImageClassificationConfig::default()
        };
        let indices: Vec<usize> = (0..source.len()).rev().collect();
        ImageExamples::new(&config.init().unwrap(), source, &indices, data)
    }

    fn draw(epoch: u64, batch: u64) -> Option<Draw> {
        Some(Draw { seed: 1, epoch, batch })
    }

    fn turned() -> DataConfig {
        let steps = vec![AugmentStep::Rotate(Rotate::default()), AugmentStep::FlipVertical(Flip::default())];
        DataConfig { augment: ImageAugment(steps), ..DataConfig::default() }
    }

    #[test]
    fn a_sample_is_augmented_alike_in_whatever_batch_it_comes() {
        let source = Arc::new(SourceConfig::Digits.open(&DataRoot::default()).unwrap());
        let examples = examples(&source, &turned());
        let positions = [5, 900, 17, 3, 44, 1796];
        let together = examples.rows(&positions, draw(2, 0)).unwrap();
        let cut = [&positions[..1], &positions[1..4], &positions[4..]];
        let parts: Vec<_> =
            cut.iter().zip(7..).map(|(part, batch)| examples.rows(part, draw(2, batch)).unwrap()).collect();
        assert_eq!(together.inputs, parts.iter().flat_map(|rows| rows.inputs.clone()).collect::<Vec<_>>());
        assert_eq!(together.truths, parts.iter().flat_map(|rows| rows.truths.clone()).collect::<Vec<_>>());
        assert_eq!(together.positions, positions);
        assert_ne!(together.inputs, examples.rows(&positions, draw(3, 0)).unwrap().inputs, "an epoch has its own");
    }

    #[test]
    fn a_sample_that_comes_again_is_augmented_anew() {
        let source = Arc::new(SourceConfig::Digits.open(&DataRoot::default()).unwrap());
        let data = DataConfig { sampling: SamplingConfig::ClassBalanced, ..turned() };
        let examples = examples(&source, &data);
        let rows = examples.rows(&[7, 7 + examples.len(), 7], draw(0, 0)).unwrap();
        assert_eq!((&rows.inputs[0], &rows.truths[0]), (&rows.inputs[2], &rows.truths[1]));
        assert_ne!(rows.inputs[0], rows.inputs[1]);
        assert_eq!(rows.positions, [7, 7, 7]);
        assert_eq!(examples.order(1, 0).len(), examples.len());
    }

    #[test]
    fn copies_of_a_sample_in_a_batch_differ() {
        let source = Arc::new(SourceConfig::Digits.open(&DataRoot::default()).unwrap());
        let examples = examples(&source, &turned());
        let once = examples.rows(&[7, 30], draw(0, 0)).unwrap();
        let rows = examples
            .rows(&[7, 30].map(|at| [0, 1, 2].map(|again| at + again * examples.len())).concat(), draw(0, 0))
            .unwrap();
        assert_eq!(rows.positions, [7, 7, 7, 30, 30, 30]);
        assert_eq!((&rows.inputs[0], &rows.inputs[3]), (&once.inputs[0], &once.inputs[1]), "the first is as ever");
        assert!(rows.inputs[0] != rows.inputs[1] && rows.inputs[1] != rows.inputs[2]);
    }

    #[test]
    fn without_a_draw_nothing_is_random() {
        let source = Arc::new(SourceConfig::Digits.open(&DataRoot::default()).unwrap());
        let mix = MixConfig { mixup: 1.0, cutmix: 1.0, ..MixConfig::default() };
        let examples = examples(&source, &DataConfig { mix, ..turned() });
        let rows = examples.rows(&[0, 9], None).unwrap();
        let last = source.len() - 1;
        assert_eq!(rows.inputs, [source.get(last).unwrap(), source.get(last - 9).unwrap()]);
        assert!(rows.truths.iter().all(|truth| matches!(truth, Target::Class(_))), "{:?}", rows.truths);
        let mixed = examples.rows(&[0, 9], draw(0, 0)).unwrap();
        assert!(mixed.truths.iter().all(|truth| matches!(truth, Target::Soft(_))), "{:?}", mixed.truths);
    }

    #[test]
    fn what_is_left_out_takes_its_position_and_its_truth_along() {
        let folder = tempfile::tempdir().unwrap();
        for (class, levels) in [("a", [1, 2, 3]), ("b", [4, 5, 6])] {
            fs::create_dir_all(folder.path().join("pictures").join(class)).unwrap();
            for level in levels {
                let picture = Image::new(Shape { height: 2, width: 2, channels: 1 }, vec![level; 4]).encode_png();
                fs::write(folder.path().join(format!("pictures/{class}/{level}.png")), picture).unwrap();
            }
        }
        let config = SourceConfig::ImageFolder(ImageFolderConfig { folder: "pictures".to_owned() });
        let source = Arc::new(config.open(&DataRoot::new([folder.path()])).unwrap());
        fs::write(folder.path().join("pictures/b/5.png"), b"no picture").unwrap();
        let skip = DataConfig { on_corrupt: OnCorrupt::Skip, ..DataConfig::default() };
        // The positions count from the last sample: 6, 5, 4, 3, 2, 1.
        let rows = examples(&source, &skip).rows(&[0, 1, 2, 5], None).unwrap();
        assert_eq!(rows.positions, [0, 2, 5]);
        assert_eq!(rows.inputs.iter().map(|image| image.pixels()[0]).collect::<Vec<_>>(), [6, 4, 1]);
        assert_eq!(rows.truths, [Target::Class(1), Target::Class(1), Target::Class(0)]);
        assert_eq!(rows.skipped.iter().map(|skipped| skipped.name.as_str()).collect::<Vec<_>>(), ["b/5.png"]);
        let error = examples(&source, &DataConfig::default()).rows(&[1], None).unwrap_err().to_string();
        assert!(error.contains("b/5.png"), "{error}");
    }
}
