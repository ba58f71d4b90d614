//! How good a ranked list is, and how well each of many texts finds its own partner. It does not know what ranked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a query asks for: how relevant each document is that somebody has judged; the others are not.
pub type Judgements<D> = BTreeMap<D, f64>;

/// One over the rank of the first relevant document of a list; 0 without one (the mean over queries is MRR).
pub fn reciprocal_rank<D: Ord>(ranked: &[D], judged: &Judgements<D>) -> f64 {
    let first = ranked.iter().position(|document| judged.get(document).is_some_and(|gain| *gain > 0.0));
    first.map_or(0.0, |at| 1.0 / (at + 1) as f64)
}

/// The share of the relevant documents that are among the first `k`; 0 where nothing is relevant.
pub fn recall_at<D: Ord>(ranked: &[D], judged: &Judgements<D>, k: usize) -> f64 {
    let relevant = judged.values().filter(|gain| **gain > 0.0).count();
    let found = ranked.iter().take(k).filter(|document| judged.get(document).is_some_and(|gain| *gain > 0.0)).count();
    if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 }
}

/// The discounted cumulative gain of the first `k` documents over that of the best order (Järvelin & Kekäläinen 2002), gains as they
/// were judged, as trec_eval and scikit-learn have it; 0 where nothing is relevant.
pub fn ndcg_at<D: Ord>(ranked: &[D], judged: &Judgements<D>, k: usize) -> f64 {
    let sum = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        gains.take(k).enumerate().map(|(at, gain)| gain.max(0.0) / ((at + 2) as f64).log2()).sum()
    };
    let mut best: Vec<f64> = judged.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let ideal = sum(&mut best.into_iter());
    let found = sum(&mut ranked.iter().map(|document| judged.get(document).copied().unwrap_or(0.0)));
    if ideal > 0.0 { found / ideal } else { 0.0 }
}

/// The vectors of a batch of pairs, and their loss.
#[derive(Clone, Debug, PartialEq)]
pub struct PairVectors {
    /// Numbers a vector.
    pub width: usize,
    /// The vectors of the first texts, `[pairs, width]`.
    pub first: Vec<f32>,
    /// The vectors of the second texts, `[pairs, width]`.
    pub second: Vec<f32>,
    /// A number a second text, the same for the same text, `[pairs]`.
    pub texts: Vec<u64>,
    /// The mean loss of the batch.
    pub loss: f64,
}

/// How the first text of a pair finds its own second one among those of all pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// One more than other texts fit better, and half of those that fit as well, as if these stood in any order.
    pub rank: f64,
    /// The pair whose second text, another one than its own, fits best; the pair itself where there is no other text.
    pub rival: usize,
}

/// How well the first of each pair finds its second among those of all pairs, by the product of their vectors. Written to JSON and read
/// again, it goes on exactly.
///
/// ```
/// use homeostat_metrics::{PairFigures, PairVectors};
///
/// let mut figures = PairFigures::whole();
/// let (first, second) = (vec![1.0, 0.0, 0.0, 1.0], vec![1.0, 0.0, 0.9, 0.1]);
/// figures.update(&PairVectors { width: 2, first, second, texts: vec![0, 1], loss: 0.5 });
/// let figures = figures.figures();
/// assert_eq!(figures[0], ("loss".to_owned(), 0.5));
/// assert_eq!(figures[1], ("in-batch-accuracy".to_owned(), 1.0)); // each first text finds its own
/// assert_eq!(figures[2], ("mrr".to_owned(), 1.0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairFigures {
    loss: f64,
    broken: bool,
    pairs: usize,
    found_in_batch: usize,
    /// Whether all vectors are kept, so that partners are looked for among all pairs.
    keeps: bool,
    width: usize,
    first: Vec<f32>,
    second: Vec<f32>,
    /// Nothing where no vectors are kept, as in the checkpoints of before.
    #[serde(default)]
    texts: Vec<u64>,
}

