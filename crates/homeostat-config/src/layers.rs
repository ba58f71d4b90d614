//! The layers of a configuration: the defaults of the type, a file over them, overrides over both.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::assign::assign;
use crate::check::check;
use crate::error::{one_line, shorten};
use crate::nearest::chosen_first;
use crate::path::{dotted, segments};
use crate::schema::{Schema, json_schema};
use crate::tree::{Kind, Node};
use crate::{ConfigError, Origin, Resolved};

/// A type that can be configured.
///
/// Its structs are `#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]`, its enums externally tagged.
/// Two rules that the compiler cannot see: the default of a struct is made of the defaults of its fields' types
/// (a table in a file takes what it leaves out from *its* type, as everywhere in serde), and the default of an
/// `Option` is `None` (TOML cannot unset what has a default; such a choice is an enum with an `off`). Of integers above
/// `i64::MAX` and of `None` in a list TOML knows nothing, so a default has neither.
pub trait Config: Serialize + DeserializeOwned + Default + JsonSchema {}

impl<T: Serialize + DeserializeOwned + Default + JsonSchema> Config for T {}

/// What stands over the defaults: a file, and overrides.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    file: Option<(String, String)>,
    overrides: Vec<String>,
}

impl Layers {
    /// The defaults alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file over the defaults. `name` is what messages and provenance call it, `text` its content.
    ///
    /// # Panics
    /// On a second file: one file determines a run.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        assert!(self.file.is_none(), "a second file, `{name}`, would hide the first");
        self.file = Some((name.to_owned(), text.to_owned()));
        self
    }

    /// Puts overrides over the file, each `key=value`, in order.
    ///
    /// The key is a dotted path (`train.epochs`, `model.cnn.width`, `prepare.0.resize.size`). The value is a TOML
    /// value, or a text without quotes where the key wants one (`name=digits-2`). An override replaces what stands at
    /// its path, and changes nothing else. A path through another choice (`model.mlp.width=64` where the file has a
    /// `cnn`), or the bare name of one (`model=mlp`), chooses that one, with defaults for its other options.
    #[must_use]
    pub fn overrides(mut self, overrides: &[impl AsRef<str>]) -> Self {
        self.overrides.extend(overrides.iter().map(|one| one.as_ref().to_owned()));
        self
    }

    /// Reads the layers into a value, and remembers where each part of it came from.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and the nearest right key or name.
    ///
    /// # Panics
    /// When `T` breaks a rule of [`Config`].
    pub fn load<T: Config>(&self) -> Result<Resolved<T>, ConfigError> {
        let json = json_schema::<T>();
        let schema = Schema::root(&json);
        let mut tree = match &self.file {
            Some((name, text)) => Node::parse_file(name, text)?,
            None => Node::default(),
        };
        check(schema, &mut tree).map_err(|error| ordered::<T>(error, &tree))?;
        for text in &self.overrides {
            // Spelled out, so that the override finds the lists of the defaults. What fails here may be mended by it,
            // and is an error below if it is not.
            if let Ok((_, settled)) = settle::<T>(&tree) {
                tree = settled;
            }
            set(schema, &mut tree, text).map_err(|error| ordered::<T>(error, &tree))?;
        }
        let (value, tree) = settle::<T>(&tree)?;
        Ok(Resolved::new(value, &tree))
    }
}

/// Reads the tree, and writes it again with every value spelled out. What was not in it is a default.
pub(crate) fn settle<T: Config>(tree: &Node) -> Result<(T, Node), ConfigError> {
    let value: T = tree.to_toml().try_into().map_err(|error| refused(tree, &error))?;
    let mut settled = Node::of(&value, &Origin::Default);
    settled.take_origins(tree);
    Ok((value, settled))
}

/// The error with those suggestions first that lie inside what the tree, or else the default, has chosen.
fn ordered<T: Config>(mut error: ConfigError, tree: &Node) -> ConfigError {
    if let ConfigError::UnknownKey { nearest, .. } = &mut error {
        chosen_first(nearest, &[tree, &Node::of(&T::default(), &Origin::Default)]);
    }
    error
}

/// Puts one override into the tree.
fn set(schema: Schema<'_>, tree: &mut Node, text: &str) -> Result<(), ConfigError> {
    let unreadable = |message: &str| ConfigError::Override { text: shorten(text), message: message.to_owned() };
    let (key, value) = text.split_once('=').ok_or_else(|| unreadable("it is no `key=value`"))?;
    let path = segments(key).ok_or_else(|| unreadable("what is before `=` is no dotted key"))?;
    let value = value.trim();
    let mut put = |node: Node| {
        let mut attempt = tree.clone();
        assign(schema, &mut attempt, &path, node)?;
        check(schema, &mut attempt)?;
        *tree = attempt;
        Ok(())
    };
    let bare = Node::new(Origin::CommandLine, Kind::Text(value.to_owned()));
    match Node::parse_value(value, &Origin::CommandLine) {
        Ok(node) => put(node).or_else(|error| put(bare).map_err(|_| error)),
        // Half a TOML value is a slip of the pen, not a text; where a text is wanted it may be one.
        Err(message) if value.starts_with(['[', '{', '"', '\'']) => put(bare).map_err(|error| match error {
            ConfigError::WrongType { .. } | ConfigError::UnknownName { .. } => unreadable(&message),
            error => error,
        }),
        Err(_) => put(bare),
    }
}

/// What the type itself says against a tree of the right shape. The place is in the text of the error only.
fn refused(tree: &Node, error: &toml::de::Error) -> ConfigError {
    let text = error.to_string();
    let place = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`')).unwrap_or_default();
    let place: Vec<_> = place.split('.').filter(|segment| !segment.is_empty()).collect();
    let key = if place.is_empty() { "the whole".to_owned() } else { dotted(&place) };
    ConfigError::Invalid { place: tree.deepest(&place).origin.clone(), key, message: one_line(error.message()) }
}
