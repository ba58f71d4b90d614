//! Early stopping: it stops after its patience, and says why.

use homeostat_control::Action;

use crate::trace::{controllers, evaluation};

/// The first evaluation, counted from 0, at which training is to stop.
fn stops_at(settings: &str, figure: &str, values: &[f64]) -> Option<usize> {
    let mut controllers = controllers(settings);
    values.iter().position(|&value| {
        let decisions = controllers.decide(&evaluation(figure, value));
        decisions.iter().any(|decision| decision.action == Action::Stop)
    })
}

#[test]
fn it_stops_when_the_figure_has_not_improved_for_its_patience() {
    let loss = "early-stop.on.patience = 3";
    assert_eq!(stops_at(loss, "loss", &[1.0, 0.9, 0.95, 0.9, 0.91, 0.8]), Some(4));
    assert_eq!(stops_at(loss, "loss", &[1.0, 0.9, 0.8, 0.7, 0.6, 0.5]), None);
    assert_eq!(stops_at(loss, "loss", &[f64::NAN; 3]), Some(2));

    let accuracy = "early-stop.on = { monitor = 'accuracy', patience = 2, min-delta = 0.125 }";
    assert_eq!(stops_at(accuracy, "accuracy", &[0.5, 0.75, 0.75, 0.875]), Some(3), "the last is better by no more");
    assert_eq!(stops_at(accuracy, "accuracy", &[0.5, 0.75, 0.75, 0.9]), None);
}

#[test]
fn it_is_off_by_default() {
    assert_eq!(stops_at("", "loss", &[1.0; 1000]), None);
}

#[test]
fn the_reason_tells_a_bad_figure_from_a_stalled_one() {
    let mut controllers = controllers("early-stop.on.patience = 1");
    let reason = controllers.decide(&evaluation("loss", f64::NAN)).remove(0).reason;
    assert_eq!(reason, "loss is NaN and was finite in none of 1 evaluations: training stops");
}
