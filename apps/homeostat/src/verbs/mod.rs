//! The verbs, one file each. It does not know how arguments are parsed.

mod compare;
mod config;
mod data;
mod devices;
mod eval;
mod export;
mod fetch;
mod generate;
mod init;
mod inspect;
mod models;
mod pack;
mod predict;
mod resume;
mod runs;
mod sample;
mod search;
mod serve;
mod table;
mod train;
mod verify;

use std::io::Write;

use clap::CommandFactory;

use crate::cli::{Cli, Verb};

/// Says once how many texts have more than so many tokens, and what they lose: their beginnings or their ends.
fn warn_of_cut(count: usize, (all, what): (usize, &str), (most, lost): (usize, &str)) {
    if count > 0 {
        tracing::warn!("{count} of {all} {what} have more than {most} tokens: their {lost} are cut off");
    }
}

/// How a verb ended, if not by an error.
pub(crate) enum Done {
    /// As it should.
    Well,
    /// By a signal, with a checkpoint.
    Interrupted,
}

/// The whole program.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<Done> {
    match &cli.verb {
        Verb::Train(args) => train::run(args),
        Verb::Init(args) => init::run(args),
        Verb::Resume(args) => resume::run(args),
        Verb::Eval(args) => eval::run(args),
        Verb::Predict(args) => predict::run(args),
        Verb::Sample(args) => sample::run(args),
        Verb::Generate(args) => generate::run(args),
        Verb::Search(args) => search::run(args),
        Verb::Verify(args) => verify::run(args),
        Verb::Serve(args) => serve::run(args, cli.common.threads),
        Verb::Runs(args) => runs::run(args),
        Verb::Config(args) => config::run(args),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Data(args) => data::run(args),
        Verb::Models(args) => models::run(args),
        Verb::Devices(output) => devices::run(*output),
        Verb::Completions { shell } => {
            // In memory first: the generator panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "homeostat", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(Done::Well)
        }
    }
}
