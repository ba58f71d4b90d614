//! What the benches share.

pub mod transformer;
