//! Who bought what, and when: a table of purchases and one of items become a history of each user. It does not know what is learnt
//! from them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assortment::{Assortment, Item};
use crate::error::short;
use crate::labels::Labels;
use crate::source::{Catalog, Part, title_of};
use crate::tabled::below;
use crate::{
    Cell, DataError, DataRoot, Digest, Given, OnCorrupt, Place, Row, Skipped, Source, Store, Table, TableFormat,
    TableRows,
};

/// A folder with a table of purchases (or of clicks, or whatever users do with items) and a table of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InteractionsConfig {
    /// The folder, relative to the data root.
    pub folder: String,
    /// The file of the purchases: CSV, TSV, JSON Lines, JSON or Parquet.
    pub purchases: String,
    /// Its column of who bought.
    pub user: String,
    /// Its column of what was bought.
    pub item: String,
    /// Its column of when, a date like `2011-11-01` with anything behind it.
    pub time: String,
    /// The file of the items.
    pub items: String,
    /// Its column of what items are called in purchases.
    pub code: String,
    /// Its column of what is said of an item.
    pub text: String,
    /// The day, such as `2011-11-01`, from which on purchases are to be foretold by those before it: the test part. Empty: there is
    /// none, and some users are kept apart instead.
    pub test_from: String,
    /// How both files are read.
    pub format: TableFormat,
}

impl Default for InteractionsConfig {
    fn default() -> Self {
        Self {
            folder: String::new(),
            purchases: "purchases.csv".into(),
            user: "user".into(),
            item: "item".into(),
            time: "time".into(),
            items: "items.csv".into(),
            code: "item".into(),
            text: "text".into(),
            test_from: String::new(),
            format: TableFormat::default(),
        }
    }
}

/// What a user has bought for the first time, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The place of the item in the [`Assortment`].
    pub item: u32,
    /// Days before the end of what is learnt from; 1 is the last of them, and what is to be foretold has 0.
    pub age: u32,
}

/// What a user has bought, in order, each item once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The purchases.
    pub purchases: Vec<Purchase>,
    /// How many of them come before those that are to be foretold where the history is measured with: in the test part those before
    /// the day of the division, else those before the user's last day, or the first half where there is one day alone.
    pub before: usize,
}

/// The histories of a source, in memory: those to learn from, and behind them those to measure with.
pub struct Histories {
    folder: PathBuf,
    assortment: Assortment,
    users: Vec<String>,
    histories: Vec<History>,
    /// Users who bought nothing before the division.
    strangers: usize,
}

