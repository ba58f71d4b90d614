//! The protocol over HTTP: the body of a request becomes an [`InferRequest`], an [`InferResponse`] a body. It does not know
//! HTTP itself, and not the model beyond what its metadata say.
//!
//! A body is JSON, or JSON with the tensors' bytes behind it (the binary tensor data extension); with a header length of zero
//! it is the bytes of the one input alone.

mod decode;
mod encode;
mod raw;

pub use decode::{HEADER_LENGTH, decode_request};
pub use encode::{Encoded, OutputForms, encode_response};
