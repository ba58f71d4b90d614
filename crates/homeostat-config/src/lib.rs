//! One TOML file plus typed overrides becomes a value that knows where each part came from.
//!
//! ```
//! use homeostat_config::{Layers, Origin};
//!
//! /// What to train.
//! #[derive(Clone, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
//! struct Run {
//!     /// The seed of everything random.
//!     seed: u32,
//!     /// How long to train.
//!     train: Train,
//! }
//!
//! /// How long to train.
//! #[derive(Clone, Debug, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
//! struct Train {
//!     /// The passes over the training split.
//!     epochs: usize,
//! }
//!
//! let layers = Layers::new().file("digits.toml", "seed = 7\n[train]\nepochs = 10\n");
//! let run = layers.clone().overrides(&["train.epochs=3"]).load::<Run>()?;
//! assert_eq!(run.value, Run { seed: 7, train: Train { epochs: 3 } });
//! assert_eq!(run.provenance.get("train.epochs"), &Origin::CommandLine);
//!
//! let error = layers.overrides(&["train.epoch=3"]).load::<Run>().unwrap_err();
//! assert_eq!(error.to_string(), "command line: unknown key `train.epoch`; did you mean `train.epochs`?");
//! # Ok::<(), homeostat_config::ConfigError>(())
//! ```
//!
//! [`Resolved::show`] prints every value with its origin, [`to_toml`] writes a value in full, and [`reference()`] makes
//! the page of the manual from the doc comments. This crate does not know what is configured: whether values make
//! sense together is for their owner to say. It opens no files.

mod assign;
mod check;
mod error;
mod layers;
mod nearest;
mod origin;
mod path;
mod reference;
mod resolved;
mod schema;
mod text;
mod tree;

pub use error::ConfigError;
pub use layers::{Config, Layers};
pub use nearest::nearest_names;
pub use origin::Origin;
pub use reference::reference;
pub use resolved::{Provenance, Resolved};
pub use text::{to_inline_toml, to_toml};
