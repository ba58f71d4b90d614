//! Schedules against PyTorch's (`schedules.json`, made by `reference.py`), and at their ends.

use homeostat_train::{
    ConstantConfig, CosineConfig, LinearConfig, NoamConfig, OneCycleConfig, ScheduleConfig, TrainConfig,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Fixture {
    learning_rate: f64,
    steps_per_epoch: usize,
    total_steps: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    schedule: ScheduleConfig,
    rates: Vec<f64>,
}

#[test]
fn rates_are_those_of_pytorch() {
    let fixture: Fixture = serde_json::from_str(include_str!("../fixtures/schedules.json")).unwrap();
    for Case { schedule: config, rates } in fixture.cases {
        let schedule = config.init(fixture.learning_rate, fixture.steps_per_epoch, fixture.total_steps);
        assert_eq!(rates.len(), fixture.total_steps);
        for (step, expected) in rates.into_iter().enumerate() {
            let found = schedule.rate(step);
            // Near 0 the formula that torch applies step by step has lost digits.
            let near = (found - expected).abs() <= 1e-9 * expected + 1e-12;
            assert!(near, "{config:?} at step {step}: {found}, torch has {expected}");
        }
    }
}

#[test]
fn every_schedule_is_finite_and_not_negative_in_a_run_of_any_length() {
    let schedules = [
        ScheduleConfig::Constant(ConstantConfig { warmup_steps: 5 }),
        ScheduleConfig::Step(Default::default()),
        ScheduleConfig::Linear(LinearConfig { warmup_steps: 5, ..Default::default() }),
        ScheduleConfig::Cosine(CosineConfig { warmup_steps: 5, ..Default::default() }),
        ScheduleConfig::Exponential(Default::default()),
        ScheduleConfig::Noam(NoamConfig { warmup_steps: 0 }),
        ScheduleConfig::Noam(NoamConfig { warmup_steps: 5 }),
        ScheduleConfig::OneCycle(OneCycleConfig::default()),
        ScheduleConfig::OneCycle(OneCycleConfig { warmup_share: 0.0, ..Default::default() }),
        ScheduleConfig::OneCycle(OneCycleConfig { warmup_share: 1.0, ..Default::default() }),
    ];
    for config in schedules {
        for total in [0, 1, 2, 4, 5, 6, 100] {
            let schedule = config.init(0.1, total / 3, total);
            // Behind the end, too: whoever asks must not get a rate that is not a number.
            for step in 0..=total + 3 {
                let rate = schedule.rate(step);
                assert!((0.0..=0.1 + 1e-12).contains(&rate), "{config:?}, step {step} of {total}: {rate}");
            }
        }
    }
}

#[test]
fn warm_up_reaches_the_learning_rate_with_its_last_step() {
    let rates = |config: ScheduleConfig| {
        let schedule = config.init(1.0, 10, 20);
        [0, 3, 4].map(|step| schedule.rate(step))
    };
    assert_eq!(rates(ScheduleConfig::Constant(ConstantConfig { warmup_steps: 4 })), [0.25, 1.0, 1.0]);
    assert_eq!(rates(ScheduleConfig::Noam(NoamConfig { warmup_steps: 4 }))[..2], [0.25, 1.0]);
}

#[test]
fn a_limit_of_steps_shortens_the_schedule() {
    let config = TrainConfig { epochs: 10, batch_size: 10, max_steps: Some(7), ..TrainConfig::default() };
    assert_eq!(config.total_steps(100), 7);
    let config = TrainConfig { max_steps: Some(700), accumulate: 3, ..config };
    // 95 samples are 10 batches, hence 3 full windows and a short one.
    assert_eq!((config.steps_per_epoch(95), config.total_steps(95)), (4, 40));
}
