//! One file of decoded pictures with their labels: training from it costs no decoding. It does not know where they came from.
//!
//! All numbers are little-endian.
//!
//! ```text
//! "hmstpack", version u32, 0 u32
//! the levels of each picture, [height, width, channels], each picture at once
//! the index:
//!   length u64, JSON: title, classes, kind of labels, parts, how the pictures were prepared
//!   a record a picture: start u64, height u32, width u32, channels u32, CRC-32C of the levels u32, digest 8 bytes,
//!     group + 1 or 0 u32, where its labels end u32, where its name ends u64
//!   the labels u32, the names in UTF-8
//! start of the index u64, number of pictures u64, CRC-32C of the index u32, "pack"
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pictures::{Held, Pictures};
use super::{Catalog, Given, Part, Place, Source};
use crate::image::PIXEL_LIMIT;
use crate::labels::Labels;
use crate::strings::Strings;
use crate::{
    DataError, DataRoot, Digest, Image, ImagePrepare, LabelKind, Loader, LoaderOptions, OnCorrupt, Rows, Shape,
    Skipped, Weigh,
};

const MAGIC: &[u8; 8] = b"hmstpack";
const VERSION: u32 = 1;
const HEAD: u64 = 16;
const RECORD: usize = 48;
const FOOT: usize = 24;

/// A file that `homeostat data pack` wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackedConfig {
    /// The file, relative to the data root.
    pub file: String,
}

/// What was packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackSummary {
    /// Pictures in the file.
    pub samples: usize,
    /// The length of the file.
    pub bytes: u64,
    /// Those that could not be read, and are left out.
    pub skipped: Vec<Skipped>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    title: String,
    classes: Vec<String>,
    several: bool,
    parts: Vec<HeadPart>,
    prepare: ImagePrepare,
}

#[derive(Serialize, Deserialize)]
struct HeadPart {
    name: String,
    given: Option<Given>,
    start: usize,
}

/// Up to this length the levels are held in memory, as those of other sources of arrays are.
const MEMORY_LIMIT: u64 = 1 << 30;

/// An open pack.
pub(super) struct Pack {
    path: PathBuf,
    levels: Levels,
    records: Vec<Record>,
    names: Strings,
    prepare: String,
}

/// Where the levels of the pictures are.
enum Levels {
    /// From the head of the file to the index, and whether each picture is damaged.
    Memory { bytes: Vec<u8>, damaged: Vec<bool> },
    /// Read when they are asked for.
    File(File),
}

#[derive(Clone, Copy)]
struct Record {
    start: u64,
    shape: Shape,
    crc: u32,
    digest: Digest,
}

impl PackedConfig {
    pub(super) fn open(&self, root: &DataRoot) -> Result<Source, DataError> {
        let path = root.find_file(&self.file)?;
        let (catalog, pack) = Pack::open(&path, MEMORY_LIMIT)?;
        Ok(Source::new(catalog, Pictures::new(Held::Pack(pack))))
    }
}

impl Source {
    /// Writes all pictures, decoded and prepared, into one file, which [`SourceConfig::Packed`](crate::SourceConfig::Packed) reads: with
    /// the same numbers, names, labels, parts and digests, so that it is divided in the same way. `watch` is told how many are done.
    ///
    /// # Errors
    /// [`DataError::Config`] for a normalisation among the steps, which has no 8-bit result; what reading a picture gives, unless broken
    /// ones are skipped; [`DataError::Write`].
    pub fn pack(
        self: &Arc<Self>,
        prepare: &ImagePrepare,
        (out, options): (&Path, LoaderOptions),
        on_corrupt: OnCorrupt,
        watch: &mut dyn FnMut(usize),
    ) -> Result<PackSummary, DataError> {
        const PIECE: usize = 64;
        prepare.check("prepare")?;
        if prepare.tail().is_some() {
            return Err(DataError::config(
                "prepare",
                "a pack holds 8-bit levels: leave the normalisation to the training",
            ));
        }
        let (source, steps, count) = (Arc::clone(self), prepare.clone(), self.len());
        let make = move |piece: usize| {
            let indices: Vec<usize> = (piece * PIECE..count.min((piece + 1) * PIECE)).collect();
            let mut rows = Rows::read(&source, &indices, on_corrupt)?;
            for (image, &i) in rows.samples.iter_mut().zip(&rows.indices) {
                *image = steps.host(image.clone()).map_err(|error| error.named(&source.name(i)))?;
            }
            let digests = rows.indices.iter().map(|&i| source.digest(i)).collect::<Result<Vec<_>, _>>()?;
            Ok(Piece { rows, digests })
        };
        let pieces = Loader::start(0..count.div_ceil(PIECE), options, Arc::new(make));
        // Renamed when it is whole: a half-written file is never taken for a data set.
        let draft = out.with_added_extension("part");
        let written = File::create(&draft).map_err(|error| DataError::write(out, error)).and_then(|file| {
            let mut writer = Writer::new(self, prepare, out, file)?;
            for piece in pieces {
                writer.take(piece?)?;
                watch(writer.records.len() / RECORD + writer.skipped.len());
            }
            writer.finish()
        });
        let renamed = written.and_then(|summary| {
            std::fs::rename(&draft, out).map_err(|error| DataError::write(out, error)).map(|()| summary)
        });
        if renamed.is_err() {
            // What went wrong before is of more use than that a draft could not be removed.
            drop(std::fs::remove_file(&draft));
        }
        renamed
    }
}

