//! What can be wrong with a request. It does not know models or statuses' names: each error is the client's to mend.

use thiserror::Error;

/// Why a request is refused, or an answer cannot be written as asked. One line; all are faults of the client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The text is no JSON, or none of the wanted form.
    #[error("JSON at byte {at}: {problem}")]
    Json {
        /// Bytes before the fault.
        at: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A field is missing, twice there, or has a value that it must not have.
    #[error("`{field}` {problem}")]
    Field {
        /// The field, such as `inputs[0].shape`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor does not fit itself (its data its shape), or the model.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// The tensor's name, cut where it is long.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The binary part of a request does not fit the JSON before it.
    #[error("binary data: {problem}")]
    Binary {
        /// What is wrong with it.
        problem: String,
    },
    /// More than the server takes.
    #[error("too many {what}: at most {limit}")]
    Limit {
        /// What there is too much of, such as `dimensions`.
        what: &'static str,
        /// The limit that it is above.
        limit: usize,
    },
    /// A part of the protocol that this server leaves out on purpose.
    #[error("{what} is not supported")]
    Unsupported {
        /// The part.
        what: &'static str,
    },
}

impl ProtocolError {
    /// The status of HTTP that answers it: 413 for what is too large, else 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Limit { .. } => 413,
            Self::Json { .. }
            | Self::Field { .. }
            | Self::Tensor { .. }
            | Self::Binary { .. }
            | Self::Unsupported { .. } => 400,
        }
    }

    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: printable(&field.into()), problem: problem.into() }
    }

    pub(crate) fn tensor(name: &str, problem: impl Into<String>) -> Self {
        Self::Tensor { name: printable(name), problem: problem.into() }
    }

    pub(crate) fn binary(problem: impl Into<String>) -> Self {
        Self::Binary { problem: problem.into() }
    }
}

/// A client's word, fit for one line: without control characters, cut where it is long.
pub(crate) fn printable(word: &str) -> String {
    const LONGEST: usize = 64;
    let mut text: String =
        word.chars().take(LONGEST).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if word.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}
