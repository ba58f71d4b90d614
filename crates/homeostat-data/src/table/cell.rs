//! What stands in one place of a table. It does not know columns.

/// What stands in a row under a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing: a missing key, or `null`.
    Empty,
    /// Text; in CSV and TSV, everything is.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Real(f64),
    /// Bytes, such as those of a picture.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Self>),
}

impl Cell {
    /// What it says as a name or a text; nothing for bytes, a list, and where nothing or only blanks stand.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
            Self::Whole(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Empty | Self::Bytes(_) | Self::List(_) => None,
        }
    }
}
