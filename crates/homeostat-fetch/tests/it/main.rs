//! The promises of `homeostat-fetch`, against a server on this machine that breaks off, lies and is slow.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, in its helpers, too")]

mod cache;
mod fetcher;
mod hub;
mod server;
