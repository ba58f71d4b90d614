//! The plateau controller: the rate goes down when the figure stands still, and never below its limit.

use homeostat_control::{Action, Controllers};

use crate::trace::{controllers, evaluation};

/// The evaluations, counted from 0, at which the rate was scaled, with the factor.
fn reductions(controllers: &mut Controllers, figure: &str, values: &[f64]) -> Vec<(usize, f64)> {
    let mut found = Vec::new();
    for (at, &value) in values.iter().enumerate() {
        for decision in controllers.decide(&evaluation(figure, value)) {
            let Action::ScaleRate { factor } = decision.action else { panic!("{}", decision.action) };
            found.push((at, factor));
        }
    }
    found
}

#[test]
fn patience_then_cooldown_then_patience_again() {
    let mut plateau = controllers("plateau.on = { patience = 2, cooldown = 1 }");
    assert_eq!(reductions(&mut plateau, "loss", &[1.0; 9]), [(2, 0.5), (5, 0.5), (8, 0.5)]);
    assert_eq!(plateau.rate_scale(), 0.125);
}

#[test]
fn an_improvement_starts_the_count_again() {
    let mut plateau = controllers("plateau.on.patience = 2");
    assert_eq!(reductions(&mut plateau, "loss", &[1.0, 1.0, 0.9, 0.9, 0.8, 0.8, 0.8]), [(6, 0.5)]);
}

#[test]
fn the_threshold_is_a_share_of_the_best_in_the_figures_own_direction() {
    let settings = |monitor| format!("plateau.on = {{ monitor = '{monitor}', patience = 1, threshold = 0.1 }}");
    for (monitor, values, expected) in [
        ("loss", [1.0, 0.95], 1),
        ("loss", [1.0, 0.85], 0),
        ("loss", [-1.0, -1.05], 1),
        ("loss", [-1.0, -1.15], 0),
        ("accuracy", [0.5, 0.54], 1),
        ("accuracy", [0.5, 0.56], 0),
        ("accuracy", [0.5, 0.4], 1),
    ] {
        let found = reductions(&mut controllers(&settings(monitor)), monitor, &values).len();
        assert_eq!(found, expected, "{monitor} {values:?}");
    }
}

#[test]
fn the_scale_ends_exactly_at_its_limit() {
    let mut plateau = controllers("plateau.on = { patience = 1, cooldown = 0, factor = 0.1, min-scale = 0.05 }");
    let factors: Vec<_> = reductions(&mut plateau, "loss", &[1.0; 9]).iter().map(|found| found.1).collect();
    assert_eq!(factors, [0.1, 0.5]);
    assert_eq!(plateau.rate_scale(), 0.05);
}

#[test]
fn a_figure_that_is_not_finite_is_no_improvement() {
    let mut plateau = controllers("plateau.on = { monitor = 'accuracy', patience = 3 }");
    assert_eq!(reductions(&mut plateau, "accuracy", &[0.5, f64::NAN, f64::INFINITY, f64::NAN]), [(3, 0.5)]);
}

#[test]
fn another_figure_tells_it_nothing() {
    let mut plateau = controllers("plateau.on = { monitor = 'accuracy', patience = 1 }");
    assert_eq!(reductions(&mut plateau, "loss", &[1.0; 5]), []);
}

#[test]
fn the_reason_names_the_numbers() {
    let mut plateau = controllers("plateau.on.patience = 1");
    plateau.decide(&evaluation("loss", 0.25));
    let decision = plateau.decide(&evaluation("loss", 0.375)).remove(0);
    let expected = "loss is 0.375 and has not improved on 0.25 in 1 evaluations: \
                    rate x 0.5, now 0.5 of the schedule by this controller";
    assert_eq!(decision.reason, expected);
    assert_eq!(decision.evidence["best-loss"].0, 0.25);
}
