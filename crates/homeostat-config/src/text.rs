//! Writes a tree as TOML for people, or as JSON: scalars and lists on a line each, tables as sections. Knows no schema.

use std::{ffi::OsStr, path::Path};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Origin;
use crate::path::{dotted, key, quote};
use crate::tree::{Kind, Node};

/// A longer list has a line for each element.
const WIDTH: usize = 100;
/// Comments stand in this column at most; beyond it they follow the text.
const COLUMN: usize = 60;

/// The value as TOML: complete, in a stable order, with the shortest digits that read back as the same numbers.
///
/// # Panics
/// When the value has no TOML form: an integer above `i64::MAX`, a `None` in a list, or no table at the top.
#[must_use]
pub fn to_toml<T: Serialize>(value: &T) -> String {
    let tree = Node::of(value, &Origin::Default);
    assert!(matches!(tree.kind, Kind::Table(_)), "the top of a TOML file is a table, not {:?}", tree.kind);
    let lines: Vec<_> = lines(&tree).into_iter().map(|line| line.text + "\n").collect();
    lines.concat()
}

/// The value as TOML in one line, as it may stand behind a key, without the entries that are as in `usual`.
#[must_use]
pub fn to_inline_toml<T: Serialize>(value: &T, usual: Option<&T>) -> String {
    let mut tree = Node::of(value, &Origin::Default);
    if let Some(usual) = usual {
        drop_usual(&mut tree, &Node::of(usual, &Origin::Default));
    }
    inline(&tree)
}

fn drop_usual(node: &mut Node, usual: &Node) {
    let (Kind::Table(entries), Kind::Table(usual)) = (&mut node.kind, &usual.kind) else { return };
    let of = |name: &String| usual.iter().find(|(other, _)| other == name).map(|(_, node)| node);
    entries.retain(|(name, node)| of(name).is_none_or(|usual| inline(usual) != inline(node)));
    for (name, node) in entries {
        if let Some(usual) = of(name) {
            drop_usual(node, usual);
        }
    }
}

/// The tree as TOML with the origin of each line in a comment.
pub(crate) fn annotated(tree: &Node) -> String {
    let lines = lines(tree);
    let width = |line: &Line| line.text.chars().count();
    let column = lines.iter().filter(|line| line.comment.is_some()).map(width).filter(|width| *width <= COLUMN).max();
    let column = column.unwrap_or(0);
    let line = |line: &Line| match &line.comment {
        Some(comment) => format!("{:column$}  # {comment}\n", line.text),
        None => format!("{}\n", line.text),
    };
    lines.iter().map(line).collect()
}

/// `{ "train.epochs": { "value": 3, "from": "command line" } }`
pub(crate) fn annotated_json(tree: &Node) -> Value {
    let mut values = Map::new();
    collect_json(tree, &mut Vec::new(), &mut values);
    Value::Object(values)
}

fn collect_json(node: &Node, path: &mut Vec<String>, values: &mut Map<String, Value>) {
    match &node.kind {
        Kind::Table(entries) if !entries.is_empty() => {
            for (name, child) in entries {
                path.push(name.clone());
                collect_json(child, path, values);
                path.pop();
            }
        }
        _ => {
            values.insert(dotted(path), json!({ "value": to_json(node), "from": origins(node) }));
        }
    }
}

fn to_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Table(entries) => entries.iter().map(|(name, node)| (name.clone(), to_json(node))).collect(),
        Kind::List(items) => items.iter().map(to_json).collect(),
        Kind::Text(text) | Kind::Date(text) => Value::from(text.as_str()),
        Kind::Integer(number) => Value::from(*number),
        Kind::Number(number) if number.is_finite() => Value::from(*number),
        Kind::Number(number) => Value::from(inline_number(*number)),
        Kind::Flag(flag) => Value::from(*flag),
        Kind::Unset => Value::Null,
    }
}

/// A line of TOML, and what may stand beside it.
struct Line {
    text: String,
    comment: Option<String>,
}

fn lines(tree: &Node) -> Vec<Line> {
    let mut lines = Vec::new();
    section(tree, &mut Vec::new(), &mut lines);
    lines
}

