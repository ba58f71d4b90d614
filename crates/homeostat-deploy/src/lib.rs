//! An artifact answers requests: bytes in, the same `read`, `prepare` and `collate` as in training, an answer out.
//!
//! [`Predictor`] is a task with its weights; [`Endpoint`] is the same without its types, for whoever serves several;
//! [`OpenEndpoint`] makes one from an artifact; [`verify`] replays an artifact's golden requests.
//!
//! It does not know the training loop, HTTP, or which task it is.

mod error;
mod predictor;
mod verify;

pub use error::DeployError;
pub use predictor::{Endpoint, OpenEndpoint, Predictor, published};
pub use verify::{MERGED_TOLERANCE, TOLERANCE, Verified, verify, verify_merged};
