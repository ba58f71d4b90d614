//! The `[train]` table: how long, in what batches, by which optimiser. It stays at home: serving never reads it.

use std::collections::BTreeMap;

use burn::module::Module;
use homeostat_control::Goal;
use homeostat_metrics::MetricConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AverageConfig, ClipConfig, EmaConfig, GroupConfig, LoraConfig, OptimizerConfig, ScheduleConfig, StatisticsConfig,
    TrainError, UnfreezeConfig,
    bound::{DECAY, POSITIVE, SHARE},
    freeze::Freezing,
};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// How often the training part is gone through; 0 measures and publishes the weights of `pretrained` as they are.
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
    /// What the learning rate is multiplied by for each layer further from the head, above 0 to 1 (Clark et al. 2020; Bao et al. 2021).
    /// Layers are those with numbers in their names (`blocks.7`, `stages.0.1`), one by one; what comes before them is the first layer,
    /// and the head, which learns at the full rate, the last one.
    pub layer_decay: Option<f64>,
    /// Weights to begin with, in the place of drawn ones.
    pub pretrained: Option<PretrainedConfig>,
    /// Parameters that keep their values, by name, where a `*` stands for anything: `["stages.*"]`; after a `!`, all others:
    /// `["!head.*"]` is a linear probe. Dropout among them is off. Where the head alone learns and pictures are not augmented,
    /// what it sees of each sample is computed once.
    pub freeze: Vec<String>,
    /// Parameters that alone learn, by name as in `freeze`; empty: all. `["*.bias", "*.beta", "head.*"]` is BitFit (Ben Zaken et al. 2022).
    /// Dropout stays on everywhere.
    pub learn: Vec<String>,
    /// Low-rank changes of dense layers that learn in the place of the weights (LoRA).
    pub lora: Option<LoraConfig>,
    /// Which of the frozen parameters learn after some epochs.
    pub unfreeze: Vec<UnfreezeConfig>,
    /// What becomes of the running statistics of batch normalisation.
    pub batch_norm: StatisticsConfig,
    /// How large gradients are cut.
    pub clip: ClipConfig,
    /// A moving average of the weights, evaluated and published in their place.
    pub ema: Option<EmaConfig>,
    /// Publishes the average of several checkpoints in the place of the best one: `last = 5`, `best = 3`.
    pub average: Option<AverageConfig>,
    /// Whether the published answers are calibrated: scores are divided by the temperature that makes the validation part most likely
    /// (Guo et al. 2017).
    pub calibrate: bool,
    /// What is measured beside the loss.
    pub metrics: Vec<MetricConfig>,
    /// Measures at the end how far made pictures are from true ones; for tasks that make pictures.
    pub frechet: Option<FrechetConfig>,
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
            layer_decay: None,
            pretrained: None,
            freeze: Vec::new(),
            learn: Vec::new(),
            lora: None,
            unfreeze: Vec::new(),
            batch_norm: StatisticsConfig::default(),
            clip: ClipConfig::default(),
            ema: None,
            average: None,
            calibrate: false,
            metrics: vec![MetricConfig::Accuracy, MetricConfig::MacroF1],
            frechet: None,
            monitor: "accuracy".to_owned(),
            checkpoint: CheckpointConfig::default(),
        }
    }
}

/// Weights that another program, or another run, has written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PretrainedConfig {
    /// The file: `.safetensors`, or PyTorch's `.pth`, `.pt`, `.bin`, `.th`. A path is found as the folders of data are, and may be that of
    /// a folder with a `model.safetensors`; `hf:OWNER/NAME`, perhaps with `@REVISION` and `:FILE`, is of a hub of models (huggingface.co,
    /// or what the variable `HF_ENDPOINT` names); and `https://...` is fetched from there.
    pub from: String,
    /// The SHA-256 that a file fetched from an address must have; the hub knows those of its own.
    pub sha256: Option<String>,
    /// What may be missing, of another shape or without use, by name, where a `*` stands for anything: `["head.*"]` where the
    /// classes are others.
    pub allow: Vec<String>,
    /// A folder with an adapter, found as the folders of data are, that is put into the weights: one in the format of the library PEFT, or
    /// what alone has learnt in a run.
    pub adapter: Option<String>,
}

/// The Fréchet distance (Heusel et al. 2017) of pictures: of what a network that sorts pictures sees before its head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FrechetConfig {
    /// Pictures of each kind that are compared, as many as there are at most; distances of other numbers do not compare.
    pub samples: usize,
    /// A run that sorts pictures of the same shape, found as the folders of data are; by default a convolutional network of three
    /// stages whose weights are drawn, always the same.
    pub network: Option<String>,
}

