//! `homeostat eval`: measures a run.

use std::{io::Write, sync::atomic::AtomicBool};

use homeostat_artifact::Run;
use homeostat_data::TestViews;
use homeostat_experiment::evaluate_run;

use super::{
    Done,
    table::{print_figures, print_samples},
};
use crate::{
    args::{self, Known},
    cli::{Eval, Tta},
};

pub(crate) fn run(arguments: &Eval) -> anyhow::Result<Done> {
    let run = Run::open(&arguments.run)?;
    let roots = arguments.place.roots.find()?;
    let source = arguments.data.as_deref().map(|word| args::source(word, &roots)).transpose()?;
    let tta = arguments.tta.map(|views| match views {
        Tta::Mirror => TestViews::Mirror,
        Tta::FiveCrop => TestViews::FiveCrop,
    });
    // Any device will do to measure with; to go on, only the one that it began on.
    let known = Known { device: None, ..Known::of(&run)? };
    args::with_setting(&arguments.place, known, &AtomicBool::new(false), |setting| {
        let evaluation = evaluate_run(&run, source, tta, setting)?;
        let mut out = std::io::stdout().lock();
        if arguments.output.json {
            let value = serde_json::json!({ "figures": evaluation.figures, "samples": evaluation.samples, "known": evaluation.known, "skipped": evaluation.skipped });
            writeln!(out, "{value}")?;
        } else if !arguments.output.quiet {
            print_figures(&mut out, if arguments.data.is_some() { "data" } else { "test" }, &evaluation.figures)?;
            print_samples(&mut out, &evaluation.figures, evaluation.samples as u64)?;
            for (count, why) in [
                (evaluation.known, "the run has learnt from them, or was chosen by them"),
                (evaluation.skipped.len(), "they cannot be read"),
            ] {
                if count > 0 {
                    writeln!(out, "without {count} samples: {why}")?;
                }
            }
        }
        Ok(Done::Well)
    })
}
