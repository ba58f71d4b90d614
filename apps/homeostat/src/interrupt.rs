//! Ctrl-C and SIGTERM: the first asks the loop to end after its step, the second ends the program at once.

use std::sync::{Arc, atomic::AtomicBool};

use anyhow::Context;
use signal_hook::{consts::TERM_SIGNALS, flag};

/// A flag that the first signal sets. Only for verbs that look at it: all others are ended by the first signal.
pub(crate) fn flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        // In this order: a second signal finds the flag set, and exits.
        flag::register_conditional_shutdown(*signal, crate::INTERRUPTED.into(), Arc::clone(&stop))
            .and_then(|_| flag::register(*signal, Arc::clone(&stop)))
            .context("cannot listen to signals")?;
    }
    Ok(stop)
}
