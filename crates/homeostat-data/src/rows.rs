//! Reading some samples of a source, and what becomes of those that are broken. It does not know batches.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::printable;
use crate::image::one_line;
use crate::{DataError, Image, Source, Store};

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

impl OnCorrupt {
    /// What becomes of a broken sample: an error that says how to mend it, or an entry in the list of what is left out.
    pub(crate) fn judge(self, name: &str, why: &str, folder: Option<&Path>) -> Result<Skipped, DataError> {
        let (name, why) = (printable(name), one_line(why));
        match self {
            Self::Skip => Ok(Skipped { name, reason: why }),
            Self::Error => {
                let place = folder.map_or_else(String::new, |folder| format!(" in {}", folder.display()));
                let how = "or leave such samples out with data.on-corrupt=skip";
                Err(DataError::Corrupt { name, why: format!("{why}; mend or remove it{place}, {how}") })
            }
        }
    }
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
#[derive(Debug)]
pub struct Rows<T = Image> {
    /// The number of each sample in its source.
    pub indices: Vec<usize>,
    /// Its picture or text.
    pub samples: Vec<T>,
    /// Those that could not be read.
    pub skipped: Vec<Skipped>,
}

impl<T> Rows<T> {
    /// Reads these samples in this order.
    ///
    /// # Errors
    /// The first [`DataError::Corrupt`] unless those are skipped, and any other error in either case: a disk that fails is not a
    /// broken sample.
    pub fn read<S: Store<Sample = T>>(
        source: &Source<S>,
        indices: &[usize],
        on_corrupt: OnCorrupt,
    ) -> Result<Self, DataError> {
        let mut rows = Self { indices: Vec::new(), samples: Vec::new(), skipped: Vec::new() };
        for &i in indices {
            match source.get(i) {
                Ok(sample) => {
                    rows.indices.push(i);
                    rows.samples.push(sample);
                }
                Err(DataError::Corrupt { name, why }) => {
                    rows.skipped.push(on_corrupt.judge(&name, &why, source.folder())?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }
}
