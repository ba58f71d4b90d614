//! Threads that compute for one work alone, and one that looks after instances. It does not know what they compute.

use std::{num::NonZero, sync::Arc, thread, time::Duration};

use rayon::ThreadPoolBuilder;

/// A deep network recurses.
const STACK_BYTES: usize = 8 << 20;

/// How much less urgent computing is than talking to clients, as `nice` counts.
///
/// Under overload both want all of the cores. Were they equals, requests would wait unread and refusals unsent; so computing
/// gets what talking leaves, and what cannot be computed is refused at once.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// How many threads one of so many instances computes on; 0 shares the cores among them.
pub(crate) fn share(threads: usize, instances: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    if threads > 0 { threads } else { (cores / instances.max(1)).max(1) }
}

/// Works in a thread of this name, which computes on so many; 0 takes all cores. It is less urgent than who starts it.
///
/// It has a pool of its own, which it is part of: no operation has to be handed over, and such threads do not disturb each other.
///
/// # Errors
/// The system has no more threads.
pub fn start_computing(name: &str, threads: usize, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let threads = share(threads, 1);
    thread::Builder::new().name(name.into()).spawn(move || {
        // The threads of the pool are as urgent as the one that starts them.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "computing is as urgent as talking to clients");
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK_BYTES)
            .thread_name(|index| format!("compute-{index}"))
            .build();
        match pool {
            Ok(pool) => pool.install(work),
            Err(error) => {
                tracing::warn!(%error, "it computes on the threads of others");
                work();
            }
        }
    })?;
    Ok(())
}

/// Looks after what is shared by instances as long as there is any, often enough to see what takes longer than `limit`.
///
/// # Errors
/// The system has no more threads.
pub(crate) fn watch<S: Send + Sync + 'static>(
    shared: &Arc<S>,
    limit: Duration,
    look: impl Fn(&Arc<S>) + Send + 'static,
) -> std::io::Result<()> {
    let pause = (limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
    let shared = Arc::downgrade(shared);
    thread::Builder::new().name("watchdog".into()).spawn(move || {
        while let Some(shared) = shared.upgrade() {
            look(&shared);
            drop(shared);
            thread::sleep(pause);
        }
    })?;
    Ok(())
}
