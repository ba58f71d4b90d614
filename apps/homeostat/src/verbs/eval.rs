//! `homeostat eval`: measures a run, or several alone and together.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::atomic::AtomicBool,
};

use homeostat_artifact::Run;
use homeostat_data::TestViews;
use homeostat_experiment::{Ensemble, Evaluation, Experiment, evaluate_ensemble, evaluate_run};
use serde_json::{Value, json};

use super::{
    Done,
    table::{print_figures, print_samples, print_table},
};
use crate::{
    args::{self, Known},
    cli::{Eval, Tta},
};

pub(crate) fn run(arguments: &Eval) -> anyhow::Result<Done> {
    let runs = arguments.runs.iter().map(|run| Run::open(run)).collect::<Result<Vec<_>, _>>()?;
    let known = Known::of(&runs[0])?;
    let roots = arguments.place.roots.find()?.or(known.data_root.clone());
    let source = |word| args::source_like(&Experiment::of_run(&runs[0])?.load()?.value, word, &roots);
    let source = arguments.data.as_deref().map(source).transpose()?;
    let tta = arguments.tta.map(|views| match views {
        Tta::Mirror => TestViews::Mirror,
        Tta::FiveCrop => TestViews::FiveCrop,
    });
    // Any device will do to measure with; to go on, only the one that it began on.
    let known = Known { device: None, ..known };
    let part = if arguments.data.is_some() { "data" } else { "test" };
    args::with_setting(&arguments.place, known, &AtomicBool::new(false), |setting| {
        let mut out = io::stdout().lock();
        let (evaluation, members) = match runs.as_slice() {
            [run] => (evaluate_run(run, source, tta, setting)?, Vec::new()),
            _ => {
                let Ensemble { members, together } = evaluate_ensemble(&runs, source.as_ref(), tta, setting)?;
                (together, members)
            }
        };
        if arguments.output.json {
            let mut value = as_json(&evaluation);
            if !members.is_empty() {
                let members = arguments.runs.iter().zip(&members);
                let members = members.map(|(run, member)| json!({ "run": run, "figures": member.figures }));
                value["members"] = members.collect::<Vec<_>>().into();
            }
            writeln!(out, "{value}")?;
        } else if !arguments.output.quiet {
            if !members.is_empty() {
                print_members(&mut out, &arguments.runs, &members)?;
            }
            print_evaluation(&mut out, part, &evaluation)?;
        }
        Ok(Done::Well)
    })
}

fn as_json(evaluation: &Evaluation) -> Value {
    let Evaluation { figures, samples, known, skipped } = evaluation;
    json!({ "figures": figures, "samples": samples, "known": known, "skipped": skipped })
}

/// A row a run; the figures of all together come below.
fn print_members(out: &mut dyn Write, runs: &[PathBuf], members: &[Evaluation]) -> io::Result<()> {
    let names = members.first().map(|member| member.figures.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let header: Vec<&str> = ["run"].into_iter().chain(names.unwrap_or_default()).collect();
    let row = |(run, member): (&PathBuf, &Evaluation)| {
        let figures = member.figures.iter().map(|(_, value)| format!("{value:.4}"));
        [run.display().to_string()].into_iter().chain(figures).collect()
    };
    print_table(out, &header, &runs.iter().zip(members).map(row).collect::<Vec<_>>())?;
    writeln!(out, "the mean of their probabilities:")
}

fn print_evaluation(out: &mut dyn Write, part: &str, evaluation: &Evaluation) -> io::Result<()> {
    print_figures(out, part, &evaluation.figures)?;
    print_samples(out, &evaluation.figures, evaluation.samples as u64)?;
    for (count, why) in [
        (evaluation.known, "the run has learnt from them, or was chosen by them"),
        (evaluation.skipped.len(), "they cannot be used"),
    ] {
        if count > 0 {
            writeln!(out, "without {count} samples: {why}")?;
        }
    }
    Ok(())
}
