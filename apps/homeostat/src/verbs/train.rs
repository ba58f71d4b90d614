//! `homeostat train`: makes a run of an experiment.

use std::{io::Write, path::Path};

use homeostat_experiment::{Outcome, train};

use super::{Done, table::figures_line};
use crate::{
    args,
    cli::{Output, Train},
    progress::Progress,
};

pub(crate) fn run(arguments: &Train) -> anyhow::Result<Done> {
    let resolved = args::experiment(&arguments.experiment)?;
    args::with_setting(&arguments.place, |setting| {
        let when = args::now();
        let mut progress = Progress::new(arguments.output);
        let ended = train(resolved, (&arguments.out, &when), setting, &mut |stage| progress.observe(&stage));
        progress.finish()?;
        let (run, outcome) = ended?;
        conclude(&run, &outcome, arguments.output)
    })
}

/// Says how a run ended, and what may be typed next.
pub(super) fn conclude(run: &Path, outcome: &Outcome, output: Output) -> anyhow::Result<Done> {
    let path = run.display();
    let mut out = std::io::stdout().lock();
    match outcome {
        Outcome::Interrupted => {
            if !output.quiet {
                writeln!(std::io::stderr(), "stopped, with a checkpoint; to go on: homeostat resume {path}")?;
            }
            Ok(Done::Interrupted)
        }
        Outcome::Finished(result) => {
            if output.json {
                writeln!(
                    out,
                    "{}",
                    serde_json::json!({ "event": "finished", "run": path.to_string(), "result": result })
                )?;
            } else if !output.quiet {
                let measured = if result.test.is_empty() { ("valid", &result.valid) } else { ("test", &result.test) };
                writeln!(out, "{}  {}  in {:.1} s", measured.0, figures_line(measured.1), result.seconds)?;
                writeln!(out, "run    {path}")?;
                writeln!(out, "report {path}/report.html")?;
                writeln!(
                    out,
                    "next   homeostat predict {path} FILE...   homeostat verify {path}   homeostat runs compare"
                )?;
            }
            Ok(Done::Well)
        }
    }
}
