//! Sets one value inside a tree by its path. Does not know who asks.

use crate::check::Check;
use crate::schema::{Schema, Shape};
use crate::tree::{Kind, Node};
use crate::{ConfigError, Origin};

/// Puts `value` at `path`. Tables on the way are made; a choice on the way that is another one is replaced, so that
/// `model.mlp.width` under a `model.cnn` leaves an `mlp` with its defaults and that width.
pub(crate) fn assign(root: Schema<'_>, tree: &mut Node, path: &[String], value: Node) -> Result<(), ConfigError> {
    let origin = value.origin.clone();
    *slot(&mut Check { root, path: Vec::new() }, tree, root, path, &origin)? = value;
    Ok(())
}

/// The place at the end of the path.
fn slot<'n, 'a>(
    here: &mut Check<'a>,
    node: &'n mut Node,
    schema: Schema<'a>,
    path: &[String],
    origin: &Origin,
) -> Result<&'n mut Node, ConfigError> {
    let Some((segment, rest)) = path.split_first() else { return Ok(node) };
    let (child, schema) = match schema.shape() {
        Shape::Table(fields) => {
            let field = here.field(&fields, segment, origin)?;
            (entry(node, segment, origin), field.schema)
        }
        Shape::Map(item) => (entry(node, segment, origin), item),
        Shape::Any => (entry(node, segment, origin), schema),
        Shape::Choice(variants) => {
            let variant = variants.iter().find(|variant| variant.name == segment);
            let variant = variant.ok_or_else(|| here.unknown_name(segment, (schema, &variants), origin))?;
            let Some(payload) = variant.payload else {
                return Err(here.invalid(origin, format!("the choice `{segment}` has no options")));
            };
            node.entries_mut(origin).retain(|(name, _)| name == segment);
            (entry(node, segment, origin), payload)
        }
        Shape::List { item, .. } => (element(here, node, segment, origin)?, item),
        Shape::Tuple(items) => {
            let index = segment.parse().unwrap_or(usize::MAX);
            (element(here, node, segment, origin)?, items.get(index).copied().unwrap_or(schema))
        }
        Shape::Either(all) => {
            let one = all.into_iter().find(|one| leads_to(*one, segment));
            let one =
                one.ok_or_else(|| here.invalid(origin, format!("it is {} and has no such part", schema.words())))?;
            return slot(here, node, one, path, origin);
        }
        Shape::Flag | Shape::Text | Shape::Integer(_) | Shape::Number(_) => {
            return Err(here.invalid(origin, format!("it is {} and has nothing below it", schema.words())));
        }
    };
    here.enter(segment, |here| slot(here, child, schema, rest, origin))
}

fn entry<'n>(node: &'n mut Node, name: &str, origin: &Origin) -> &'n mut Node {
    let entries = node.entries_mut(origin);
    let index = entries.iter().position(|(key, _)| key == name).unwrap_or(entries.len());
    if index == entries.len() {
        entries.push((name.to_owned(), Node::new(origin.clone(), Kind::default())));
    }
    &mut entries[index].1
}

fn element<'n>(
    here: &Check<'_>,
    node: &'n mut Node,
    index: &str,
    origin: &Origin,
) -> Result<&'n mut Node, ConfigError> {
    let Kind::List(items) = &mut node.kind else {
        return Err(here.invalid(origin, "it has no elements yet".to_owned()));
    };
    let length = items.len();
    let item = index.parse::<usize>().ok().and_then(|index| items.get_mut(index));
    item.ok_or_else(|| here.invalid(origin, format!("its elements are counted from 0, and it has {length}")))
}

/// Whether something by this name can be below such a value.
fn leads_to(schema: Schema<'_>, segment: &str) -> bool {
    match schema.shape() {
        Shape::Table(fields) => fields.iter().any(|field| field.name == segment),
        Shape::Choice(variants) => variants.iter().any(|variant| variant.name == segment),
        Shape::List { .. } | Shape::Tuple(_) => segment.parse::<usize>().is_ok(),
        Shape::Either(all) => all.into_iter().any(|one| leads_to(one, segment)),
        Shape::Map(_) | Shape::Any => true,
        Shape::Flag | Shape::Text | Shape::Integer(_) | Shape::Number(_) => false,
    }
}
