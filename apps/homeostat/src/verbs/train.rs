//! `homeostat train`: makes a run of an experiment.

use std::{
    io::{self, Write},
    path::Path,
};

use homeostat_artifact::{Artifact, RunResult};
use homeostat_experiment::{Outcome, train};

use super::{
    Done,
    table::{print_figures, print_samples, print_valid_samples},
};
use crate::{
    args::{self, Known},
    cli::{Output, Train},
    interrupt::Interrupt,
    progress::Progress,
};

pub(crate) fn run(arguments: &Train) -> anyhow::Result<Done> {
    let resolved = args::experiment(&arguments.experiment)?;
    let interrupt = Interrupt::listen()?;
    args::with_setting(&arguments.place, Known::default(), &interrupt.stop, |setting| {
        let when = args::now();
        let mut progress = Progress::new(arguments.output);
        let ended = train(resolved, (&arguments.out, &when), setting, &mut |stage| {
            interrupt.observe(&stage);
            progress.observe(&stage);
        });
        // How the training ended is of more weight than that nobody listened.
        let written = progress.finish();
        let (run, outcome) = ended?;
        written?;
        conclude(&run, &outcome, arguments.output)
    })
}

/// Says how a run ended, and what may be typed next.
pub(super) fn conclude(run: &Path, outcome: &Outcome, output: Output) -> anyhow::Result<Done> {
    let path = run.display();
    let mut out = io::stdout().lock();
    match outcome {
        Outcome::Interrupted => {
            if output.json {
                let value = serde_json::json!({ "event": "interrupted", "run": path.to_string() });
                writeln!(out, "{value}")?;
            } else if !output.quiet {
                writeln!(io::stderr(), "stopped, with a checkpoint; to go on: homeostat resume {path}")?;
            }
            Ok(Done::Interrupted)
        }
        Outcome::Finished(result) => {
            if output.json {
                let value = serde_json::json!({ "event": "finished", "run": path.to_string(), "result": result });
                writeln!(out, "{value}")?;
            } else if !output.quiet {
                print_result(&mut out, run, result)?;
            }
            Ok(Done::Well)
        }
    }
}

fn print_result(out: &mut dyn Write, run: &Path, result: &RunResult) -> io::Result<()> {
    let path = run.display();
    if result.test.is_empty() {
        print_figures(out, "valid", &result.valid)?;
        print_valid_samples(out, result)?;
    } else {
        print_figures(out, "test", &result.test)?;
        print_samples(out, &result.test, result.samples.test)?;
    }
    if let Some(reason) = &result.reason {
        writeln!(out, "ended   {reason}")?;
    }
    writeln!(out, "took    {:.1} s", result.seconds)?;
    writeln!(out, "run     {path}")?;
    writeln!(out, "report  {path}/report.html")?;
    let kind = Artifact::open(run).map_or_else(|_| String::new(), |artifact| artifact.kind().to_owned());
    let ask = match kind.as_str() {
        "language-model" => "generate RUN --prompt TEXT",
        "image-generation" => "sample RUN --png FILE",
        "sentence-embedding" => "search index RUN TABLE INDEX",
        "recommendation" => "predict RUN --text CODE,CODE,...",
        _ => "predict RUN FILE...",
    };
    writeln!(out, "next    homeostat {}", ask.replace("RUN", &path.to_string()))?;
    writeln!(out, "        homeostat verify {path}")?;
    writeln!(out, "        homeostat runs compare{}", elsewhere(run))
}

/// The option that names the folder of a run, where that is not the one that is looked in by default.
fn elsewhere(run: &Path) -> String {
    let folder = run.ancestors().nth(2).filter(|folder| !["", "runs"].map(Path::new).contains(folder));
    folder.map_or_else(String::new, |folder| format!(" --out {}", folder.display()))
}
