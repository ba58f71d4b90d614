//! TensorBoard event files: records of protocol buffers, written by hand to the documented format.
//!
//! The messages are those of TensorFlow's `event.proto` and `summary.proto`. Scalars use `simple_value`, which every reader
//! understands; texts use a string tensor with the metadata of the plugin `text`, which has no other form.
//! This module does not know what is worth recording, nor the time: the caller passes it.

mod message;
mod record;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::{ReportError, png::PngHead};
use message::Message;

/// Appends events to one event file.
///
/// Nothing is sure to be on disk before [`flush`](Self::flush).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// use homeostat_report::tensorboard::EventWriter;
///
/// let now = 1_795_000_000.5; // seconds since 1970
/// let mut events = EventWriter::open(dir.path(), now)?;
/// events.scalar(1, now, "loss/train", 2.31)?;
/// events.flush()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Begins a new event file in `dir`, which is made when it is missing. `wall` is the time in seconds since 1970.
    pub fn open(dir: &Path, wall: f64) -> Result<Self, ReportError> {
        let (path, file) = create(dir, wall).map_err(|source| ReportError::Write { path: dir.to_owned(), source })?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.write(&Message::new().double(event::WALL_TIME, wall).string(event::FILE_VERSION, "brain.Event:2"))?;
        Ok(writer)
    }

    /// Goes on with a resumed run: a new event file in `dir`, which tells TensorBoard to drop what earlier files say about
    /// `step` and later steps. `step` is the first step that will be written again: the checkpoint's plus one.
    pub fn append(dir: &Path, wall: f64, step: u64) -> Result<Self, ReportError> {
        let mut writer = Self::open(dir, wall)?;
        let start = Message::new().unsigned(session_log::STATUS, session_log::START);
        writer.write(&moment(step, wall).message(event::SESSION_LOG, &start))?;
        Ok(writer)
    }

    /// The file that is being written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records a number; TensorBoard groups tags by what stands before the first `/`.
    pub fn scalar(&mut self, step: u64, wall: f64, tag: &str, value: f64) -> Result<(), ReportError> {
        #[expect(clippy::cast_possible_truncation, reason = "the format has single precision only")]
        let value = Message::new().string(value::TAG, tag).float(value::SIMPLE_VALUE, value as f32);
        self.summary(step, wall, &value)
    }

    /// Records a picture, the bytes of a PNG file; its size is read from there.
    pub fn image(&mut self, step: u64, wall: f64, tag: &str, png: &[u8]) -> Result<(), ReportError> {
        let head = PngHead::read(png).ok_or_else(|| ReportError::NotPng { tag: tag.to_owned() })?;
        let image = Message::new()
            .unsigned(image::HEIGHT, head.height.into())
            .unsigned(image::WIDTH, head.width.into())
            .unsigned(image::COLORSPACE, head.channels.into())
            .bytes(image::ENCODED, png);
        self.summary(step, wall, &Message::new().string(value::TAG, tag).message(value::IMAGE, &image))
    }

    /// Records a text, which TensorBoard shows as Markdown.
    pub fn text(&mut self, step: u64, wall: f64, tag: &str, text: &str) -> Result<(), ReportError> {
        let plugin = Message::new().string(metadata::PLUGIN_NAME, "text");
        let metadata = Message::new()
            .message(metadata::PLUGIN_DATA, &plugin)
            .unsigned(metadata::DATA_CLASS, metadata::DATA_CLASS_TENSOR);
        let tensor = Message::new()
            .unsigned(tensor::DTYPE, tensor::DT_STRING)
            .message(tensor::SHAPE, &Message::new())
            .string(tensor::STRING_VALUE, text);
        let value =
            Message::new().string(value::TAG, tag).message(value::TENSOR, &tensor).message(value::METADATA, &metadata);
        self.summary(step, wall, &value)
    }

    /// Hands everything written so far to the operating system, so that a running TensorBoard sees it.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush().map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }

    fn summary(&mut self, step: u64, wall: f64, value: &Message) -> Result<(), ReportError> {
        let summary = Message::new().message(summary::VALUE, value);
        self.write(&moment(step, wall).message(event::SUMMARY, &summary))
    }

    fn write(&mut self, event: &Message) -> Result<(), ReportError> {
        record::write(&mut self.file, event.as_bytes())
            .map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }
}

fn moment(step: u64, wall: f64) -> Message {
    Message::new().double(event::WALL_TIME, wall).unsigned(event::STEP, step)
}

/// A file that did not exist before. TensorBoard reads the files of a folder in the order of their names, so the time comes
/// first with a fixed width, and a second file within a second gets a suffix. Where TensorFlow writes the name of the host,
/// which would tell strangers about the machine, stands the writer's.
fn create(dir: &Path, wall: f64) -> io::Result<(PathBuf, File)> {
    fs::create_dir_all(dir)?;
    let mut name = format!("events.out.tfevents.{:010.0}.homeostat", wall.floor());
    for again in 1_u32.. {
        let path = dir.join(&name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (path, file)),
        }
        name = format!("events.out.tfevents.{:010.0}.homeostat.{again:04}", wall.floor());
    }
    unreachable!("more files than a folder can hold")
}

/// Field numbers of `event.proto`.
mod event {
    pub(super) const WALL_TIME: u32 = 1;
    pub(super) const STEP: u32 = 2;
    pub(super) const FILE_VERSION: u32 = 3;
    pub(super) const SUMMARY: u32 = 5;
    pub(super) const SESSION_LOG: u32 = 7;
}

/// `SessionLog` in `event.proto`.
mod session_log {
    pub(super) const STATUS: u32 = 1;
    pub(super) const START: u64 = 1;
}

/// `Summary` in `summary.proto`.
mod summary {
    pub(super) const VALUE: u32 = 1;
}

/// `Summary.Value` in `summary.proto`.
mod value {
    pub(super) const TAG: u32 = 1;
    pub(super) const SIMPLE_VALUE: u32 = 2;
    pub(super) const IMAGE: u32 = 4;
    pub(super) const TENSOR: u32 = 8;
    pub(super) const METADATA: u32 = 9;
}

/// `Summary.Image` in `summary.proto`.
mod image {
    pub(super) const HEIGHT: u32 = 1;
    pub(super) const WIDTH: u32 = 2;
    pub(super) const COLORSPACE: u32 = 3;
    pub(super) const ENCODED: u32 = 4;
}

/// `SummaryMetadata` in `summary.proto`.
mod metadata {
    pub(super) const PLUGIN_DATA: u32 = 1;
    pub(super) const PLUGIN_NAME: u32 = 1;
    pub(super) const DATA_CLASS: u32 = 4;
    pub(super) const DATA_CLASS_TENSOR: u64 = 2;
}

/// `TensorProto` in `tensor.proto`.
mod tensor {
    pub(super) const DTYPE: u32 = 1;
    pub(super) const DT_STRING: u64 = 7;
    pub(super) const SHAPE: u32 = 2;
    pub(super) const STRING_VALUE: u32 = 8;
}
