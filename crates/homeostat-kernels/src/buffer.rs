//! New buffers, filled in parallel.
#![expect(
    unsafe_code,
    reason = "a buffer is cleared a chunk at a time, each just before it is written, while it is in the cache"
)]

use std::{cell::RefCell, mem::MaybeUninit};

use rayon::prelude::*;

/// A buffer of `len` floats: `fill` gets the number of each chunk, and the chunk, cleared.
pub(crate) fn by_chunks(len: usize, chunk: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(len);
    let chunks = buffer.spare_capacity_mut()[..len].par_chunks_mut(chunk).enumerate();
    chunks.for_each(|(index, chunk)| fill(index, cleared(chunk)));
    // SAFETY: the chunks are the first `len` floats of the capacity, and all were written.
    unsafe { buffer.set_len(len) };
    buffer
}

/// The same with parts of these lengths.
pub(crate) fn by_parts(lens: &[usize], fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let len = lens.iter().sum();
    let mut buffer = Vec::with_capacity(len);
    let mut rest = &mut buffer.spare_capacity_mut()[..len];
    let parts: Vec<_> = lens.iter().map(|&len| rest.split_off_mut(..len).unwrap_or_default()).collect();
    parts.into_par_iter().enumerate().for_each(|(index, part)| fill(index, cleared(part)));
    // SAFETY: the parts are the first `len` floats of the capacity, one behind the other, and all were written.
    unsafe { buffer.set_len(len) };
    buffer
}

fn cleared(floats: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    floats.fill(MaybeUninit::new(0.0));
    // SAFETY: the same floats, all written the line before, borrowed for as long as they were.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast::<f32>(), floats.len()) }
}

thread_local! {
    /// What tasks of this thread left for the next ones; one that works within another takes the next buffer.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(vec![]) };
}

/// Lends `f` `len` floats, whatever stands in them: clearing them anew for each task takes time.
pub(crate) fn with_scratch<T>(len: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
    let mut floats = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if floats.len() < len {
        floats.resize(len, 0.0);
    }
    let found = f(&mut floats[..len]);
    SCRATCH.with_borrow_mut(|spare| spare.push(floats));
    found
}

#[cfg(test)]
mod tests {
    use super::{by_chunks, by_parts};

    /// What [`by_chunks`] does, on memory that is cleared before and sliced with every access checked.
    fn checked(len: usize, chunk: usize, fill: impl Fn(usize, &mut [f32])) -> Vec<f32> {
        let mut buffer = vec![0.0; len];
        buffer.chunks_mut(chunk).enumerate().for_each(|(index, chunk)| fill(index, chunk));
        buffer
    }

    #[test]
    fn chunks_are_those_of_a_cleared_buffer() {
        let fill = |index: usize, chunk: &mut [f32]| {
            assert!(chunk.iter().all(|&x| x == 0.0), "cleared");
            let half = chunk.len() / 2;
            chunk[half..].iter_mut().enumerate().for_each(|(at, x)| *x = (100 * index + at) as f32);
        };
        for (len, chunk) in [(0, 1), (1, 1), (1, 9), (7, 3), (9, 3), (1000, 64), (70_000, 16_384)] {
            assert_eq!(by_chunks(len, chunk, fill), checked(len, chunk, fill), "{len} by {chunk}");
            let (whole, rest) = (vec![chunk; len / chunk], len % chunk);
            let lens = [whole, if rest > 0 { vec![rest] } else { vec![] }].concat();
            assert_eq!(by_parts(&lens, fill), checked(len, chunk, fill), "{len} in parts of {chunk}");
        }
        assert_eq!(by_parts(&[2, 0, 1], |index, part| part.fill(index as f32)), [0.0, 0.0, 2.0]);
    }
}
