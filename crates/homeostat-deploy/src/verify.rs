//! The artifact checks itself: its golden requests go through the whole serving path again. It does not know why one
//! would ask: a server's start, a new backend, an upgrade.

use homeostat_artifact::{Artifact, Golden};
use serde_json::Value;

use crate::{DeployError, Endpoint};

/// How far a probability may be from what it was at the end of training. Backends add numbers in different orders, which
/// moves a float32 probability by some 1e-6; a changed step of the preparation moves it by far more than this.
pub const TOLERANCE: f64 = 1e-4;

/// How far a probability may move when changes of low rank are merged into the weights; beyond that they are not published.
pub const MERGED_TOLERANCE: f64 = 1e-5;

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Golden requests that were answered as at the end of training.
    pub requests: usize,
}

/// Replays the golden requests of an artifact, each by itself and all in one batch.
///
/// # Errors
/// An answer differs by more than [`TOLERANCE`], a request is refused, or there are none.
pub fn verify(endpoint: &dyn Endpoint, artifact: &Artifact) -> Result<Verified, DeployError> {
    let path = || artifact.path().display().to_string();
    let golden = artifact.golden()?;
    if golden.is_empty() {
        return Err(DeployError::NoGolden { path: path() });
    }
    match difference(endpoint, &golden, TOLERANCE) {
        Some(Difference { name, expected, found }) => Err(DeployError::Golden { path: path(), name, expected, found }),
        None => Ok(Verified { requests: golden.len() }),
    }
}

/// Asks a network whose changes of low rank stand apart for the answers of the one into which they are merged.
///
/// # Errors
/// An answer differs by more than [`MERGED_TOLERANCE`].
pub fn verify_merged(apart: &dyn Endpoint, merged: &[Golden]) -> Result<(), DeployError> {
    match difference(apart, merged, MERGED_TOLERANCE) {
        Some(Difference { name, expected, found }) => Err(DeployError::Merged { name, merged: expected, apart: found }),
        None => Ok(()),
    }
}

/// A request that is answered otherwise.
struct Difference {
    name: String,
    expected: String,
    found: String,
}

/// The first of these requests that is answered otherwise, alone or with the others.
fn difference(endpoint: &dyn Endpoint, golden: &[Golden], tolerance: f64) -> Option<Difference> {
    let requests: Vec<&[u8]> = golden.iter().map(|golden| golden.request.as_slice()).collect();
    let together = endpoint.answer(&requests);
    let alone = requests.iter().flat_map(|request| endpoint.answer(&[request]));
    let pairs = golden.iter().zip(together.into_iter().zip(alone));
    let mut answers = pairs.flat_map(|(golden, (together, alone))| [(golden, together), (golden, alone)]);
    answers.find_map(|(golden, found)| {
        if found.as_ref().is_ok_and(|found| endpoint.agree(&golden.answer, found, tolerance)) {
            return None;
        }
        let found = found.map_or_else(|error| format!("with the error \"{error}\""), |answer| brief(&answer));
        Some(Difference { name: golden.name.clone(), expected: brief(&golden.answer), found })
    })
}

/// An answer, cut to what fits a line.
fn brief(answer: &Value) -> String {
    let text = answer.to_string();
    match text.char_indices().nth(120) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None => text,
    }
}