/// How deep lists are looked at.
const DEPTH: u32 = 10;

impl PairFigures {
    /// Looks for partners among all pairs of a part, and keeps their vectors for it.
    #[must_use]
    pub fn whole() -> Self {
        Self { keeps: true, ..Self::default() }
    }

    /// Takes in a batch.
    pub fn update(&mut self, batch: &PairVectors) {
        let PairVectors { width, first, second, texts, loss } = batch;
        let pairs = texts.len();
        assert!([first, second].iter().all(|all| all.len() == pairs * width), "a pair has two vectors of one width");
        // Kept as a flag and out of the sum: a NaN does not survive JSON.
        let finite = loss.is_finite() && first.iter().chain(second).all(|value| value.is_finite());
        self.broken |= !finite;
        if self.broken {
            return;
        }
        self.loss += loss * pairs as f64;
        self.pairs += pairs;
        self.found_in_batch += find(*width, first, second, texts).filter(|found| found.rank <= 1.0).count();
        if self.keeps {
            self.width = *width;
            self.first.extend_from_slice(first);
            self.second.extend_from_slice(second);
            self.texts.extend_from_slice(texts);
        }
    }

    /// Names and values; NaN over nothing, and once a loss or a vector was not finite.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mean = |sum: f64| if self.broken { f64::NAN } else { sum / self.pairs as f64 };
        let mut figures = vec![
            ("loss".to_owned(), mean(self.loss)),
            ("in-batch-accuracy".to_owned(), mean(self.found_in_batch as f64)),
        ];
        if self.keeps {
            let ranks: Vec<f64> = self.found().iter().map(|found| found.rank).collect();
            let over = |value: &dyn Fn(f64) -> f64| mean(ranks.iter().map(|rank| value(*rank)).sum());
            let within = |depth: u32| over(&|rank| f64::from(u8::from(rank <= f64::from(depth))));
            figures.push(("mrr".to_owned(), over(&|rank| 1.0 / rank)));
            let ndcg = over(&|rank| if rank <= f64::from(DEPTH) { 1.0 / (rank + 1.0).log2() } else { 0.0 });
            figures.push((format!("ndcg-{DEPTH}"), ndcg));
            figures.push(("recall-1".to_owned(), within(1)));
            figures.push((format!("recall-{DEPTH}"), within(DEPTH)));
        }
        figures
    }

    /// How each first text finds its own second one, in the order of arrival; nothing where vectors are not kept, and once a loss or a
    /// vector was not finite.
    #[must_use]
    pub fn found(&self) -> Vec<Found> {
        if self.broken {
            return Vec::new();
        }
        find(self.width, &self.first, &self.second, &self.texts).collect()
    }

    /// Whether a larger value of this figure is a better one; nothing where there is no such figure.
    #[must_use]
    pub fn higher_is_better(&self, figure: &str) -> Option<bool> {
        self.figures().iter().any(|(name, _)| name == figure).then_some(figure != "loss")
    }
}

/// How each partner is found among other texts; vectors that are all the same find nothing. The same text is no other one.
fn find<'a>(width: usize, first: &'a [f32], second: &'a [f32], texts: &'a [u64]) -> impl Iterator<Item = Found> + 'a {
    let vector = move |of: &'a [f32], at: usize| &of[at * width..][..width];
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    texts.iter().enumerate().map(move |(own, text)| {
        let query = vector(first, own);
        let score = product(query, vector(second, own));
        let (mut better, mut as_good) = (0, 0);
        let (mut rival, mut best) = (own, f32::NEG_INFINITY);
        for other in (0..texts.len()).filter(|other| texts[*other] != *text) {
            let fit = product(query, vector(second, other));
            better += usize::from(fit > score);
            as_good += usize::from(fit == score);
            if fit > best {
                (rival, best) = (other, fit);
            }
        }
        Found { rank: 1.0 + better as f64 + as_good as f64 / 2.0, rival }
    })
}
