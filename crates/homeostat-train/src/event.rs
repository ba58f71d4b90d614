//! The one way out of the loop: a closed list of what happens. Progress bars, logs and tests listen; none is known here.

use homeostat_artifact::{Best, Figures};
use homeostat_control::Decision;
use homeostat_data::Skipped;

/// Something that happened in a training.
#[derive(Debug)]
pub enum Event<'a> {
    /// The loop begins, or goes on.
    Begin {
        /// Optimiser steps of the whole training, if nothing ends it early.
        total_steps: usize,
        /// Optimiser steps an epoch.
        steps_per_epoch: usize,
        /// Optimiser steps already done, above 0 after resuming.
        step: usize,
        /// Parameters of the network.
        parameters: usize,
        /// How many of them learn.
        learning: usize,
    },
    /// An optimiser step was done.
    Step(StepReport),
    /// A controller decided something.
    Decided {
        /// Optimiser steps done.
        step: usize,
        /// What, and why.
        decision: &'a Decision,
    },
    /// A sample could not be read and was left out.
    Skipped(&'a Skipped),
    /// What the head sees of a batch was computed: nothing before it learns, so it is done once.
    Features {
        /// Samples so far.
        done: usize,
        /// All samples to learn from and to choose by.
        total: usize,
    },
    /// A batch of an evaluation was done.
    Evaluated {
        /// Samples so far.
        done: usize,
        /// All samples of the part.
        total: usize,
    },
    /// An epoch, or the last part of one, ended with an evaluation.
    Epoch {
        /// Epochs done.
        epoch: usize,
        /// Optimiser steps done.
        step: usize,
        /// The learning rate of the last step.
        rate: f64,
        /// Running figures of the training part.
        train: &'a Figures,
        /// Figures of the validation part.
        valid: &'a Figures,
        /// The best so far.
        best: Option<&'a Best>,
        /// Whether this is the best so far.
        improved: bool,
    },
    /// The state is on the disk.
    Checkpoint {
        /// Optimiser steps done.
        step: usize,
    },
}

/// An optimiser step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Optimiser steps done, this one included.
    pub step: usize,
    /// The learning rate.
    pub rate: f64,
    /// The mean loss of the step's batches.
    pub loss: f64,
    /// The global norm of the gradient, before clipping.
    pub gradient_norm: f64,
    /// Samples of the step.
    pub samples: usize,
    /// Seconds that the loop waited for data.
    pub waited: f64,
}
