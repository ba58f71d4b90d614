//! The loop and what it needs: optimisers, schedules, gradients, checkpoints.
//!
//! [`fit`] is the loop, on one screen. It takes a [`Job`] (a task, its data, the `[train]` and `[control]` tables, a
//! device), writes to a run's directory, tells what happens through [`Event`]s, and can be killed at any moment:
//! resumed from its last checkpoint it gives the same bytes as if nothing had happened.
//!
//! ```
//! use homeostat_train::{OptimizerConfig, ScheduleConfig, TrainConfig};
//!
//! let config = TrainConfig { epochs: 3, batch_size: 32, accumulate: 4, ..TrainConfig::default() };
//! assert_eq!(config.total_steps(1000), 3 * 8); // 32 batches an epoch, 4 a step
//! let schedule = ScheduleConfig::default().init(OptimizerConfig::default().learning_rate(), 8, 24);
//! assert!(schedule.rate(0) > schedule.rate(23));
//! ```
//!
//! It does not know the server, nor any concrete task.

mod average;
mod bound;
mod ema;
mod error;
mod evaluate;
mod event;
mod examples;
mod fit;
mod freeze;
mod gradients;
mod lora;
mod meter;
mod optimizer;
mod probe;
mod rules;
mod schedule;
mod state;
mod train_config;

pub use homeostat_metrics as metrics;

pub use average::AverageConfig;
pub use ema::EmaConfig;
pub use error::TrainError;
pub use evaluate::evaluate;
pub use event::{Event, StepReport};
pub use examples::{Draw, Examples, Rows, Workers};
pub use fit::{End, Finished, Job, Meters, fit};
pub use freeze::{StatisticsConfig, UnfreezeConfig, divided, parameters};
pub use gradients::{Accumulation, ClipConfig, clip, global_norm};
pub use lora::{Factors, LoraConfig};
pub use meter::Meter;
pub use optimizer::{
    AdafactorConfig, AdagradConfig, AdamConfig, AdamwConfig, AdanConfig, GroupConfig, LambConfig, LionConfig,
    MuonConfig, Optimizer, OptimizerConfig, RmspropConfig, SgdConfig,
};
pub use probe::{NoProbe, Probe, Probed, probe};
pub use schedule::{
    ConstantConfig, CosineConfig, ExponentialConfig, LinearConfig, NoamConfig, OneCycleConfig, Schedule,
    ScheduleConfig, StepConfig,
};
pub use state::Reached;
pub use train_config::{CheckpointConfig, FrechetConfig, PretrainedConfig, TrainConfig};
