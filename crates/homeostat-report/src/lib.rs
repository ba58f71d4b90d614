//! A run as a page for people and as TensorBoard event files, and data as a page.
//!
//! ```
//! use homeostat_report::{Headline, Point, Report, Series, Value};
//!
//! let loss = |step: u64, value| Point { step, epoch: step as f64 / 45.0, value };
//! let report = Report {
//!     title: "digits".into(),
//!     headlines: vec![Headline { label: "test accuracy".into(), value: Value::Share(0.9889), note: String::new() }],
//!     curves: vec![Series { name: "loss".into(), part: "train".into(), points: vec![loss(1, 2.3), loss(45, 0.4)] }],
//!     ..Report::default()
//! };
//! let page = report.render(); // one file: nothing in it is fetched from elsewhere
//! assert!(page.starts_with("<!doctype html>") && page.contains("98.89"));
//! ```
//!
//! [`tensorboard::EventWriter`] writes the same run for [TensorBoard](https://www.tensorflow.org/tensorboard) while it goes on.
//!
//! What it does not know: where the data comes from, how it was measured, and the rest of the run's directory.

mod data_report;
mod error;
mod page;
mod png;
mod report;
pub mod tensorboard;

pub use data_report::{AlikeSection, DataReport, Histogram, PictureRow};
pub use error::ReportError;
pub use report::{
    ClassRow, Classification, Command, DataSummary, Decision, Headline, LengthRow, Lengths, Mistake, Picture, Point,
    Reliability, ReliabilityBin, Report, Series, Shown, Skipped, State, Value, Written,
};
