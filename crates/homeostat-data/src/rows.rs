//! Reading some samples of a source, and what becomes of those that are broken. It does not know batches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DataError, Image, Source};

/// What is done about a sample that is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnCorrupt {
    /// The run ends with an error that names the sample.
    #[default]
    Error,
    /// The sample is left out, counted, and listed in the report.
    Skip,
}

/// A sample that was left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The samples that could be read.
#[derive(Debug, Default)]
pub struct Rows {
    /// The number of each sample in its source.
    pub indices: Vec<usize>,
    /// Its picture.
    pub images: Vec<Image>,
    /// Those that could not be read.
    pub skipped: Vec<Skipped>,
}

impl Rows {
    /// Reads these samples in this order.
    ///
    /// # Errors
    /// The first [`DataError::Corrupt`] unless those are skipped, and any other error in either case: a disk that fails is not a
    /// broken sample.
    pub fn read(source: &Source, indices: &[usize], on_corrupt: OnCorrupt) -> Result<Self, DataError> {
        let mut rows = Self::default();
        for &i in indices {
            match source.get(i) {
                Ok(image) => {
                    rows.indices.push(i);
                    rows.images.push(image);
                }
                Err(DataError::Corrupt { name, why }) if on_corrupt == OnCorrupt::Skip => {
                    rows.skipped.push(Skipped { name, reason: why });
                }
                Err(DataError::Corrupt { name, why }) => {
                    let why = format!(
                        "{why}; mend or remove it{}, or leave such samples out with data.on-corrupt=skip",
                        source.folder().map_or_else(String::new, |folder| format!(" in {}", folder.display()))
                    );
                    return Err(DataError::Corrupt { name, why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }
}
