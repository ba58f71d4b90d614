//! Histories of users as the loop sees them: a part hidden, anew in each epoch, and to be foretold by the rest. It does not know the
//! loop.

use std::sync::Arc;

use homeostat_data::{DataError, Histories, History, Purchase, Rng, Source, stream};
use homeostat_task::Task;
use homeostat_tasks::{Bought, Next, Recommendation};
use homeostat_train::{Draw, Examples, Rows};

/// A part of a source of histories.
pub(crate) struct InteractionExamples {
    task: Recommendation,
    source: Arc<Source<Histories>>,
    indices: Vec<usize>,
}

impl InteractionExamples {
    pub(crate) fn new(task: &Recommendation, source: &Arc<Source<Histories>>, indices: &[usize]) -> Self {
        Self { task: task.clone(), source: Arc::clone(source), indices: indices.to_vec() }
    }

    /// Where nothing is drawn, what is hidden is what the user bought last, and all of it counts alike.
    fn row(&self, index: usize, again: usize, draw: Option<Draw>) -> Result<(Bought, Next), DataError> {
        let history = self.source.get(index)?;
        let (seen, hidden) = match draw {
            Some(draw) => {
                let stream = stream("hidden", again as u64);
                let rng = Rng::keyed(draw.seed, [draw.epoch, index as u64, stream]);
                divide(&history.purchases, self.task.config().hidden, rng)
            }
            None => {
                let History { purchases, before } = &history;
                (purchases[..*before].to_vec(), purchases[*before..].to_vec())
            }
        };
        let codes = codes(&self.source, &seen);
        let name = || self.source.name(index);
        let bought =
            self.task.prepare(codes).map_err(|error| DataError::Corrupt { name: name(), why: error.to_string() })?;
        let counts = |purchase: &Purchase| if draw.is_some() { self.task.counts(purchase.age) } else { 1.0 };
        let next = Next { items: hidden.iter().map(|purchase| (purchase.item, counts(purchase))).collect() };
        Ok((bought, next))
    }
}

/// What the items of purchases are called.
pub(crate) fn codes(source: &Source<Histories>, purchases: &[Purchase]) -> Vec<String> {
    let items = source.assortment().items();
    purchases.iter().map(|purchase| items[purchase.item as usize].code.clone()).collect()
}

/// What is seen and what is hidden, about this share; of both there is at least one.
fn divide(purchases: &[Purchase], share: f64, mut rng: Rng) -> (Vec<Purchase>, Vec<Purchase>) {
    let draws: Vec<f64> = purchases.iter().map(|_| rng.uniform_f64()).collect();
    let mut order = draws.clone();
    order.sort_by(f64::total_cmp);
    // The least draw is hidden in any case, the greatest never.
    let (least, greatest) = (order[0], order[order.len() - 1]);
    let mut parts = (Vec::new(), Vec::new());
    for (purchase, draw) in purchases.iter().zip(draws) {
        let hides = draw <= least || (draw < share && draw < greatest);
        (if hides { &mut parts.1 } else { &mut parts.0 }).push(*purchase);
    }
    parts
}

impl Examples<Recommendation> for InteractionExamples {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<Recommendation>, DataError> {
        let mut rows = Rows { inputs: vec![], truths: vec![], positions: vec![], skipped: vec![], bytes: 0 };
        for &position in positions {
            let (at, again) = (position % self.len(), position / self.len());
            let (bought, next) = self.row(self.indices[at], again, draw)?;
            rows.bytes += size_of_val(&*bought.items) + size_of_val(&*next.items);
            rows.inputs.push(bought);
            rows.truths.push(next);
            rows.positions.push(at);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_hidden_and_something_is_seen_whatever_the_share() {
        for (purchases, share) in [(2, 0.01), (2, 0.99), (3, 0.5), (40, 0.25)] {
            let all: Vec<Purchase> = (0..purchases).map(|item| Purchase { item, age: 1 }).collect();
            let mut hidden_ever = 0;
            for epoch in 0..200 {
                let (seen, hidden) = divide(&all, share, Rng::keyed(1, [epoch, 0, stream("hidden", 0)]));
                assert!(!seen.is_empty() && !hidden.is_empty(), "{purchases} {share}");
                let mut both = [seen, hidden.clone()].concat();
                both.sort_by_key(|purchase| purchase.item);
                assert_eq!(both, all);
                hidden_ever += hidden.len();
            }
            if purchases == 40 {
                let found = hidden_ever as f64 / 200.0 / 40.0;
                assert!((found - share).abs() < 0.02, "{found}");
            }
        }
    }
}
