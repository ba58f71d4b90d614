//! Samples with their labels, and where labelled pictures come from. It does not know what a label means to a loss, nor how the
//! samples are divided; see [`SplitConfig`](crate::SplitConfig).

mod archive;
mod cifar10;
mod digits;
mod idx;
mod image_folder;
mod image_table;
mod numpy;
mod pack;
pub(crate) mod packed;
mod pictures;
mod web_dataset;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use cifar10::{Cifar10Config, Cifar100Config, Cifar100Labels};
pub use idx::IdxConfig;
pub use image_folder::ImageFolderConfig;
pub use image_table::ImageTableConfig;

pub use numpy::NumpyConfig;
pub use pack::{PackSummary, PackedConfig};
pub use pictures::Pictures;
pub use web_dataset::WebDatasetConfig;

use crate::error::printable;
use crate::labels::Labels;
use crate::{Conversion, DataError, DataRoot, Digest, LabelKind, OnCorrupt, Skipped};

/// Where labelled pictures come from. Folders are relative to the data root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceConfig {
    /// 1,797 handwritten digits of 8 x 8 grey pixels, built into the program (UCI ML hand-written digits, CC BY 4.0).
    #[default]
    Digits,
    /// A folder in the format of MNIST: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same for `t10k`, with or
    /// without `.gz`.
    Idx(IdxConfig),
    /// A folder with the binary version of CIFAR-10: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or any other
    /// files in that layout, with or without `.gz`.
    #[serde(rename = "cifar10")]
    Cifar10(Cifar10Config),
    /// A folder with the binary version of CIFAR-100: `train.bin` and `test.bin`, with or without `.gz`.
    #[serde(rename = "cifar100")]
    Cifar100(Cifar100Config),
    /// A folder with NumPy arrays, `.npy` or `.npz`: pictures `[count, height, width]` or `[count, height, width, channels]` of 8-bit
    /// levels, and labels.
    Numpy(NumpyConfig),
    /// A folder with one folder of pictures a class, or with `train`, `val` and `test` above those; each of the three, or all of it,
    /// may be a `.tar` or `.tar.gz` file instead.
    ImageFolder(ImageFolderConfig),
    /// A folder with tables (CSV, TSV, JSON Lines, JSON or Parquet), each row of which holds a picture or names its file.
    ImageTable(ImageTableConfig),
    /// A folder with the shards of a WebDataset: tar files in which the files of a sample differ in their endings.
    WebDataset(WebDatasetConfig),
    /// A file of decoded pictures that `homeostat data pack` wrote; it costs no decoding.
    Packed(PackedConfig),
}

impl SourceConfig {
    /// The source that the folder `path` looks like, by the files in it, under the name that an experiment has for it.
    #[must_use]
    pub fn of_folder(path: &Path, name: &str) -> Self {
        let folder = name.to_owned();
        let has = |file: &str| path.join(file).is_file() || path.join(format!("{file}.gz")).is_file();
        if has("train-images-idx3-ubyte") {
            Self::Idx(IdxConfig { folder, ..IdxConfig::default() })
        } else if has("data_batch_1.bin") || has("test_batch.bin") {
            Self::Cifar10(Cifar10Config { folder })
        } else {
            Self::ImageFolder(ImageFolderConfig { folder })
        }
    }

    /// Opens the source: reads small ones into memory, lists the files of large ones.
    ///
    /// # Errors
    /// As [`Self::open_with`], which it calls for [`OnCorrupt::Error`].
    pub fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        self.open_with(root, OnCorrupt::Error)
    }

    /// The same; rows that are broken may be left out, and then [`Source::left_out`] lists them.
    ///
    /// # Errors
    /// [`DataError::Missing`] without the folder, [`DataError::Read`] and [`DataError::Format`] for what cannot be read in it,
    /// [`DataError::Corrupt`] for the first row that is broken.
    pub fn open_with(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<Source, DataError> {
        match self {
            Self::Digits => Ok(digits::open()),
            Self::Idx(config) => config.open(root),
            Self::Cifar10(config) => config.open(root),
            Self::Cifar100(config) => config.open(root),
            Self::Numpy(config) => config.open(root),
            Self::ImageFolder(config) => config.open(root),
            Self::ImageTable(config) => config.open(root, on_corrupt),
            Self::WebDataset(config) => config.open(root, on_corrupt),
            Self::Packed(config) => config.open(root),
        }
    }

    /// Where the folder or file is; nothing for a source that is built in.
    ///
    /// # Errors
    /// [`DataError::Missing`].
    pub fn locate(&self, root: &DataRoot) -> Result<Option<PathBuf>, DataError> {
        match self {
            Self::Packed(PackedConfig { file }) => root.find_file(file).map(Some),
            _ => self.folder().map(|folder| root.find(folder)).transpose(),
        }
    }

    /// The folder or file as the configuration names it; nothing for a source that is built in.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        match self {
            Self::Digits => None,
            Self::Idx(IdxConfig { folder, .. })
            | Self::Cifar10(Cifar10Config { folder })
            | Self::Cifar100(Cifar100Config { folder, .. })
            | Self::Numpy(NumpyConfig { folder, .. })
            | Self::ImageFolder(ImageFolderConfig { folder })
            | Self::ImageTable(ImageTableConfig { folder, .. })
            | Self::WebDataset(WebDatasetConfig { folder, .. })
            | Self::Packed(PackedConfig { file: folder }) => Some(folder),
        }
    }
}

