//! Windows over a long text as the loop sees them. It does not know the loop, nor where the text came from.

use homeostat_data::{DataError, Rng, Windows, stream};
use homeostat_tasks::{LanguageInput, LanguageModel, NextTokens};
use homeostat_train::{Draw, Examples, Rows};

/// A part of a corpus: its tokens, and windows over them. In training they begin at another place in each epoch.
pub(crate) struct WindowExamples {
    ids: Vec<u32>,
    /// The characters of each token.
    characters: Vec<u32>,
    length: usize,
    /// Places from one window to the next.
    stride: usize,
    /// Nothing where there is no text.
    windows: Option<Windows>,
}

impl WindowExamples {
    /// Windows of `length` tokens, each with the one behind it, `stride` apart.
    pub(crate) fn new(
        (ids, characters): (Vec<u32>, Vec<u32>),
        length: usize,
        stride: usize,
    ) -> Result<Self, DataError> {
        let windows = (!ids.is_empty()).then(|| Windows::new(ids.len(), length + 1, stride)).transpose()?;
        Ok(Self { ids, characters, length, stride, windows })
    }

    /// How many of the tokens are this one, and how many there are.
    pub(crate) fn count(&self, token: u32) -> [usize; 2] {
        [self.ids.iter().filter(|id| **id == token).count(), self.ids.len()]
    }

    /// The first token of a window.
    fn start(&self, windows: &Windows, window: usize, draw: Option<Draw>) -> usize {
        let start = windows.get(window).start;
        let Some(Draw { seed, epoch, .. }) = draw else { return start };
        let shift = Rng::keyed(seed, [epoch, 0, stream("windows", 0)]).range(0..self.stride);
        (start + shift).min(self.ids.len() - self.length - 1)
    }
}

impl Examples<LanguageModel> for WindowExamples {
    fn len(&self) -> usize {
        self.windows.map_or(0, |windows| windows.count())
    }

    fn rows(&self, positions: &[usize], draw: Option<Draw>) -> Result<Rows<LanguageModel>, DataError> {
        let mut rows = Rows { inputs: vec![], truths: vec![], positions: vec![], skipped: vec![], bytes: 0 };
        let Some(windows) = &self.windows else { return Ok(rows) };
        for &position in positions {
            let window = position % windows.count();
            let start = self.start(windows, window, draw);
            // What the window before has foretold does not count again, where it is measured.
            let from = match window.checked_sub(1) {
                Some(before) if draw.is_none() => windows.get(before).end - start - 1,
                _ => 0,
            };
            let next = start + 1..start + 1 + self.length;
            rows.inputs.push(LanguageInput {
                ids: self.ids[start..start + self.length].to_vec(),
                how: None,
                is_cut: false,
            });
            rows.truths.push(NextTokens {
                ids: self.ids[next.clone()].to_vec(),
                from,
                characters: self.characters[next][from..].iter().map(|count| u64::from(*count)).sum(),
            });
            rows.positions.push(position);
            rows.bytes += 2 * self.length * size_of::<u32>();
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tokens: u32, length: usize, stride: usize) -> WindowExamples {
        let ids: Vec<u32> = (0..tokens).collect();
        let characters = ids.iter().map(|id| id % 3).collect();
        WindowExamples::new((ids, characters), length, stride).unwrap()
    }

    #[test]
    fn every_token_but_the_first_is_foretold_once_however_windows_overlap() {
        for (tokens, length, stride) in [(23, 5, 5), (23, 5, 2), (6, 5, 5), (7, 5, 1), (40, 8, 3)] {
            let examples = text(tokens, length, stride);
            let rows = examples.rows(&(0..examples.len()).collect::<Vec<_>>(), None).unwrap();
            let told: Vec<u32> = rows.truths.iter().flat_map(|truth| truth.ids[truth.from..].to_vec()).collect();
            assert_eq!(told, (1..tokens).collect::<Vec<_>>(), "{tokens} {length} {stride}");
            let characters: u64 = rows.truths.iter().map(|truth| truth.characters).sum();
            assert_eq!(characters, (1..tokens).map(|id| u64::from(id % 3)).sum::<u64>());
            assert!(rows.inputs.iter().zip(&rows.truths).all(|(input, truth)| input.ids[0] + 1 == truth.ids[0]));
        }
    }

    #[test]
    fn an_epoch_begins_where_its_number_says() {
        let examples = text(1000, 10, 10);
        let starts = |epoch| {
            let draw = Some(Draw { seed: 1, epoch, batch: 0 });
            let rows = examples.rows(&[0, 1, 98], draw).unwrap();
            assert!(rows.truths.iter().all(|truth| truth.from == 0));
            rows.inputs.iter().map(|input| input.ids[0]).collect::<Vec<_>>()
        };
        assert_eq!(starts(3), starts(3));
        assert!((0..9).any(|epoch| starts(epoch) != starts(epoch + 1)));
        for epoch in 0..20 {
            let starts = starts(epoch);
            assert!(starts[0] < 10 && starts[1] == starts[0] + 10 && starts[2] <= 989, "{starts:?}");
        }
    }

    #[test]
    fn a_text_that_is_shorter_than_a_window_is_refused() {
        assert!(WindowExamples::new(((0..5).collect(), vec![1; 5]), 5, 5).is_err());
        assert_eq!(WindowExamples::new((vec![], vec![]), 5, 5).unwrap().len(), 0);
    }
}
