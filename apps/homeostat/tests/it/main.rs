//! The command line from outside: the real program, in a folder of its own, judged by what it prints, leaves and returns.
#![expect(clippy::unwrap_used, reason = "functions beside the tests unwrap, too")]
#![expect(clippy::cast_possible_truncation, reason = "pixels are cut to bytes")]

mod broken_data;
mod broken_runs;
mod broken_texts;
mod devices_and_disks;
mod language;
mod models;
mod page;
mod pictures;
mod place;
mod resuming;
mod serving;
mod settings;
mod signals;
mod texts;
mod training;
mod verbs;
