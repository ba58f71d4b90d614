//! What a configuration type may hold, read from its JSON schema (draft 2020-12, as `schemars` writes it for
//! `serde`'s structs and externally tagged enums). Does not know any value.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::error::quoted;

/// The schema of a type, in JSON.
pub(crate) fn json_schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// A place in a JSON schema. Types may contain themselves, so what is below it is read only when asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'a> {
    root: &'a Value,
    node: &'a Value,
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape<'a> {
    Any,
    Flag,
    Text,
    Integer(Range),
    Number(Range),
    List { item: Schema<'a>, length: Range },
    Tuple(Vec<Schema<'a>>),
    Map(Schema<'a>),
    Table(Vec<Field<'a>>),
    Choice(Vec<Variant<'a>>),
    Either(Vec<Schema<'a>>),
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) schema: Schema<'a>,
}

/// One of the choices of an enum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant<'a> {
    pub(crate) name: &'a str,
    pub(crate) doc: &'a str,
    pub(crate) payload: Option<Schema<'a>>,
}

/// Closed bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

impl<'a> Schema<'a> {
    pub(crate) const fn root(root: &'a Value) -> Self {
        Self { root, node: root }
    }

    /// The doc comment: that of the field, or else that of its type.
    pub(crate) fn doc(self) -> &'a str {
        let own = self.node["description"].as_str();
        own.or_else(|| self.resolve().node["description"].as_str()).unwrap_or("")
    }

    /// The doc comment of the type.
    pub(crate) fn type_doc(self) -> &'a str {
        let alternatives = self.alternatives();
        match alternatives.as_slice() {
            [only] if self.node.get("oneOf").is_none() => only.type_doc(),
            _ => self.resolve().node["description"].as_str().unwrap_or(""),
        }
    }

    /// The default of the field, in JSON.
    pub(crate) fn default(self) -> Option<&'a Value> {
        self.node.get("default")
    }

    /// The name of the type, by which two places of the same type are known.
    pub(crate) fn type_name(self) -> Option<&'a str> {
        match self.alternatives().as_slice() {
            [only] if self.node.get("oneOf").is_none() => only.type_name(),
            _ => self.node["$ref"].as_str(),
        }
    }

    /// Whether it may be left without a value.
    pub(crate) fn is_optional(self) -> bool {
        let node = self.resolve().node;
        let null = |value: &Value| value == "null";
        node["type"].as_array().is_some_and(|types| types.iter().any(null))
            || node["anyOf"].as_array().is_some_and(|any| any.iter().any(|schema| null(&schema["type"])))
    }

    /// What the value may be; an option is what it holds.
    pub(crate) fn shape(self) -> Shape<'a> {
        let here = self.resolve();
        let alternatives = here.alternatives();
        match alternatives.as_slice() {
            [] => here.plain_shape(),
            // An enum of one variant is a choice, too; else it is an option, or a reference with words of its own.
            [only] if here.node.get("oneOf").is_some() => only.variants().map_or_else(|| only.shape(), Shape::Choice),
            [only] => only.shape(),
            _ => match alternatives.iter().map(|one| one.variants()).collect::<Option<Vec<_>>>() {
                Some(variants) => Shape::Choice(variants.concat()),
                None => Shape::Either(alternatives),
            },
        }
    }

    /// The type in words: `a whole number from 0 to 255`.
    pub(crate) fn words(self) -> String {
        match self.shape() {
            Shape::Any => "anything".to_owned(),
            Shape::Flag => "`true` or `false`".to_owned(),
            Shape::Text => "text".to_owned(),
            Shape::Integer(range) => format!("a whole number{}", range.words()),
            Shape::Number(range) => format!("a number{}", range.words()),
            Shape::List { item, length } => format!("a list{}, each {}", length.count(), item.words()),
            Shape::Tuple(items) => {
                format!(
                    "a list of {}: {}",
                    items.len(),
                    items.iter().map(|item| item.words()).collect::<Vec<_>>().join(", ")
                )
            }
            Shape::Map(item) => format!("a table of names, each {}", item.words()),
            Shape::Table(_) => "a table".to_owned(),
            Shape::Choice(variants) => {
                format!("one of {}", quoted(&variants.iter().map(|variant| variant.name).collect::<Vec<_>>()))
            }
            Shape::Either(all) => all.iter().map(|one| one.words()).collect::<Vec<_>>().join(", or "),
        }
    }

    fn at(self, node: &'a Value) -> Self {
        Self { node, ..self }
    }

    /// Follows references. One that leads nowhere leads to a schema that allows anything.
    fn resolve(self) -> Self {
        match self.node["$ref"].as_str() {
            Some(reference) => {
                let target = self.root.pointer(reference.trim_start_matches('#'));
                self.at(target.unwrap_or(&Value::Null)).resolve()
            }
            None => self,
        }
    }

    fn alternatives(self) -> Vec<Self> {
        let list = self.node.get("oneOf").or_else(|| self.node.get("anyOf")).or_else(|| self.node.get("allOf"));
        let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter(|one| one["type"] != "null").map(|one| self.at(one)).collect()
    }

    /// The choices that this alternative of an enum stands for, if it is one.
    fn variants(self) -> Option<Vec<Variant<'a>>> {
        let node = self.node;
        let doc = node["description"].as_str().unwrap_or("");
        if let Some(name) = node["const"].as_str() {
            return Some(vec![Variant { name, doc, payload: None }]);
        }
        if let Some(names) = node["enum"].as_array() {
            return names.iter().map(|name| Some(Variant { name: name.as_str()?, doc: "", payload: None })).collect();
        }
        let (properties, [required]) = (node["properties"].as_object()?, node["required"].as_array()?.as_slice())
        else {
            return None;
        };
        let (name, payload) = properties.iter().next().filter(|(name, _)| required == *name)?;
        (properties.len() == 1).then(|| vec![Variant { name, doc, payload: Some(self.at(payload)) }])
    }

    fn plain_shape(self) -> Shape<'a> {
        let node = self.node;
        if let Some(variants) = node.get("const").or_else(|| node.get("enum")).and_then(|_| self.variants()) {
            return Shape::Choice(variants);
        }
        let kinds = match &node["type"] {
            Value::Array(kinds) => kinds.as_slice(),
            kind => std::slice::from_ref(kind),
        };
        match kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null") {
            Some("boolean") => Shape::Flag,
            Some("string") => Shape::Text,
            Some("integer") => Shape::Integer(Range::of(node, "minimum", "maximum")),
            Some("number") => Shape::Number(Range::of(node, "minimum", "maximum")),
            Some("array") => self.list_shape(),
            Some("object") => self.object_shape(),
            _ => Shape::Any,
        }
    }

    fn list_shape(self) -> Shape<'a> {
        match self.node["prefixItems"].as_array() {
            Some(items) => Shape::Tuple(items.iter().map(|item| self.at(item)).collect()),
            None => {
                let length = Range::of(self.node, "minItems", "maxItems");
                Shape::List { item: self.at(&self.node["items"]), length }
            }
        }
    }

    fn object_shape(self) -> Shape<'a> {
        let others = self.node.get("additionalProperties").filter(|others| **others != Value::Bool(false));
        match (self.node["properties"].as_object(), others) {
            (None, Some(item)) => Shape::Map(self.at(item)),
            (None, None) => Shape::Table(Vec::new()),
            (Some(fields), _) => {
                Shape::Table(fields.iter().map(|(name, node)| Field::new(name, self.at(node))).collect())
            }
        }
    }
}

impl<'a> Field<'a> {
    /// # Panics
    /// For an option with a default, which no TOML file could ever unset: that wants an enum with an `off`.
    fn new(name: &'a str, schema: Schema<'a>) -> Self {
        let default = schema.default().is_some_and(|default| !default.is_null());
        assert!(!(default && schema.is_optional()), "the option `{name}` has a default and could not be unset in TOML");
        Self { name, schema }
    }
}

impl Range {
    fn of(node: &Value, min: &str, max: &str) -> Self {
        Self { min: node[min].as_f64(), max: node[max].as_f64() }
    }

    pub(crate) fn contains(self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    /// As the length of a list.
    fn count(self) -> String {
        match (self.min, self.max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (Some(min), Some(max)) if min == max => format!(" of {min}"),
            (Some(min), Some(max)) => format!(" of {min} to {max}"),
        }
    }

    fn words(self) -> String {
        match (self.min, self.max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(" from {min}"),
            (None, Some(max)) => format!(" up to {max}"),
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
        }
    }
}
