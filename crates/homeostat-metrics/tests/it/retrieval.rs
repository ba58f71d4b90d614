//! Ranked lists against scikit-learn, and pairs that find each other.

use homeostat_metrics::{Judgements, PairFigures, PairVectors, ndcg_at, recall_at, reciprocal_rank};
use serde_json::Value;

#[test]
fn ranked_lists_have_the_figures_of_others() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../fixtures/retrieval.json")).unwrap();
    assert!(cases.len() > 3);
    for case in cases {
        let ranked: Vec<u64> = serde_json::from_value(case["ranked"].clone()).unwrap();
        let judged: Judgements<u64> =
            serde_json::from_value::<Vec<(u64, f64)>>(case["judged"].clone()).unwrap().into_iter().collect();
        let same =
            |found: f64, wanted: &Value| assert!((found - wanted.as_f64().unwrap()).abs() < 1e-12, "{found} {wanted}");
        same(reciprocal_rank(&ranked, &judged), &case["reciprocal-rank"]);
        for k in [1, 5, 10] {
            same(ndcg_at(&ranked, &judged, k), &case["ndcg"][k.to_string()]);
            same(recall_at(&ranked, &judged, k), &case["recall"][k.to_string()]);
        }
    }
    let nothing = Judgements::new();
    let figures = [reciprocal_rank(&[1], &nothing), ndcg_at(&[1], &nothing, 3), recall_at(&[1], &nothing, 3)];
    assert!(figures.iter().all(|figure| *figure == 0.0));
}

/// A meter of training as a checkpoint had it before second texts were told apart.
const BEFORE: &str =
    r#"{"loss":0.0,"broken":false,"pairs":0,"found_in_batch":0,"keeps":false,"width":0,"first":[],"second":[]}"#;

#[test]
fn partners_are_looked_for_in_the_batch_and_in_the_whole_part() {
    // The second of pair 2 is nearer to the first of pair 0 than its own is.
    let vectors: [([f32; 2], [f32; 2]); 3] =
        [([1.0, 0.0], [0.8, 0.6]), ([0.0, 1.0], [0.0, 1.0]), ([0.6, 0.8], [1.0, 0.0])];
    let batch = |pairs: &[([f32; 2], [f32; 2])], loss| PairVectors {
        width: 2,
        first: pairs.iter().flat_map(|pair| pair.0).collect(),
        second: pairs.iter().flat_map(|pair| pair.1).collect(),
        texts: pairs.iter().map(|pair| u64::from(pair.1[0].to_bits())).collect(),
        loss,
    };
    let mut figures = PairFigures::whole();
    figures.update(&batch(&vectors[..2], 0.25));
    let mut figures: PairFigures = serde_json::from_str(&serde_json::to_string(&figures).unwrap()).unwrap();
    figures.update(&batch(&vectors[2..], 1.0));
    let found = figures.figures();
    let is = |name: &str, wanted: f64| {
        let value = found.iter().find(|(found, _)| found == name).unwrap().1;
        assert!((value - wanted).abs() < 1e-9, "{name} {value} {wanted}");
    };
    is("loss", 0.5);
    is("in-batch-accuracy", 1.0);
    // Ranks 2, 1 and 3.
    is("mrr", (0.5 + 1.0 + 1.0 / 3.0) / 3.0);
    is("recall-1", 1.0 / 3.0);
    is("recall-10", 1.0);
    is("ndcg-10", (1.0 / 3.0_f64.log2() + 1.0 + 0.5) / 3.0);
    let ways: Vec<_> = figures.found().iter().map(|pair| (pair.rank, pair.rival)).collect();
    assert_eq!(ways, [(2.0, 2), (1.0, 0), (3.0, 0)]);
    assert_eq!((figures.higher_is_better("mrr"), figures.higher_is_better("loss")), (Some(true), Some(false)));
    let mut beside: PairFigures = serde_json::from_str(BEFORE).unwrap();
    beside.update(&batch(&vectors, 0.5));
    assert_eq!(beside.figures().len(), 2);
    assert_eq!((beside.higher_is_better("mrr"), beside.found()), (None, Vec::new()));
    beside.update(&batch(&vectors, f64::NAN));
    assert!(beside.figures().iter().all(|(_, value)| value.is_nan()));
    figures.update(&batch(&vectors, f64::NAN));
    assert!(figures.found().is_empty() && figures.figures().iter().all(|(_, value)| value.is_nan()));
}

/// A network that gives every text the same vector finds nothing, and a text that stands twice is not in its own way.
#[test]
fn vectors_that_are_all_the_same_find_nothing() {
    let figures = |texts: Vec<u64>| {
        let mut figures = PairFigures::whole();
        let pairs = texts.len();
        figures.update(&PairVectors { width: 1, first: vec![1.0; pairs], second: vec![1.0; pairs], texts, loss: 0.0 });
        figures.figures()
    };
    let of = |figures: &[(String, f64)], name: &str| figures.iter().find(|(found, _)| found == name).unwrap().1;
    let collapsed = figures((0..41).collect());
    for name in ["in-batch-accuracy", "recall-1", "recall-10", "ndcg-10"] {
        assert_eq!(of(&collapsed, name), 0.0, "{name}");
    }
    // The middle of 41 places.
    assert!((of(&collapsed, "mrr") - 1.0 / 21.0).abs() < 1e-12);
    let twice = figures(vec![7; 41]);
    for name in ["in-batch-accuracy", "mrr", "recall-1", "ndcg-10"] {
        assert_eq!(of(&twice, name), 1.0, "{name}");
    }
}
