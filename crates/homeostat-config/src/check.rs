//! Compares a tree with a schema, before serde sees it: serde would stop without a place or a hint. Does not know the
//! type behind the schema.

use crate::error::shorten;
use crate::nearest::{nearest_below, nearest_names};
use crate::path::{dotted, key, quote};
use crate::schema::{Field, Schema, Shape, Variant};
use crate::tree::{Kind, Node};
use crate::{ConfigError, Origin};

/// Checks the tree and spells it out: the bare name of a choice that has options (`model = "mlp"`) becomes that choice
/// with its defaults (`model.mlp = {}`).
pub(crate) fn check(root: Schema<'_>, tree: &mut Node) -> Result<(), ConfigError> {
    Check { root, path: Vec::new() }.node(tree, root)
}

/// The checker, and where in the tree it is.
pub(crate) struct Check<'a> {
    pub(crate) root: Schema<'a>,
    pub(crate) path: Vec<String>,
}

impl<'a> Check<'a> {
    fn node(&mut self, node: &mut Node, schema: Schema<'a>) -> Result<(), ConfigError> {
        let is_right = match (schema.shape(), &mut node.kind) {
            (Shape::Any, _) | (Shape::Flag, Kind::Flag(_)) | (Shape::Text, Kind::Text(_)) => true,
            (Shape::Integer(range) | Shape::Number(range), Kind::Integer(number)) => range.contains(*number as f64),
            (Shape::Number(range), Kind::Number(number)) => range.contains(*number),
            (Shape::List { item, length }, Kind::List(_)) => {
                for (index, child) in node.children_mut() {
                    self.enter(&index, |this| this.node(child, item))?;
                }
                matches!(&node.kind, Kind::List(items) if length.contains(items.len() as f64))
            }
            (Shape::Tuple(items), Kind::List(nodes)) if items.len() == nodes.len() => {
                for ((index, child), item) in node.children_mut().into_iter().zip(items) {
                    self.enter(&index, |this| this.node(child, item))?;
                }
                true
            }
            (Shape::Map(item), Kind::Table(_)) => {
                for (name, child) in node.children_mut() {
                    self.enter(&name, |this| this.node(child, item))?;
                }
                true
            }
            (Shape::Table(fields), Kind::Table(_)) => {
                for (name, child) in node.children_mut() {
                    let field = self.field(&fields, &name, &child.origin)?;
                    self.enter(&name, |this| this.node(child, field.schema))?;
                }
                true
            }
            (Shape::Choice(variants), Kind::Text(_) | Kind::Table(_)) => return self.choice(node, schema, &variants),
            (Shape::Either(schemas), _) => return self.either(node, schema, &schemas),
            _ => false,
        };
        if is_right { Ok(()) } else { Err(self.wrong_type(node, schema)) }
    }

