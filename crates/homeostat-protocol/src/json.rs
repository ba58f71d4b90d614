//! JSON, read straight into what is wanted and written straight from it. It does not know the protocol.
//!
//! A document tree costs an allocation and a match a number; a request has thousands of numbers.

mod number;
mod reader;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use writer::{write_f32, write_f64, write_integer, write_string};
