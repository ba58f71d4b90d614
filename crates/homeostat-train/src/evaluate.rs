//! One pass over a part of the data without learning from it. It does not know which part it is.

use std::{ops::ControlFlow, sync::Arc};

use burn::tensor::Device;
use homeostat_task::{Outcome, Task};

use crate::{Examples, Meter, Rows, TrainError, Workers, examples::evaluation_batches};

/// Measures `model` on all samples of `examples`, in their own order; gives nothing if `each` breaks it off.
///
/// `model` must be without gradients (`module.valid()`), and `device` likewise. `each` sees every batch with its rows;
/// those of which no sample could be read have no record.
///
/// # Errors
/// A sample cannot be read.
#[allow(clippy::type_complexity, reason = "a closure whose arguments all have names")]
pub fn evaluate<T, M>(
    task: &T,
    model: &T::Model,
    examples: &Arc<dyn Examples<T>>,
    mut meter: M,
    (batch_size, workers): (usize, Workers),
    device: &Device,
    each: &mut dyn FnMut(&Rows<T>, Option<&M::Record>) -> ControlFlow<()>,
) -> Result<Option<M>, TrainError>
where
    T: Task,
    M: Meter<Record = <T::Outcome as Outcome>::Record>,
{
    for rows in evaluation_batches(examples, batch_size, workers) {
        let rows = rows?;
        let record = (!rows.inputs.is_empty())
            .then(|| task.loss(model, task.collate(&rows.inputs, device), &rows.truths).record());
        if let Some(record) = &record {
            meter.update(record);
        }
        if each(&rows, record.as_ref()).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(meter))
}
