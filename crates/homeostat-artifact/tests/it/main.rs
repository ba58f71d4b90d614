//! The promises of `homeostat-artifact`, on folders that each test makes for itself.
#![allow(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

mod artifact;
mod atomic;
mod checkpoints;
mod documents;
mod run;

/// The message, which must be one line.
fn line(error: &homeostat_artifact::ArtifactError) -> String {
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}
