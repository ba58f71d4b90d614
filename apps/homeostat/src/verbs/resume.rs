//! `homeostat resume`: goes on with a run.

use homeostat_artifact::Run;
use homeostat_experiment::resume;

use super::{Done, train::conclude};
use crate::{args, cli::Resume, progress::Progress};

pub(crate) fn run(arguments: &Resume) -> anyhow::Result<Done> {
    let run = Run::open(&arguments.run)?;
    args::with_setting(&arguments.place, |setting| {
        let mut progress = Progress::new(arguments.output);
        let ended = resume(&run, setting, &mut |stage| progress.observe(&stage));
        progress.finish()?;
        conclude(run.path(), &ended?, arguments.output)
    })
}
