//! What is nearest is found, by looking at all or along a graph.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use homeostat_search::{Graph, GraphConfig, SearchError, Vectors};

/// Numbers that look drawn (xorshift), from -1 to 1.
fn drawn(count: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Vectors around some middles, as those of texts are around their topics.
fn topics(count: usize, width: usize) -> Vectors {
    let (middles, noise) = (drawn(20 * width, 3), drawn(count * width, 5));
    let value = |at: usize| middles[(at / width % 20) * width + at % width] + 0.5 * noise[at];
    Vectors::new(width, (0..count * width).map(value).collect()).unwrap()
}

#[test]
fn all_are_looked_at_and_the_nearest_come_first() {
    let vectors = topics(500, 16);
    for query in drawn(8 * 16, 7).chunks(16) {
        let length = query.iter().map(|value| value * value).sum::<f32>().sqrt();
        let cosine = |vector: &[f32]| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>() / length;
        let mut wanted: Vec<(usize, f32)> = vectors.iter().map(cosine).enumerate().collect();
        wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let hits = vectors.nearest(query, 10).unwrap();
        assert_eq!(hits.len(), 10);
        for (hit, (index, score)) in hits.iter().zip(wanted) {
            assert!((hit.score - score).abs() < 1e-5 && hit.index == index);
        }
    }
    assert_eq!(vectors.nearest(&[1.0; 16], 1000).unwrap().len(), 500);
}

#[test]
fn a_graph_finds_almost_always_what_is_nearest() {
    let vectors = topics(800, 24);
    let graph = Graph::new(&vectors, GraphConfig::default());
    let (mut found, mut wanted) = (0, 0);
    for query in vectors.iter().step_by(10) {
        let exact: Vec<usize> = vectors.nearest(query, 10).unwrap().iter().map(|hit| hit.index).collect();
        let near = graph.nearest(query, 10).unwrap();
        assert!(near.windows(2).all(|pair| pair[0].score >= pair[1].score));
        found += near.iter().filter(|hit| exact.contains(&hit.index)).count();
        wanted += exact.len();
    }
    assert!(20 * found > 19 * wanted, "{found} of {wanted}");
}

#[test]
fn what_has_no_direction_or_another_width_is_refused() {
    assert!(matches!(Vectors::new(2, vec![1.0; 3]), Err(SearchError::Width { wanted: 2, found: 3 })));
    assert!(matches!(Vectors::new(2, vec![1.0, 1.0, 0.0, 0.0]), Err(SearchError::Direction { index: 1 })));
    assert!(matches!(Vectors::new(2, vec![1.0, f32::NAN]), Err(SearchError::Direction { index: 0 })));
    let vectors = Vectors::new(2, vec![1.0, 0.0]).unwrap();
    assert!(vectors.nearest(&[1.0], 1).is_err() && vectors.nearest(&[0.0, 0.0], 1).is_err());
    let none = Vectors::new(2, vec![]).unwrap();
    assert!(none.nearest(&[1.0, 0.0], 3).unwrap().is_empty());
    assert!(Graph::new(&none, GraphConfig::default()).nearest(&[1.0, 0.0], 3).unwrap().is_empty());
}
