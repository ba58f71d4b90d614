//! What differs between experiments with pictures and with texts, as a trait; what a run does is written once above it. It does not
//! know runs.

use std::{collections::BTreeMap, sync::Arc};

use homeostat_config::Resolved;
use homeostat_data::{DataError, DataRoot, Source, Splits, Store, TestViews};
use homeostat_models::NameTable;
use homeostat_report::{Picture, Shown};
use homeostat_task::{Headed, Weights};
use homeostat_tasks::{ClassificationOutcome, ClassificationResponse, LossConfig, Target, TaskConfig};
use homeostat_train::{Examples, Workers};

use crate::{DataConfig, Experiment, ExperimentError, plan::Plan};

/// Samples of one kind, and the task that sorts them into classes.
pub(crate) trait Kind: Sized + 'static {
    /// The task.
    type Task: Headed<Truth = Target, Outcome = ClassificationOutcome, Response = ClassificationResponse>;
    /// What holds the samples.
    type Store: Store + 'static;

    /// The dotted key of the task's table.
    const KEY: &'static str;

    /// The labels and the loss of the task's table.
    ///
    /// # Panics
    /// If the table is of another kind.
    fn settings(task: &TaskConfig) -> (&[String], &LossConfig);

    /// Opens the data.
    fn open(data: &DataConfig, roots: &DataRoot) -> Result<Source<Self::Store>, ExperimentError>;

    /// Fills in what the table leaves to the data, and makes the task.
    fn choose(
        resolved: &mut Resolved<Experiment>,
        source: &Arc<Source<Self::Store>>,
        splits: &Splits,
        setting: (&DataRoot, Workers),
    ) -> Result<Self::Task, ExperimentError>;

    /// A part of the data as the loop sees it, where pictures are measured in these views.
    fn examples(plan: &Plan<Self>, indices: &[usize], views: Option<TestViews>) -> Arc<dyn Examples<Self::Task>>;

    /// Why the samples of training are not the same in each epoch; nothing if they are.
    fn moves(data: &DataConfig) -> Option<&'static str>;

    /// The same task, whose scores are divided by this.
    fn at_temperature(task: &Self::Task, temperature: f64) -> Self::Task;

    /// A sample as a request.
    fn request(source: &Source<Self::Store>, index: usize) -> Result<Vec<u8>, DataError>;

    /// A sample for a page.
    fn shown(source: &Source<Self::Store>, index: usize) -> Result<Shown, DataError>;

    /// A training sample as the network saw it in the first epoch, where it is a picture that can be read.
    fn augmented(plan: &Plan<Self>, index: usize) -> Option<Picture>;

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
    fn assets(task: &Self::Task) -> BTreeMap<String, Vec<u8>>;
}
