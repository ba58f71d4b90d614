//! The model configuration extension: how a model is served, in the words of the protocol. It does not know batchers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::{Datatype, TensorMetadata};

/// `GET /v2/models/{m}/config`: the fields of the protocol's message that mean something here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelConfig {
    /// The model's name.
    pub name: String,
    /// What it runs on.
    pub platform: String,
    /// What runs it.
    pub backend: String,
    /// Which versions are served.
    pub version_policy: VersionPolicy,
    /// The most samples in a batch; 0 where requests are not batched and shapes have no batch.
    pub max_batch_size: u64,
    /// What it takes; the shapes without the batch, where `max_batch_size` is above 0.
    pub input: Vec<ConfigTensor>,
    /// What it gives, alike.
    pub output: Vec<ConfigTensor>,
    /// Its instances.
    pub instance_group: Vec<InstanceGroup>,
    /// How requests are put into one batch; `None` where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_batching: Option<DynamicBatching>,
    /// Anything else, as text.
    pub parameters: BTreeMap<String, ConfigParameter>,
}

/// An input or output in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigTensor {
    /// Its name.
    pub name: String,
    /// Its type, written `TYPE_FP32`.
    #[serde(serialize_with = "config_name")]
    pub data_type: Datatype,
    /// Its sizes; -1 stands for any.
    pub dims: Vec<i64>,
    /// Where the names of an output's classes stand.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label_filename: String,
    /// Whether an input may be left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl ConfigTensor {
    /// The entry of a tensor; `batched` leaves its first size out.
    #[must_use]
    pub fn of(tensor: &TensorMetadata, batched: bool) -> Self {
        let dims = tensor.shape.iter().skip(usize::from(batched)).copied().collect();
        Self {
            name: tensor.name.clone(),
            data_type: tensor.datatype,
            dims,
            label_filename: String::new(),
            optional: false,
        }
    }
}

/// Which versions of a model are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionPolicy {
    /// The newest ones.
    Latest {
        /// How many.
        num_versions: u32,
    },
    /// All.
    All {},
    /// These.
    Specific {
        /// Their numbers.
        versions: Vec<i64>,
    },
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest { num_versions: 1 }
    }
}

/// Instances of a model that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceGroup {
    /// A name.
    pub name: String,
    /// What they run on.
    pub kind: InstanceKind,
    /// How many they are.
    pub count: u32,
}

/// What an instance runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceKind {
    /// The processor.
    #[serde(rename = "KIND_CPU")]
    Cpu,
    /// A graphics card.
    #[serde(rename = "KIND_GPU")]
    Gpu,
}

/// How requests are put into one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicBatching {
    /// Sizes that are not waited beyond.
    pub preferred_batch_size: Vec<u64>,
    /// The longest wait for others, in microseconds.
    pub max_queue_delay_microseconds: u64,
    /// How many priorities there are; 0 for none.
    pub priority_levels: u64,
    /// The priority of requests without one.
    pub default_priority_level: u64,
    /// What the queue does.
    pub default_queue_policy: QueuePolicy,
}

/// What a queue does with what waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePolicy {
    /// What is done with what waited too long.
    pub timeout_action: TimeoutAction,
    /// The longest life of a request, in microseconds; 0 for no end.
    pub default_timeout_microseconds: u64,
    /// Whether a request may say less.
    pub allow_timeout_override: bool,
    /// The most requests that wait; 0 for no end.
    pub max_queue_size: u32,
}

/// What is done with a request that waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeoutAction {
    /// It is refused.
    #[default]
    Reject,
    /// It is answered after the others.
    Delay,
}

/// A parameter of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigParameter {
    /// Its value.
    pub string_value: String,
}

fn config_name<S: Serializer>(datatype: &Datatype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&datatype.config_name())
}
