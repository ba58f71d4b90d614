//! One pass over a part of the data without learning from it. It does not know which part it is.

use std::sync::Arc;

use burn::tensor::Device;
use homeostat_task::{Outcome, Task};

use crate::{Event, Examples, Meter, Rows, TrainError, Workers, examples::evaluation_batches};

/// Measures `model` on all samples of `examples`, in their own order.
///
/// `model` must be without gradients (`module.valid()`), and `device` likewise. `each` sees every batch with its rows.
///
/// # Errors
/// A sample cannot be read.
pub fn evaluate<T, M>(
    task: &T,
    model: &T::Model,
    examples: &Arc<dyn Examples<T>>,
    mut meter: M,
    (batch_size, workers): (usize, Workers),
    device: &Device,
    each: &mut dyn FnMut(&Rows<T>, &M::Record, Event<'_>),
) -> Result<M, TrainError>
where
    T: Task,
    M: Meter<Record = <T::Outcome as Outcome>::Record>,
{
    let (mut done, total) = (0, examples.len());
    for rows in evaluation_batches(examples, batch_size, workers) {
        let rows = rows?;
        done += rows.inputs.len() + rows.skipped.len();
        if rows.inputs.is_empty() {
            continue;
        }
        let record = task.loss(model, task.collate(&rows.inputs, device), &rows.truths).record();
        meter.update(&record);
        each(&rows, &record, Event::Evaluated { done, total });
    }
    Ok(meter)
}
