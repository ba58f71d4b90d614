//! Dividing the samples of a source into those to learn from, to choose by and to measure with. It does not know pictures, only
//! classes and whether two samples have the same content.

mod groups;

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use groups::GroupBy;

use crate::{DataError, Digest, Given, LabelKind, Rng, Source, Store, sampling, stream};

/// How samples are divided into training, validation and test. Random divisions keep the proportions of the classes, depend on the
/// seed alone, and never put two samples of the same content into different parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitConfig {
    /// `given` where the data set comes with a training part and another one, else `stratified`. The run's `experiment.toml` has
    /// the one that was chosen.
    #[default]
    Auto,
    /// As the data set gives it; where it gives no validation part, one is taken from training at random.
    Given(GivenSplit),
    /// At random, in fixed fractions.
    Stratified(StratifiedSplit),
    /// At random into folds of equal size, one of which is for validation (cross-validation).
    KFold(KFoldSplit),
    /// At random in about fixed fractions, each group of samples as a whole.
    Group(GroupSplit),
    /// At random into folds of about equal size, each group of samples as a whole.
    GroupKFold(GroupKFoldSplit),
    /// By position: what comes first is learnt from, what comes last is measured with. For texts that are read on, and for what
    /// is to be foretold.
    Sequential(SequentialSplit),
}

/// The division that the data set comes with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GivenSplit {
    /// The fraction of the training part that becomes the validation part where the data set has none, above 0 and below 1.
    pub valid: f64,
}

impl Default for GivenSplit {
    fn default() -> Self {
        Self { valid: 0.1 }
    }
}

/// A random division in fixed fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StratifiedSplit {
    /// The fraction for validation, above 0.
    pub valid: f64,
    /// The fraction for the test, from 0 (no test part); both together are below 1.
    pub test: f64,
}

impl Default for StratifiedSplit {
    fn default() -> Self {
        Self { valid: 0.1, test: 0.1 }
    }
}

/// A random division into folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KFoldSplit {
    /// The number of folds, at least 2.
    pub folds: usize,
    /// The fold that is for validation, counted from 0; the others are for training.
    pub fold: usize,
    /// The fraction for the test, from 0 (no test part) to below 1; it is taken out first and is the same for every fold.
    pub test: f64,
}

impl Default for KFoldSplit {
    fn default() -> Self {
        Self { folds: 5, fold: 0, test: 0.1 }
    }
}

/// A random division of groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GroupSplit {
    /// What tells the group of a sample.
    pub by: GroupBy,
    /// The fraction for validation, above 0.
    pub valid: f64,
    /// The fraction for the test, from 0 (no test part); both together are below 1.
    pub test: f64,
}

impl Default for GroupSplit {
    fn default() -> Self {
        let StratifiedSplit { valid, test } = StratifiedSplit::default();
        Self { by: GroupBy::default(), valid, test }
    }
}

/// A random division of groups into folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GroupKFoldSplit {
    /// What tells the group of a sample.
    pub by: GroupBy,
    /// The number of folds, at least 2.
    pub folds: usize,
    /// The fold that is for validation, counted from 0; the others are for training.
    pub fold: usize,
    /// The fraction for the test, from 0 (no test part) to below 1; it is taken out first and is the same for every fold.
    pub test: f64,
}

impl Default for GroupKFoldSplit {
    fn default() -> Self {
        let KFoldSplit { folds, fold, test } = KFoldSplit::default();
        Self { by: GroupBy::default(), folds, fold, test }
    }
}

/// A division by position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SequentialSplit {
    /// The fraction for validation, above 0, which comes before the test part.
    pub valid: f64,
    /// The fraction for the test, from 0 (no test part), which comes last; both together are below 1.
    pub test: f64,
}

impl Default for SequentialSplit {
    fn default() -> Self {
        let StratifiedSplit { valid, test } = StratifiedSplit::default();
        Self { valid, test }
    }
}

/// The numbers of the samples of each part, ascending. The test part is empty where none was asked for or given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splits {
    /// To learn from.
    pub train: Vec<usize>,
    /// To choose by.
    pub valid: Vec<usize>,
    /// To measure with, once.
    pub test: Vec<usize>,
}

/// The content of the samples of each part, so that it is known later which samples a network has learned from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRecord {
    /// To learn from.
    pub train: Vec<Digest>,
    /// To choose by.
    pub valid: Vec<Digest>,
    /// To measure with.
    pub test: Vec<Digest>,
}

