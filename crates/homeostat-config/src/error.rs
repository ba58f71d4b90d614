//! What can be wrong with a configuration. Every message is one line: where, what, and how to mend it.

use crate::origin::Origin;

/// What can be wrong with a configuration. `place` is where the mistake stands, `key` the dotted path of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that is no TOML.
    #[error("{name}:{line}:{column}: {message}")]
    Syntax {
        /// The name of the file.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// An override that is no `key=value`, or whose value is half a TOML value.
    #[error("command line: cannot read `{text}`: {message}")]
    Override {
        /// The override as given.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`{}", hint(nearest, known, "the keys here are "))]
    UnknownKey {
        /// Where the key stands.
        place: Origin,
        /// The key, with its path.
        key: String,
        /// The keys that may have been meant, with their paths; the likeliest first.
        nearest: Box<[String]>,
        /// All the keys that may stand there.
        known: Box<[String]>,
    },
    /// A name that is none of the choices.
    #[error("{place}: `{given}` is no choice for `{key}`; it is one of {}{}", quoted(allowed), hint(nearest, &[], ""))]
    UnknownName {
        /// Where the name stands.
        place: Origin,
        /// The key whose value it is.
        key: String,
        /// The name that was given.
        given: String,
        /// What may have been meant: a name, or the path of a key.
        nearest: Box<[String]>,
        /// All the choices.
        allowed: Box<[String]>,
    },
    /// A value of the wrong type, or out of its range.
    #[error("{place}: `{key}` must be {expected}, not {given}")]
    WrongType {
        /// Where the value stands.
        place: Origin,
        /// The key whose value it is.
        key: String,
        /// What was given, in words.
        given: String,
        /// What is expected, in words.
        expected: String,
    },
    /// A value of the right type that cannot be: the configured type itself refuses it, or it misses a part.
    #[error("{place}: `{key}`: {message}")]
    Invalid {
        /// Where the value stands.
        place: Origin,
        /// The key whose value it is.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

/// The end of a message: what may have been meant, or else all that there is.
fn hint(nearest: &[String], known: &[String], before: &str) -> String {
    match (nearest, known) {
        ([], []) => String::new(),
        ([], known) => format!("; {before}{}", quoted(known)),
        (nearest, _) => {
            let nearest: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
            format!("; did you mean {}?", nearest.join(" or "))
        }
    }
}

/// `` `a`, `b` ``
pub(crate) fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A message of somebody else's in one line.
pub(crate) fn one_line(message: &str) -> String {
    message.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What somebody wrote, in one line that is not too long.
pub(crate) fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("...".chars()).collect() }
}
