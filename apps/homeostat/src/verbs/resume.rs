//! `homeostat resume`: goes on with a run.

use homeostat_artifact::Run;
use homeostat_experiment::resume;

use super::{Done, train::conclude};
use crate::{
    args::{self, Known},
    cli::Resume,
    interrupt::Interrupt,
    progress::Progress,
};

pub(crate) fn run(arguments: &Resume) -> anyhow::Result<Done> {
    let run = Run::open(&arguments.run)?;
    let interrupt = Interrupt::listen()?;
    args::with_setting(&arguments.place, Known::of(&run)?, &interrupt.stop, |setting| {
        let mut progress = Progress::new(arguments.output);
        let ended = resume(&run, setting, &mut |stage| {
            interrupt.observe(&stage);
            progress.observe(&stage);
        });
        let written = progress.finish();
        let outcome = ended?;
        written?;
        conclude(run.path(), &outcome, arguments.output)
    })
}