impl SplitConfig {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        let (name, ok, why) = match self {
            Self::Auto => return Ok(()),
            Self::Given(GivenSplit { valid }) => {
                ("given.valid", *valid > 0.0 && *valid < 1.0, "has to be above 0 and below 1")
            }
            Self::Stratified(StratifiedSplit { valid, test })
            | Self::Group(GroupSplit { valid, test, .. })
            | Self::Sequential(SequentialSplit { valid, test }) => {
                let ok = *valid > 0.0 && *test >= 0.0 && valid + test < 1.0;
                let name = match self {
                    Self::Group(_) => "group",
                    Self::Sequential(_) => "sequential",
                    _ => "stratified",
                };
                (name, ok, "`valid` has to be above 0, `test` at least 0, and both together below 1")
            }
            Self::KFold(KFoldSplit { folds, fold, test })
            | Self::GroupKFold(GroupKFoldSplit { folds, fold, test, .. }) => {
                let ok = *folds >= 2 && fold < folds && (0.0..1.0).contains(test);
                let name = if matches!(self, Self::GroupKFold(_)) { "group-k-fold" } else { "k-fold" };
                (name, ok, "`folds` has to be at least 2, `fold` below `folds`, and `test` from 0 to below 1")
            }
        };
        if ok { Ok(()) } else { Err(DataError::config(&format!("{key}.{name}"), why)) }
    }

    /// What `auto` stands for with this source, and why; nothing for what was said.
    #[must_use]
    pub fn resolve<S: Store>(&self, source: &Source<S>) -> Option<(Self, String)> {
        let Self::Auto = self else { return None };
        let parts = [(Given::Train, "training"), (Given::Valid, "validation"), (Given::Test, "test")];
        let comes = |(given, _): &(Given, &str)| (0..source.len()).any(|i| source.given(i) == Some(*given));
        let found: Vec<&str> = parts.into_iter().filter(comes).map(|(_, name)| name).collect();
        Some(match found.as_slice() {
            ["training", _, ..] => {
                (Self::Given(GivenSplit::default()), format!("the data come divided: {}", found.join(", ")))
            }
            _ => (Self::Stratified(StratifiedSplit::default()), "the data come undivided".to_owned()),
        })
    }

    /// Divides the samples.
    ///
    /// # Errors
    /// [`DataError::Config`] for fractions that cannot work, [`DataError::Split`] for a single class, a class with too few samples or a
    /// part that would be empty, [`DataError::Read`] for a file that cannot be read.
    pub fn split<S: Store>(&self, source: &Source<S>, seed: u64) -> Result<Splits, DataError> {
        self.check("split")?;
        if let (LabelKind::One, [only]) = (source.label_kind(), source.classes()) {
            return Err(fault(source, format!("there is only one class, `{only}`, so there is nothing to tell apart")));
        }
        if let Some((chosen, _)) = self.resolve(source) {
            return chosen.split(source, seed);
        }
        let all: Vec<usize> = (0..source.len()).collect();
        match self {
            Self::Auto => unreachable!("resolved above"),
            Self::Given(given) => given.split(source, seed),
            Self::Stratified(StratifiedSplit { valid, test }) => {
                let mut deck = Deck::new(source, &all, seed, 2 + usize::from(*test > 0.0))?;
                let (test, valid) = (deck.draw(*test, 2), deck.draw(*valid, 1));
                Ok(Splits::sorted(deck.rest(), valid, test))
            }
            Self::KFold(KFoldSplit { folds, fold, test }) => {
                let mut deck = Deck::new(source, &all, seed, folds + usize::from(*test > 0.0))?;
                let test = deck.draw(*test, *folds);
                let (valid, train) = deck.deal(*folds, *fold);
                Ok(Splits::sorted(train, valid, test))
            }
            Self::Group(group) => group.split(source, &all, seed),
            Self::GroupKFold(group) => group.split(source, &all, seed),
            Self::Sequential(sequential) => sequential.split(source),
        }
    }
}

impl GivenSplit {
    fn split<S: Store>(&self, source: &Source<S>, seed: u64) -> Result<Splits, DataError> {
        let part = |given| (0..source.len()).filter(|&i| source.given(i) == Some(given)).collect::<Vec<_>>();
        let (train, valid, test) = (part(Given::Train), part(Given::Valid), part(Given::Test));
        if train.is_empty() {
            let why = "it comes with no training part; choose `stratified` or `k-fold` instead of `given`";
            return Err(fault(source, why.into()));
        }
        if valid.is_empty() {
            let mut deck = Deck::new(source, &train, seed, 2)?;
            let valid = deck.draw(self.valid, 1);
            return Ok(Splits::sorted(deck.rest(), valid, test));
        }
        check_counts(source, &train, 1)?;
        Ok(Splits { train, valid, test })
    }
}

