//! What differs between experiments with different tasks, as a trait; what a run does is written once above it. It does not know
//! runs.

use std::{collections::BTreeMap, sync::Arc};

use homeostat_artifact::{Checkpoint, RunWriter};
use homeostat_config::Resolved;
use homeostat_data::{DataError, DataRoot, Source, SplitConfig, Splits, Store};
use homeostat_models::NameTable;
use homeostat_report::Report;
use homeostat_task::{Outcome, Task, Weights};
use homeostat_tasks::TaskConfig;
use homeostat_train::{End, Event, Examples, Job, Meter, Meters, Workers, fit};

use crate::{DataConfig, Experiment, ExperimentError, Setting, Stage, evaluate_run::Measured, plan::Plan};

/// A task, the samples that it learns from, what is measured of it and what a page shows of that.
///
/// Of tasks that sort samples into classes only [`Sorting`](crate::sorting::Sorting) has to be implemented.
pub(crate) trait Kind: Sized + 'static {
    /// The task.
    type Task: Task;
    /// What holds the samples.
    type Store: Store + 'static;
    /// What is measured in training and in evaluation.
    type Meter: Meter<Record = <<Self::Task as Task>::Outcome as Outcome>::Record>;
    /// What is found on a part beside the figures.
    type Findings;

    /// Whether a run can be measured on other data than its own, by `--data`.
    const TAKES_OTHER_DATA: bool = false;

    /// Opens the data.
    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source<Self::Store>, ExperimentError>;

    /// Fills in what the weights to begin with say of the network, where the experiment says nothing of it.
    fn adopt_network(
        _resolved: &mut Resolved<Experiment>,
        _setting: &Setting<'_>,
        _observe: &mut dyn FnMut(Stage<'_>),
    ) -> Result<(), ExperimentError> {
        Ok(())
    }

    /// The division that the experiment leaves to the data, with the reason; nothing where it says one.
    fn division(
        split: &SplitConfig,
        source: &Source<Self::Store>,
    ) -> Result<Option<(SplitConfig, String)>, ExperimentError> {
        Ok(split.resolve(source))
    }

    /// Fills in what the table leaves to the data, and makes the task.
    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source<Self::Store>>,
        splits: &Splits,
        setting: (&DataRoot, Workers),
    ) -> Result<Self::Task, ExperimentError>;

    /// Refuses what does not fit together, before a directory is made.
    fn check(_plan: &Plan<Self>, _setting: &Setting<'_>) -> Result<(), ExperimentError> {
        Ok(())
    }

    /// A part of the data as the loop sees it.
    fn examples(plan: &Plan<Self>, indices: &[usize]) -> Arc<dyn Examples<Self::Task>>;

    /// What is measured in training and in evaluation.
    fn meters(plan: &Plan<Self>) -> Result<Meters<Self::Meter>, ExperimentError>;

    /// Trains, by a loop of the task's own where the common one does not do.
    fn fit(
        _plan: &Plan<Self>,
        job: &Job<'_, Self::Task, Self::Meter>,
        run: &RunWriter,
        resume: Option<&Checkpoint>,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<End<<Self::Task as Task>::Model>, ExperimentError> {
        Ok(fit(job, run, resume, observe)?)
    }

    /// Measures a network on these samples; without any, there are no figures. Gives nothing if it is stopped from outside.
    fn measure(
        plan: &Plan<Self>,
        model: &<Self::Task as Task>::Model,
        indices: &[usize],
        setting: &Setting<'_>,
    ) -> Result<Option<Measured<Self::Findings>>, ExperimentError>;

    /// The plan as it is published, where the measured validation part has a say in it.
    fn settle(_plan: &Plan<Self>, _valid: &Measured<Self::Findings>) -> Result<Option<Plan<Self>>, ExperimentError> {
        Ok(None)
    }

    /// The plan as it was published with this table, where that differs from what the experiment says.
    fn settled(_plan: &Plan<Self>, _published: &TaskConfig) -> Result<Option<Plan<Self>>, ExperimentError> {
        Ok(None)
    }

    /// A sample as a request.
    fn request(plan: &Plan<Self>, index: usize) -> Result<Vec<u8>, DataError>;

    /// Adds to a page what is the kind's own: the data, what was found on the part shown, and what the network makes.
    fn report(
        plan: &Plan<Self>,
        model: &<Self::Task as Task>::Model,
        measured: &Measured<Self::Findings>,
        report: &mut Report,
    ) -> Result<(), ExperimentError>;

    /// The command line that asks a run.
    fn ask(run: &str) -> String {
        format!("homeostat predict {run} FILE...")
    }

    /// How well-known implementations call the layers of the network.
    fn names(task: &Self::Task) -> Vec<NameTable>;

    /// Weights of others whose tensors do not stand one by one in ours, in the names of the network; what is of another kind stays as it is.
    fn translated(_task: &Self::Task, theirs: Weights) -> Result<Weights, String> {
        Ok(theirs)
    }

    /// What others call the dense layers that stand in this weight of ours, where no table of [`names`](Self::names) can say it.
    fn modules(_task: &Self::Task, _weight: &str) -> Option<Vec<String>> {
        None
    }

    /// The files beside the weights.
    fn assets(_task: &Self::Task) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::new()
    }
}
