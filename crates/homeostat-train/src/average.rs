//! The average of the weights of several checkpoints (Izmailov et al. 2018), published in the place of the best. It does not know the loop.

use burn::{module::Module, tensor::TensorData};
use homeostat_task::{Weights, WeightsError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which checkpoints are averaged; running statistics of batch normalisation are averaged like all weights, not computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AverageConfig {
    /// Those of so many last epochs.
    Last(usize),
    /// Those of so many epochs whose evaluations were best.
    Best(usize),
}

impl AverageConfig {
    /// How many.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Last(count) | Self::Best(count) => count,
        }
    }

    /// What to say where a training has fewer epochs.
    pub(crate) fn short_in(self, epochs: usize) -> Option<String> {
        let count = self.count();
        let problem =
            || format!("train.average: {count} epochs are to be averaged, but there are only {epochs}: all are");
        (1..count).contains(&epochs).then(problem)
    }

    /// The steps of the checkpoints that stand first: the evaluations are step and value, in order.
    pub(crate) fn first(
        self,
        evaluations: &[(u64, Option<f64>)],
        count: usize,
        better: impl Fn(f64, f64) -> bool,
    ) -> Vec<u64> {
        let newest = evaluations.iter().rev();
        if let Self::Last(_) = self {
            return newest.take(count).map(|(step, _)| *step).collect();
        }
        let mut order: Vec<(u64, f64)> = newest.filter_map(|(step, value)| Some((*step, (*value)?))).collect();
        // Stable: among equals the later one.
        order.sort_by(|a, b| better(b.1, a.1).cmp(&better(a.1, b.1)));
        order.into_iter().take(count).map(|(step, _)| step).collect()
    }
}

/// The mean of networks of one shape, in double precision.
pub(crate) fn mean<N: Module>(models: Vec<N>) -> Result<N, WeightsError> {
    let all: Vec<Weights> = models.iter().map(Weights::of).collect();
    let Some(first) = all.first() else { panic!("an average is of one network at least") };
    let tensors = first.tensors().iter().map(|(name, data)| {
        let mut sums = vec![0.0_f64; data.num_elements()];
        for weights in &all {
            let values = weights.tensors()[name].as_slice::<f32>().unwrap_or_default();
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        #[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit floats")]
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / all.len() as f64) as f32).collect();
        (name.clone(), TensorData::new(mean, data.shape().clone()))
    });
    let mean = Weights::from_tensors(tensors.collect());
    let model = models.into_iter().next().unwrap_or_else(|| panic!("an average is of one network at least"));
    mean.apply(model)
}
