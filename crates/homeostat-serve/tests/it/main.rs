//! The promises of `homeostat-serve`: the router in process, and real sockets where a life begins and ends.
#![allow(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]

mod admission;
mod batching;
mod generate;
mod grpc;
mod lifecycle;
mod malformed;
mod operations;
mod people;
mod place;
mod repository;
mod strangers;
mod tls;
mod traces;
mod v2;
