//! Which of many vectors are nearest to one: by looking at all of them, or by walking along a graph.
//!
//! ```
//! use homeostat_search::{Graph, GraphConfig, Vectors};
//!
//! # fn main() -> Result<(), homeostat_search::SearchError> {
//! let vectors = Vectors::new(2, vec![1.0, 0.0, 0.0, 2.0, 0.6, 0.8])?; // made 1 long
//! let hits = vectors.nearest(&[0.0, 1.0], 2)?;
//! assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [1, 2]);
//! assert!((hits[1].score - 0.8).abs() < 1e-6); // the cosine of the angle between them
//! let graph = Graph::new(&vectors, GraphConfig::default());
//! assert_eq!(graph.nearest(&[0.0, 1.0], 2)?, hits);
//! # Ok(()) }
//! ```
//!
//! It does not know Burn, texts, or who made the vectors.

mod graph;
mod vectors;

pub use graph::{Graph, GraphConfig};
pub use vectors::{Hit, Vectors};

/// Vectors that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Another width than that of the vectors.
    #[error("a vector has {found} numbers, but {wanted} were expected")]
    Width {
        /// Numbers of a vector.
        wanted: usize,
        /// Numbers that there are.
        found: usize,
    },
    /// A vector without a direction.
    #[error("vector {index} has no direction: it is 0, or holds NaN or infinity")]
    Direction {
        /// Which one, from 0.
        index: usize,
    },
}
