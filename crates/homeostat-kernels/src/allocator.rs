//! Memory between two steps of a training: what one step frees, the next one takes, and the system is not asked again.
//! It does not know how much that is.
#![expect(unsafe_code, reason = "mimalloc's options are set by a function of C")]

/// `mi_option_purge_delay` of mimalloc.h, version 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Has the process keep what it frees, for its next allocations: without it a tenth of the time of a large network's
/// step goes into giving pages back and clearing new ones. For programs whose global allocator is mimalloc; call it
/// once, at the start. The memory in use never shrinks then.
pub fn keep_freed_memory() {
    // SAFETY: it sets a number in a table, which other threads may read meanwhile.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_delay_in_milliseconds() {
        // SAFETY: it reads a number from a table.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "the default of version 3");
        keep_freed_memory();
        assert_eq!(delay(), -1);
    }
}
