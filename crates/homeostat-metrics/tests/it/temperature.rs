//! Temperatures, against those that scipy finds.

use homeostat_metrics::{Loss, Predictions, TemperatureScaling, Truth};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    probabilities: Vec<f32>,
    labels: Vec<u32>,
    temperature: f64,
    scaled: Vec<f32>,
}

fn predictions(case: &Case) -> Predictions {
    let loss = Loss { mean: 0.0, weight: 60.0 };
    Predictions::new(4, case.probabilities.clone(), Truth::OneOf(case.labels.clone()), loss)
}

#[test]
fn the_temperature_is_the_most_likely_one() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/temperature.json")).unwrap();
    for case in &cases {
        let mut scaling = TemperatureScaling::default();
        scaling.update(&predictions(case));
        assert!((scaling.fit() / case.temperature - 1.0).abs() < 1e-4, "{} {}", scaling.fit(), case.temperature);
        let scaled = predictions(case).at_temperature(case.temperature);
        let first = scaled.rows().next().unwrap();
        assert!(first.iter().zip(&case.scaled).all(|(a, b)| (a - b).abs() < 1e-5), "{first:?} {:?}", case.scaled);
        assert_eq!(scaled.predicted(), predictions(case).predicted(), "the answers stay");
    }
    assert!(cases[1].temperature > 1.2 && cases[2].temperature < 0.9, "one case is too sure, one not sure enough");
}

#[test]
fn what_has_no_best_temperature_gets_the_nearest() {
    assert!((TemperatureScaling::default().fit() - 1.0).abs() < f64::EPSILON);
    let fit = |label: u32| {
        let mut scaling = TemperatureScaling::default();
        scaling.update(&Predictions::new(
            2,
            vec![0.9, 0.1],
            Truth::OneOf(vec![label]),
            Loss { mean: 0.0, weight: 1.0 },
        ));
        scaling.fit()
    };
    assert!(fit(0) < 0.06 && fit(1) > 19.0, "always right: as sure as may be; always wrong: not sure at all");
}
