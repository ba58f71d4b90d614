//! The promises of the crate, on made-up traces. Nothing here knows a network.

mod config;
mod early_stop;
mod guard;
mod latency;
mod log;
mod plateau;
mod trace;
