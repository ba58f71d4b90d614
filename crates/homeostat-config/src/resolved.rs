//! A configuration that is complete, and where each part of it came from.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assign::assign;
use crate::check::check;
use crate::layers::{Config, settle};
use crate::path::{dotted, segments};
use crate::schema::{Schema, Shape, json_schema};
use crate::text;
use crate::tree::{Kind, Node};
use crate::{ConfigError, Origin};

/// A complete value and the provenance of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved<T> {
    /// The value.
    pub value: T,
    /// Where each part of it came from.
    pub provenance: Provenance,
}

/// Where each part of a value came from, by dotted path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Defaults are not listed.
    origins: BTreeMap<String, Origin>,
}

impl Provenance {
    /// Where the value at a dotted path (`train.epochs`, `prepare.0.resize.size`) came from.
    #[must_use]
    pub fn get(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    fn of(tree: &Node) -> Self {
        let mut provenance = Self::default();
        provenance.note(tree, &mut Vec::new());
        provenance
    }

    fn note(&mut self, node: &Node, path: &mut Vec<String>) {
        if node.origin != Origin::Default {
            self.origins.insert(dotted(path), node.origin.clone());
        }
        for (name, child) in node.children() {
            path.push(name);
            self.note(child, path);
            path.pop();
        }
    }

    fn write_into(&self, node: &mut Node, path: &mut Vec<String>) {
        node.origin = self.get(&dotted(path)).clone();
        for (name, child) in node.children_mut() {
            path.push(name);
            self.write_into(child, path);
            path.pop();
        }
    }
}

impl<T: Config> Resolved<T> {
    pub(crate) fn new(value: T, tree: &Node) -> Self {
        Self { value, provenance: Provenance::of(tree) }
    }

    /// Records a choice of the program's own: puts `value` at the dotted path `key`, for `reason`.
    ///
    /// # Errors
    /// When there is no such key, or the value does not fit.
    pub fn choose(&mut self, key: &str, value: impl Serialize, reason: &str) -> Result<(), ConfigError> {
        let json = json_schema::<T>();
        let origin = Origin::Chosen(reason.to_owned());
        let path = segments(key).ok_or_else(|| ConfigError::Invalid {
            place: origin.clone(),
            key: key.to_owned(),
            message: "this is no dotted key".to_owned(),
        })?;
        let mut tree = self.tree();
        assign(Schema::root(&json), &mut tree, &path, Node::of(&value, &origin))?;
        check(Schema::root(&json), &mut tree)?;
        let (value, tree) = settle(&tree)?;
        *self = Self::new(value, &tree);
        Ok(())
    }

    /// The whole configuration as TOML that reads back as the same value. A comment beside each line says where it
    /// came from; options without a value are listed in comments.
    #[must_use]
    pub fn show(&self) -> String {
        let json = json_schema::<T>();
        let mut tree = self.tree();
        list_unset(&mut tree, Schema::root(&json));
        text::annotated(&tree)
    }

    /// What [`show`](Self::show) shows as JSON: for each line its dotted path, and under it the `value` (a list whole,
    /// an unset option `null`, a number that JSON lacks as text) and `from`, its origin.
    #[must_use]
    pub fn show_json(&self) -> serde_json::Value {
        let json = json_schema::<T>();
        let mut tree = self.tree();
        list_unset(&mut tree, Schema::root(&json));
        text::annotated_json(&tree)
    }

    fn tree(&self) -> Node {
        let mut tree = Node::of(&self.value, &Origin::Default);
        self.provenance.write_into(&mut tree, &mut Vec::new());
        tree
    }
}

/// Adds the options without a value to the tables, and puts all keys into the order of their declaration.
fn list_unset(node: &mut Node, schema: Schema<'_>) {
    let Kind::Table(entries) = &mut node.kind else { return };
    match schema.shape() {
        Shape::Table(fields) => {
            for field in fields.iter().filter(|field| field.schema.is_optional()) {
                if !entries.iter().any(|(name, _)| name == field.name) {
                    entries.push((field.name.to_owned(), Node::new(Origin::Default, Kind::Unset)));
                }
            }
            entries.sort_by_key(|(name, _)| fields.iter().position(|field| field.name == name));
            for (name, child) in entries {
                if let Some(field) = fields.iter().find(|field| field.name == name) {
                    list_unset(child, field.schema);
                }
            }
        }
        Shape::Choice(variants) => {
            for (name, child) in entries {
                let variant = variants.iter().find(|variant| variant.name == name);
                if let Some(payload) = variant.and_then(|variant| variant.payload) {
                    list_unset(child, payload);
                }
            }
        }
        Shape::Map(item) => entries.iter_mut().for_each(|(_, child)| list_unset(child, item)),
        _ => {}
    }
}
