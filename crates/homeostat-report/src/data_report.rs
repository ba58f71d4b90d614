//! The input of a page about data: what was counted, as plain data. It does not know how the page looks, nor who counted.

use crate::{Command, DataSummary, Headline, Picture, Skipped};

/// What is in a data set, ready to be written as one page with [`DataReport::render`]. An empty list leaves its section out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataReport {
    /// The name of the data, the page's headline.
    pub title: String,
    /// When they were looked at, as a person reads it.
    pub when: String,
    /// The few figures that stand large at the top, the most telling one first.
    pub headlines: Vec<Headline>,
    /// What is suspicious, a sentence each, the gravest first.
    pub doubts: Vec<String>,
    /// The number of samples by class and part.
    pub classes: DataSummary,
    /// Samples, a row a class.
    pub samples: Vec<PictureRow>,
    /// How numbers are spread.
    pub histograms: Vec<Histogram>,
    /// Everything else that is a name and a value.
    pub facts: Vec<(String, String)>,
    /// Samples that are the same or almost, a section for each way in which that matters.
    pub alike: Vec<AlikeSection>,
    /// Samples that are broken or missing.
    pub broken: Vec<Skipped>,
    /// What to do with the data now.
    pub next: Vec<Command>,
}

/// Pictures under a title. One without a picture is a text, and its caption the text itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureRow {
    /// What they have in common.
    pub title: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
}

/// How a number is spread over the samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The number: "height".
    pub title: String,
    /// A range and how many samples lie in it.
    pub bins: Vec<(String, u64)>,
}

/// Samples that are the same or almost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlikeSection {
    /// The section's title.
    pub title: String,
    /// What that means, in a sentence.
    pub meaning: String,
    /// The groups that are shown.
    pub groups: Vec<PictureRow>,
    /// How many groups there are in all.
    pub all: u64,
}