/// A table: its header, what is on one line, and then its tables.
fn section(node: &Node, path: &mut Vec<String>, lines: &mut Vec<Line>) {
    let Kind::Table(entries) = &node.kind else { return };
    let is_table = |node: &Node| matches!(node.kind, Kind::Table(_));
    let only_tables = !entries.is_empty() && entries.iter().all(|(_, child)| is_table(child));
    if !path.is_empty() && !only_tables {
        if !lines.is_empty() {
            lines.push(Line { text: String::new(), comment: None });
        }
        lines.push(Line { text: format!("[{}]", dotted(path)), comment: Some(shown(&node.origin)) });
    }
    for (name, child) in entries.iter().filter(|(_, child)| !is_table(child)) {
        entry(name, child, lines);
    }
    for (name, child) in entries.iter().filter(|(_, child)| is_table(child)) {
        path.push(name.clone());
        section(child, path, lines);
        path.pop();
    }
}

fn entry(name: &str, node: &Node, lines: &mut Vec<Line>) {
    let name = key(name);
    match &node.kind {
        Kind::Unset => lines.push(Line { text: format!("# {name} ="), comment: Some("not set".to_owned()) }),
        Kind::List(items) if !fits(&name, node, items) => {
            lines.push(Line { text: format!("{name} = ["), comment: None });
            for item in items {
                lines.push(Line { text: format!("    {},", inline(item)), comment: Some(origins(item)) });
            }
            lines.push(Line { text: "]".to_owned(), comment: None });
        }
        _ => lines.push(Line { text: format!("{name} = {}", inline(node)), comment: Some(origins(node)) }),
    }
}

/// Whether a list is short enough for one line, and came from one place.
fn fits(name: &str, node: &Node, items: &[Node]) -> bool {
    name.chars().count() + 3 + inline(node).chars().count() <= WIDTH
        && items.windows(2).all(|pair| same_source(&pair[0].origin, &pair[1].origin))
        && items.iter().all(|item| !origins(item).contains(", "))
}

/// A value in one line.
pub(crate) fn inline(node: &Node) -> String {
    match &node.kind {
        Kind::Table(entries) if entries.is_empty() => "{}".to_owned(),
        Kind::Table(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(name, node)| format!("{} = {}", key(name), inline(node))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Kind::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Kind::Text(text) => quote(text),
        Kind::Integer(number) => number.to_string(),
        Kind::Number(number) => inline_number(*number),
        Kind::Flag(flag) => flag.to_string(),
        Kind::Date(date) => date.clone(),
        Kind::Unset => "not set".to_owned(),
    }
}

/// Rust's debug form has the shortest digits and an exponent where that is shorter, and is TOML but for the case of NaN.
fn inline_number(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { format!("{number:?}") }
}

fn same_source(a: &Origin, b: &Origin) -> bool {
    match (a, b) {
        (Origin::File { name: a, .. }, Origin::File { name: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// The origins of a value and its parts: `digits.toml:4-7, command line`.
fn origins(node: &Node) -> String {
    let mut found: Vec<(Origin, usize)> = Vec::new();
    collect_origins(node, &mut found);
    let text = |(origin, last): &(Origin, usize)| match origin {
        Origin::File { line, .. } if line != last => format!("{}-{last}", shown(origin)),
        origin => shown(origin),
    };
    found.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// An origin beside its value: there is one file, so its name is enough.
fn shown(origin: &Origin) -> String {
    match origin {
        Origin::File { name, line } => {
            let name = Path::new(name).file_name().map_or_else(|| name.into(), OsStr::to_string_lossy);
            format!("{name}:{line}")
        }
        origin => origin.to_string(),
    }
}

/// Each source once; for a file, its first line here with its last.
fn collect_origins(node: &Node, found: &mut Vec<(Origin, usize)>) {
    let line = if let Origin::File { line, .. } = node.origin { line } else { 0 };
    match found.iter_mut().find(|(origin, _)| same_source(origin, &node.origin)) {
        Some((_, last)) => *last = line.max(*last),
        None => found.push((node.origin.clone(), line)),
    }
    for (_, child) in node.children() {
        collect_origins(child, found);
    }
}
