//! Texts of different lengths side by side, still on the host. It does not know tensors.

use crate::{Tokens, Weigh};

/// Texts filled up to one length: row after row, `[texts, length]`.
///
/// ```
/// use homeostat_data::{TokenBatch, Tokens};
///
/// let text = |ids: &[u32]| Tokens { ids: ids.to_vec(), types: vec![0; ids.len()], is_cut: false };
/// let batch = TokenBatch::new([&text(&[7, 8, 9]), &text(&[5])], 0, 4);
/// assert_eq!((batch.texts(), batch.length()), (2, 4));
/// assert_eq!(batch.ids, [7, 8, 9, 0, 5, 0, 0, 0]);
/// assert_eq!(batch.is_padding, [false, false, false, true, false, true, true, true]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenBatch {
    /// The numbers of the tokens.
    pub ids: Vec<u32>,
    /// 0 for the first text of a pair, 1 for the second.
    pub types: Vec<u32>,
    /// Whether a place is filled up.
    pub is_padding: Vec<bool>,
    /// The number of tokens of each text.
    pub lengths: Vec<usize>,
}

impl TokenBatch {
    /// Fills up with `pad` to the length of the longest text, or to the next multiple of `multiple` above it.
    ///
    /// # Panics
    /// If there is no text, or `multiple` is 0.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a Tokens>, pad: u32, multiple: usize) -> Self {
        let texts: Vec<&Tokens> = texts.into_iter().collect();
        let longest = texts.iter().map(|text| text.ids.len()).max();
        let Some(longest) = longest else { panic!("a batch has at least one text") };
        let length = longest.max(1).next_multiple_of(multiple);
        let mut batch = Self::default();
        for text in texts {
            let end = batch.lengths.len() * length + length;
            batch.ids.extend_from_slice(&text.ids);
            batch.types.extend_from_slice(&text.types);
            batch.is_padding.resize(batch.ids.len(), false);
            batch.ids.resize(end, pad);
            batch.types.resize(end, 0);
            batch.is_padding.resize(end, true);
            batch.lengths.push(text.ids.len());
        }
        batch
    }

    /// The number of texts.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.lengths.len()
    }

    /// The places of each.
    #[must_use]
    pub fn length(&self) -> usize {
        self.ids.len() / self.texts().max(1)
    }
}

impl Weigh for Tokens {
    fn bytes(&self) -> usize {
        size_of_val(&*self.ids) + size_of_val(&*self.types)
    }
}
