//! One sample's walk through an experiment.

use std::sync::atomic::AtomicBool;

use homeostat_experiment::{Experiment, inspect};

use crate::place::{Place, digits};

#[test]
fn every_step_is_told_in_order_with_its_shape_and_range() {
    let place = Place::new();
    let resolved = Experiment::builtin("digits").unwrap().load().unwrap();
    let inspection = inspect(resolved, 0, &place.setting(&AtomicBool::new(false))).unwrap();
    let steps = &inspection.steps;
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert!(names[0].starts_with("sample digits["), "{names:?}");
    assert_eq!(
        names[1..],
        [
            "read",
            "augment: rotate",
            "augment: scale",
            "augment: translate",
            "prepare",
            "collate",
            "loss (untrained)",
            "respond (untrained)"
        ]
    );
    let shape = |name: &str| &steps.iter().find(|step| step.step == name).unwrap().shape;
    assert_eq!(shape("read"), "8 x 8 pixels, 1 channel");
    assert_eq!(shape("prepare"), "16 x 16 pixels, 1 channel");
    assert_eq!(shape("collate"), "tensor [1, 1, 16, 16] on cpu");
    assert!(steps[1].range.starts_with("0 to 2"), "{}", steps[1].range);
    let loss: f64 = steps[names.len() - 2].range.parse().unwrap();
    assert!((1.0..4.0).contains(&loss), "an untrained network of ten classes loses about ln 10, not {loss}");
}

#[test]
fn the_walk_is_that_of_training_and_a_sample_that_is_not_there_is_named() {
    let place = Place::new();
    let stop = AtomicBool::new(false);
    let walk = |words: &[&str], sample| {
        let inspection = inspect(digits(words), sample, &place.setting(&stop))?;
        let drawn = inspection.sheet.pixels().iter().map(|&level| u64::from(level)).sum::<u64>();
        Ok::<_, homeostat_experiment::ExperimentError>(serde_json::to_string(&(&inspection.steps, drawn)).unwrap())
    };
    let flipped = ["augment=[{ flip-vertical = { probability = 1.0 } }, { rotate = { degrees = 90.0 } }]"];
    assert_eq!(walk(&flipped, 3).unwrap(), walk(&flipped, 3).unwrap(), "the same numbers are drawn");
    assert_ne!(walk(&flipped, 3).unwrap(), walk(&flipped, 4).unwrap());
    let error = walk(&[], 9999).unwrap_err().to_string();
    assert!(error.contains("`--sample`: is 9999") && error.contains("numbered from 0"), "{error}");
}

#[test]
fn the_sheet_shows_samples_as_they_are_and_as_epochs_see_them() {
    let place = Place::new();
    let stop = AtomicBool::new(false);
    let sheet = |words: &[&str]| inspect(digits(words), 3, &place.setting(&stop)).unwrap().sheet;
    let still = sheet(&[]);
    let (side, cell) = (8 * 118 + 6, 118);
    assert_eq!((still.height(), still.width(), still.channels()), (side, side, 3));
    let column = |image: &homeostat_data::Image, at: usize| -> Vec<u8> {
        let pixels =
            (0..cell * cell).flat_map(|i| image.get(6 + at * cell + i % (cell - 6), 6 + i / (cell - 6)).to_vec());
        pixels.collect()
    };
    assert_eq!(column(&still, 0), column(&still, 5), "nothing changes without augmentation");
    let turned = sheet(&["augment=[{ rotate = { degrees = 40.0 } }]"]);
    assert_eq!(column(&turned, 0), column(&still, 0), "the first is the sample itself");
    assert!(column(&turned, 1) != column(&turned, 0) && column(&turned, 1) != column(&turned, 2));
}
