//! The directory that training leaves and serving opens: whole after any crash, and able to tell if a byte has changed.
//!
//! ```
//! use homeostat_artifact::{Artifact, ArtifactError, Golden, Parts, Run, RunState, Weights};
//!
//! # let root = tempfile::tempdir()?;
//! # let root = root.path();
//! let run = Run::create(root, "digits", "2026-11-23T17-13-05Z", "seed = 1\n")?;
//! run.checkpoints()?.save(120, None, |folder| {
//!     std::fs::write(folder.join("model.safetensors"), b"weights").map_err(ArtifactError::write(folder))
//! })?;
//! let parts = Parts {
//!     kind: "image-classification".into(),
//!     created: "2026-11-23T17:14:35Z".into(),
//!     task: "classes = [\"0\", \"1\"]\n".into(),
//!     model: Weights::File(run.checkpoints()?.latest()?.expect("saved above").file("model.safetensors")?),
//!     assets: [].into(),
//!     golden: vec![Golden { name: "0001".into(), request: b"PNG".into(), answer: [0.1, 0.9].to_vec().into() }],
//! };
//! Artifact::publish(&run.artifact_dir(), &parts)?;
//!
//! let artifact = Artifact::open(&root.join("latest"))?; // checks every byte
//! assert_eq!(artifact.kind(), "image-classification");
//! assert_eq!(artifact.golden()?[0].answer[1], 0.9);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! It does not know Burn, tensors or what the files mean, and no clock: times are handed in. It is written for Unix: links, and
//! folders that can be synced.

mod artifact;
pub mod atomic;
mod checkpoints;
mod digest;
mod error;
#[cfg(test)]
mod faults;
mod figures;
mod json_lines;
mod manifest;
mod metrics_line;
mod provenance;
mod run;
mod run_result;

pub use artifact::{Artifact, Golden, Parts, Weights};
pub use checkpoints::{Checkpoint, Checkpoints};
pub use digest::{sha256, sha256_stream};
pub use error::ArtifactError;
pub use figures::Figures;
pub use metrics_line::{MetricsLine, Part};
pub use provenance::{Hashes, Provenance};
pub use run::{LogLengths, Run, RunProgress, RunSummary, RunWriter};
pub use run_result::{Best, RunResult, RunState, Samples};
