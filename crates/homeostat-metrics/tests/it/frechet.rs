//! The Fréchet distance is numpy's (`fixtures/frechet.py`), and means survive JSON.

use homeostat_metrics::{MeanFigures, Measurements, Moments, frechet_distance};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    width: usize,
    one: Vec<f32>,
    other: Vec<f32>,
    distance: f64,
}

fn moments(width: usize, points: &[f32]) -> Moments {
    let mut moments = Moments::new(width);
    points.chunks_exact(width).for_each(|point| moments.add(point));
    moments
}

#[test]
fn the_distance_is_numpys() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/frechet.json")).unwrap();
    for Case { name, width, one, other, distance } in cases {
        let [one, other] = [moments(width, &one), moments(width, &other)];
        let found = frechet_distance(&one, &other);
        // A root has half of the digits of what is rounded.
        assert!((found - distance).abs() < 1e-6 * distance.max(1.0), "{name}: {found}, expected {distance}");
        assert!((frechet_distance(&other, &one) - found).abs() < 1e-6, "{name}: the other way round");
        assert!(frechet_distance(&one, &one) < 1e-6, "{name}: to itself");
    }
    assert!(frechet_distance(&moments(2, &[1.0, 2.0]), &moments(2, &[1.0, 2.0])).is_nan(), "of one point");
}

#[test]
fn means_are_those_of_all_samples_and_survive_json() {
    let fresh = MeanFigures::new(&[("loss", false), ("elbo", true)]);
    let batch = |loss: f64, weight| Measurements { means: vec![loss, -2.0 * loss], weight };
    let mut figures = fresh.clone();
    for (loss, weight) in [(1.0, 3.0), (0.1, 2.0), (7.0, 1.0)] {
        figures.update(&batch(loss, weight));
        figures = serde_json::from_str(&serde_json::to_string(&figures).unwrap()).unwrap();
    }
    let loss = (3.0 + 0.2 + 7.0) / 6.0;
    assert_eq!(figures.figures(), [("loss".to_owned(), loss), ("elbo".to_owned(), -2.0 * loss)]);
    assert_eq!(["loss", "elbo", "else"].map(|name| figures.higher_is_better(name)), [Some(false), Some(true), None]);
    figures.update(&batch(f64::NAN, 1.0));
    figures = serde_json::from_str(&serde_json::to_string(&figures).unwrap()).unwrap();
    figures.update(&batch(1.0, 1.0));
    assert!(figures.figures().iter().all(|(_, value)| value.is_nan()), "{figures:?}");
}