impl InteractionsConfig {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value and what is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        if self.test_from.is_empty() || day(&self.test_from).is_some() {
            return Ok(());
        }
        let why = format!("`{}` is no day; write it like 2011-11-01", short(&self.test_from));
        Err(DataError::config(&format!("{key}.test-from"), why))
    }

    /// Reads both tables. Users who bought a single thing before the division have nothing to be foretold; nor have those who bought
    /// nothing new behind it, or nothing before it. How many there are of the latter, and of items without a text, is told once.
    ///
    /// # Errors
    /// [`DataError::Missing`] without the folder, [`DataError::Read`] and [`DataError::Format`] for what cannot be read in it, and where
    /// nothing is left to learn from; [`DataError::Corrupt`] for the first row that is broken, if such are not left out.
    pub fn open(&self, root: &DataRoot, on_corrupt: OnCorrupt) -> Result<Source<Histories>, DataError> {
        self.check("interactions")?;
        let folder = root.find(&self.folder)?;
        let mut left_out = Vec::new();
        let mut judge = |name: String, why: &str| -> Result<(), DataError> {
            left_out.push(on_corrupt.judge(&name, why, Some(&folder))?);
            Ok(())
        };
        let texts = self.read_items(&folder, &mut judge)?;
        let bought = self.read_purchases(&folder, &mut judge)?;
        self.gather(folder, &texts, bought, left_out)
    }

    /// The text of each code.
    fn read_items(&self, folder: &Path, judge: &mut Judge<'_>) -> Result<HashMap<String, String>, DataError> {
        let mut texts = HashMap::new();
        let take = |cells: &[Cell]| -> Result<(), String> {
            let code = filled(&cells[0], &self.code)?;
            let text = cells[1].text().unwrap_or_default();
            match texts.insert(code.clone(), text.trim().to_owned()) {
                None => Ok(()),
                Some(_) => Err(format!("the item `{}` stands there twice", short(&code))),
            }
        };
        read_rows(self.rows(folder, &self.items, &[&self.code, &self.text])?, judge, take)?;
        Ok(texts)
    }

    /// What each user bought, and on which day.
    fn read_purchases(&self, folder: &Path, judge: &mut Judge<'_>) -> Result<Bought, DataError> {
        let mut bought = Bought::new();
        let take = |cells: &[Cell]| -> Result<(), String> {
            let [user, item] = [filled(&cells[0], &self.user)?, filled(&cells[1], &self.item)?];
            let time = filled(&cells[2], &self.time)?;
            let day = day(&time)
                .ok_or_else(|| format!("`{}` in `{}` begins with no day like 2011-11-01", short(&time), self.time))?;
            bought.entry(user).or_default().push((day, item));
            Ok(())
        };
        read_rows(self.rows(folder, &self.purchases, &[&self.user, &self.item, &self.time])?, judge, take)?;
        // Of one day, what comes first in the table comes first.
        bought.values_mut().for_each(|purchases| purchases.sort_by_key(|(day, _)| *day));
        Ok(bought)
    }

    fn rows(&self, folder: &Path, file: &str, columns: &[&str]) -> Result<TableRows, DataError> {
        let paths = below(folder, &[file.to_owned()])?;
        Table::open(&paths[0], &self.format)?.rows(columns)
    }

    fn gather(
        &self,
        folder: PathBuf,
        texts: &HashMap<String, String>,
        bought: Bought,
        left_out: Vec<Skipped>,
    ) -> Result<Source<Histories>, DataError> {
        let last = bought.values().flatten().map(|(day, _)| *day).max();
        let cut = day(&self.test_from).or(last.map(|last| last + 1)).unwrap_or_default();
        let assortment = assortment(&folder, texts, &bought, cut)?;
        let (all, untold) = (assortment.items().len(), assortment.untold());
        if untold > 0 {
            tracing::warn!("{untold} of {all} items have no text: only who bought them tells what they are");
        }
        let mut store = Histories { folder, assortment, users: Vec::new(), histories: Vec::new(), strangers: 0 };
        let mut tests = Vec::new();
        for (user, purchases) in bought {
            let firsts = store.firsts(&purchases, cut);
            let before = firsts.partition_point(|purchase| purchase.age > 0);
            if before >= 2 {
                store.users.push(user.clone());
                store
                    .histories
                    .push(History { before: boundary(&firsts[..before]), purchases: firsts[..before].to_vec() });
            }
            store.strangers += usize::from(before == 0);
            if before > 0 && before < firsts.len() {
                tests.push((user, History { purchases: firsts, before }));
            }
        }
        if store.strangers > 0 {
            let strangers = store.strangers;
            tracing::warn!("{strangers} users bought nothing before {}: they are not measured with", self.test_from);
        }
        let learnt = store.histories.len();
        if learnt == 0 {
            let why = "no user bought two things before the test part begins: there is nothing to learn from";
            return Err(DataError::format(&store.folder, why));
        }
        if tests.is_empty() && !self.test_from.is_empty() {
            let why =
                format!("is {}, but nobody bought anything new from then on that was known before", self.test_from);
            return Err(DataError::config("interactions.test-from", why));
        }
        let mut parts = vec![Part { name: self.purchases.clone(), given: None, start: 0 }];
        if !tests.is_empty() {
            parts[0].given = Some(Given::Train);
            let name = format!("{} from {}", self.purchases, self.test_from);
            parts.push(Part { name, given: Some(Given::Test), start: learnt });
        }
        for (user, history) in tests {
            store.users.push(user);
            store.histories.push(history);
        }
        let labels = Labels::None(store.histories.len());
        let title = title_of(&store.folder);
        Ok(Source::new(Catalog { title, classes: Vec::new(), labels, groups: Vec::new(), parts, left_out }, store))
    }
}

/// What each user bought, with the day.
type Bought = BTreeMap<String, Vec<(i64, String)>>;

/// Takes the name of a broken row and what is wrong with it.
type Judge<'a> = dyn FnMut(String, &str) -> Result<(), DataError> + 'a;

