//! Tasks whose network ends in one dense layer, so that what comes before it can be computed apart. It does not know who does so.

use burn::{nn::Linear, tensor::Tensor};

use crate::Task;

/// A task whose network is a part that looks and a dense layer that decides.
pub trait Headed: Task {
    /// The last dense layer.
    fn head<'a>(&self, model: &'a Self::Model) -> &'a Linear;

    /// What the head sees of a batch: `[batch, width]`.
    fn features(&self, model: &Self::Model, batch: Self::Batch) -> Tensor<2>;

    /// [`Task::loss`], from what the head sees.
    fn loss_of_features(&self, model: &Self::Model, features: Tensor<2>, truths: &[Self::Truth]) -> Self::Outcome;

    /// [`Task::respond`], from what the head sees: of one view, and without what the head does not see, such as that a text was cut.
    fn respond_to_features(&self, model: &Self::Model, features: Tensor<2>) -> Vec<Self::Response>;
}