/// The part to which the makers of a data set gave a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Given {
    /// To learn from.
    Train,
    /// To choose by.
    Valid,
    /// To measure with, once.
    Test,
}

/// Samples with their labels, numbered from 0 in an order that only their content and names determine: pictures, or with
/// [`TextSource`](crate::TextSource) texts.
///
/// ```
/// use homeostat_data::{DataRoot, SourceConfig};
///
/// let digits = SourceConfig::Digits.open(&DataRoot::default())?;
/// assert_eq!((digits.len(), digits.classes().len()), (1797, 10));
/// assert_eq!(digits.name(3), "digits[3]");
/// assert_eq!(digits.classes()[digits.label(3)], "3");
/// assert_eq!(digits.get(3)?.width(), 8);
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
pub struct Source<S = Pictures> {
    title: String,
    classes: Vec<String>,
    labels: Labels,
    /// The group of each sample, or nothing where the data know no groups.
    groups: Vec<u32>,
    parts: Vec<Part>,
    left_out: Vec<Skipped>,
    store: S,
    digests: OnceLock<Vec<Digest>>,
}

/// What holds the samples of a [`Source`].
pub trait Store: Send + Sync {
    /// A picture or a text.
    type Sample;

    /// The sample at this place.
    ///
    /// # Errors
    /// [`DataError::Corrupt`] for one that is broken, [`DataError::Read`] for a file that cannot be read.
    fn sample(&self, place: Place<'_>) -> Result<Self::Sample, DataError>;

    /// What tells the content of the sample from that of others.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    fn digest(&self, place: Place<'_>) -> Result<Digest, DataError>;

    /// The sample's name, for people.
    fn name(&self, place: Place<'_>) -> String;

    /// The folder below which the samples lie, if they lie in files.
    fn folder(&self) -> Option<&Path>;

    /// How much the sample counts where samples are divided by position.
    fn amount(&self, _: Place<'_>) -> usize {
        1
    }

    /// How samples differ from those whose digests they have, as a text; empty if they do not.
    fn prepared(&self) -> &str {
        ""
    }
}

/// Where a sample stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its number in the source.
    pub index: usize,
    /// The name of the part that it came with.
    pub part: &'a str,
    /// The number of that part.
    pub part_index: usize,
    /// Its number in that part.
    pub within: usize,
}

/// A run of samples that came together.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) given: Option<Given>,
    /// The number of its first sample.
    pub(crate) start: usize,
}

/// What every source has, of pictures or of texts.
pub(crate) struct Catalog {
    pub(crate) title: String,
    pub(crate) classes: Vec<String>,
    pub(crate) labels: Labels,
    pub(crate) groups: Vec<u32>,
    pub(crate) parts: Vec<Part>,
    pub(crate) left_out: Vec<Skipped>,
}

impl<S> Source<S> {
    pub(crate) fn new(catalog: Catalog, store: S) -> Self {
        let Catalog { title, classes, labels, groups, parts, left_out } = catalog;
        assert!(groups.is_empty() || groups.len() == labels.len(), "a group for each sample, or none at all");
        Self { title, classes, labels, groups, parts, left_out, store, digests: OnceLock::new() }
    }

    /// A short name for people: that of the folder.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample; no source that could be opened is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the classes; a label is a place in this list. There are none where samples have no labels.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many labels a sample has.
    #[must_use]
    pub fn label_kind(&self) -> LabelKind {
        self.labels.kind()
    }

    /// The class of sample `i`.
    ///
    /// # Panics
    /// If there is no sample `i`, like all methods here that take a sample's number; and if the samples do not have
    /// [`LabelKind::One`] label.
    #[must_use]
    pub fn label(&self, i: usize) -> usize {
        assert_eq!(self.label_kind(), LabelKind::One, "{} has no single label for each sample", self.title);
        self.labels(i)[0] as usize
    }

    /// The classes of sample `i`: one, none, or for [`LabelKind::Several`] any number, ascending.
    #[must_use]
    pub fn labels(&self, i: usize) -> &[u32] {
        self.labels.of(i)
    }

    /// The group of sample `i`, such as the patient on a picture or the writer of a text, where the data tell: two samples of
    /// one group are not independent of each other.
    #[must_use]
    pub fn group(&self, i: usize) -> Option<usize> {
        (!self.groups.is_empty()).then(|| self.groups[i] as usize)
    }

