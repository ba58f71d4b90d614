//! The `[train]` table: how long, in what batches, by which optimiser. It stays at home: serving never reads it.

use std::collections::BTreeMap;

use homeostat_control::Goal;
use homeostat_metrics::MetricConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ClipConfig, EmaConfig, GroupConfig, OptimizerConfig, ScheduleConfig, TrainError,
    bound::{DECAY, POSITIVE},
};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// How often the training part is gone through.
    pub epochs: usize,
    /// Samples a batch.
    pub batch_size: usize,
    /// How often each sample stands in a batch, each time augmented otherwise (repeated augmentation: Hoffer et al. 2020, Berman et
    /// al. 2019); divides `batch-size`. An epoch stays as long, so it meets that fraction of the samples, and as many epochs meet all.
    pub repeats: usize,
    /// Batches whose gradients are averaged for one optimiser step; the effective batch is `batch-size` times this.
    pub accumulate: usize,
    /// Ends the training after so many optimiser steps.
    pub max_steps: Option<usize>,
    /// Ends the training after so many seconds of wall time, over all resumptions.
    pub max_seconds: Option<f64>,
    /// What moves the weights.
    pub optimizer: OptimizerConfig,
    /// How the learning rate moves with the step.
    pub schedule: ScheduleConfig,
    /// Other learning rates or weight decays for some parameters.
    pub groups: Vec<GroupConfig>,
    /// Weights to begin with, in the place of drawn ones.
    pub pretrained: Option<PretrainedConfig>,
    /// Parameters that keep their values, by name, where a `*` stands for anything: `["stages.*"]`. A batch normalisation whose
    /// parameters are among them keeps its statistics, too.
    pub freeze: Vec<String>,
    /// How large gradients are cut.
    pub clip: ClipConfig,
    /// A moving average of the weights, evaluated and published in their place.
    pub ema: Option<EmaConfig>,
    /// What is measured beside the loss.
    pub metrics: Vec<MetricConfig>,
    /// The validation figure that chooses the best weights.
    pub monitor: String,
    /// When the state is written to the disk, and how much of it is kept.
    pub checkpoint: CheckpointConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            repeats: 1,
            accumulate: 1,
            max_steps: None,
            max_seconds: None,
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            groups: Vec::new(),
            pretrained: None,
            freeze: Vec::new(),
            clip: ClipConfig::default(),
            ema: None,
            metrics: vec![MetricConfig::Accuracy, MetricConfig::MacroF1],
            monitor: "accuracy".to_owned(),
            checkpoint: CheckpointConfig::default(),
        }
    }
}

/// Weights that another program, or another run, has written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PretrainedConfig {
    /// The folder of the file, found as the folders of data are.
    pub folder: String,
    /// The file in it: .safetensors, or PyTorch's .pth, .pt, .bin, .th.
    pub file: String,
    /// What may be missing, of another shape or without use, by name, where a `*` stands for anything: `["head.*"]` where the
    /// classes are others.
    pub allow: Vec<String>,
}

/// When the state is written to the disk; after each epoch it always is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckpointConfig {
    /// Also after every so many optimiser steps.
    pub every_steps: Option<usize>,
    /// How many of the newest checkpoints are kept, beside the best.
    pub keep_last: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every_steps: None, keep_last: 2 }
    }
}

impl TrainConfig {
    /// Refuses numbers that make no training.
    ///
    /// # Errors
    /// Names the first such setting.
    pub fn check(&self) -> Result<(), TrainError> {
        let at_least_one: [(&'static str, Option<usize>); 7] = [
            ("train.epochs", Some(self.epochs)),
            ("train.batch-size", Some(self.batch_size)),
            ("train.repeats", Some(self.repeats)),
            ("train.accumulate", Some(self.accumulate)),
            ("train.max-steps", self.max_steps),
            ("train.checkpoint.every-steps", self.checkpoint.every_steps),
            ("train.checkpoint.keep-last", Some(self.checkpoint.keep_last)),
        ];
        for (key, value) in at_least_one {
            if value == Some(0) {
                return Err(TrainError::setting(key, "is 0, but must be at least 1"));
            }
        }
        if !self.batch_size.is_multiple_of(self.repeats) {
            let problem = format!("is {}, which does not divide train.batch-size = {}", self.repeats, self.batch_size);
            return Err(TrainError::setting("train.repeats", problem));
        }
        let positive = [
            ("train.max-seconds", self.max_seconds),
            ("train.clip.global-norm", self.clip.global_norm),
            ("train.clip.value", self.clip.value),
        ];
        for (key, value) in positive {
            value.map_or(Ok(()), |value| POSITIVE.check(key, "", value))?;
        }
        self.ema.as_ref().map_or(Ok(()), |ema| DECAY.check("train.ema.decay", "", ema.decay))?;
        self.optimizer.check(&self.groups)?;
        self.schedule.check()
    }

    /// The figures that evaluations give, with the direction in which each is good: what may be watched.
    #[must_use]
    pub fn goals(&self) -> BTreeMap<String, Goal> {
        let goal = |metric: &MetricConfig| if metric.higher_is_better() { Goal::Maximize } else { Goal::Minimize };
        let metrics = self.metrics.iter().map(|metric| (metric.name(), goal(metric)));
        metrics.chain([("loss".to_owned(), Goal::Minimize)]).collect()
    }

    /// Optimiser steps of one epoch over `samples` samples; the last, short window counts.
    #[must_use]
    pub fn steps_per_epoch(&self, samples: usize) -> usize {
        samples.div_ceil(self.batch_size).div_ceil(self.accumulate)
    }

    /// Optimiser steps of the whole training, if nothing ends it early.
    #[must_use]
    pub fn total_steps(&self, samples: usize) -> usize {
        let all = self.epochs.saturating_mul(self.steps_per_epoch(samples));
        self.max_steps.map_or(all, |limit| limit.min(all))
    }
}
