//! `homeostat eval`: measures a run.

use std::{io::Write, sync::atomic::AtomicBool};

use homeostat_artifact::Run;
use homeostat_experiment::evaluate_run;

use super::{Done, table::print_figures};
use crate::{args, cli::Eval};

pub(crate) fn run(arguments: &Eval) -> anyhow::Result<Done> {
    let run = Run::open(&arguments.run)?;
    let source = arguments.data.as_deref().map(args::source).transpose()?;
    args::with_setting(&arguments.place, &AtomicBool::new(false), |setting| {
        let evaluation = evaluate_run(&run, source, setting)?;
        let mut out = std::io::stdout().lock();
        if arguments.output.json {
            let value = serde_json::json!({ "figures": evaluation.figures, "samples": evaluation.samples, "left_out": evaluation.left_out });
            writeln!(out, "{value}")?;
        } else if !arguments.output.quiet {
            let left_out = match evaluation.left_out {
                0 => String::new(),
                count => format!(", {count} left out since the run has learnt from them"),
            };
            print_figures(&mut out, "test", &evaluation.figures)?;
            writeln!(out, "on      {} samples{left_out}", evaluation.samples)?;
        }
        Ok(Done::Well)
    })
}