    fn choice(&mut self, node: &mut Node, schema: Schema<'a>, all: &[Variant<'a>]) -> Result<(), ConfigError> {
        if let Kind::Text(name) = &node.kind {
            let Some(variant) = all.iter().find(|variant| variant.name == name) else {
                return Err(self.unknown_name(name, (schema, all), &node.origin));
            };
            let Some(payload) = variant.payload else { return Ok(()) };
            if !matches!(payload.shape(), Shape::Table(_)) {
                let message = format!("the choice `{name}` needs a value, {}: {{ {name} = ... }}", payload.words());
                return Err(self.invalid(&node.origin, message));
            }
            let options = Node::new(node.origin.clone(), Kind::default());
            node.kind = Kind::Table(vec![(name.clone(), options)]);
            return Ok(());
        }
        let mut children = node.children_mut();
        let [(name, child)] = children.as_mut_slice() else {
            drop(children);
            return Err(self.wrong_type(node, schema));
        };
        match all.iter().find(|variant| variant.name == name) {
            Some(Variant { payload: Some(payload), .. }) => self.enter(name, |this| this.node(child, *payload)),
            Some(_) => {
                Err(self.invalid(&child.origin, format!("the choice `{name}` has no options: write \"{name}\"")))
            }
            None => Err(self.unknown_name(name, (schema, all), &child.origin)),
        }
    }

    /// The first alternative that fits; if none does, the complaint of the first of the same kind.
    fn either(&mut self, node: &mut Node, schema: Schema<'a>, all: &[Schema<'a>]) -> Result<(), ConfigError> {
        let mut complaint = None;
        for one in all {
            let mut attempt = node.clone();
            match self.node(&mut attempt, *one) {
                Ok(()) => {
                    *node = attempt;
                    return Ok(());
                }
                Err(ConfigError::WrongType { key, .. }) if key == dotted(&self.path) => {}
                Err(error) => complaint = complaint.or(Some(error)),
            }
        }
        Err(complaint.unwrap_or_else(|| self.wrong_type(node, schema)))
    }

    /// Does something one step deeper.
    pub(crate) fn enter<T>(&mut self, segment: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment.to_owned());
        let result = inner(self);
        self.path.pop();
        result
    }

    pub(crate) fn field(&self, fields: &[Field<'a>], name: &str, place: &Origin) -> Result<Field<'a>, ConfigError> {
        fields.iter().find(|field| field.name == name).copied().ok_or_else(|| self.unknown_key(fields, name, place))
    }

    pub(crate) fn unknown_key(&self, fields: &[Field<'a>], name: &str, place: &Origin) -> ConfigError {
        let full = |name: &str| dotted(&[self.path.as_slice(), &[name.to_owned()]].concat());
        let names: Vec<_> = fields.iter().map(|field| field.name).collect();
        let mut nearest: Box<[_]> = nearest_names(name, &names).iter().map(|name| full(name)).collect();
        if nearest.is_empty() {
            nearest = nearest_below(name, self.root, &[]);
        }
        let known = names.iter().map(|name| (*name).to_owned()).collect();
        ConfigError::UnknownKey { place: place.clone(), key: full(name), nearest, known }
    }

    /// `schema` is that of the choice whose names are `all`.
    pub(crate) fn unknown_name(
        &self,
        given: &str,
        (schema, all): (Schema<'a>, &[Variant<'a>]),
        place: &Origin,
    ) -> ConfigError {
        let names: Vec<_> = all.iter().map(|variant| variant.name).collect();
        let nearest = nearest_names(given, &names);
        let below = if nearest.is_empty() { nearest_below(given, schema, &self.path) } else { Box::default() };
        if !below.is_empty() {
            // A key inside one of the choices, where the choice itself was left out.
            let key = dotted(&[self.path.as_slice(), &[given.to_owned()]].concat());
            return ConfigError::UnknownKey { place: place.clone(), key, nearest: below, known: Box::default() };
        }
        let allowed = names.iter().map(|name| (*name).to_owned()).collect();
        ConfigError::UnknownName { place: place.clone(), key: self.key(), given: shorten(given), nearest, allowed }
    }

    pub(crate) fn invalid(&self, place: &Origin, message: String) -> ConfigError {
        ConfigError::Invalid { place: place.clone(), key: self.key(), message }
    }

    fn wrong_type(&self, node: &Node, schema: Schema<'a>) -> ConfigError {
        ConfigError::WrongType {
            place: node.origin.clone(),
            key: self.key(),
            given: words(&node.kind),
            expected: schema.words(),
        }
    }

    /// The path of this place; the whole has no name of its own.
    fn key(&self) -> String {
        if self.path.is_empty() { "the whole".to_owned() } else { dotted(&self.path) }
    }
}

/// A value in words, for a message.
fn words(kind: &Kind) -> String {
    match kind {
        Kind::Table(entries) if entries.is_empty() => "an empty table".to_owned(),
        Kind::Table(entries) => {
            let names: Vec<_> = entries.iter().map(|(name, _)| key(name)).collect();
            format!("a table of {}", shorten(&names.join(", ")))
        }
        Kind::List(items) => format!("a list of {}", items.len()),
        Kind::Text(text) => format!("the text {}", quote(&shorten(text))),
        Kind::Integer(number) => number.to_string(),
        Kind::Number(number) => format!("{number:?}"),
        Kind::Flag(flag) => flag.to_string(),
        Kind::Date(date) => format!("the date {date}"),
        Kind::Unset => "nothing".to_owned(),
    }
}
