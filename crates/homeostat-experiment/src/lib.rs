//! The experiment: one file determines a run.
//!
//! ```
//! use homeostat_experiment::Experiment;
//!
//! let overrides = ["epochs=3", "model.cnn.hidden=[32]"];
//! let loaded = Experiment::builtin("digits")?.overrides(&overrides).load()?;
//! assert_eq!(loaded.value.train.epochs, 3);
//! # Ok::<(), homeostat_experiment::ExperimentError>(())
//! ```
//!
//! [`Experiment`] is the file; [`train`] makes a run of it, [`resume`] goes on with one, [`evaluate_run`] measures one,
//! [`inspect`] walks one sample through it, and [`draft`] writes one for data that were described. It does not know the server or the command line.

mod adapter;
mod conduct;
mod corpus_data;
mod data_config;
mod doubts;
mod draft;
mod embeddings;
mod ensemble;
mod error;
mod evaluate_run;
mod experiment;
mod generation;
mod image_examples;
mod images;
mod inspect;
mod interaction_data;
mod interaction_examples;
mod kind;
mod language;
mod own_figures;
mod pair_examples;
mod plan;
mod pretrained;
mod recommendations;
mod report_of_data;
mod report_of_run;
mod sheet;
mod sorting;
mod tensorboard;
mod text_data;
mod text_examples;
mod text_rows;
mod texts;
mod window_examples;

pub use conduct::{Outcome, Setting, Stage, resume, train};
pub use corpus_data::CorpusDataConfig;
pub use data_config::DataConfig;
pub use draft::{Draft, draft};
pub use ensemble::{Ensemble, evaluate_ensemble};
pub use error::ExperimentError;
pub use evaluate_run::{Evaluation, evaluate_run};
pub use experiment::{BUILTIN, Experiment, ExperimentText, reference_page};
pub use inspect::{Inspected, Inspection, inspect};
pub use interaction_data::InteractionDataConfig;
pub use report_of_data::{report_of_data, report_of_texts};
pub use sheet::sheet;
pub use text_data::{TextDataConfig, TokenizerSource};
pub use texts::training_texts;

/// The Rust code of the pages for people, compiled as doc tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/control.md")]
    struct Control;
}
