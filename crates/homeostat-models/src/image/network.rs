//! What every network for images can do, and every description of one. It does not know any of them.

use burn::{nn::Linear, tensor::Tensor};
use homeostat_kernels::Activation;

use super::blocks::classify;
use crate::ModelError;

/// A living network for images, in two halves: stages that look, and a head that decides.
pub trait ImageNetwork {
    /// What comes out of each stage, the last stage last: `[batch, channels, height, width]` each.
    fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>>;

    /// What the head sees of the last stage: `[batch, channels, height, width] -> [batch, width]`.
    fn pool(&self, last: Tensor<4>) -> Tensor<2>;

    /// The last dense layer: `[batch, width] -> [batch, classes]`.
    fn head(&self) -> &Linear;

    /// What further heads say of the stages, `[batch, classes]`, each with its weight in the loss. For training alone.
    fn auxiliary(&self, _features: &[Tensor<4>]) -> Vec<(f64, Tensor<2>)> {
        Vec::new()
    }

    /// `[batch, channels, height, width] -> [batch, classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.decide(self.features(images))
    }

    /// What the head makes of the last stage: `[batch, classes]`.
    fn decide(&self, mut features: Vec<Tensor<4>>) -> Tensor<2> {
        let last = features.pop().expect("a network has a stage");
        drop(features);
        classify(self.head(), self.pool(last), Activation::Linear)
    }
}

/// The description of a network for images.
pub(super) trait Describe {
    /// Refuses settings that make no network, whatever the images.
    fn check(&self) -> Result<(), ModelError>;

    /// The smallest side of an image that the network can look at.
    fn smallest(&self) -> usize {
        1
    }

    /// Whether one network takes pictures of any size; if not, its weights are bound to the size that it was made for.
    fn takes_any_size(&self) -> bool {
        true
    }

    /// How well-known implementations call our layers.
    fn names(&self) -> Vec<NameTable> {
        Vec::new()
    }
}

/// How a well-known implementation calls our layers.
///
/// Each row has the start of our name and of theirs, in whole parts: `stem.conv` also says where `stem.conv.weight` is. A part
/// in braces stands for a number: `stages.{s}` and `layer{s+1}` say that `stages.0` is `layer1`. The first row that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTable {
    /// Whose names these are.
    pub origin: &'static str,
    /// Ours, and theirs.
    pub rows: Vec<(String, String)>,
    /// Their tensors that lie as ours do, by name, where a `*` stands for anything: elsewhere the rows of a dense layer are our
    /// columns.
    pub as_ours: Vec<String>,
    /// Their tensors that nobody needs, likewise.
    pub ignored: Vec<String>,
}

impl NameTable {
    pub(super) fn new(origin: &'static str, rows: &[(&str, &str)]) -> Self {
        Self::of(origin, rows.iter().map(|&(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect())
    }

    /// The table of these rows.
    pub(crate) fn of(origin: &'static str, rows: Vec<(String, String)>) -> Self {
        Self { origin, rows, as_ours: Vec::new(), ignored: Vec::new() }
    }
}
