//! The model repository extension: what can be loaded, and what is. It does not know folders.

use serde::{Deserialize, Serialize};

/// An entry of `POST /v2/repository/index`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryEntry {
    /// The model's name.
    pub name: String,
    /// The version; left out where there is none yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Where it is in its life; left out where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ModelState>,
    /// Why, where it does not answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Where a version of a model is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ModelState {
    /// It answers.
    Ready,
    /// It does not answer, and nothing is under way.
    Unavailable,
    /// It will answer soon.
    Loading,
    /// It answers what it has taken, and nothing else.
    Unloading,
}

impl ModelState {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Unavailable => "UNAVAILABLE",
            Self::Loading => "LOADING",
            Self::Unloading => "UNLOADING",
        }
    }
}

/// The body of `POST /v2/repository/index`; an empty body is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryQuery {
    /// Only what answers.
    #[serde(default)]
    pub ready: bool,
}
