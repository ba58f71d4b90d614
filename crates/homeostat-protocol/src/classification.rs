//! The classification extension: the best classes of each row of scores, as text. It does not know models.

use std::fmt::Display;

use bytes::Bytes;

use crate::{Contents, Datatype, ProtocolError, Tensor, tensor::each};

impl Tensor {
    /// `[rows, scores...] -> [rows, count]` of BYTES, `score:index` or `score:index:label`, the best first and of equals the
    /// first. One row, where there is but one dimension. With fewer than `count` scores, all of them.
    ///
    /// # Errors
    ///
    /// Where the elements have no order: BOOL, BYTES.
    pub fn classified(&self, count: usize, labels: &[String]) -> Result<Self, ProtocolError> {
        let (rows, shape) = match self.shape() {
            [] | [_] => (1, Vec::new()),
            [rows, ..] => (*rows, vec![*rows]),
        };
        let scores = self.elements().checked_div(rows).unwrap_or(0);
        let count = count.min(scores);
        let elements = self.texts(Rows { scores, count, labels })?;
        let shape: Vec<_> = shape.into_iter().chain([count]).collect();
        Self::new(self.name(), Datatype::Bytes, shape, Contents::Elements(elements))
    }

    fn texts(&self, rows: Rows<'_>) -> Result<Vec<Bytes>, ProtocolError> {
        let raw = match self.contents() {
            Contents::Raw(bytes) => bytes.as_ref(),
            Contents::Elements(_) => &[],
        };
        match self.datatype() {
            Datatype::Bool | Datatype::Bytes => {
                let problem = format!("has type {}, which has no best classes", self.datatype());
                Err(ProtocolError::tensor(self.name(), problem))
            }
            Datatype::Uint64 => Ok(rows.texts(&each(raw, u64::from_le_bytes).collect::<Vec<_>>())),
            Datatype::Fp64 => Ok(rows.texts(&each(raw, f64::from_le_bytes).collect::<Vec<_>>())),
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 => Ok(rows.texts(&self.to_f32()?)),
            _ => Ok(rows.texts(&self.to_i64()?)),
        }
    }
}

/// What each row of scores becomes.
#[derive(Clone, Copy, Debug)]
struct Rows<'a> {
    scores: usize,
    count: usize,
    labels: &'a [String],
}

impl Rows<'_> {
    fn texts<T: Display + PartialOrd + Copy>(self, values: &[T]) -> Vec<Bytes> {
        if self.scores == 0 {
            return Vec::new();
        }
        values.chunks_exact(self.scores).flat_map(|row| self.row(row)).collect()
    }

    fn row<T: Display + PartialOrd + Copy>(self, row: &[T]) -> Vec<Bytes> {
        let best = best_classes(row, self.count).into_iter();
        let text = |index: usize| match self.labels.get(index) {
            Some(label) => format!("{}:{index}:{label}", row[index]),
            None => format!("{}:{index}", row[index]),
        };
        best.map(|index| Bytes::from(text(index))).collect()
    }
}

/// The indices of the `count` largest, from the largest down and of equals the first; what is not a number comes last.
#[must_use]
#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
pub fn best_classes<T: PartialOrd + Copy>(row: &[T], count: usize) -> Vec<usize> {
    let order = |&a: &usize, &b: &usize| {
        let nan = |index: usize| row[index] != row[index];
        let value = row[b].partial_cmp(&row[a]).unwrap_or_else(|| nan(a).cmp(&nan(b)));
        value.then(a.cmp(&b))
    };
    let mut indices: Vec<usize> = (0..row.len()).collect();
    if count > 0 && count < row.len() {
        indices.select_nth_unstable_by(count - 1, order);
    }
    indices.truncate(count);
    indices.sort_unstable_by(order);
    indices
}
