//! Bytes into samples, samples into inputs, on the host.