struct Piece {
    rows: Rows<Image>,
    digests: Vec<Digest>,
}

impl Weigh for Piece {
    fn bytes(&self) -> usize {
        self.rows.samples.iter().map(Weigh::bytes).sum()
    }
}

struct Writer<'a> {
    source: &'a Source,
    prepare: &'a ImagePrepare,
    out: &'a Path,
    file: BufWriter<File>,
    /// Where the next picture begins.
    at: u64,
    /// The pictures of each part.
    counts: Vec<usize>,
    records: Vec<u8>,
    labels: Vec<u8>,
    names: String,
    skipped: Vec<Skipped>,
}

impl<'a> Writer<'a> {
    fn new(source: &'a Source, prepare: &'a ImagePrepare, out: &'a Path, file: File) -> Result<Self, DataError> {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let start = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4]].concat();
        file.write_all(&start).map_err(|error| DataError::write(out, error))?;
        let counts = vec![0; source.parts.len()];
        let (records, labels, names, skipped) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        Ok(Self { source, prepare, out, file, at: HEAD, counts, records, labels, names, skipped })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the pixel limit bounds sides; labels and groups are 32-bit numbers"
    )]
    fn take(&mut self, piece: Piece) -> Result<(), DataError> {
        let Piece { rows, digests } = piece;
        for ((i, image), digest) in rows.indices.into_iter().zip(rows.samples).zip(digests) {
            self.file.write_all(image.pixels()).map_err(|error| DataError::write(self.out, error))?;
            self.source.labels(i).iter().for_each(|label| self.labels.extend(label.to_le_bytes()));
            self.names.push_str(&self.source.name(i));
            let Shape { height, width, channels } = image.shape();
            self.records.extend(self.at.to_le_bytes());
            for number in [height as u32, width as u32, channels as u32, crc32c::crc32c(image.pixels())] {
                self.records.extend(number.to_le_bytes());
            }
            self.records.extend(digest.bytes());
            let group = self.source.group(i).map_or(0, |group| group as u32 + 1);
            for number in [group, (self.labels.len() / 4) as u32] {
                self.records.extend(number.to_le_bytes());
            }
            self.records.extend((self.names.len() as u64).to_le_bytes());
            self.at += image.pixels().len() as u64;
            self.counts[self.source.part(i)] += 1;
        }
        self.skipped.extend(rows.skipped);
        Ok(())
    }

    fn finish(self) -> Result<PackSummary, DataError> {
        let (mut parts, mut next) = (Vec::new(), 0);
        // A part that is left without pictures is none.
        for (part, count) in self.source.parts.iter().zip(&self.counts).filter(|(_, count)| **count > 0) {
            parts.push(HeadPart { name: part.name.clone(), given: part.given, start: next });
            next += count;
        }
        let (title, classes) = (self.source.title.clone(), self.source.classes.clone());
        let several = self.source.label_kind() != LabelKind::One;
        let head = Head { title, classes, several, parts, prepare: self.prepare.clone() };
        let head = serde_json::to_vec(&head).map_err(|error| DataError::write(self.out, error.into()))?;
        let samples = self.records.len() / RECORD;
        if samples == 0 {
            return Err(DataError::format(self.out, "no picture can be read, so there is nothing to pack"));
        }
        let length = (head.len() as u64).to_le_bytes();
        let index = [&length[..], &head, &self.records, &self.labels, self.names.as_bytes()].concat();
        let foot = [
            &self.at.to_le_bytes()[..],
            &(samples as u64).to_le_bytes(),
            &crc32c::crc32c(&index).to_le_bytes(),
            &MAGIC[4..],
        ]
        .concat();
        let write = |mut file: BufWriter<File>| {
            file.write_all(&index)?;
            file.write_all(&foot)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        };
        write(self.file).map_err(|error| DataError::write(self.out, error))?;
        let bytes = self.at + (index.len() + foot.len()) as u64;
        Ok(PackSummary { samples, bytes, skipped: self.skipped })
    }
}

