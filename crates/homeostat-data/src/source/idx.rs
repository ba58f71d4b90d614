//! The format of MNIST: unsigned bytes behind a header that says how many in each dimension (<http://yann.lecun.com/exdb/mnist/>).

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packed::PackedFile;
use super::pictures::LabelledArrays;
use super::{Given, Source, title_of};
use crate::image::PIXEL_LIMIT;
use crate::{DataError, DataRoot, Shape};

/// A folder in the format of MNIST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IdxConfig {
    /// The folder, relative to the data root.
    pub folder: String,
    /// The names of the classes in the order of their labels. Without them, they are the digits `0` to `9`.
    pub classes: Vec<String>,
}

impl Default for IdxConfig {
    fn default() -> Self {
        Self { folder: "mnist".into(), classes: Vec::new() }
    }
}

impl IdxConfig {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let folder = root.find(&self.folder)?;
        let classes =
            if self.classes.is_empty() { (0..10).map(|i| i.to_string()).collect() } else { self.classes.clone() };
        let (shape, train) = read_part(&folder, "train", Given::Train, classes.len())?.ok_or_else(|| {
            DataError::format(&folder, "no train-images-idx3-ubyte in it, nor one with .gz at the end")
        })?;
        let mut arrays = vec![train];
        if let Some((other, test)) = read_part(&folder, "t10k", Given::Test, classes.len())? {
            if other != shape {
                let why = format!(
                    "the test pictures have {} x {} pixels, those to train with {} x {}",
                    other.height, other.width, shape.height, shape.width
                );
                return Err(DataError::format(&folder, why));
            }
            arrays.push(test);
        }
        Ok(Source::of_arrays(&title_of(&folder), classes, shape, arrays))
    }
}

fn read_part(
    folder: &Path,
    prefix: &str,
    given: Given,
    classes: usize,
) -> Result<Option<(Shape, LabelledArrays)>, DataError> {
    let Some(images) = find(folder, prefix, "images", 3) else { return Ok(None) };
    let labels_file = find(folder, prefix, "labels", 1).ok_or_else(|| {
        DataError::format(folder, format!("{prefix}-images is there, but no {prefix}-labels-idx1-ubyte"))
    })?;
    let ([count, height, width], pixels) = read::<3>(&images)?;
    let ([label_count], labels) = read::<1>(&labels_file)?;
    if count == 0 || height * width == 0 || (height * width) as u64 > PIXEL_LIMIT {
        return Err(DataError::format(&images, format!("{count} pictures of {height} x {width} pixels are no data")));
    }
    if label_count != count {
        return Err(DataError::format(&labels_file, format!("{label_count} labels for {count} pictures")));
    }
    check_labels(&labels_file, &labels, classes)?;
    let labels = labels.into_iter().map(u32::from).collect();
    let name = format!("{prefix}-images");
    Ok(Some((Shape { height, width, channels: 1 }, LabelledArrays { name, given: Some(given), pixels, labels })))
}

fn check_labels(path: &Path, labels: &[u8], classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(i) => {
            let why = format!(
                "label {} at index {i} is out of range, for there are {classes} classes; name more with `classes`",
                labels[i]
            );
            Err(DataError::format(path, why))
        }
    }
}

/// Both spellings are in use, and each with and without gzip.
fn find(folder: &Path, prefix: &str, what: &str, dimensions: usize) -> Option<PathBuf> {
    let spellings = ["-", "."].map(|mark| format!("{prefix}-{what}{mark}idx{dimensions}-ubyte"));
    let names = spellings.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    names.map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The size of each dimension, and the bytes.
fn read<const DIMENSIONS: usize>(path: &Path) -> Result<([usize; DIMENSIONS], Vec<u8>), DataError> {
    let mut file = PackedFile::open(path)?;
    let number = |bytes: &[u8], at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let magic = number(&file.take(4, "the magic number")?, 0);
    // Two zeros, 8 for unsigned bytes, the number of dimensions.
    let expected = 0x0800 + u32::try_from(DIMENSIONS).unwrap_or(u32::MAX);
    if magic != expected {
        let why = format!(
            "the magic number at byte 0 is {magic:#010x}, but an IDX file of bytes in {DIMENSIONS} dimensions has {expected:#010x}"
        );
        return Err(DataError::format(path, why));
    }
    let header = file.take(4 * DIMENSIONS as u64, "the header")?;
    let sizes: [u32; DIMENSIONS] = std::array::from_fn(|i| number(&header, 4 * i));
    let claim = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(u64::from(size)));
    let what = sizes.map(|size| size.to_string()).join(" x ");
    let bytes = file.take(claim.unwrap_or(u64::MAX), &what)?;
    file.end(&format!("the {what} bytes of the header's claim"))?;
    Ok((sizes.map(|size| size as usize), bytes))
}
