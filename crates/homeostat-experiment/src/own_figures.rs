//! The figures of tasks that sort nothing into classes: what an experiment may say of them, and what it leaves to them. It does not know
//! what they measure.

use std::collections::BTreeMap;

use homeostat_config::{Origin, Resolved};
use homeostat_control::Goal;
use homeostat_train::{Meter, TrainConfig};

use crate::{Experiment, ExperimentError};

/// The figures that evaluations give, with the direction in which each is good; `task` is what the task is called: `a language model`.
pub(crate) fn goals(
    meter: &impl Meter,
    task: &str,
    train: &TrainConfig,
) -> Result<BTreeMap<String, Goal>, ExperimentError> {
    let goals = meter.goals();
    if !train.metrics.is_empty() {
        let measured = goals.keys().cloned().collect::<Vec<_>>().join(", ");
        let problem = format!("is of classes, but {task} is measured by {measured}: leave it out");
        return Err(ExperimentError::setting("train.metrics", problem));
    }
    if train.calibrate {
        let problem = format!("is of classes, but {task} has none: leave it out");
        return Err(ExperimentError::setting("train.calibrate", problem));
    }
    Ok(goals)
}

/// What is measured and watched by default is of classes: the task has its own figures, of which this one is watched for this reason.
pub(crate) fn choose(
    resolved: &mut Resolved<Experiment>,
    task: &str,
    (monitor, reason): (&str, &str),
) -> Result<(), ExperimentError> {
    let is_default = |key: &str| *resolved.provenance.get(key) == Origin::Default;
    let (metrics, watched) = (is_default("train.metrics"), is_default("train.monitor"));
    if metrics {
        let reason = format!("{task} has figures of its own");
        resolved.choose("train.metrics", Vec::<String>::new(), &reason)?;
    }
    if watched {
        resolved.choose("train.monitor", monitor, reason)?;
    }
    Ok(())
}
