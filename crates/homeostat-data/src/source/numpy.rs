//! Pictures and labels in NumPy's files, `.npy` and `.npz` (<https://numpy.org/neps/nep-0001-npy-format.html>). Never unpickles.

use std::fs::File;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::packed::PackedFile;
use super::pictures::LabelledArrays;
use super::{Given, Source, title_of};
use crate::image::PIXEL_LIMIT;
use crate::table::short;
use crate::tabled::given_by;
use crate::{DataError, DataRoot, Shape};

/// The most bytes of a header; NumPy's own limit is 10,000.
const HEADER_LIMIT: u64 = 1 << 16;
/// The most bytes of one array.
const ARRAY_LIMIT: u64 = 1 << 33;
/// More classes than this are no classes.
const CLASS_LIMIT: i64 = 100_000;

/// A folder with NumPy arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NumpyConfig {
    /// The folder, relative to the data root. Its `.npy` files, and the arrays in its `.npz` files, are pictures where a word of their
    /// name is `x`, `image`, `images` or `data`, and labels where it is `y`, `label`, `labels`, `target` or `targets`; the words
    /// `train`, `val`, `valid`, `validation`, `dev` and `test` tell the part.
    pub folder: String,
    /// The files in it. Without them, all `.npy` and `.npz` files.
    pub files: Vec<String>,
    /// The names of the classes in the order of their labels. Without them, they are numbers.
    pub classes: Vec<String>,
}

/// An array, not read yet.
struct Entry {
    file: PathBuf,
    /// Its name in an `.npz` file.
    member: Option<String>,
    given: Option<Given>,
    is_label: bool,
}

impl Entry {
    fn of(file: &Path, member: Option<&str>) -> Option<Self> {
        let title = title_of(file);
        let name = member.unwrap_or(&title).trim_end_matches(".npy").to_lowercase();
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let is_label = words.find_map(|word| match word {
            "x" | "image" | "images" | "data" => Some(false),
            "y" | "label" | "labels" | "target" | "targets" => Some(true),
            _ => None,
        })?;
        Some(Self { file: file.to_owned(), member: member.map(str::to_owned), given: given_by(&name), is_label })
    }

    /// Where it is, for people.
    fn path(&self) -> PathBuf {
        self.member.as_ref().map_or_else(|| self.file.clone(), |member| self.file.join(member))
    }

    fn read(&self) -> Result<Array, DataError> {
        let Some(member) = &self.member else { return Array::read(PackedFile::open(&self.file)?, &self.file) };
        let path = self.path();
        let mut archive = open_zip(&self.file)?;
        let file = archive.by_name(member).map_err(|error| DataError::format(&path, error.to_string()))?;
        let most = file.size();
        Array::read(PackedFile::of(&path, Box::new(file), most), &path)
    }
}

impl NumpyConfig {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let folder = root.find(&self.folder)?;
        let entries = self.entries(&folder)?;
        let mut parts = Vec::new();
        for given in [Some(Given::Train), Some(Given::Valid), Some(Given::Test), None] {
            let (labels, images): (Vec<&Entry>, Vec<&Entry>) =
                entries.iter().filter(|entry| entry.given == given).partition(|entry| entry.is_label);
            match (images.as_slice(), labels.as_slice()) {
                ([], []) => {}
                ([images], [labels]) => parts.push(read_part(given, images, labels)?),
                (images, labels) => {
                    let first =
                        images.first().or(labels.first()).map_or_else(String::new, |e| e.path().display().to_string());
                    let why = format!(
                        "{} arrays of pictures and {} of labels for one part, such as {first}; there should be one of each",
                        images.len(),
                        labels.len()
                    );
                    return Err(DataError::format(&folder, why));
                }
            }
        }
        let Some((shape, _)) = parts.first() else {
            let why = "no arrays in it whose names tell that they are pictures (x, images) and labels (y, labels)";
            return Err(DataError::format(&folder, why));
        };
        let shape = *shape;
        if let Some((other, part)) = parts.iter().find(|(other, _)| *other != shape) {
            return Err(DataError::format(
                &folder,
                format!("{} has pictures of {other:?}, another part of {shape:?}", part.name),
            ));
        }
        let arrays: Vec<LabelledArrays> = parts.into_iter().map(|(_, part)| part).collect();
        let classes = self.names(&folder, &arrays)?;
        Ok(Source::of_arrays(&title_of(&folder), classes, shape, arrays))
    }

    fn entries(&self, folder: &Path) -> Result<Vec<Entry>, DataError> {
        let files = if self.files.is_empty() {
            super::image_folder::entries(folder)?
        } else {
            crate::tabled::below(folder, &self.files)?
        };
        let mut entries = Vec::new();
        for file in files {
            match file.extension().and_then(|ending| ending.to_str()) {
                Some("npy") => entries.extend(Entry::of(&file, None)),
                Some("npz") => {
                    let archive = open_zip(&file)?;
                    for name in archive.file_names() {
                        let name = name.map_err(|error| DataError::format(&file, error.to_string()))?;
                        entries.extend(Entry::of(&file, Some(&name)));
                    }
                }
                _ => {}
            }
        }
        Ok(entries)
    }

    /// The names of the classes, of which there is one for each label.
    fn names(&self, folder: &Path, arrays: &[LabelledArrays]) -> Result<Vec<String>, DataError> {
        let most = arrays.iter().flat_map(|array| &array.labels).max().map_or(0, |&label| label as usize);
        if self.classes.is_empty() {
            return Ok((0..=most).map(|label| label.to_string()).collect());
        }
        if most < self.classes.len() {
            return Ok(self.classes.clone());
        }
        Err(DataError::format(folder, format!("has the label {most}, but `classes` has {} names", self.classes.len())))
    }
}