/// Takes numbers from the front of bytes.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

impl Pack {
    /// Holds the levels in memory if they end before `limit`.
    fn open(path: &Path, limit: u64) -> Result<(Catalog, Self), DataError> {
        let fault = |error| DataError::read(path, error);
        let mut file = File::open(path).map_err(fault)?;
        let length = file.metadata().map_err(fault)?.len();
        let mut magic = [0; 16];
        let short = |why: &str| DataError::format(path, format!("is no whole packed file: {why}; pack it anew"));
        if length < HEAD + FOOT as u64 {
            return Err(short("it is too short"));
        }
        file.read_exact(&mut magic).map_err(fault)?;
        let version = u32::from_le_bytes([magic[8], magic[9], magic[10], magic[11]]);
        if &magic[..8] != MAGIC {
            return Err(short("it does not begin with `hmstpack`"));
        }
        if version != VERSION {
            return Err(short(&format!("it has version {version}, but this program reads {VERSION}")));
        }
        let mut foot = [0; FOOT];
        file.seek(SeekFrom::End(-(FOOT as i64))).and_then(|_| file.read_exact(&mut foot)).map_err(fault)?;
        let mut cursor = Cursor(&foot);
        let (Some(start), Some(samples), Some(crc)) = (cursor.u64(), cursor.u64(), cursor.u32()) else {
            unreachable!("the foot has {FOOT} bytes")
        };
        let end = length - FOOT as u64;
        if cursor.0 != &MAGIC[4..] || start < HEAD || start > end || samples.saturating_mul(RECORD as u64) > end - start
        {
            return Err(short("it is cut short"));
        }
        let mut index = vec![0; usize::try_from(end - start).map_err(|_| short("its index is too long"))?];
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut index)).map_err(fault)?;
        if crc32c::crc32c(&index) != crc {
            return Err(short("its index is damaged"));
        }
        let samples = usize::try_from(samples).map_err(|_| short("its index is too long"))?;
        let read = read_index(&index, samples, start).ok_or_else(|| short("its index contradicts itself"))?;
        let (head, labels, groups, records, names) = read;
        let prepare =
            if head.prepare.0.is_empty() { String::new() } else { serde_json::json!(head.prepare).to_string() };
        let part = |part: HeadPart| Part { name: part.name, given: part.given, start: part.start };
        let parts = head.parts.into_iter().map(part).collect();
        let catalog = Catalog { title: head.title, classes: head.classes, labels, groups, parts, left_out: Vec::new() };
        let levels = Levels::of(file, (start, limit), &records).map_err(fault)?;
        Ok((catalog, Self { path: path.to_owned(), levels, records, names, prepare }))
    }

    pub(super) fn image(&self, place: Place<'_>) -> Result<Image, DataError> {
        let Record { start, shape, crc, .. } = self.records[place.index];
        let (pixels, damaged) = match &self.levels {
            Levels::Memory { bytes, damaged } => (bytes[inside(start, shape)].to_vec(), damaged[place.index]),
            Levels::File(file) => {
                let mut pixels = vec![0; shape.len()];
                read_at(file, &mut pixels, start).map_err(|error| DataError::read(&self.path, error))?;
                let damaged = crc32c::crc32c(&pixels) != crc;
                (pixels, damaged)
            }
        };
        if damaged {
            let why = format!("its levels in {} are damaged; pack it anew", self.path.display());
            return Err(DataError::Corrupt { name: self.name(place), why });
        }
        Ok(Image::new(shape, pixels))
    }

    pub(super) fn digest(&self, place: Place<'_>) -> Digest {
        self.records[place.index].digest
    }

    pub(super) fn name(&self, place: Place<'_>) -> String {
        self.names.get(place.index).to_owned()
    }

    /// How the pictures differ from those whose digests they have; empty if they do not.
    pub(super) fn prepare(&self) -> &str {
        &self.prepare
    }
}

impl Levels {
    fn of(mut file: File, (end, limit): (u64, u64), records: &[Record]) -> io::Result<Self> {
        if end > limit {
            return Ok(Self::File(file));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(HEAD))?;
        file.take(end - HEAD).read_to_end(&mut bytes)?;
        let damaged = |record: &Record| match bytes.get(inside(record.start, record.shape)) {
            Some(levels) => crc32c::crc32c(levels) != record.crc,
            None => true,
        };
        let damaged: Vec<bool> = records.iter().map(damaged).collect();
        Ok(Self::Memory { bytes, damaged })
    }
}

