//! Which key or name was meant. Does not know what is valid, only what exists.

use crate::path::{dotted, segments};
use crate::schema::{Schema, Shape};
use crate::tree::Node;

/// At least this much alike, or nothing was meant.
const ALIKE: f64 = 0.6;
/// A key in another table must be more alike than one in the same.
const ALIKE_ELSEWHERE: f64 = 0.8;
/// More suggestions than these help nobody.
const MOST: usize = 3;

/// The names that may have been meant by `given`, the likeliest first.
#[must_use]
pub fn nearest_names(given: &str, names: &[&str]) -> Box<[String]> {
    best(names.iter().map(|name| (alike(given, name), (*name).to_owned())), ALIKE).take(MOST).collect()
}

/// Keeps the few keys that are suggested: first those inside what the trees have chosen, of the first tree above all.
/// The keys of another choice would choose that one.
pub(crate) fn chosen_first(keys: &mut Box<[String]>, trees: &[&Node]) {
    let is_inside = |path: &[String], tree: &Node| {
        path.split_last().is_some_and(|(_, table)| table.iter().try_fold(tree, |node, name| node.child(name)).is_some())
    };
    let rank = |key: &String| {
        let path = segments(key).unwrap_or_default();
        trees.iter().position(|tree| is_inside(&path, tree)).unwrap_or(trees.len())
    };
    let mut all = std::mem::take(keys).into_vec();
    all.sort_by_key(rank);
    all.truncate(MOST);
    *keys = all.into();
}

/// The keys with the name `given`, or one very like it, anywhere below `table`, as paths.
pub(crate) fn nearest_below(given: &str, schema: Schema<'_>, table: &[String]) -> Box<[String]> {
    let mut keys = Vec::new();
    collect(schema, &mut table.to_vec(), &mut Vec::new(), &mut keys);
    let scored = keys.iter().filter_map(|path| Some((alike(given, path.last()?), dotted(path))));
    best(scored, ALIKE_ELSEWHERE).collect()
}

/// All that are as good as the best one.
fn best(scored: impl Iterator<Item = (f64, String)>, least: f64) -> impl Iterator<Item = String> {
    let mut scored: Vec<_> = scored.filter(|(score, _)| *score >= least).collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let top = scored.first().map_or(1.0, |(score, _)| *score);
    scored.into_iter().take_while(move |(score, _)| *score == top).map(|(_, name)| name)
}

/// From 0 to 1: edits by the Damerau-Levenshtein distance; a name that has the other as a whole word (`learning-rate`
/// and `rate`), or whose initials it is (`lr`), is alike, too.
fn alike(a: &str, b: &str) -> f64 {
    let (a, b) = (a.to_lowercase().replace('_', "-"), b.to_lowercase().replace('_', "-"));
    let has_word = |long: &str, word: &str| long.split('-').any(|part| part == word);
    let initials: String = b.split('-').filter_map(|word| word.chars().next()).collect();
    let words = match () {
        () if initials.len() > 1 && initials == a => 0.9,
        () if has_word(&a, &b) || has_word(&b, &a) => 0.7,
        () => 0.0,
    };
    strsim::normalized_damerau_levenshtein(&a, &b).max(words)
}

/// The paths of all keys and choices, but those in lists and maps. A type inside itself is not entered again.
fn collect<'a>(schema: Schema<'a>, path: &mut Vec<String>, inside: &mut Vec<&'a str>, keys: &mut Vec<Vec<String>>) {
    let name = schema.type_name();
    if name.is_some_and(|name| inside.contains(&name)) {
        return;
    }
    inside.extend(name);
    let children: Vec<_> = match schema.shape() {
        Shape::Table(fields) => fields.iter().map(|field| (field.name, field.schema)).collect(),
        Shape::Choice(all) => all.iter().filter_map(|one| Some((one.name, one.payload?))).collect(),
        _ => Vec::new(),
    };
    for (name, schema) in children {
        path.push(name.to_owned());
        keys.push(path.clone());
        collect(schema, path, inside, keys);
        path.pop();
    }
    if name.is_some() {
        inside.pop();
    }
}