impl GroupSplit {
    fn split<S: Store>(&self, source: &Source<S>, all: &[usize], seed: u64) -> Result<Splits, DataError> {
        let mut shares = vec![1.0 - self.valid - self.test, self.valid];
        shares.extend((self.test > 0.0).then_some(self.test));
        let mut parts = groups::divide(source, all, &self.by, &shares, seed)?.into_iter();
        let [train, valid, test] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        check_counts(source, &train, 1)?;
        Ok(Splits::sorted(train, valid, test))
    }
}

impl GroupKFoldSplit {
    fn split<S: Store>(&self, source: &Source<S>, all: &[usize], seed: u64) -> Result<Splits, DataError> {
        let (mut rest, mut test) = (all.to_vec(), Vec::new());
        if self.test > 0.0 {
            let mut parts = groups::divide(source, all, &self.by, &[1.0 - self.test, self.test], seed)?;
            (test, rest) = (parts.pop().unwrap_or_default(), parts.pop().unwrap_or_default());
            rest.sort_unstable();
        }
        let shares = vec![1.0 / self.folds as f64; self.folds];
        let mut folds = groups::divide(source, &rest, &self.by, &shares, seed)?;
        let valid = folds.swap_remove(self.fold);
        let train = folds.concat();
        check_counts(source, &train, 1)?;
        Ok(Splits::sorted(train, valid, test))
    }
}

impl SequentialSplit {
    /// A sample is of the part in which its middle lies.
    fn split<S: Store>(&self, source: &Source<S>) -> Result<Splits, DataError> {
        let amounts: Vec<usize> = (0..source.len()).map(|i| source.amount(i)).collect();
        let all = amounts.iter().sum::<usize>() as f64;
        let [to_valid, to_test] = [1.0 - self.valid - self.test, 1.0 - self.test].map(|share| share * all);
        let (mut splits, mut before) = (Splits::default(), 0);
        for (i, amount) in amounts.into_iter().enumerate() {
            let middle = before as f64 + amount as f64 / 2.0;
            let part = if middle < to_valid {
                &mut splits.train
            } else if middle < to_test || self.test <= 0.0 {
                &mut splits.valid
            } else {
                &mut splits.test
            };
            part.push(i);
            before += amount;
        }
        let parts =
            [("training", &splits.train, 1.0), ("validation", &splits.valid, 1.0), ("test", &splits.test, self.test)];
        if let Some((name, ..)) = parts.into_iter().find(|(_, part, share)| part.is_empty() && *share > 0.0) {
            let count = source.len();
            let problem =
                format!("nothing of its {count} samples is left for the {name} part: add data, or take a larger share");
            return Err(fault(source, problem));
        }
        check_counts(source, &splits.train, 1)?;
        Ok(splits)
    }
}

impl Splits {
    /// Learns from about this fraction of each class only, from above 0 to 1: always the same samples for a seed, and for a smaller
    /// fraction some of them. What is chosen by and measured with stays.
    #[must_use]
    pub fn with_fraction<S>(mut self, fraction: f64, source: &Source<S>, seed: u64) -> Self {
        if fraction < 1.0 {
            self.train = sampling::subset(&self.train, |i| source.stratum(i), fraction, seed);
        }
        self
    }

    fn sorted(mut train: Vec<usize>, mut valid: Vec<usize>, mut test: Vec<usize>) -> Self {
        for part in [&mut train, &mut valid, &mut test] {
            part.sort_unstable();
        }
        Self { train, valid, test }
    }

    /// The content of every sample, to be stored with the run.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    pub fn record<S: Store>(&self, source: &Source<S>) -> Result<SplitRecord, DataError> {
        let digests = source.digests()?;
        let part = |indices: &[usize]| indices.iter().map(|&i| digests[i]).collect();
        Ok(SplitRecord { train: part(&self.train), valid: part(&self.valid), test: part(&self.test) })
    }
}

