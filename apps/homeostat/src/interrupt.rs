//! Ctrl-C and SIGTERM: the first asks the run to end after its step, the second ends the program at once. Before there is a
//! run, the first one does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use homeostat_experiment::Stage;
use signal_hook::{consts::TERM_SIGNALS, flag};

/// What signals do. Only for verbs that look at [`stop`](Self::stop): all others are ended by the first signal.
pub(crate) struct Interrupt {
    /// Set by the first signal that does not end the program.
    pub(crate) stop: Arc<AtomicBool>,
    /// Whether the next signal ends the program.
    at_once: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let (stop, at_once) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        for signal in TERM_SIGNALS {
            // In this order: the program ends by what was so before this signal.
            flag::register_conditional_shutdown(*signal, crate::INTERRUPTED.into(), Arc::clone(&at_once))
                .and_then(|_| flag::register(*signal, Arc::clone(&at_once)))
                .and_then(|_| flag::register(*signal, Arc::clone(&stop)))
                .context("cannot listen to signals")?;
        }
        Ok(Self { stop, at_once })
    }

    /// From when there is a run on, the first signal waits for its checkpoint.
    pub(crate) fn observe(&self, stage: &Stage<'_>) {
        if let Stage::Prepared { .. } = stage {
            self.at_once.store(false, Ordering::Relaxed);
        }
    }
}