impl Default for FrechetConfig {
    fn default() -> Self {
        Self { samples: 2000, network: None }
    }
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

impl PretrainedConfig {
    fn check(&self) -> Result<(), TrainError> {
        let wrong = |problem: &str| Err(TrainError::setting("train.pretrained", problem));
        if self.adapter.as_ref().is_some_and(String::is_empty) {
            return wrong("adapter is empty: name a folder, or leave it out");
        }
        if self.allow.iter().any(|pattern| pattern.starts_with('!')) {
            return wrong("allow takes no `!`: name what may differ, such as \"head.*\"");
        }
        match (&self.sha256, self.from.as_str()) {
            (_, "") => wrong("from is empty: name a file, hf:OWNER/NAME, or an https: address"),
            (_, from) if from.starts_with("http:") && self.sha256.is_none() => {
                wrong("what comes over http: can be changed on its way: give its sha256, or an https: address")
            }
            (Some(_), from) if !from.starts_with("http") => wrong("sha256 is of files from an https: address alone"),
            _ => Ok(()),
        }
    }
}

impl TrainConfig {
    /// Refuses numbers that make no training.
    ///
    /// # Errors
    /// Names the first such setting.
    pub fn check(&self) -> Result<(), TrainError> {
        let at_least_one: [(&'static str, Option<usize>); 8] = [
            // Weights that are there can be published as they are.
            ("train.epochs", self.pretrained.is_none().then_some(self.epochs)),
            ("train.batch-size", Some(self.batch_size)),
            ("train.repeats", Some(self.repeats)),
            ("train.accumulate", Some(self.accumulate)),
            ("train.max-steps", self.max_steps),
            ("train.checkpoint.every-steps", self.checkpoint.every_steps),
            ("train.checkpoint.keep-last", Some(self.checkpoint.keep_last)),
            ("train.average", self.average.map(AverageConfig::count)),
        ];
        for (key, value) in at_least_one {
            if value == Some(0) {
                let unless = if key == "train.epochs" { ", or 0 beside train.pretrained" } else { "" };
                return Err(TrainError::setting(key, format!("is 0, but must be at least 1{unless}")));
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
        self.layer_decay.map_or(Ok(()), |decay| {
            POSITIVE.check("train.layer-decay", "", decay)?;
            SHARE.check("train.layer-decay", "", decay)
        })?;
        self.pretrained.as_ref().map_or(Ok(()), PretrainedConfig::check)?;
        if let Some(lora) = &self.lora {
            lora.check()?;
            let taken = [
                ("learn", !self.learn.is_empty()),
                ("freeze", !self.freeze.is_empty()),
                ("unfreeze", !self.unfreeze.is_empty()),
            ];
            if let Some((key, _)) = taken.iter().find(|(_, given)| *given) {
                let problem = format!("cannot stand beside train.{key}: what else learns stands in train.lora.beside");
                return Err(TrainError::setting("train.lora", problem));
            }
        }
        self.optimizer.check(&self.groups)?;
        self.schedule.check()
    }

    /// Refuses names that the network has not.
    ///
    /// # Errors
    /// A pattern of `groups`, `freeze` or `unfreeze` fits no parameter, nothing is left to learn, or a setting would do nothing.
    pub fn check_network<M: Module>(&self, network: &M) -> Result<(), TrainError> {
        let network = self.adapted(network.clone())?;
        self.optimizer.init(&network, &self.groups)?;
        Freezing::of(&network, self).map(drop)
    }

    /// Whether the validation part chooses the weights: not where those of the last epochs count.
    pub(crate) fn takes_best(&self) -> bool {
        !matches!(self.average, Some(AverageConfig::Last(_)))
    }

    /// What to say of settings that so few epochs leave without effect; no errors, for a short training may be a trial of a long one.
    #[must_use]
    pub fn idle(&self) -> Vec<String> {
        let thaws = self.unfreeze.iter().filter_map(|thaw| thaw.never_in(self.epochs));
        let average = self.average.and_then(|average| average.short_in(self.epochs));
        thaws.chain(average).collect()
    }

    /// The network with what is to learn in it.
    pub(crate) fn adapted<M: Module>(&self, network: M) -> Result<M, TrainError> {
        match &self.lora {
            Some(lora) => lora.attach(network),
            None => Ok(network),
        }
    }

    /// The patterns of what alone learns; none where all does.
    pub(crate) fn learners(&self) -> Vec<String> {
        self.lora.as_ref().map_or_else(|| self.learn.clone(), LoraConfig::learners)
    }

    /// The setting that says what alone learns, and the patterns that it was given: each must fit a parameter.
    pub(crate) fn given_learners(&self) -> (&'static str, &[String]) {
        match &self.lora {
            Some(lora) => ("train.lora.beside", lora.beside.as_deref().unwrap_or_default()),
            None => ("train.learn", self.learn.as_slice()),
        }
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
