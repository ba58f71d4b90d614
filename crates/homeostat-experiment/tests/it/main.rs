//! The promises of `homeostat-experiment`: what a file says, what is chosen for it, and what a run leaves behind.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, in its helpers, too")]

mod choices;
mod draft;
mod embeddings;
mod experiments;
mod generation;
mod inspect;
mod language;
mod lora;
mod place;
mod recommendations;
mod reference;
mod resume;
mod run;
mod settings;
mod texts;
mod transfer;
