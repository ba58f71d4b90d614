//! What the benches share.

pub mod resnet;
pub mod transformer;