/// The place of a picture behind the head of the file; the index was checked against its length.
#[expect(clippy::cast_possible_truncation, reason = "asked where the file is below MEMORY_LIMIT")]
fn inside(start: u64, shape: Shape) -> std::ops::Range<usize> {
    let start = (start - HEAD) as usize;
    start..start + shape.len()
}

type Index = (Head, Labels, Vec<u32>, Vec<Record>, Strings);

/// The index with all that it says of itself checked; nothing where it contradicts itself.
fn read_index(index: &[u8], samples: usize, end: u64) -> Option<Index> {
    let mut cursor = Cursor(index);
    let length = usize::try_from(cursor.u64()?).ok()?;
    let head: Head = serde_json::from_slice(cursor.take(length)?).ok()?;
    let mut records = Cursor(cursor.take(samples.checked_mul(RECORD)?)?);
    let (mut read, mut groups, mut ends, mut name_ends) = (Vec::with_capacity(samples), vec![], vec![], vec![]);
    for _ in 0..samples {
        let start = records.u64()?;
        let [height, width, channels, crc] = [records.u32()?, records.u32()?, records.u32()?, records.u32()?];
        let pixels = u64::from(height) * u64::from(width);
        let inside = start.checked_add(pixels.checked_mul(u64::from(channels))?)? <= end && start >= HEAD;
        if !(1..=PIXEL_LIMIT).contains(&pixels) || !matches!(channels, 1 | 3 | 4) || !inside {
            return None;
        }
        let shape = Shape { height: height as usize, width: width as usize, channels: channels as usize };
        read.push(Record { start, shape, crc, digest: Digest::from_bytes(records.array()?) });
        groups.push(records.u32()?);
        ends.push(records.u32()? as usize);
        name_ends.push(usize::try_from(records.u64()?).ok()?);
    }
    let count = *ends.last()?;
    let labels: Option<Vec<u32>> = (0..count).map(|_| cursor.u32()).collect();
    let labels = labels.filter(|labels| labels.iter().all(|&label| (label as usize) < head.classes.len()))?;
    let text = std::str::from_utf8(cursor.0).ok()?;
    let (mut names, mut from) = (Strings::default(), 0);
    for to in name_ends {
        // Names stand in messages, which have one line.
        names.push(&text.get(from..to)?.replace(char::is_control, " "));
        from = to;
    }
    let ascending = ends.is_sorted() && head.parts.windows(2).all(|pair| pair[0].start < pair[1].start);
    let one = ends.iter().enumerate().all(|(i, end)| *end == i + 1);
    let first = head.parts.first().is_some_and(|part| part.start == 0);
    let last = head.parts.last().is_some_and(|part| part.start < samples);
    if !ascending || !first || !last || !(head.several || one) || from != text.len() {
        return None;
    }
    let labels = if head.several { Labels::Several { labels, ends } } else { Labels::One(labels) };
    let groups = if groups.contains(&0) { Vec::new() } else { groups.into_iter().map(|group| group - 1).collect() };
    Some((head, labels, groups, read, names))
}

/// Reads without moving a shared position, so that threads do not wait for each other.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut start: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, start)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, start) = (&mut bytes[read..], start + read as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceConfig, source::Store};

    #[test]
    fn levels_in_memory_and_in_the_file_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (out, options) = (folder.path().join("digits.pack"), LoaderOptions::default());
        let source = Arc::new(SourceConfig::Digits.open(&DataRoot::default()).unwrap());
        source.pack(&ImagePrepare(vec![]), (&out, options), OnCorrupt::Error, &mut |_| {}).unwrap();
        let open = |limit| {
            let (catalog, pack) = Pack::open(&out, limit).unwrap();
            assert_eq!(matches!(pack.levels, Levels::File(_)), limit == 0);
            Source::new(catalog, Pictures::new(Held::Pack(pack)))
        };
        let damaged = |source: &Source| {
            (0..source.len()).filter(|&i| matches!(source.get(i), Err(DataError::Corrupt { .. }))).collect::<Vec<_>>()
        };
        let (memory, file) = (open(u64::MAX), open(0));
        assert!((0..source.len()).all(|i| memory.get(i).unwrap() == file.get(i).unwrap()));
        assert_eq!(file.store.folder(), None);
        let mut bytes = std::fs::read(&out).unwrap();
        bytes[16 + 64 * 5] ^= 1;
        std::fs::write(&out, bytes).unwrap();
        assert_eq!((damaged(&open(u64::MAX)), damaged(&open(0))), (vec![5], vec![5]));
    }
}
