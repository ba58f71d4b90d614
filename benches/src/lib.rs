//! What the benches share.

pub mod resnet;
