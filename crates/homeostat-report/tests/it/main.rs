//! The promises of the page and of the event files.

#![allow(clippy::cast_possible_truncation, reason = "the numbers of the tests are small")]

mod page;
mod sample;
mod tensorboard;