/// Gives the cells of each row to `take`; what that says is wrong makes the row a broken one.
fn read_rows(
    mut rows: TableRows,
    judge: &mut Judge<'_>,
    mut take: impl FnMut(&[Cell]) -> Result<(), String>,
) -> Result<(), DataError> {
    while let Some(row) = rows.next() {
        match row {
            Ok(Row { number, cells, .. }) => {
                if let Err(why) = take(&cells) {
                    judge(rows.name(number), &why)?;
                }
            }
            Err(DataError::Corrupt { name, why }) => judge(name, &why)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn filled(cell: &Cell, column: &str) -> Result<String, String> {
    cell.text().map(|text| text.trim().to_owned()).ok_or_else(|| format!("there is nothing in `{column}`"))
}

/// The items that somebody bought before this day.
fn assortment(
    folder: &Path,
    texts: &HashMap<String, String>,
    bought: &Bought,
    cut: i64,
) -> Result<Assortment, DataError> {
    let mut buyers: HashMap<&str, u32> = HashMap::new();
    for purchases in bought.values() {
        let own: HashSet<&str> =
            purchases.iter().filter(|(day, _)| *day < cut).map(|(_, item)| item.as_str()).collect();
        own.into_iter().for_each(|item| *buyers.entry(item).or_default() += 1);
    }
    if buyers.is_empty() {
        return Err(DataError::format(folder, "nobody bought anything before the test part begins"));
    }
    let item = |(code, buyers): (&str, u32)| {
        let text = texts.get(code).cloned().unwrap_or_default();
        Item { code: code.to_owned(), text, buyers }
    };
    Assortment::new(buyers.into_iter().map(item).collect())
}

/// Where what is to be foretold begins: at the last of several days, else in the middle.
fn boundary(purchases: &[Purchase]) -> usize {
    let last = purchases.last().map_or(0, |purchase| purchase.age);
    match purchases.partition_point(|purchase| purchase.age > last) {
        0 => purchases.len() / 2,
        start => start,
    }
}

impl Histories {
    /// The items on offer: those that were bought before the test part begins.
    #[must_use]
    pub fn assortment(&self) -> &Assortment {
        &self.assortment
    }

    /// What a user bought, each known item once.
    fn firsts(&self, purchases: &[(i64, String)], cut: i64) -> Vec<Purchase> {
        let mut met = HashSet::new();
        let known = purchases.iter().filter_map(|(day, code)| Some((*day, self.assortment.place(code)?)));
        let firsts = known.filter(|(_, item)| met.insert(*item));
        firsts.map(|(day, item)| Purchase { item, age: u32::try_from(cut - day).unwrap_or(0) }).collect()
    }
}

impl Store for Histories {
    type Sample = History;

    fn sample(&self, place: Place<'_>) -> Result<History, DataError> {
        Ok(self.histories[place.index].clone())
    }

    /// Of the user, the codes and the boundary: the same for the same content, wherever items stand in the assortment.
    fn digest(&self, place: Place<'_>) -> Result<Digest, DataError> {
        let History { purchases, before } = &self.histories[place.index];
        let mut text = format!("{}\0{before}", self.users[place.index]);
        for Purchase { item, age } in purchases {
            text += &format!("\0{}\0{age}", self.assortment.items()[*item as usize].code);
        }
        Ok(Digest::of(text.as_bytes()))
    }

    fn name(&self, place: Place<'_>) -> String {
        format!("{}, user {}", place.part, self.users[place.index])
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }
}

impl Source<Histories> {
    /// The items on offer: those that were bought before the test part begins.
    #[must_use]
    pub fn assortment(&self) -> &Assortment {
        self.store().assortment()
    }

    /// How many users bought nothing before the test part begins: they are not measured with.
    #[must_use]
    pub fn strangers(&self) -> usize {
        self.store().strangers
    }
}

impl std::fmt::Debug for Histories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Histories({} of {} items)", self.histories.len(), self.assortment.items().len())
    }
}

/// The day that a text begins with, `YYYY-MM-DD`, counted from 1970-01-01.
fn day(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_at_checked(10)?;
    if rest.starts_with(|c: char| c.is_ascii_digit()) || date.as_bytes()[4] != b'-' || date.as_bytes()[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| date.get(range)?.bytes().all(|b| b.is_ascii_digit()).then_some(());
    (number(0..4).is_some() && number(5..7).is_some() && number(8..10).is_some()).then_some(())?;
    let [year, month, day]: [i64; 3] = [date[..4].parse().ok()?, date[5..7].parse().ok()?, date[8..].parse().ok()?];
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = 28 + i64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month - 1).ok().filter(|month| *month < 12)?;
    if !(1..=lengths[month]).contains(&day) {
        return None;
    }
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    // 719,162 days lie before 1970-01-01 in this calendar.
    Some(years + lengths[..month].iter().sum::<i64>() + day - 1 - 719_162)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1970-03-01 12:00", Some(59)),
            ("2000-02-29T08:26:00Z", Some(11_016)),
            ("2011-11-01", Some(15_279)),
            ("2011-12-09 12:50", Some(15_317)),
            ("1900-02-29", None),
            ("2011-13-01", None),
            ("2011-00-10", None),
            ("2011-04-31", None),
            ("2011-1-1", None),
            ("2011-01-011", None),
            ("11/01/2011", None),
            ("2011-+1-01", None),
            ("20é1-01-01", None),
            ("", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }
}
