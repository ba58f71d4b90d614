//! Files from the network into the cache: whole, checked, and resumed where a transfer broke.
//!
//! ```no_run
//! use std::path::Path;
//! use homeostat_fetch::{FetchOptions, Fetcher, Remote};
//!
//! let remote = Remote {
//!     name: "notes.txt".into(),
//!     urls: vec!["https://example.org/notes.txt".into(), "https://example.com/mirror/notes.txt".into()],
//!     sha256: None,
//!     bytes: None,
//! };
//! let path = Fetcher::new(FetchOptions::default()).file(&remote, Path::new("/tmp/notes"), &mut |_| {})?;
//! # Ok::<(), homeostat_fetch::FetchError>(())
//! ```
//!
//! It does not know Burn, any data set, any model, nor what is in a file.

mod cache;
mod error;
mod fetcher;
mod hub;
mod partial;
mod remote;
mod request;

pub use cache::Cache;
pub use error::{FetchError, Tried};
pub use fetcher::{FetchOptions, Fetcher, Progress};
pub use hub::{Hub, HubFile};
pub use remote::Remote;
