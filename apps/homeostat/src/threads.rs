//! The threads that compute on the CPU: one pool, and the program itself runs in it, so that no operation has to be
//! handed over from outside. It does not know what is computed.

use anyhow::Context;

/// A main thread's stack: deep networks recurse on the way back.
const STACK_BYTES: usize = 8 << 20;

/// Runs `work` in a pool of so many threads; by default one a core.
pub(crate) fn within<R: Send>(
    threads: Option<u16>,
    work: impl FnOnce() -> anyhow::Result<R> + Send,
) -> anyhow::Result<R> {
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, usize::from)).stack_size(STACK_BYTES).build();
    pool.context("cannot start the threads that compute; fewer can be asked for with --threads")?.install(work)
}
