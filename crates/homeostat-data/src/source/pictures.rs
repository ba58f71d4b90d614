//! The pictures of a source: arrays in memory, or encoded files. It does not know their labels.

use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::pack::Pack;
use super::{Catalog, Given, Part, Place, Source, Store};
use crate::conversion::{Conversion, Conversions};
use crate::labels::Labels;
use crate::row_names::RowNames;
use crate::strings::Strings;
use crate::{DataError, Digest, Image, Shape};

/// The pictures of a [`Source`].
pub struct Pictures {
    held: Held,
    conversions: Conversions,
}

pub(super) enum Held {
    /// Pixels in memory, all pictures of one shape.
    Arrays { shape: Shape, pixels: Vec<u8> },
    /// Encoded pictures below a folder, or in the archive of their part.
    Files { folder: PathBuf, names: Strings, archives: Vec<Option<Archive>> },
    /// Encoded pictures in memory, from the rows of tables in a folder.
    Blobs { folder: PathBuf, blobs: Blobs, rows: RowNames },
    /// Pixels in a file.
    Pack(Pack),
}

/// The bytes of many files in one.
#[derive(Default)]
pub(super) struct Blobs {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Blobs {
    pub(super) fn push(&mut self, blob: &[u8]) -> Result<(), &'static str> {
        if self.bytes.len() + blob.len() > BLOBS_LIMIT {
            return Err("holds more than 8 GiB of pictures; store them as files, and their names in the table");
        }
        self.bytes.extend(blob);
        self.ends.push(self.bytes.len());
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn get(&self, i: usize) -> &[u8] {
        &self.bytes[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }
}

/// The most bytes of pictures in memory.
const BLOBS_LIMIT: usize = 1 << 33;

impl Pictures {
    pub(super) fn new(held: Held) -> Self {
        Self { held, conversions: Conversions::default() }
    }

    /// How many of the pictures read so far were converted to 8 bits a channel, or to red, green and blue.
    pub(super) fn converted(&self) -> Vec<(Conversion, usize)> {
        self.conversions.counts()
    }

    fn decode(&self, bytes: &[u8], place: Place<'_>) -> Result<Image, DataError> {
        let (image, conversion) = Image::decode_converted(bytes)?;
        if let Some(conversion) = conversion {
            self.conversions.count(conversion, place.index, || self.name(place));
        }
        Ok(image)
    }

    /// The bytes of the picture as a file: the original ones, or a PNG of an array.
    pub(super) fn file(&self, place: Place<'_>) -> Result<Vec<u8>, DataError> {
        match &self.held {
            Held::Arrays { shape, .. } => Ok(Image::new(*shape, self.array(place).to_vec()).encode_png()),
            Held::Files { folder, names, archives } => match &archives[place.part_index] {
                Some(archive) => archive.read(place.within),
                None => {
                    let path = folder.join(names.get(place.index));
                    std::fs::read(&path).map_err(|error| DataError::read(&path, error))
                }
            },
            Held::Blobs { blobs, .. } => Ok(blobs.get(place.index).to_vec()),
            Held::Pack(pack) => Ok(pack.image(place)?.encode_png()),
        }
    }

    fn array(&self, place: Place<'_>) -> &[u8] {
        let Held::Arrays { shape, pixels } = &self.held else { unreachable!("asked of arrays alone") };
        &pixels[place.index * shape.len()..(place.index + 1) * shape.len()]
    }
}

impl Store for Pictures {
    type Sample = Image;

    fn sample(&self, place: Place<'_>) -> Result<Image, DataError> {
        match &self.held {
            Held::Arrays { shape, .. } => Ok(Image::new(*shape, self.array(place).to_vec())),
            Held::Files { .. } => self.decode(&self.file(place)?, place),
            Held::Blobs { blobs, .. } => self.decode(blobs.get(place.index), place),
            Held::Pack(pack) => pack.image(place),
        }
    }

    fn digest(&self, place: Place<'_>) -> Result<Digest, DataError> {
        match &self.held {
            Held::Arrays { .. } => Ok(Digest::of(self.array(place))),
            Held::Files { .. } => Ok(Digest::of(&self.file(place)?)),
            Held::Blobs { blobs, .. } => Ok(Digest::of(blobs.get(place.index))),
            Held::Pack(pack) => Ok(pack.digest(place)),
        }
    }

    fn name(&self, place: Place<'_>) -> String {
        match &self.held {
            Held::Arrays { .. } => format!("{}[{}]", place.part, place.within),
            Held::Files { names, .. } => names.get(place.index).to_owned(),
            Held::Blobs { rows, .. } => rows.name(place),
            Held::Pack(pack) => pack.name(place),
        }
    }

    fn folder(&self) -> Option<&Path> {
        match &self.held {
            Held::Arrays { .. } | Held::Pack(_) => None,
            Held::Files { folder, .. } | Held::Blobs { folder, .. } => Some(folder),
        }
    }

    fn prepared(&self) -> &str {
        if let Held::Pack(pack) = &self.held { pack.prepare() } else { "" }
    }
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.held {
            Held::Arrays { .. } => "Pictures(arrays)",
            Held::Files { .. } => "Pictures(files)",
            Held::Blobs { .. } => "Pictures(rows)",
            Held::Pack(_) => "Pictures(packed)",
        })
    }
}

/// Pictures of one shape and their labels, as one file or pair of files holds them.
pub(super) struct LabelledArrays {
    pub(super) name: String,
    pub(super) given: Option<Given>,
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<u32>,
}

impl Source {
    /// A source of arrays that lie in memory one behind the other.
    pub(super) fn of_arrays(title: &str, classes: Vec<String>, shape: Shape, arrays: Vec<LabelledArrays>) -> Self {
        let (mut labels, mut parts, mut pixels) = (Vec::new(), Vec::new(), Vec::new());
        for array in arrays {
            assert_eq!(array.pixels.len(), array.labels.len() * shape.len(), "{} does not hold {shape:?}", array.name);
            parts.push(Part { name: array.name, given: array.given, start: labels.len() });
            labels.extend(array.labels);
            if pixels.is_empty() { pixels = array.pixels } else { pixels.extend(array.pixels) }
        }
        let (labels, groups, left_out) = (Labels::One(labels), Vec::new(), Vec::new());
        let catalog = Catalog { title: title.to_owned(), classes, labels, groups, parts, left_out };
        Self::new(catalog, Pictures::new(Held::Arrays { shape, pixels }))
    }
}
