//! The tests of the protocol: values, codecs, and what is refused.
#![allow(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod body;
mod classification;
mod codec;
mod fuzz;
mod generate;
mod malformed;
mod values;
