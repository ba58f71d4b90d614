//! The promises of the loop and of its parts.
#![expect(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

mod gradients;
mod learning;
mod limits;
mod lora;
mod optimizer;
mod resume;
mod schedule;
mod settings;
mod toy;
mod transfer;