impl SplitRecord {
    /// The samples of `source` that a network trained on this division has learned from, or whose answers chose its weights: with
    /// these it must not be measured.
    ///
    /// # Errors
    /// [`DataError::Read`] for a file that cannot be read.
    pub fn leaks<S: Store>(&self, source: &Source<S>) -> Result<Vec<usize>, DataError> {
        let seen: HashSet<&Digest> = self.train.iter().chain(&self.valid).collect();
        let digests = source.digests()?;
        Ok((0..source.len()).filter(|&i| seen.contains(&digests[i])).collect())
    }
}

/// The groups of equal content of each class, shuffled. A group counts for the class of its first sample.
struct Deck {
    classes: Vec<Vec<Group>>,
    /// How many samples each class had before anything was drawn.
    sizes: Vec<usize>,
}

type Group = Vec<usize>;

impl Deck {
    /// Of these samples; each class needs at least `parts` different ones.
    fn new<S: Store>(source: &Source<S>, indices: &[usize], seed: u64, parts: usize) -> Result<Self, DataError> {
        let digests = source.digests()?;
        let mut classes: Vec<Vec<Group>> = vec![Vec::new(); source.strata()];
        let mut places: HashMap<Digest, (usize, usize)> = HashMap::new();
        for &i in indices {
            let class = source.stratum(i);
            let (class, group) = *places.entry(digests[i]).or_insert_with(|| {
                classes[class].push(Group::new());
                (class, classes[class].len() - 1)
            });
            classes[class][group].push(i);
        }
        if let (LabelKind::Several, Some((rest, own))) = (source.label_kind(), classes.split_last_mut()) {
            // What is too rare to be in every part is drawn together with what has no label.
            own.iter_mut().filter(|groups| groups.len() < parts).for_each(|groups| rest.append(groups));
        }
        let firsts: Vec<usize> = classes.iter().flatten().map(|group| group[0]).collect();
        check_counts(source, &firsts, parts)?;
        for (class, groups) in classes.iter_mut().enumerate() {
            let order = Rng::keyed(seed, [0, class as u64, stream("split", 0)]).permutation(groups.len());
            *groups = order.into_iter().map(|at| std::mem::take(&mut groups[at])).collect();
        }
        let sizes = classes.iter().map(|groups| groups.iter().map(Vec::len).sum()).collect();
        Ok(Self { classes, sizes })
    }

    /// About this fraction of each class, and at least one group if it is above 0, while `keep` groups remain.
    fn draw(&mut self, fraction: f64, keep: usize) -> Vec<usize> {
        let mut drawn = Vec::new();
        if fraction <= 0.0 {
            return drawn;
        }
        for (groups, &size) in self.classes.iter_mut().zip(&self.sizes) {
            let target = share(size, fraction).max(1);
            let mut taken = 0;
            while taken < target && groups.len() > keep {
                let Some(group) = groups.pop() else { break };
                taken += group.len();
                drawn.extend(group);
            }
        }
        drawn
    }

    /// All that remains, the groups dealt out to `folds` in turn: those of `fold`, and those of the others.
    fn deal(self, folds: usize, fold: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for (turn, group) in self.classes.into_iter().flatten().enumerate() {
            if turn % folds == fold { own.extend(group) } else { others.extend(group) }
        }
        (own, others)
    }

    fn rest(self) -> Vec<usize> {
        self.classes.into_iter().flatten().flatten().collect()
    }
}

/// Whether each class has `least` of these samples, where a sample has one class; else whether there are as many at all.
fn check_counts<S>(source: &Source<S>, indices: &[usize], least: usize) -> Result<(), DataError> {
    if source.label_kind() != LabelKind::One {
        let why = || format!("it has {} different samples, but {least} are needed", indices.len());
        return if indices.len() < least { Err(fault(source, why())) } else { Ok(()) };
    }
    let mut counts = vec![0; source.classes().len()];
    indices.iter().for_each(|&i| counts[source.label(i)] += 1);
    match counts.iter().position(|&count| count < least) {
        None => Ok(()),
        Some(class) => {
            let (name, count) = (&source.classes()[class], counts[class]);
            let need = if least == 1 { "1 is".into() } else { format!("{least} are") };
            let why =
                format!("the class `{name}` has {count} different samples, but {need} needed; add some or remove it");
            Err(fault(source, why))
        }
    }
}

fn fault<S>(source: &Source<S>, why: String) -> DataError {
    DataError::Split { name: source.title().to_owned(), why }
}

#[expect(clippy::cast_possible_truncation, reason = "a fraction of a count")]
fn share(size: usize, fraction: f64) -> usize {
    (size as f64 * fraction).round() as usize
}
