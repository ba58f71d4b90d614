//! `homeostat config`: shows or checks an experiment without running it.

use std::io::Write;

use super::Done;
use crate::{args, cli::Config};

pub(crate) fn run(arguments: &Config) -> anyhow::Result<Done> {
    let mut out = std::io::stdout().lock();
    match arguments {
        Config::Show { experiment, json } => {
            let resolved = args::experiment(experiment)?;
            if *json {
                writeln!(out, "{}", resolved.show_json())?;
            } else {
                write!(out, "{}", resolved.show())?;
            }
        }
        Config::Check { experiment } => {
            args::experiment(experiment)?;
            writeln!(out, "{} is right as far as it can be told without data", experiment.experiment)?;
        }
    }
    Ok(Done::Well)
}
