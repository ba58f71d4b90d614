//! Why a request has no answer, with the status that says whose fault it is. It does not know which protocol carries it.

use std::time::Duration;

use homeostat_deploy::Failure;
use homeostat_protocol::ProtocolError;
use thiserror::Error;

/// Why a request has no answer, in one line that says nothing of the server's inside.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServeError {
    /// The request does not follow the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The request's content cannot be answered.
    #[error("{0}")]
    Input(String),
    /// No such model, or none of this version.
    #[error("there is no model `{model}`{}", version_words(.version.as_deref()))]
    UnknownModel {
        /// Its name, cut where it is long.
        model: String,
        /// The version asked for.
        version: Option<String>,
    },
    /// The model is known, but does not answer.
    #[error("the model `{model}` is not ready: {reason}")]
    NotReady {
        /// Its name.
        model: String,
        /// Why.
        reason: String,
    },
    /// More is asked than can be answered in time.
    #[error("too many requests: {reason}, try again in {} s", .after.as_secs().max(1))]
    Overloaded {
        /// What is exhausted.
        reason: &'static str,
        /// When to try again.
        after: Duration,
    },
    /// The body is larger than the server takes.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The most bytes.
        limit: usize,
    },
    /// The body did not come in time.
    #[error("the body did not arrive within {} s", .0.as_secs())]
    Slow(Duration),
    /// There is nothing at this path, or not by this method.
    #[error("there is nothing at this path{}", by_method(*.0))]
    Nothing(
        /// Whether there is something by another method.
        bool,
    ),
    /// The caller's time was over.
    #[error("no answer within the time that the request allows")]
    Expired,
    /// The model failed: the fault of the server.
    #[error("{0}")]
    Failed(String),
    /// The caller has shown no key, or a wrong one.
    #[error("a key is needed: send `Authorization: Bearer KEY`")]
    Unauthorized,
    /// Not on this server, or not on this listener.
    #[error("{what} is not allowed here: {remedy}")]
    Forbidden {
        /// What was tried.
        what: &'static str,
        /// How it can be allowed.
        remedy: &'static str,
    },
    /// The body is of a type that the path does not take.
    #[error("a body of the type `{found}` is not taken here: send {wanted}")]
    MediaType {
        /// The type of the body.
        found: String,
        /// What is taken.
        wanted: &'static str,
    },
    /// A part of the protocol that this server leaves out. Whoever asks for it asks the wrong server: a fault of the client, none of
    /// the server, whose own faults are counted by their 5xx.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A model could not be loaded.
    #[error("the model `{model}` cannot be loaded: {reason}")]
    Load {
        /// Its name.
        model: String,
        /// Why.
        reason: String,
    },
}

fn by_method(another: bool) -> &'static str {
    if another { " by this method: predictions and the repository are asked by POST, all else by GET" } else { "" }
}

fn version_words(version: Option<&str>) -> String {
    version.map_or_else(String::new, |version| format!(" of version `{version}`"))
}

impl ServeError {
    /// Puts what could not be loaded into the log, with its model where one is known.
    pub(crate) fn log_not_loaded(&self) {
        match self {
            Self::Load { model, .. } => tracing::error!(model, error = %self, "not loaded"),
            error => tracing::error!(%error, "not loaded"),
        }
    }

    /// The status of HTTP.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Protocol(error) => error.status(),
            Self::Input(_) | Self::Load { .. } | Self::Unsupported(_) => 400,
            Self::Unauthorized => 401,
            Self::Forbidden { .. } => 403,
            Self::UnknownModel { .. } | Self::Nothing(false) => 404,
            Self::Nothing(true) => 405,
            Self::Slow(_) => 408,
            Self::TooLarge { .. } => 413,
            Self::MediaType { .. } => 415,
            Self::Overloaded { .. } => 429,
            Self::Failed(_) => 500,
            Self::NotReady { .. } => 503,
            Self::Expired => 504,
        }
    }

    /// A word for it that metrics can count.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Protocol(_) => "malformed",
            Self::Input(_) => "input",
            Self::UnknownModel { .. } => "unknown-model",
            Self::NotReady { .. } => "not-ready",
            Self::Overloaded { .. } => "overload",
            Self::TooLarge { .. } => "too-large",
            Self::Slow(_) => "slow",
            Self::Nothing(_) => "nothing",
            Self::Expired => "expired",
            Self::Failed(_) => "failed",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::MediaType { .. } => "media-type",
            Self::Unsupported(_) => "unsupported",
            Self::Load { .. } => "load",
        }
    }

    /// A body of another type than those that are taken.
    pub(crate) fn media_type(found: &str, wanted: &'static str) -> Self {
        Self::MediaType { found: cut(found), wanted }
    }

    /// Loading and unloading where it is not allowed.
    pub(crate) fn no_control() -> Self {
        let remedy = "ask the listener of --control, or start the server with --allow-control";
        Self::Forbidden { what: "loading and unloading of models", remedy }
    }

    /// A model that is not there.
    pub(crate) fn unknown(model: &str, version: Option<&str>) -> Self {
        Self::UnknownModel { model: cut(model), version: version.map(cut) }
    }
}

/// A client's word, fit for one line.
fn cut(word: &str) -> String {
    word.chars().take(64).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl From<Failure> for ServeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Input(reason) => Self::Input(reason),
            Failure::Full => Self::Overloaded { reason: "the queue is full", after: Duration::from_secs(1) },
            Failure::Closed => {
                Self::Overloaded { reason: "the model is being replaced", after: Duration::from_secs(1) }
            }
            Failure::Expired => Self::Expired,
            Failure::Crashed | Failure::Stuck => Self::Failed(failure.to_string()),
        }
    }
}
