//! The command line: arguments, signals, and one file a verb. What a verb does is in the crates.

mod args;
mod cli;
mod interrupt;
mod progress;
mod slip;
mod threads;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a shell expects of a program that was stopped by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    homeostat_kernels::keep_freed_memory();
    homeostat_data::hush_caught_panics();
    let cli = cli::Cli::try_parse().unwrap_or_else(|error| slip::explain(&error));
    let run = || cli.start_log().and_then(|()| threads::within(cli.common.threads, || verbs::run(&cli)));
    match run() {
        Ok(verbs::Done::Well) => ExitCode::SUCCESS,
        Ok(verbs::Done::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) if closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of our output has gone (`homeostat runs list | head`): no error of ours.
fn closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
