//! A new matrix, cut into blocks that tasks fill.
#![expect(unsafe_code, reason = "a block is written first by its task, while it is in the cache, and not before")]

use std::{
    mem::MaybeUninit,
    sync::atomic::{AtomicUsize, Ordering},
};

/// A matrix in the making: readable once every block was taken.
pub(crate) struct Blocks {
    floats: Vec<f32>,
    len: usize,
    columns: usize,
    taken: AtomicUsize,
}

/// Some neighbouring columns of some neighbouring rows.
pub(crate) struct Block<'a> {
    pub(crate) first_row: usize,
    pub(crate) first_column: usize,
    rows: Vec<&'a mut [MaybeUninit<f32>]>,
    taken: &'a AtomicUsize,
}

impl Blocks {
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let len = rows * columns;
        Self { floats: Vec::with_capacity(len), len, columns, taken: AtomicUsize::new(0) }
    }

    /// Blocks of `rows x columns`, fewer at the edges: those of the first rows first.
    pub(crate) fn cut(&mut self, rows: usize, columns: usize) -> Vec<Block<'_>> {
        *self.taken.get_mut() = 0;
        let mut blocks = vec![];
        for (band, lines) in self.floats.spare_capacity_mut()[..self.len].chunks_mut(rows * self.columns).enumerate() {
            let first = blocks.len();
            blocks.extend((0..self.columns).step_by(columns).map(|first_column| Block {
                first_row: band * rows,
                first_column,
                rows: Vec::with_capacity(rows),
                taken: &self.taken,
            }));
            for line in lines.chunks_mut(self.columns) {
                for (block, part) in blocks[first..].iter_mut().zip(line.chunks_mut(columns)) {
                    block.rows.push(part);
                }
            }
        }
        blocks
    }

    /// The matrix.
    pub(crate) fn filled(mut self) -> Vec<f32> {
        assert_eq!(*self.taken.get_mut(), self.len, "a block was not taken");
        // SAFETY: the blocks of the last cut share no float; those taken, all written, add up to all `len` of the capacity.
        unsafe { self.floats.set_len(self.len) };
        self.floats
    }
}

impl<'a> Block<'a> {
    /// The rows, cleared.
    pub(crate) fn take(self) -> Vec<&'a mut [f32]> {
        let taken = self.rows.iter().map(|row| row.len()).sum();
        let rows = self.rows.into_iter().map(|row| {
            row.fill(MaybeUninit::new(0.0));
            // SAFETY: the same floats, all written the line before, borrowed for as long as the row is.
            unsafe { std::slice::from_raw_parts_mut(row.as_mut_ptr().cast::<f32>(), row.len()) }
        });
        let rows = rows.collect();
        self.taken.fetch_add(taken, Ordering::Relaxed);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::Blocks;

    /// Numbers each float by its block, in blocks of memory that is sliced with every access checked.
    #[test]
    fn blocks_cover_a_matrix_once() {
        for (height, width, rows, columns) in [(1, 1, 1, 1), (5, 7, 2, 3), (6, 4, 6, 4), (3, 9, 5, 2), (8, 8, 3, 8)] {
            let mut blocks = Blocks::new(height, width);
            for (index, block) in blocks.cut(rows, columns).into_iter().enumerate() {
                for row in block.take() {
                    assert!(row.iter().all(|&x| x == 0.0), "cleared");
                    row.fill(index as f32);
                }
            }
            let across = width.div_ceil(columns);
            let expected: Vec<f32> =
                (0..height * width).map(|at| (at / width / rows * across + at % width / columns) as f32).collect();
            assert_eq!(blocks.filled(), expected, "{height} x {width} by {rows} x {columns}");
        }
    }

    #[test]
    #[should_panic(expected = "a block was not taken")]
    fn a_matrix_with_a_hole_is_never_given() {
        let mut blocks = Blocks::new(4, 4);
        blocks.cut(2, 2).into_iter().skip(1).for_each(|block| drop(block.take()));
        _ = blocks.filled();
    }
}
