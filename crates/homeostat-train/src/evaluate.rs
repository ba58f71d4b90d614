//! One pass over a part of the data without learning from it. It does not know which part it is.

use std::{convert::Infallible, ops::ControlFlow, sync::Arc};

use burn::tensor::Device;
use homeostat_task::{Outcome, Task};

use crate::{Event, Examples, Meter, Rows, TrainError, Workers, examples::evaluation_batches};

/// Measures `model` on all samples of `examples`, in their own order; gives nothing if `each` breaks it off.
///
/// `model` must be without gradients (`module.valid()`), and `device` likewise. `each` sees every batch with its rows,
/// except batches of which no sample could be read.
///
/// # Errors
/// A sample cannot be read.
#[allow(clippy::type_complexity, reason = "a closure whose arguments all have names")]
pub fn evaluate<T, M>(
    task: &T,
    model: &T::Model,
    examples: &Arc<dyn Examples<T>>,
    meter: M,
    sizing: (usize, Workers),
    device: &Device,
    each: &mut dyn FnMut(&Rows<T>, &M::Record, Event<'_>) -> ControlFlow<()>,
) -> Result<Option<M>, TrainError>
where
    T: Task,
    M: Meter<Record = <T::Outcome as Outcome>::Record>,
{
    let (mut done, total) = (0, examples.len());
    let passed = pass_while(task, model, examples, meter, sizing, device, &mut |rows, record| {
        done += rows.inputs.len() + rows.skipped.len();
        record.map_or(ControlFlow::Continue(()), |record| each(rows, record, Event::Evaluated { done, total }))
    })?;
    Ok(passed.continue_value())
}

/// As [`evaluate`], but `each` sees every batch; those of which no sample could be read have no record.
#[allow(clippy::type_complexity, reason = "a closure whose arguments all have names")]
pub(crate) fn pass<T, M>(
    task: &T,
    model: &T::Model,
    examples: &Arc<dyn Examples<T>>,
    meter: M,
    sizing: (usize, Workers),
    device: &Device,
    each: &mut dyn FnMut(&Rows<T>, Option<&M::Record>),
) -> Result<M, TrainError>
where
    T: Task,
    M: Meter<Record = <T::Outcome as Outcome>::Record>,
{
    let passed = pass_while(task, model, examples, meter, sizing, device, &mut |rows, record| {
        each(rows, record);
        ControlFlow::<Infallible>::Continue(())
    })?;
    let ControlFlow::Continue(meter) = passed;
    Ok(meter)
}

#[allow(clippy::type_complexity, reason = "a closure whose arguments all have names")]
fn pass_while<T, M, B>(
    task: &T,
    model: &T::Model,
    examples: &Arc<dyn Examples<T>>,
    mut meter: M,
    (batch_size, workers): (usize, Workers),
    device: &Device,
    each: &mut dyn FnMut(&Rows<T>, Option<&M::Record>) -> ControlFlow<B>,
) -> Result<ControlFlow<B, M>, TrainError>
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
        if let ControlFlow::Break(why) = each(&rows, record.as_ref()) {
            return Ok(ControlFlow::Break(why));
        }
    }
    Ok(ControlFlow::Continue(meter))
}
