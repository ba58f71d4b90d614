//! The binary versions of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of a label, or of a coarse and a fine one, and 32 x 32
//! red, green and blue levels, each colour by itself (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packed::PackedFile;
use super::pictures::LabelledArrays;
use super::{Given, Source, title_of};
use crate::{DataError, DataRoot, Shape};

const SHAPE: Shape = Shape { height: 32, width: 32, channels: 3 };
const PLANE: usize = 32 * 32;
/// Five times what all files of CIFAR-10 hold together.
const FILE_LIMIT: u64 = 1 << 30;
const CIFAR10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const COARSE: &str = "\
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture \
    insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores \
    medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2";
const FINE: &str = "\
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle \
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish \
    forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle \
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine \
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar \
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale \
    willow_tree wolf woman worm";

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

/// A folder with the binary version of CIFAR-100.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cifar100Config {
    /// The folder, relative to the data root.
    pub folder: String,
    /// Which of its two labels a picture has.
    pub labels: Cifar100Labels,
}

impl Default for Cifar100Config {
    fn default() -> Self {
        Self { folder: "cifar100".into(), labels: Cifar100Labels::Fine }
    }
}

/// The labels of CIFAR-100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cifar100Labels {
    /// 100 kinds of things.
    Fine,
    /// 20 groups of five kinds each.
    Coarse,
}

/// What stands before the levels of a record.
struct Layout {
    /// The bytes of labels.
    labels: usize,
    /// The one that counts.
    at: usize,
    classes: Vec<String>,
}

impl Cifar10Config {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let folder = root.find(&self.folder)?;
        let classes = class_names(&folder.join("batches.meta.txt"), &CIFAR10)?;
        open(&folder, "data_batch_1.bin", &Layout { labels: 1, at: 0, classes })
    }
}

impl Cifar100Config {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let folder = root.find(&self.folder)?;
        let (at, file, names) = match self.labels {
            Cifar100Labels::Coarse => (0, "coarse_label_names.txt", COARSE),
            Cifar100Labels::Fine => (1, "fine_label_names.txt", FINE),
        };
        let classes = class_names(&folder.join(file), &names.split_whitespace().collect::<Vec<_>>())?;
        open(&folder, "train.bin", &Layout { labels: 2, at, classes })
    }
}

fn open(folder: &Path, usual: &str, layout: &Layout) -> Result<Source, DataError> {
    let files = list(folder)?;
    if files.is_empty() {
        return Err(DataError::format(folder, format!("no {usual} in it, nor another .bin or .bin.gz file")));
    }
    let mut arrays = files.iter().map(|path| read(path, layout)).collect::<Result<Vec<_>, _>>()?;
    arrays.sort_by_key(|array| array.given == Some(Given::Test));
    Ok(Source::of_arrays(&title_of(folder), layout.classes.clone(), SHAPE, arrays))
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

fn class_names(path: &Path, usual: &[&str]) -> Result<Vec<String>, DataError> {
    if !path.is_file() {
        return Ok(usual.iter().map(|&name| name.to_owned()).collect());
    }
    let text = std::fs::read_to_string(path).map_err(|error| DataError::read(path, error))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() == usual.len() {
        Ok(names)
    } else {
        Err(DataError::format(path, format!("{} names for {} classes", names.len(), usual.len())))
    }
}

fn read(path: &Path, layout: &Layout) -> Result<LabelledArrays, DataError> {
    let (classes, before) = (layout.classes.len(), layout.labels);
    let size = before + 3 * PLANE;
    let bytes = PackedFile::open(path)?.rest(FILE_LIMIT)?;
    if bytes.is_empty() || bytes.len() % size != 0 {
        let why = format!(
            "{} bytes are not a whole number of records of {size}; the file is cut short, or not the binary version of CIFAR",
            bytes.len()
        );
        return Err(DataError::format(path, why));
    }
    let records = bytes.chunks_exact(size);
    let labels: Vec<u32> = records.clone().map(|record| u32::from(record[layout.at])).collect();
    if let Some(i) = labels.iter().position(|&label| label as usize >= classes) {
        let why = format!(
            "label {} of record {i} (byte {}) is out of range, for there are {classes} classes",
            labels[i],
            i * size + layout.at
        );
        return Err(DataError::format(path, why));
    }
    let mut pixels = Vec::with_capacity(labels.len() * SHAPE.len());
    for record in records {
        pixels.extend((0..PLANE).flat_map(|at| [0, 1, 2].map(|color| record[before + color * PLANE + at])));
    }
    let name = record_stem(path).unwrap_or_default().to_owned();
    let given = match name.as_str() {
        "test_batch" | "test" => Some(Given::Test),
        name if name == "train" || name.starts_with("data_batch") => Some(Given::Train),
        _ => None,
    };
    Ok(LabelledArrays { name, given, pixels, labels })
}
