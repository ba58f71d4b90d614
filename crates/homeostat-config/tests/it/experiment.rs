//! A made-up experiment with everything that a configuration may hold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that determines a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Experiment {
    /// A name for people.
    pub(crate) name: String,
    /// The seed of everything random.
    pub(crate) seed: u32,
    /// How to train.
    pub(crate) train: Train,
    /// The network.
    pub(crate) model: Model,
    /// The network that teaches, if one does.
    pub(crate) teacher: Option<Model>,
    /// What is done to each image, in order.
    pub(crate) prepare: Prepare,
    /// The weight of each class.
    pub(crate) weights: BTreeMap<String, f32>,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Train {
    /// Passes over the training split.
    pub(crate) epochs: u16,
    /// Samples in a step.
    pub(crate) batch_size: u8,
    /// The first learning rate,
    /// before the warm-up.
    ///
    /// Too large a one | diverges.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub(crate) learning_rate: f32,
    /// Stop after this many steps.
    pub(crate) max_steps: Option<u64>,
    /// Added to every loss.
    pub(crate) offset: f64,
    /// Watches the loss.
    pub(crate) plateau: Plateau,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch_size: 32,
            learning_rate: 0.1,
            max_steps: None,
            offset: 0.0,
            plateau: Plateau::default(),
        }
    }
}

/// What happens when the loss stays where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Plateau {
    /// Nothing.
    #[default]
    Off,
    /// The learning rate is divided.
    Divide(Divide),
}

/// Division of the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Divide {
    /// By how much.
    pub(crate) by: f64,
}

impl Default for Divide {
    fn default() -> Self {
        Self { by: 2.0 }
    }
}

/// The networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Model {
    /// Dense layers.
    Mlp(Mlp),
    /// Convolutions.
    Cnn(Cnn),
    /// Weights in a file.
    File(PathBuf),
    /// The mean of several.
    Ensemble(Vec<Self>),
}

impl Default for Model {
    fn default() -> Self {
        Self::Cnn(Cnn::default())
    }
}

/// Dense layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Mlp {
    /// The width of each hidden layer.
    pub(crate) hidden: Vec<u32>,
    /// The share of units dropped.
    pub(crate) dropout: f32,
}

impl Default for Mlp {
    fn default() -> Self {
        Self { hidden: vec![64], dropout: 0.0 }
    }
}

/// Convolutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cnn {
    /// Channels of the first layer.
    pub(crate) width: u32,
    /// What is beyond the border.
    pub(crate) padding: Padding,
}

impl Default for Cnn {
    fn default() -> Self {
        Self { width: 32, padding: Padding::Same }
    }
}

/// What is beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Padding {
    /// Zeros, so that the size stays.
    #[default]
    Same,
    /// Nothing.
    Valid,
}

/// The steps, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Prepare(pub(crate) Vec<Step>);

impl Default for Prepare {
    fn default() -> Self {
        Self(vec![Step::Resize(Resize::default()), Step::NormalizeFromTrain])
    }
}

/// A step of the preparation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// To another size.
    Resize(Resize),
    /// To mean 0 and deviation 1.
    Normalize(Normalize),
    /// As `normalize`, with the statistics of the training split.
    NormalizeFromTrain,
}

/// To another size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Resize {
    /// Both sides, or height and width, in pixels.
    pub(crate) size: Size,
}

impl Default for Resize {
    fn default() -> Self {
        Self { size: Size::Square(28) }
    }
}

/// Both sides, or height and width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Size {
    Square(u32),
    Sides([u32; 2]),
}

/// To mean 0 and deviation 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Normalize {
    /// The mean of each channel.
    pub(crate) mean: Vec<f32>,
    /// The deviation of each channel.
    pub(crate) std: Vec<f32>,
}
