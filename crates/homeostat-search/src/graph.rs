//! A search that walks along a graph of neighbours (HNSW: Malkov & Yashunin 2018), by the library `instant-distance`. It finds almost
//! always what looking at every vector finds, and looks at few. It does not know who asks.

use instant_distance::{Builder, Hnsw, Point, PointId, Search};

use crate::{Hit, SearchError, Vectors, vectors::product};

/// How a graph is made and walked along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphConfig {
    /// Vectors that are kept in sight while a vector is put into the graph.
    pub construction: usize,
    /// Vectors that are kept in sight while a question walks: more find more, and take longer.
    pub search: usize,
    /// The seed of the levels of the graph.
    pub seed: u64,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self { construction: 200, search: 100, seed: 1 }
    }
}

/// A graph over vectors.
pub struct Graph {
    graph: Hnsw<Unit>,
    /// The number of each vector of the graph among those that it was made of.
    numbers: Vec<usize>,
    vectors: Vectors,
}

#[derive(Clone)]
struct Unit(Vec<f32>);

impl Point for Unit {
    /// One less the cosine: the order of the squared distance of vectors of length 1.
    fn distance(&self, other: &Self) -> f32 {
        1.0 - product(&self.0, &other.0)
    }
}

impl Graph {
    /// Makes the graph, on all cores; which of nearly equal neighbours are linked may depend on their timing.
    #[must_use]
    pub fn new(vectors: &Vectors, config: GraphConfig) -> Self {
        let points = vectors.iter().map(|vector| Unit(vector.to_vec())).collect();
        let builder = Builder::default().ef_construction(config.construction).ef_search(config.search);
        let (graph, places) = builder.seed(config.seed).build_hnsw(points);
        let mut numbers = vec![0; places.len()];
        places.iter().enumerate().for_each(|(number, place)| numbers[place.into_inner() as usize] = number);
        Self { graph, numbers, vectors: vectors.clone() }
    }

    /// About the `count` nearest to a vector, the nearest first; not more than `search` of the configuration.
    ///
    /// # Errors
    /// The vector is of another width, or has no direction.
    pub fn nearest(&self, query: &[f32], count: usize) -> Result<Vec<Hit>, SearchError> {
        let query = self.vectors.direction(query)?;
        let mut search = Search::default();
        let number = |place: PointId| self.numbers[place.into_inner() as usize];
        let found = self.graph.search(&Unit(query.clone()), &mut search).map(|item| number(item.pid)).take(count);
        let width = self.vectors.width();
        let score = |index: usize| product(&query, &self.vectors.values()[index * width..][..width]);
        let mut hits: Vec<Hit> = found.map(|index| Hit { index, score: score(index) }).collect();
        hits.sort_by(Hit::order);
        Ok(hits)
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} vectors)", self.vectors.len())
    }
}