    /// The part to which the data set itself assigns sample `i`, if it does.
    #[must_use]
    pub fn given(&self, i: usize) -> Option<Given> {
        self.parts[self.part(i)].given
    }

    /// What was left out when the source was opened, for it was broken beyond being a sample, and leaving out was asked for.
    #[must_use]
    pub fn left_out(&self) -> &[Skipped] {
        &self.left_out
    }

    /// For stratified splits: the class, the first of several, one more for no class.
    pub(crate) fn stratum(&self, i: usize) -> usize {
        self.labels(i).first().map_or(self.classes.len(), |&label| label as usize)
    }

    /// How many strata there are.
    pub(crate) fn strata(&self) -> usize {
        self.classes.len() + usize::from(self.label_kind() != LabelKind::One)
    }

    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    fn part(&self, i: usize) -> usize {
        assert!(i < self.len(), "sample {i} of {}", self.len());
        self.parts.partition_point(|part| part.start <= i) - 1
    }

    fn place(&self, i: usize) -> Place<'_> {
        let part_index = self.part(i);
        let part = &self.parts[part_index];
        Place { index: i, part: &part.name, part_index, within: i - part.start }
    }
}

impl<S: Store> Source<S> {
    /// The folder below which samples are files, or lie in files; nothing where they are built in or arrays in memory.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.store.folder()
    }

    /// The name of sample `i`, for people: a path below the source's folder, one like `train-images[17]`, or `train.csv, line 17`.
    #[must_use]
    pub fn name(&self, i: usize) -> String {
        printable(&self.store.name(self.place(i)))
    }

    /// Sample `i`.
    ///
    /// # Errors
    /// [`DataError::Corrupt`] for one that is broken, [`DataError::Read`] for a file that cannot be read.
    pub fn get(&self, i: usize) -> Result<S::Sample, DataError> {
        self.store.sample(self.place(i)).map_err(|error| error.named(&self.name(i)))
    }

    /// How much sample `i` counts where samples are divided by position: 1, or the characters of a piece of text.
    #[must_use]
    pub fn amount(&self, i: usize) -> usize {
        self.store.amount(self.place(i))
    }

    /// What tells the content of sample `i` from that of others: of the pixels of an array, of the bytes of a file, of a text.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    pub fn digest(&self, i: usize) -> Result<Digest, DataError> {
        self.digests.get().map_or_else(|| self.store.digest(self.place(i)), |known| Ok(known[i]))
    }

    /// The digests of all samples; all files are read the first time, in parallel, and never again.
    ///
    /// # Errors
    /// [`DataError::Read`] for the first file that cannot be read.
    pub fn digests(&self) -> Result<&[Digest], DataError> {
        if let Some(known) = self.digests.get() {
            return Ok(known);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.len().div_ceil(threads).max(1);
        let starts: Vec<usize> = (0..self.len()).step_by(share).collect();
        let found = std::thread::scope(|scope| {
            let digest = |start: usize| (start..self.len().min(start + share)).map(|i| self.digest(i)).collect();
            let workers: Vec<_> = starts.iter().map(|&start| scope.spawn(move || digest(start))).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Result<Vec<Digest>, DataError>>| match worker.join() {
                Ok(digests) => digests,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(self.digests.get_or_init(|| found.concat()))
    }

    /// Keeps digests that somebody has found already.
    pub(crate) fn remember(&self, digests: Vec<Digest>) {
        assert_eq!(digests.len(), self.len(), "a digest for each sample");
        // Somebody else may have found them meanwhile; they are the same.
        let _ = self.digests.set(digests);
    }

    /// A SHA-256, in hexadecimal, of all that a training sees: the classes, and each sample's content, label and given part.
    ///
    /// # Errors
    /// [`DataError::Read`] for the first file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        for class in &self.classes {
            hash.update((class.len() as u64).to_le_bytes());
            hash.update(class);
        }
        for (i, digest) in self.digests()?.iter().enumerate() {
            hash.update(digest.bytes());
            if self.label_kind() == LabelKind::Several {
                hash.update((self.labels(i).len() as u64).to_le_bytes());
            }
            self.labels(i).iter().for_each(|label| hash.update(label.to_le_bytes()));
            hash.update([self.given(i).map_or(0, |given| given as u8 + 1)]);
        }
        hash.update(self.store.prepared());
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Source {
    /// Sample `i` as a picture file: the original bytes of a file, a PNG of an array.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    pub fn bytes(&self, i: usize) -> Result<Vec<u8>, DataError> {
        self.store.file(self.place(i))
    }

    /// How many of the pictures that were read so far had more than 8-bit levels of grey or colour can say, each counted once; when the
    /// source is dropped, a warning says so.
    #[must_use]
    pub fn converted(&self) -> Vec<(Conversion, usize)> {
        self.store.converted()
    }
}

impl<S> std::fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({}: {} samples, {} classes)", self.title, self.len(), self.classes.len())
    }
}

/// The last part of a path, for people.
pub(crate) fn title_of(folder: &Path) -> String {
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}
