//! Images made some lines at a time, one task after another, and max-pooled while the lines are near. It does not know
//! how lines are made.

use crate::{
    buffer::{by_chunks, with_scratch},
    pool::Pool,
    simd::Isa,
};

/// The shape of what is made: `[batch, rows, columns, channels]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    pub(crate) batch: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
}

impl Lines {
    /// Floats of a line.
    fn line(&self) -> usize {
        self.columns * self.channels
    }

    /// Lines of a task: about `some`, in whole pairs that belong to one image.
    pub(crate) fn pairs(&self, some: usize) -> usize {
        if self.whole() { some.div_ceil(self.rows) * self.rows } else { some.next_multiple_of(2) }
    }

    /// Whether only whole images are whole pairs: the last line of an image has no partner.
    fn whole(&self) -> bool {
        !self.rows.is_multiple_of(2) && self.batch > 1
    }

    /// `fill` gets the number of each task's first line, and the lines, in which anything may stand. Where they are `halved`, `task` counts whole
    /// pairs, and the largest of each two by two pixels is kept.
    pub(crate) fn make(
        &self,
        isa: Isa,
        task: usize,
        halved: bool,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let (lines, line) = (self.batch * self.rows, self.line());
        if !halved {
            return by_chunks(lines * line, task * line, |index, out| fill(index * task, out));
        }
        let halves = Self { rows: self.rows / 2, columns: self.columns / 2, ..*self };
        let chunk = if self.whole() { task / self.rows * halves.rows } else { task / 2 };
        by_chunks(halves.batch * halves.rows * halves.line(), chunk * halves.line(), |index, out| {
            let count = task.min(lines - index * task);
            with_scratch(count * line, |made| {
                fill(index * task, made);
                let rows = if self.whole() { self.rows } else { count };
                let pool = Pool::halving(self.channels, [rows, self.columns]);
                let images = made.chunks_exact(rows * line).zip(out.chunks_exact_mut(rows / 2 * halves.line()));
                images.for_each(|(image, out)| pool.image_forward(isa, image, out));
            });
        })
    }
}
