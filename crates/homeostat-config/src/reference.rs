//! The page of the manual about a configuration, made from its doc comments. Does not know any value but the defaults.

use serde_json::Value;

use crate::Origin;
use crate::layers::Config;
use crate::path::key;
use crate::schema::{Field, Schema, Shape, Variant, json_schema};
use crate::text::inline;
use crate::tree::{Kind, Node};

/// A page in Markdown: a section for every table and every choice, in the order of declaration, with type, default and
/// meaning of each key. A type that stands in several places has one section, at the first of them.
///
/// # Panics
/// When `T` breaks a rule of [`Config`].
#[must_use]
pub fn reference<T: Config>(title: &str) -> String {
    let json = json_schema::<T>();
    let schema = Schema::root(&json);
    let mut page = Page { text: format!("# {title}\n"), headings: Vec::new() };
    page.section(&Section { heading: String::new(), schema });
    page.text
}

struct Page<'a> {
    text: String,
    /// The types that have a section, or will have one, with its heading.
    headings: Vec<(&'a str, String)>,
}

/// A section that is still to be written.
struct Section<'a> {
    heading: String,
    schema: Schema<'a>,
}

impl<'a> Page<'a> {
    fn section(&mut self, section: &Section<'a>) {
        if !section.heading.is_empty() {
            self.text += &format!("\n## `{}`\n", section.heading);
        }
        let doc = section.schema.type_doc();
        if !doc.is_empty() {
            self.text += &format!("\n{doc}\n");
        }
        let below = match section.schema.shape() {
            Shape::Table(fields) => self.keys(&section.heading, &fields),
            Shape::Choice(variants) => self.choices(&section.heading, &variants),
            _ => Vec::new(),
        };
        for section in &below {
            self.section(section);
        }
    }

    fn keys(&mut self, heading: &str, fields: &[Field<'a>]) -> Vec<Section<'a>> {
        if fields.is_empty() {
            self.text += "\nIt has no keys.\n";
            return Vec::new();
        }
        self.text += "\n| key | type | default | meaning |\n|---|---|---|---|\n";
        let mut below = Vec::new();
        for field in fields {
            let kind = self.kind(&join(heading, &key(field.name)), field.schema, &mut below);
            let doc = cell(field.schema.doc());
            self.text += &format!("| `{}` | {kind} | {} | {doc} |\n", key(field.name), default(field.schema));
        }
        below
    }

    fn choices(&mut self, heading: &str, variants: &[Variant<'a>]) -> Vec<Section<'a>> {
        self.text += "\n| choice | options | meaning |\n|---|---|---|\n";
        let mut below = Vec::new();
        for variant in variants {
            let kind = match variant.payload {
                Some(payload) => self.kind(&join(heading, &key(variant.name)), payload, &mut below),
                None => "none".to_owned(),
            };
            let doc = if variant.doc.is_empty() { variant.payload.map_or("", Schema::type_doc) } else { variant.doc };
            self.text += &format!("| `{}` | {kind} | {} |\n", variant.name, cell(doc));
        }
        below
    }

    /// The type in words, with links to the sections that say more; those not yet promised are added to `below`.
    fn kind(&mut self, heading: &str, schema: Schema<'a>, below: &mut Vec<Section<'a>>) -> String {
        let words = schema.words();
        let mut words = cell(words.strip_prefix("a ").unwrap_or(&words));
        for section in sections(heading, schema) {
            let name = section.schema.type_name();
            let known = self.headings.iter().find(|(known, _)| Some(*known) == name);
            let heading = known.map_or(&section.heading, |(_, heading)| heading);
            words += &format!(", see [`{heading}`](#{})", anchor(heading));
            if known.is_none() {
                self.headings.extend(name.map(|name| (name, section.heading.clone())));
                below.push(section);
            }
        }
        words
    }
}

/// What in a type needs a section of its own.
fn sections<'a>(heading: &str, schema: Schema<'a>) -> Vec<Section<'a>> {
    let here = || vec![Section { heading: heading.to_owned(), schema }];
    match schema.shape() {
        Shape::Table(_) => here(),
        Shape::Choice(variants) => {
            let says_more = variants.iter().any(|variant| variant.payload.is_some() || !variant.doc.is_empty());
            if says_more { here() } else { Vec::new() }
        }
        Shape::List { item, .. } => sections(&format!("{heading}[]"), item),
        Shape::Map(item) => sections(&join(heading, "<name>"), item),
        Shape::Tuple(all) | Shape::Either(all) => all.into_iter().flat_map(|one| sections(heading, one)).collect(),
        Shape::Any | Shape::Flag | Shape::Text | Shape::Integer(_) | Shape::Number(_) => Vec::new(),
    }
}

/// The default in a cell. A table's are beside its own keys; of a choice the name is enough.
fn default(schema: Schema<'_>) -> String {
    let Some(value) = schema.default() else { return "none, must be given".to_owned() };
    match (schema.shape(), value) {
        (_, Value::Null) if schema.is_optional() => "not set".to_owned(),
        (Shape::Table(_), _) => String::new(),
        (Shape::Choice(_), Value::Object(choice)) => choice.keys().map(|name| format!("`{name}`")).collect(),
        (Shape::Choice(_), Value::String(name)) => format!("`{name}`"),
        (_, value) => format!("`{}`", cell(&inline(&node(value)))),
    }
}

/// A default of the schema as a tree. JSON has no `f32`: a number that is one exactly is printed with its few digits.
fn node(value: &Value) -> Node {
    let kind = match value {
        Value::Null => Kind::Unset,
        Value::Bool(flag) => Kind::Flag(*flag),
        Value::String(text) => Kind::Text(text.clone()),
        Value::Array(items) => Kind::List(items.iter().map(node).collect()),
        Value::Object(entries) => {
            let set = entries.iter().filter(|(_, value)| !value.is_null());
            Kind::Table(set.map(|(name, value)| (name.clone(), node(value))).collect())
        }
        Value::Number(number) => match (number.as_i64(), number.as_f64().unwrap_or(f64::NAN)) {
            (Some(whole), _) => Kind::Integer(whole),
            (None, number) => Kind::Number(shortest(number)),
        },
    };
    Node::new(Origin::Default, kind)
}

/// The number with the fewest digits that is the same `f32`, if this is one; else the number.
#[expect(clippy::cast_possible_truncation, reason = "whether something is lost is what is asked")]
fn shortest(number: f64) -> f64 {
    let single = number as f32;
    let short = single.to_string().parse();
    if f64::from(single) == number { short.unwrap_or(number) } else { number }
}

fn join(heading: &str, name: &str) -> String {
    if heading.is_empty() { name.to_owned() } else { format!("{heading}.{name}") }
}

/// The anchor that GitHub and mdBook give to a heading.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

/// A text as a cell of a table: its paragraphs apart, its lines joined.
fn cell(text: &str) -> String {
    text.replace("\n\n", "<br><br>").replace('\n', " ").replace('|', "\\|")
}
