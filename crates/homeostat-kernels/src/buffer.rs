//! New buffers, filled in parallel.
#![expect(
    unsafe_code,
    reason = "a buffer is cleared a chunk at a time, each just before it is written, while it is in the cache"
)]

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// A buffer of `len` floats: `fill` gets the number of each chunk, and the chunk, cleared.
pub(crate) fn by_chunks(len: usize, chunk: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    by_chunks_with(len, chunk, || (), |(), index, chunk| fill(index, chunk))
}

/// The same, with scratch memory that tasks hand on to each other.
pub(crate) fn by_chunks_with<S>(
    len: usize,
    chunk: usize,
    scratch: impl Fn() -> S + Sync + Send,
    fill: impl Fn(&mut S, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(len);
    let chunks = buffer.spare_capacity_mut()[..len].par_chunks_mut(chunk).enumerate();
    chunks.for_each_init(scratch, |scratch, (index, chunk)| {
        chunk.fill(MaybeUninit::new(0.0));
        let (first, count) = (chunk.as_mut_ptr().cast::<f32>(), chunk.len());
        // SAFETY: the same floats, all written the line before, borrowed for as long as the chunk is.
        fill(scratch, index, unsafe { std::slice::from_raw_parts_mut(first, count) });
    });
    // SAFETY: the chunks are the first `len` floats of the capacity, and all were written.
    unsafe { buffer.set_len(len) };
    buffer
}
