//! The binary version of CIFAR-10 (Krizhevsky 2009): records of a label and 32 x 32 red, green and blue levels, each colour by
//! itself (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packed::PackedFile;
use super::pictures::LabelledArrays;
use super::{Given, Source, title_of};
use crate::{DataError, DataRoot, Shape};

const SHAPE: Shape = Shape { height: 32, width: 32, channels: 3 };
const PLANE: usize = 32 * 32;
const RECORD: usize = 1 + 3 * PLANE;
/// Five times what all files of CIFAR-10 hold together.
const FILE_LIMIT: u64 = 1 << 30;
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// A folder with the binary version of CIFAR-10.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cifar10Config {
    /// The folder, relative to the data root.
    pub folder: String,
}

impl Default for Cifar10Config {
    fn default() -> Self {
        Self { folder: "cifar10".into() }
    }
}

impl Cifar10Config {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let folder = root.find(&self.folder)?;
        let files = list(&folder)?;
        if files.is_empty() {
            return Err(DataError::format(&folder, "no data_batch_1.bin in it, nor another .bin or .bin.gz file"));
        }
        let classes = class_names(&folder)?;
        let arrays = files.iter().map(|path| read(path, classes.len())).collect::<Result<Vec<_>, _>>()?;
        Ok(Source::of_arrays(&title_of(&folder), classes, SHAPE, arrays))
    }
}

/// All record files by name; so the five to train with come before the one to test with.
fn list(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let fault = |error| DataError::read(folder, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let hidden = title_of(&path).starts_with('.');
        if !hidden && path.is_file() && record_stem(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `data_batch_1` of `data_batch_1.bin.gz`.
fn record_stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".bin")
}

fn class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let path = folder.join("batches.meta.txt");
    if !path.is_file() {
        return Ok(CLASSES.map(str::to_owned).to_vec());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| DataError::read(&path, error))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() == CLASSES.len() {
        Ok(names)
    } else {
        Err(DataError::format(&path, format!("{} names for 10 classes", names.len())))
    }
}

fn read(path: &Path, classes: usize) -> Result<LabelledArrays, DataError> {
    let bytes = PackedFile::open(path)?.rest(FILE_LIMIT)?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        let why = format!(
            "{} bytes are not a whole number of records of {RECORD}; the file is cut short, or not the binary version of CIFAR-10",
            bytes.len()
        );
        return Err(DataError::format(path, why));
    }
    let records = bytes.chunks_exact(RECORD);
    let labels: Vec<u32> = records.clone().map(|record| u32::from(record[0])).collect();
    if let Some(i) = labels.iter().position(|&label| label as usize >= classes) {
        let why = format!(
            "label {} of record {i} (byte {}) is out of range, for there are {classes} classes",
            labels[i],
            i * RECORD
        );
        return Err(DataError::format(path, why));
    }
    let mut pixels = Vec::with_capacity(labels.len() * SHAPE.len());
    for record in records {
        pixels.extend((0..PLANE).flat_map(|at| [record[1 + at], record[1 + PLANE + at], record[1 + 2 * PLANE + at]]));
    }
    let name = record_stem(path).unwrap_or_default().to_owned();
    let given = match name.as_str() {
        "test_batch" => Some(Given::Test),
        name if name.starts_with("data_batch") => Some(Given::Train),
        _ => None,
    };
    Ok(LabelledArrays { name, given, pixels, labels })
}
