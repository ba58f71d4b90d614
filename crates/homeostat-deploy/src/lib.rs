//! An artifact answers requests: bytes in, the same `read`, `prepare` and `collate` as in training, an answer out.
//!
//! [`Predictor`] is a task with its weights; [`Endpoint`] is the same without its types, for whoever serves several;
//! [`OpenEndpoint`] makes one from an artifact; [`verify`] replays an artifact's golden requests. A [`Batcher`] puts queries of
//! many callers together: one thread owns an instance of the network, and the queue before it is bounded.
//!
//! [`Writers`] do the same for texts that are told while they are written.
//!
//! [`TextIndex`] has texts with the vectors that an endpoint gives them.
//!
//! It does not know the training loop, HTTP, or which task it is.

mod batcher;
mod error;
mod health;
mod predictor;
mod query;
mod serve;
mod text_index;
mod threads;
mod verify;
mod writers;

pub use batcher::{
    Answer, BatchSpent, Batcher, BatcherConfig, Failure, Job, Pressure, QueueLevel, Spent, Statistics, Ticket,
};
pub use error::DeployError;
pub use health::Health;
pub use predictor::{Endpoint, OpenEndpoint, Predictor, published};
pub use query::{Phases, Query, Reply, Served, Written};
pub use text_index::{Found, IndexRow, Nearest, TextIndex};
pub use threads::start_computing;
pub use verify::{MERGED_TOLERANCE, TOLERANCE, Verified, verify, verify_merged};
pub use writers::{Draft, Finished, Listener, Order, Outcome, Writers, WritersConfig, WritersLevel};
