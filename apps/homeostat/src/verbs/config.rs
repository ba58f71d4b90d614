//! `homeostat config`: shows or checks an experiment without running it.

use std::{io::Write, path::Path};

use homeostat_artifact::Run;

use super::Done;
use crate::{args, cli::Config};

pub(crate) fn run(arguments: &Config) -> anyhow::Result<Done> {
    let mut out = std::io::stdout().lock();
    match arguments {
        Config::Show { experiment, json: true } => writeln!(out, "{}", args::experiment(experiment)?.show_json())?,
        Config::Show { experiment, .. } => match Run::open(Path::new(&experiment.experiment)) {
            // It says itself where its values came from, also one that this version cannot read any more.
            Ok(run) if experiment.overrides.is_empty() => write!(out, "{}", run.experiment()?)?,
            _ => write!(out, "{}", args::experiment(experiment)?.show())?,
        },
        Config::Check { experiment } => {
            args::experiment(experiment)?;
            writeln!(out, "{} is right as far as it can be told without data", experiment.experiment)?;
        }
    }
    Ok(Done::Well)
}
