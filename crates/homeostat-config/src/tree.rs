//! A TOML value in which every node knows where it came from. Does not know what is valid.

use serde::Serialize;
use toml_edit::{Document, Item, TableLike};

use crate::error::one_line;
use crate::{ConfigError, Origin};

/// A value and its origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
}

/// The kinds of TOML values, and the absence of one.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Table(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
    /// TOML has dates; no configuration of ours does.
    Date(String),
    /// An option without a value; it is shown, never read.
    Unset,
}

impl Default for Kind {
    fn default() -> Self {
        Self::Table(Vec::new())
    }
}

impl Node {
    pub(crate) const fn new(origin: Origin, kind: Kind) -> Self {
        Self { origin, kind }
    }

    /// Reads a TOML file.
    pub(crate) fn parse_file(name: &str, text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            ConfigError::Syntax { name: name.to_owned(), line, column, message: one_line(error.message()) }
        })?;
        let origin = |offset| Origin::File { name: name.to_owned(), line: position(text, offset).0 };
        Ok(from_table(document.as_table(), 0, &origin))
    }

    /// Reads a single TOML value, such as the right side of an override. The error is the parser's message.
    pub(crate) fn parse_value(text: &str, origin: &Origin) -> Result<Self, String> {
        let value = text.parse::<toml_edit::Value>().map_err(|error| one_line(error.message()))?;
        Ok(from_item(&Item::Value(value), 0, &|_| origin.clone()))
    }

    /// The tree of any value. The numbers go through text, because `f32` has its shortest digits only there.
    ///
    /// # Panics
    /// When the value has no TOML form: an integer above `i64::MAX`, a list that holds `None`.
    pub(crate) fn of(value: &impl Serialize, origin: &Origin) -> Self {
        #[derive(Serialize)]
        struct Document<'a, T> {
            value: &'a T,
        }
        let text = toml::to_string(&Document { value });
        let Ok(text) = text else { panic!("a configuration has a TOML form: {text:?}") };
        let document = toml_edit::Document::parse(text.as_str());
        let Ok(document) = document else { panic!("what serde wrote is TOML: {document:?}") };
        match document.get("value") {
            Some(item) => from_item(item, 0, &|_| origin.clone()),
            None => Self::new(origin.clone(), Kind::Unset),
        }
    }

    /// The entry of a table, or the element of a list.
    pub(crate) fn child(&self, segment: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Table(entries) => entries.iter().find(|(name, _)| name == segment).map(|(_, node)| node),
            Kind::List(items) => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The children with their names; those of a list are its indices.
    pub(crate) fn children(&self) -> Vec<(String, &Self)> {
        match &self.kind {
            Kind::Table(entries) => entries.iter().map(|(name, node)| (name.clone(), node)).collect(),
            Kind::List(items) => items.iter().enumerate().map(|(index, node)| (index.to_string(), node)).collect(),
            _ => Vec::new(),
        }
    }

    /// As [`children`](Self::children), to change them.
    pub(crate) fn children_mut(&mut self) -> Vec<(String, &mut Self)> {
        match &mut self.kind {
            Kind::Table(entries) => entries.iter_mut().map(|(name, node)| (name.clone(), node)).collect(),
            Kind::List(items) => items.iter_mut().enumerate().map(|(index, node)| (index.to_string(), node)).collect(),
            _ => Vec::new(),
        }
    }

    /// The entries as of a table; whatever else stood there is replaced by an empty one from `origin`.
    pub(crate) fn entries_mut(&mut self, origin: &Origin) -> &mut Vec<(String, Self)> {
        if !matches!(self.kind, Kind::Table(_)) {
            *self = Self::new(origin.clone(), Kind::default());
        }
        match &mut self.kind {
            Kind::Table(entries) => entries,
            _ => unreachable!("it was made a table above"),
        }
    }

    /// The deepest node on the way along `path`.
    pub(crate) fn deepest(&self, path: &[&str]) -> &Self {
        let child = path.split_first().and_then(|(first, rest)| Some((self.child(first)?, rest)));
        child.map_or(self, |(child, rest)| child.deepest(rest))
    }

    /// Takes over the origins of `other`, by path. A part that is not in `other` has the origin of the scalar that
    /// it was read from (a list of two read from one number), and else is a default.
    pub(crate) fn take_origins(&mut self, other: &Self) {
        self.origin = other.origin.clone();
        let scalar = !matches!(other.kind, Kind::Table(_) | Kind::List(_));
        for (name, child) in self.children_mut() {
            match other.child(&name) {
                Some(other) => child.take_origins(other),
                None if scalar => child.take_origins(other),
                None => {}
            }
        }
    }

    /// The value alone, as serde reads it.
    pub(crate) fn to_toml(&self) -> toml::Value {
        match &self.kind {
            Kind::Table(entries) => {
                toml::Value::Table(entries.iter().map(|(name, node)| (name.clone(), node.to_toml())).collect())
            }
            Kind::List(items) => toml::Value::Array(items.iter().map(Self::to_toml).collect()),
            Kind::Text(text) | Kind::Date(text) => toml::Value::String(text.clone()),
            Kind::Integer(number) => toml::Value::Integer(*number),
            Kind::Number(number) => toml::Value::Float(*number),
            Kind::Flag(flag) => toml::Value::Boolean(*flag),
            Kind::Unset => unreachable!("an unset option is shown, never read"),
        }
    }
}

/// `offset` is where the node begins when it has no span of its own: the place of its key.
fn from_item(item: &Item, offset: usize, origin: &dyn Fn(usize) -> Origin) -> Node {
    if let Some(table) = item.as_table_like() {
        return from_table(table, offset, origin);
    }
    let element = |item: Item| {
        let offset = item.span().map_or(offset, |span| span.start);
        from_item(&item, offset, origin)
    };
    let kind = match item {
        Item::ArrayOfTables(tables) => Kind::List(tables.iter().cloned().map(Item::Table).map(element).collect()),
        Item::Value(toml_edit::Value::Array(values)) => {
            Kind::List(values.iter().cloned().map(Item::Value).map(element).collect())
        }
        Item::Value(toml_edit::Value::String(text)) => Kind::Text(text.value().clone()),
        Item::Value(toml_edit::Value::Integer(number)) => Kind::Integer(*number.value()),
        Item::Value(toml_edit::Value::Float(number)) => Kind::Number(*number.value()),
        Item::Value(toml_edit::Value::Boolean(flag)) => Kind::Flag(*flag.value()),
        Item::Value(toml_edit::Value::Datetime(date)) => Kind::Date(date.value().to_string()),
        Item::None | Item::Table(_) | Item::Value(toml_edit::Value::InlineTable(_)) => Kind::default(),
    };
    Node::new(origin(offset), kind)
}

fn from_table(table: &dyn TableLike, offset: usize, origin: &dyn Fn(usize) -> Origin) -> Node {
    let entries = table.iter().map(|(name, item)| {
        let key = table.key(name).and_then(toml_edit::Key::span);
        let offset = key.or(item.span()).map_or(offset, |span| span.start);
        (name.to_owned(), from_item(item, offset, origin))
    });
    Node::new(origin(offset), Kind::Table(entries.collect()))
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}
