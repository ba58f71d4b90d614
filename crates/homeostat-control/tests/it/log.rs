//! Checkpoint, log, and replay: state and events go through JSON at any point and nothing changes.

use std::collections::BTreeMap;

use homeostat_control::{ControlError, ControlEvent, Controllers, Observation, replay};

use crate::trace::{Noise, controllers, step};

const ALL_ON: &str = "
    guard.on = { window = 40, warmup-steps = 10, max-rewinds = 1000 }
    plateau.on = { patience = 2, min-scale = 1e-9 }
    early-stop.on = { monitor = 'accuracy', patience = 3 }
";

/// A rough training: every kind of fault, figures that stall, and an evaluation after every five steps.
fn rough(seed: u64) -> Vec<Observation> {
    let mut noise = Noise(seed);
    let mut trace = Vec::new();
    for at in 0..400 {
        let level = if at % 50 > 45 { 30.0 } else { 1.0 };
        let loss = if noise.uniform() < 0.03 { f64::NAN } else { level * (0.3 * noise.normal()).exp() };
        let gradient_norm = if noise.uniform() < 0.03 { f64::INFINITY } else { (0.3 * noise.student()).exp() };
        trace.push(step(loss, gradient_norm));
        if at % 5 == 4 {
            let accuracy = if noise.uniform() < 0.1 { f64::NEG_INFINITY } else { noise.uniform() };
            let figures = BTreeMap::from([("loss".to_string(), loss), ("accuracy".to_string(), accuracy)]);
            trace.push(Observation::Evaluation { figures });
        }
    }
    trace
}

fn through_json(controllers: &Controllers) -> Controllers {
    let text = serde_json::to_string(controllers).expect("state has a JSON form");
    serde_json::from_str(&text).expect("state reads its own JSON")
}

/// Equal states decide alike, so that equality after each observation covers a cut at any point.
#[test]
fn controllers_restored_at_any_point_decide_the_same() {
    for seed in 0..3 {
        let (mut straight, mut restored, mut decided) = (controllers(ALL_ON), controllers(ALL_ON), 0);
        for (at, observation) in rough(seed).iter().enumerate() {
            restored = through_json(&restored);
            let decisions = straight.decide(observation);
            assert_eq!(restored.decide(observation), decisions, "seed {seed}, observation {at}");
            assert_eq!(restored, straight, "seed {seed}, observation {at}");
            decided += decisions.len();
        }
        assert!(decided > 50, "the trace is too smooth to show anything: {decided} decisions");
    }
}

#[test]
fn a_log_replays() {
    let mut live = controllers(ALL_ON);
    let event = |(at, observation)| {
        let decisions = live.decide(&observation);
        ControlEvent { step: at, epoch: at / 100, observation, decisions }.to_line()
    };
    let log: Vec<String> = (0..).zip(rough(5)).map(event).collect();

    let events: Vec<_> = log.iter().map(|line| ControlEvent::from_line(line).unwrap()).collect();
    let again = replay(controllers(ALL_ON), events.iter().map(|event| &event.observation));
    assert!(events.iter().map(|event| &event.decisions).eq(&again));
    let relaxed = replay(controllers("guard = 'off'"), events.iter().map(|event| &event.observation));
    assert!(relaxed.iter().all(Vec::is_empty), "other controllers decide otherwise");
}

#[test]
fn floats_survive_the_log_exactly() {
    let values =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX, 0.1 + 0.2, -0.0, 3.0];
    for value in values {
        let figures = BTreeMap::from([("loss".to_string(), value)]);
        for observation in [step(value, value), Observation::Evaluation { figures }] {
            let event = ControlEvent { step: 1, epoch: 0, observation, decisions: Vec::new() };
            let line = event.to_line();
            assert!(!line.contains('\n') && !line.contains("null"), "{line}");
            let back = match ControlEvent::from_line(&line).unwrap().observation {
                Observation::Step { loss, .. } => loss,
                Observation::Evaluation { figures } => figures["loss"],
                Observation::Unfrozen { .. } => unreachable!("it holds no such figure"),
            };
            assert!(back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()), "{value} became {back}");
        }
    }
}

/// The format that other programs read.
#[test]
fn the_line_reads_as_documented() {
    let observation = step(f64::NAN, 1.5);
    let decisions = controllers("guard.on.patience = 1").decide(&observation);
    let line = ControlEvent { step: 12, epoch: 3, observation, decisions }.to_line();
    let expected = concat!(
        r#"{"step":12,"epoch":3,"observation":{"step":{"loss":"NaN","gradient-norm":1.5,"rate":0.1}},"#,
        r#""decisions":[{"controller":"guard","action":{"rewind":{"rate-factor":0.5}},"#,
        r#""reason":"loss is NaN: back to the last good snapshot, rate x 0.5, rewind 1 of 3","#,
        r#""evidence":{"faults":1.0,"gradient-norm":1.5,"loss":"NaN","rate":0.1,"rewinds":1.0}}]}"#,
    );
    assert_eq!(line, expected);
}

#[test]
fn a_line_that_is_no_event_is_an_error() {
    for line in
        ["", "{}", r#"{"step":1,"epoch":0,"observation":{"step":{"loss":"much"}},"decisions":[]}"#, "{\"step\":1"]
    {
        let error = ControlEvent::from_line(line).expect_err(line);
        assert!(matches!(error, ControlError::Event { .. }) && error.to_string().lines().count() == 1);
    }
}
