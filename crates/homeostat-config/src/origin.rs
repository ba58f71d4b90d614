//! Where a value came from. Knows nothing about what the value is.

use std::fmt;

/// Where a value came from; also the place that an error names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody asked for it: the default of its type.
    #[default]
    Default,
    /// It stands in a file.
    File {
        /// The name under which the file was given to [`Layers::file`](crate::Layers::file).
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// An override such as `train.epochs=3`.
    CommandLine,
    /// The program chose it, for this reason.
    Chosen(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::CommandLine => f.write_str("command line"),
            Self::Chosen(reason) => write!(f, "chosen: {reason}"),
        }
    }
}
