//! What a controller is told. It does not know when: step and epoch stand in the event around it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::number;

/// What the loop measured. Figures come from the training batches and the validation split, never from the test split.
///
/// As JSON: `{"step":{"loss":2.3,"gradient-norm":1.5,"rate":0.001}}`; what is not finite is a string, as in [`Number`].
///
/// [`Number`]: crate::Number
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Observation {
    /// One training step, after its gradients are known and before the optimiser acts on them.
    Step {
        /// The loss of the whole (accumulated) batch.
        #[serde(with = "number")]
        loss: f64,
        /// The global Euclidean norm of all gradients, before clipping.
        #[serde(with = "number")]
        gradient_norm: f64,
        /// The learning rate that the optimiser is about to use.
        #[serde(with = "number")]
        rate: f64,
    },
    /// More learns from here on: parameters that were frozen.
    Unfrozen {
        /// The numbers that learn now.
        learning: u64,
    },
    /// One evaluation on the validation split.
    Evaluation {
        /// Each figure by name, as `loss` or `accuracy`.
        #[serde(with = "number::map")]
        figures: BTreeMap<String, f64>,
    },
}
