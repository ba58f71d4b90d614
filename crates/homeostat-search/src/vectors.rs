//! Vectors side by side, and a search that looks at every one. It does not know graphs.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::SearchError;

/// Vectors of one width, each made 1 long.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    width: usize,
    /// `[vectors, width]`
    values: Vec<f32>,
}

/// A vector that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which one, from 0.
    pub index: usize,
    /// The cosine of the angle to what was asked for, from -1 to 1.
    pub score: f32,
}

impl Hit {
    /// The better one first; among equals that of the smaller number.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.index.cmp(&other.index))
    }
}

impl Vectors {
    /// Takes `[vectors, width]` numbers.
    ///
    /// # Errors
    /// The numbers make no whole vectors, or a vector has no direction.
    pub fn new(width: usize, values: Vec<f32>) -> Result<Self, SearchError> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(SearchError::Width { wanted: width, found: values.len() });
        }
        let mut vectors = Self { width, values };
        for (index, vector) in vectors.values.chunks_exact_mut(width).enumerate() {
            unit(vector).ok_or(SearchError::Direction { index })?;
        }
        Ok(vectors)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers of a vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// All numbers, `[vectors, width]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vectors one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// The `count` nearest to a vector, the nearest first.
    ///
    /// # Errors
    /// The vector is of another width, or has no direction.
    pub fn nearest(&self, query: &[f32], count: usize) -> Result<Vec<Hit>, SearchError> {
        let query = self.direction(query)?;
        let score = |(index, vector): (usize, &[f32])| Hit { index, score: product(&query, vector) };
        let mut hits: Vec<Hit> = self.values.par_chunks_exact(self.width).enumerate().map(score).collect();
        if count < hits.len() {
            hits.select_nth_unstable_by(count, Hit::order);
            hits.truncate(count);
        }
        hits.sort_by(Hit::order);
        Ok(hits)
    }

    /// What is asked for, made 1 long.
    pub(crate) fn direction(&self, query: &[f32]) -> Result<Vec<f32>, SearchError> {
        if query.len() != self.width {
            return Err(SearchError::Width { wanted: self.width, found: query.len() });
        }
        let mut query = query.to_vec();
        unit(&mut query).ok_or(SearchError::Direction { index: 0 })?;
        Ok(query)
    }
}

pub(crate) fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Makes a vector 1 long; nothing if it has no direction.
fn unit(vector: &mut [f32]) -> Option<()> {
    let length = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "vectors have 32 bits")]
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    Some(())
}
