//! The promises of `homeostat-config`, on a made-up configuration.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may fail, and takes low bits at random"
)]

mod errors;
mod experiment;
mod layers;
mod manual;
mod round_trip;
mod show;
