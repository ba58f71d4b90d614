//! What can go wrong: event files meet the disk. Writing the page cannot fail.

use std::{io, path::PathBuf};

/// Why an event file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The disk refused.
    #[error("cannot write the TensorBoard events {path}: {source}")]
    Write {
        /// The event file or its folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An image's bytes are not a PNG file.
    #[error("the image '{tag}' for TensorBoard is not a PNG file: encode it as PNG first")]
    NotPng {
        /// The tag under which it was to appear.
        tag: String,
    },
}