fn open_zip(path: &Path) -> Result<ZipArchive<File>, DataError> {
    let file = File::open(path).map_err(|error| DataError::read(path, error))?;
    ZipArchive::new(file).map_err(|error| DataError::format(path, format!("is no whole .npz file: {error}")))
}

fn read_part(given: Option<Given>, images: &Entry, labels: &Entry) -> Result<(Shape, LabelledArrays), DataError> {
    let fault = |entry: &Entry, why: String| Err(DataError::format(&entry.path(), why));
    let pixels = images.read()?;
    let (count, shape) = match *pixels.shape.as_slice() {
        [count, height, width] => (count, Shape { height, width, channels: 1 }),
        [count, height, width, channels @ (1 | 3 | 4)] => (count, Shape { height, width, channels }),
        _ => {
            let why = "pictures are [count, height, width], or with 1, 3 or 4 channels behind";
            return fault(images, format!("has the shape {:?}, but {why}", pixels.shape));
        }
    };
    if pixels.kind != ('u', 1) || pixels.by_column {
        return fault(
            images,
            format!("holds {} by rows or columns, but pictures are uint8 by rows", pixels.describe()),
        );
    }
    let area = (shape.height as u64).saturating_mul(shape.width as u64);
    if count == 0 || area == 0 || area > PIXEL_LIMIT {
        return fault(images, format!("{count} pictures of {} x {} pixels are no data", shape.height, shape.width));
    }
    let numbers = labels.read()?;
    if !matches!(*numbers.shape.as_slice(), [n] | [n, 1] if n == count) {
        return fault(labels, format!("has the shape {:?} for {count} pictures", numbers.shape));
    }
    let Some(numbers) = numbers.whole() else {
        return fault(labels, format!("holds {}, but labels are whole numbers", numbers.describe()));
    };
    if let Some(i) = numbers.iter().position(|label| !(0..CLASS_LIMIT).contains(label)) {
        return fault(labels, format!("the label {} at index {i} is not from 0 to below {CLASS_LIMIT}", numbers[i]));
    }
    let labels = numbers.iter().map(|&label| u32::try_from(label).unwrap_or(u32::MAX)).collect();
    let name = images.member.clone().unwrap_or_else(|| title_of(&images.file)).trim_end_matches(".npy").to_owned();
    Ok((shape, LabelledArrays { name, given, pixels: pixels.bytes, labels }))
}

/// An array as it lies in a file.
struct Array {
    /// `i`, `u`, `b`, `f` and so on, and the bytes of one number.
    kind: (char, usize),
    big_endian: bool,
    /// Whether the first index runs fastest.
    by_column: bool,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn read(mut file: PackedFile<'_>, path: &Path) -> Result<Self, DataError> {
        let fault = |why: String| DataError::format(path, why);
        let start = file.take(8, "the magic string and the version")?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err(fault("does not begin as NumPy's files do".into()));
        }
        let length = match start[6] {
            1 => file.take(2, "the header's length")?,
            2 | 3 => file.take(4, "the header's length")?,
            version => return Err(fault(format!("has version {version} of NumPy's format, but 1 to 3 are known"))),
        };
        let length = length.iter().rev().fold(0, |sum, &byte| sum * 256 + u64::from(byte));
        if length > HEADER_LIMIT {
            return Err(fault(format!("says that its header has {length} bytes, more than {HEADER_LIMIT}")));
        }
        let header = file.take(length, "the header")?;
        let header = String::from_utf8_lossy(&header);
        let mut array = Self::parse(&header)
            .ok_or_else(|| fault(format!("the header is none that is known: {}", short(header.trim()))))?;
        let numbers = array.shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size as u64));
        let bytes = numbers.and_then(|numbers| numbers.checked_mul(array.kind.1 as u64)).unwrap_or(u64::MAX);
        if bytes > ARRAY_LIMIT {
            return Err(fault(format!("an array of {:?} has more than 8 GiB", array.shape)));
        }
        array.bytes = file.take(bytes, &format!("an array of {:?}", array.shape))?;
        file.end(&format!("an array of {:?}", array.shape))?;
        Ok(array)
    }

    /// `{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }`, without its numbers.
    fn parse(header: &str) -> Option<Self> {
        let value = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let kind = value("descr")?.strip_prefix('\'')?.split_once('\'')?.0;
        let (order, kind) = kind.split_at_checked(1)?;
        let mut letters = kind.chars();
        let kind = (letters.next()?, letters.as_str().parse().ok().filter(|size| (1..=16).contains(size))?);
        let by_column = value("fortran_order")?.starts_with("True");
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape = sizes.map(|size| size.parse().ok()).collect::<Option<Vec<usize>>>()?;
        let by_column = by_column && shape.len() > 1;
        Some(Self { kind, big_endian: order == ">", by_column, shape, bytes: Vec::new() })
    }

    /// The numbers, if they are whole.
    fn whole(&self) -> Option<Vec<i64>> {
        let (kind @ ('i' | 'u' | 'b'), size @ 1..=8) = self.kind else { return None };
        let number = |bytes: &[u8]| {
            let mut wide =
                [if kind == 'i' && bytes[if self.big_endian { 0 } else { size - 1 }] > 127 { 255 } else { 0 }; 8];
            for (at, &byte) in bytes.iter().enumerate() {
                wide[if self.big_endian { size - 1 - at } else { at }] = byte;
            }
            i64::from_le_bytes(wide)
        };
        Some(self.bytes.chunks_exact(size).map(number).collect())
    }

    fn describe(&self) -> String {
        format!("`{}{}`", self.kind.0, self.kind.1)
    }
}
