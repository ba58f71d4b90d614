//! The items that are on offer: their codes, what is said of them, and how many have bought each. It does not know who bought what.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::DataError;

/// The name under which the items lie in an artifact.
pub const ASSORTMENT_FILE: &str = "assortment.jsonl";

/// Something that can be bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is called in purchases.
    pub code: String,
    /// What is said of it; empty where nothing is.
    pub text: String,
    /// How many users have bought it, of those that are learnt from.
    pub buyers: u32,
}

/// Items with a place each, in the order of their codes.
///
/// ```
/// use homeostat_data::{Assortment, Item};
///
/// let item = |code: &str, buyers| Item { code: code.into(), text: format!("the item {code}"), buyers };
/// let items = Assortment::new(vec![item("b2", 7), item("a1", 3)])?;
/// assert_eq!((items.place("a1"), items.place("b2"), items.place("c3")), (Some(0), Some(1), None));
/// assert_eq!(Assortment::from_json_lines(&items.to_json_lines())?, items);
/// # Ok::<(), homeostat_data::DataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assortment {
    items: Vec<Item>,
    places: HashMap<String, u32>,
}

impl Assortment {
    /// Items in any order.
    ///
    /// # Errors
    /// [`DataError::Format`], under the name of [`ASSORTMENT_FILE`], where a code is empty or stands twice, and where there is no item.
    pub fn new(mut items: Vec<Item>) -> Result<Self, DataError> {
        items.sort_by(|a, b| a.code.cmp(&b.code));
        if let Some(pair) = items.windows(2).find(|pair| pair[0].code == pair[1].code) {
            return Err(wrong(format!("the item `{}` stands there twice", pair[0].code)));
        }
        match items.first() {
            None => return Err(wrong("has no items".to_owned())),
            Some(item) if item.code.is_empty() => return Err(wrong("an item has no code".to_owned())),
            Some(_) => {}
        }
        let places = items.iter().map(|item| item.code.clone()).zip(0..).collect();
        Ok(Self { items, places })
    }

    /// A line of JSON an item.
    ///
    /// # Panics
    /// Never: items are strings and numbers.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        let line = |item| serde_json::to_string(item).unwrap_or_else(|error| panic!("an item as JSON: {error}")) + "\n";
        self.items.iter().map(line).collect()
    }

    /// Reads what [`to_json_lines`](Self::to_json_lines) gives.
    ///
    /// # Errors
    /// [`DataError::Format`], under the name of [`ASSORTMENT_FILE`], for anything else; names the line.
    pub fn from_json_lines(text: &str) -> Result<Self, DataError> {
        let item = |(at, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| wrong(format!("line {}: {error}", at + 1)))
        };
        Self::new(text.lines().enumerate().map(item).collect::<Result<Vec<_>, _>>()?)
    }

    /// The items, by their places.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// How many items have no text.
    #[must_use]
    pub fn untold(&self) -> usize {
        self.items.iter().filter(|item| item.text.is_empty()).count()
    }

    /// The place of the item of this code.
    #[must_use]
    pub fn place(&self, code: &str) -> Option<u32> {
        self.places.get(code).copied()
    }
}

fn wrong(why: String) -> DataError {
    DataError::format(Path::new(ASSORTMENT_FILE), why)
}
