//! Ctrl-C and SIGTERM: the first asks the loop to end after its step, the second ends the program at once.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{consts::TERM_SIGNALS, flag};

/// A flag that the first signal sets.
pub(crate) fn flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        // In this order: a second signal finds the flag set, and exits.
        flag::register_conditional_shutdown(*signal, crate::INTERRUPTED.into(), Arc::clone(&stop))?;
        flag::register(*signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
