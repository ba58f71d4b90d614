//! Artifacts as a service: the Open Inference Protocol, batching, admission, reload, metrics.
//!
//! An [`Engine`] has the models by name and answers [`homeostat_protocol`]'s requests; it is the one face that HTTP and gRPC
//! talk to. A [`Source`] says where models lie.
//!
//! It does not know the training loop, nor which task a model has.

mod door;
mod engine;
mod error;
pub mod grpc;
mod loaded;
mod metrics;
mod model;
mod source;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use engine::Engine;
pub use error::ServeError;
pub use loaded::Opening;
pub use metrics::Metrics;
pub use source::{Source, SourceError, Traffic};

/// A panic elsewhere leaves what is behind our locks whole: nothing there is changed by halves.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn written<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
