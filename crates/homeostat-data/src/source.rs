//! Where labelled pictures come from, and one face for all of them. It does not know what a label means to a loss, nor how the
//! samples are divided; see [`SplitConfig`](crate::SplitConfig).

mod archive;
mod cifar10;
mod digits;
mod idx;
mod image_folder;
mod packed;

use std::path::PathBuf;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use cifar10::Cifar10Config;
pub use idx::IdxConfig;
pub use image_folder::ImageFolderConfig;

use crate::{DataError, DataRoot, Digest, Image, Shape};
use archive::Archive;

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
    /// A folder with one folder of pictures a class, or with `train`, `val` and `test` above those; each of the three may be a
    /// `.tar` or `.tar.gz` file instead.
    ImageFolder(ImageFolderConfig),
}

impl SourceConfig {
    /// The source that the folder `path` looks like, by the files in it, under the name that an experiment has for it.
    #[must_use]
    pub fn of_folder(path: &std::path::Path, name: &str) -> Self {
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
    /// [`DataError::Missing`] without the folder, [`DataError::Read`] and [`DataError::Format`] for what cannot be read in it.
    pub fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        match self {
            Self::Digits => Ok(digits::open()),
            Self::Idx(config) => config.open(root),
            Self::Cifar10(config) => config.open(root),
            Self::ImageFolder(config) => config.open(root),
        }
    }

    /// The folder as the configuration names it; nothing for a source that is built in.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        match self {
            Self::Digits => None,
            Self::Idx(IdxConfig { folder, .. })
            | Self::Cifar10(Cifar10Config { folder })
            | Self::ImageFolder(ImageFolderConfig { folder }) => Some(folder),
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

/// Labelled pictures, numbered from 0 in an order that only their content and names determine.
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
pub struct Source {
    title: String,
    classes: Vec<String>,
    labels: Vec<u32>,
    parts: Vec<Part>,
    store: Store,
    digests: OnceLock<Vec<Digest>>,
}

/// A run of samples that came together.
struct Part {
    name: String,
    given: Option<Given>,
    /// The number of its first sample.
    start: usize,
    /// The file that holds its samples, where they are not files themselves.
    archive: Option<Archive>,
}

enum Store {
    /// Pixels in memory, all pictures of one shape.
    Arrays { shape: Shape, pixels: Vec<u8> },
    /// Encoded pictures below a folder, or in the archives of the parts.
    Files { folder: PathBuf, names: Names },
}

/// Many strings in one, for a million file names are a million allocations otherwise.
#[derive(Default)]
struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }
}

impl Source {
    /// A source of arrays that lie in memory one behind the other.
    fn of_arrays(title: &str, classes: Vec<String>, shape: Shape, arrays: Vec<LabelledArrays>) -> Self {
        let (mut labels, mut parts, mut pixels) = (Vec::new(), Vec::new(), Vec::new());
        for array in arrays {
            assert_eq!(array.pixels.len(), array.labels.len() * shape.len(), "{} does not hold {shape:?}", array.name);
            parts.push(Part { name: array.name, given: array.given, start: labels.len(), archive: None });
            labels.extend(array.labels.iter().map(|&label| u32::from(label)));
            if pixels.is_empty() { pixels = array.pixels } else { pixels.extend(array.pixels) }
        }
        Self {
            title: title.to_owned(),
            classes,
            labels,
            parts,
            store: Store::Arrays { shape, pixels },
            digests: OnceLock::new(),
        }
    }

    /// A short name for people: that of the folder.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The folder below which pictures are files, or lie in archives; nothing where samples lie in memory.
    #[must_use]
    pub fn folder(&self) -> Option<&std::path::Path> {
        match &self.store {
            Store::Files { folder, .. } => Some(folder),
            Store::Arrays { .. } => None,
        }
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample; no source that could be opened is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The names of the classes; a label is a place in this list.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class of sample `i`.
    ///
    /// # Panics
    /// If there is no sample `i`, like all methods here that take a sample's number.
    #[must_use]
    pub fn label(&self, i: usize) -> usize {
        self.labels[i] as usize
    }

    /// The part to which the data set itself assigns sample `i`, if it does.
    #[must_use]
    pub fn given(&self, i: usize) -> Option<Given> {
        self.part(i).given
    }

    /// The name of sample `i`: a path below the source's folder, or one like `train-images[17]`.
    #[must_use]
    pub fn name(&self, i: usize) -> String {
        match &self.store {
            Store::Arrays { .. } => {
                let part = self.part(i);
                format!("{}[{}]", part.name, i - part.start)
            }
            Store::Files { names, .. } => names.get(i).to_owned(),
        }
    }

    /// The picture of sample `i`.
    ///
    /// # Errors
    /// [`DataError::Corrupt`] for a file that is no whole picture, [`DataError::Read`] for one that cannot be read.
    pub fn get(&self, i: usize) -> Result<Image, DataError> {
        match self.array(i) {
            Some((shape, pixels)) => Ok(Image::new(shape, pixels.to_vec())),
            None => Image::decode(&self.bytes(i)?).map_err(|error| error.named(&self.name(i))),
        }
    }

    /// Sample `i` as a picture file: the original bytes of a file, a PNG of an array.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    pub fn bytes(&self, i: usize) -> Result<Vec<u8>, DataError> {
        if let Some((shape, pixels)) = self.array(i) {
            return Ok(Image::new(shape, pixels.to_vec()).encode_png());
        }
        let Store::Files { folder, names } = &self.store else { unreachable!("not an array, so a file") };
        let part = self.part(i);
        match &part.archive {
            Some(archive) => archive.read(i - part.start),
            None => {
                let path = folder.join(names.get(i));
                std::fs::read(&path).map_err(|error| DataError::read(&path, error))
            }
        }
    }

    /// What tells the content of sample `i` from that of others: of the pixels of an array, of the bytes of a file.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    pub fn digest(&self, i: usize) -> Result<Digest, DataError> {
        match (self.digests.get(), self.array(i)) {
            (Some(known), _) => Ok(known[i]),
            (None, Some((_, pixels))) => Ok(Digest::of(pixels)),
            (None, None) => Ok(Digest::of(&self.bytes(i)?)),
        }
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
            hash.update(self.labels[i].to_le_bytes());
            hash.update([self.given(i).map_or(0, |given| given as u8 + 1)]);
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn array(&self, i: usize) -> Option<(Shape, &[u8])> {
        match &self.store {
            Store::Arrays { shape, pixels } => Some((*shape, &pixels[i * shape.len()..(i + 1) * shape.len()])),
            Store::Files { .. } => None,
        }
    }

    fn part(&self, i: usize) -> &Part {
        assert!(i < self.len(), "sample {i} of {}", self.len());
        &self.parts[self.parts.partition_point(|part| part.start <= i) - 1]
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({}: {} samples, {} classes)", self.title, self.len(), self.classes.len())
    }
}

/// Pictures of one shape and their labels, as one file or pair of files holds them.
struct LabelledArrays {
    name: String,
    given: Option<Given>,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

/// The last part of a path, for people.
fn title_of(folder: &std::path::Path) -> String {
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}
