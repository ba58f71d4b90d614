//! An artifact answers requests: bytes in, the same `read`, `prepare` and `collate` as in training, an answer out.
//!
//! [`Predictor`] is a task with its weights; [`Endpoint`] is the same without its types, for whoever serves several;
//! [`OpenEndpoint`] makes one from an artifact; [`verify`] replays an artifact's golden requests. A [`Batcher`] puts queries of
//! many callers together: one thread owns an instance of the network, and the queue before it is bounded.
//!
//! [`TextIndex`] has texts with the vectors that an endpoint gives them.
//!
//! It does not know the training loop, HTTP, or which task it is.

mod batcher;
mod error;
mod predictor;
mod query;
mod serve;
mod text_index;
mod verify;

pub use batcher::{
    Answer, BatchSpent, Batcher, BatcherConfig, Failure, Health, Job, Pressure, QueueLevel, Spent, Statistics, Ticket,
};
pub use error::DeployError;
pub use predictor::{Endpoint, OpenEndpoint, Predictor, published};
pub use query::{Phases, Query, Reply, Served};
pub use text_index::{Found, IndexRow, TextIndex};
pub use verify::{MERGED_TOLERANCE, TOLERANCE, Verified, verify, verify_merged};
