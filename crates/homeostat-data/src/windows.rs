//! Pieces of one long text, for language models. It does not know what a token is.

use std::ops::Range;

use crate::DataError;

/// Contiguous windows of one length over a row of tokens, a stride apart. The last one ends with the text, so that no token is left
/// out.
///
/// ```
/// use homeostat_data::Windows;
///
/// let windows = Windows::new(10, 4, 4)?;
/// assert_eq!(windows.iter().collect::<Vec<_>>(), [0..4, 4..8, 6..10]);
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    tokens: usize,
    length: usize,
    stride: usize,
}

impl Windows {
    /// Windows of `length` tokens, `stride` apart, over `tokens`.
    ///
    /// # Errors
    /// [`DataError::Config`] where the text is shorter than a window, or where a stride is 0 or would leave tokens out.
    pub fn new(tokens: usize, length: usize, stride: usize) -> Result<Self, DataError> {
        if !(1..=length).contains(&stride) {
            return Err(DataError::config(
                "stride",
                format!("{stride} is not within 1 to the window's length of {length}"),
            ));
        }
        if tokens < length {
            let why =
                format!("the text has {tokens} tokens, but a window takes {length}: shorten the window, or add text");
            return Err(DataError::config("length", why));
        }
        Ok(Self { tokens, length, stride })
    }

    /// How many there are; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.tokens - self.length).div_ceil(self.stride) + 1
    }

    /// The places of window `i`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn get(&self, i: usize) -> Range<usize> {
        assert!(i < self.count(), "window {i} of {}", self.count());
        let start = (i * self.stride).min(self.tokens - self.length);
        start..start + self.length
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        let windows = *self;
        (0..self.count()).map(move |i| windows.get(i))
    }
}
