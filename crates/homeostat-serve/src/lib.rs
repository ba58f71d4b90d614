//! Artifacts as a service: the Open Inference Protocol, batching, admission, reload, metrics.
//!
//! [`app`] is all that is served to clients over HTTP, without a socket, and [`apps`] that with gRPC; [`Server`] brings them to sockets and stops it without
//! losing a request. An [`Engine`] has the models by name and answers [`homeostat_protocol`]'s requests; it is the one face that HTTP and gRPC
//! talk to. A [`Source`] says where models lie.
//!
//! It does not know the training loop, nor which task a model has.

mod budget;
mod door;
mod engine;
mod error;
mod generation;
pub mod grpc;
mod http;
mod keys;
mod loaded;
mod metrics;
mod model;
mod pace;
mod server;
mod source;
mod tls;
mod traces;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use engine::Engine;
pub use error::ServeError;
pub use http::{Apps, HttpOptions, app, apps};
pub use keys::{Keys, Rate, parse_rate};
pub use loaded::{Opening, Wrap};
pub use metrics::Metrics;
pub use server::{Addresses, Server, ServerError, ServerOptions, serve};
pub use source::{Source, SourceError, Traffic};
pub use tls::Tls;
pub use traces::{Collector, CollectorError};

/// A panic elsewhere leaves what is behind our locks whole: nothing there is changed by halves.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn written<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
