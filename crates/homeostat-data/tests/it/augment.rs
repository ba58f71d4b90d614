use homeostat_data::{Image, ImageAugment, SampleKey};
use serde::Deserialize;

use crate::picture;

#[derive(Deserialize)]
struct Train {
    augment: ImageAugment,
}

fn augment(text: &str) -> ImageAugment {
    toml::from_str::<Train>(&format!("augment = {text}")).unwrap().augment
}

fn key(sample: u64) -> SampleKey {
    SampleKey { seed: 1, epoch: 0, sample }
}

/// Levels that all differ.
fn ramp(height: usize, width: usize) -> Image {
    picture(height, width, 1, |x, y, _| u8::try_from(y * width + x).unwrap())
}

const ALL: &str = "[{ random-crop = { padding = 2 } }, { flip-horizontal = {} }, { flip-vertical = {} }, { rotate = { degrees = 30 } },
    { scale = { min = 0.8, max = 1.2 } }, { translate = { fraction = 0.2 } }, { brightness = { strength = 0.3 } },
    { contrast = { strength = 0.3 } }]";

#[test]
fn the_key_determines_the_picture_and_each_part_of_it_matters() {
    let (steps, image) = (augment(ALL), ramp(15, 17));
    steps.check("train.augment").unwrap();
    let once = steps.apply(image.clone(), key(3));
    assert_eq!(once, steps.apply(image.clone(), key(3)));
    for other in [key(4), SampleKey { seed: 2, ..key(3) }, SampleKey { epoch: 1, ..key(3) }] {
        assert_ne!(once, steps.apply(image.clone(), other), "{other:?}");
    }
    assert_eq!(once.shape(), image.shape());
}

/// With steps added around it, a flip must flip the same samples as before.
#[test]
fn the_draws_of_a_step_do_not_depend_on_other_steps() {
    let image = ramp(9, 9);
    let alone = augment("[{ flip-horizontal = {} }]");
    let among = augment(
        "[{ brightness = { strength = 0.0 } }, { random-crop = { padding = 0 } }, { flip-horizontal = {} }, { rotate = { degrees = 0.0 } }]",
    );
    let twice = augment("[{ flip-horizontal = {} }, { flip-horizontal = {} }]");
    let flipped: Vec<bool> = (0..64).map(|i| alone.apply(image.clone(), key(i)) != image).collect();
    assert!((16..48).contains(&flipped.iter().filter(|&&flip| flip).count()));
    for i in 0..64 {
        assert_eq!(alone.apply(image.clone(), key(i)), among.apply(image.clone(), key(i)), "sample {i}");
    }
    let vertical = augment("[{ flip-vertical = {} }]");
    assert!(
        (0..64).zip(&flipped).any(|(i, &flip)| (vertical.apply(image.clone(), key(i)) != image) != flip),
        "kinds draw apart"
    );
    assert!((0..64).any(|i| twice.apply(image.clone(), key(i)) != image), "two of a kind draw apart");
}

#[test]
fn flips_mirror() {
    let image = ramp(2, 3);
    let horizontal = augment("[{ flip-horizontal = { probability = 1.0 } }]").apply(image.clone(), key(0));
    assert_eq!(horizontal.pixels(), [2, 1, 0, 5, 4, 3]);
    let vertical = augment("[{ flip-vertical = { probability = 1.0 } }]").apply(image, key(0));
    assert_eq!(vertical.pixels(), [3, 4, 5, 0, 1, 2]);
}

/// Each of the 5 x 5 places that a border of 2 allows comes up, and nothing else.
#[test]
fn a_random_crop_reaches_every_place() {
    let image = picture(6, 6, 1, |x, y, _| u8::try_from(100 + 10 * y + x).unwrap());
    let steps = augment("[{ random-crop = { padding = 2, fill = 1 } }]");
    let mut places = std::collections::BTreeSet::new();
    for i in 0..600 {
        let out = steps.apply(image.clone(), key(i));
        assert_eq!(out.shape(), image.shape());
        let level = out.get(2, 2)[0] - 100;
        places.insert((level / 10, level % 10));
        let kept = out.pixels().iter().filter(|&&level| level != 1).count();
        assert!(kept >= 16, "{kept} pixels are left of 36");
    }
    assert_eq!(places.len(), 25);
}

/// Even where nothing of the picture may be left in it.
#[test]
fn a_random_crop_may_lie_in_the_border() {
    let steps = augment("[{ random-crop = { padding = 9, fill = 7 } }]");
    let outs: Vec<Image> = (0..200).map(|i| steps.apply(ramp(2, 3), key(i))).collect();
    assert!(outs.iter().any(|out| out.pixels() == [7; 6]) && outs.iter().any(|out| out.pixels() != [7; 6]));
}

#[test]
fn a_random_crop_of_its_own_size_centres_what_is_too_small() {
    let out = augment("[{ random-crop = { size = [2, 5], fill = 9 } }]").apply(ramp(2, 3), key(0));
    assert_eq!(out.pixels(), [9, 0, 1, 2, 9, 9, 3, 4, 5, 9]);
    let out = augment("[{ random-crop = { size = 2 } }]").apply(ramp(5, 5), key(0));
    assert_eq!((out.height(), out.width()), (2, 2));
    assert_eq!(out.get(1, 1)[0] - out.get(0, 0)[0], 6, "a part that hangs together");
}

/// Rotating by an angle that is drawn from (-180, 180) about the centre leaves a picture of rings as it is.
#[test]
fn rotation_is_about_the_centre() {
    let rings = picture(31, 31, 1, |x, y, _| {
        let (x, y) = (x as f32 - 15.0, y as f32 - 15.0);
        let level = 120.0 + 8.0 * (15.0 - x.hypot(y));
        (0..=255u8).rev().find(|&whole| f32::from(whole) <= level).unwrap_or(0)
    });
    let steps = augment("[{ rotate = { degrees = 180 } }]");
    for i in 0..20 {
        let out = steps.apply(rings.clone(), key(i));
        for y in 6..25 {
            for x in 6..25 {
                assert!(out.get(x, y)[0].abs_diff(rings.get(x, y)[0]) <= 3, "sample {i} at {x}, {y}");
            }
        }
    }
}

/// Translation moves by whole pixels, so it copies levels.
#[test]
fn translation_copies_and_fills() {
    let image = picture(10, 10, 1, |x, y, _| u8::try_from(100 + 10 * y + x).unwrap());
    let steps = augment("[{ translate = { fraction = 0.2, fill = 7 } }]");
    let mut shifts = std::collections::BTreeSet::new();
    for i in 0..400 {
        let out = steps.apply(image.clone(), key(i));
        let seen = out.get(5, 5)[0] - 100;
        let (dx, dy) = (5 - i32::from(seen % 10), 5 - i32::from(seen / 10));
        shifts.insert((dx, dy));
        let truth = picture(10, 10, 1, |x, y, _| {
            let (x, y) = (i32::try_from(x).unwrap() - dx, i32::try_from(y).unwrap() - dy);
            let inside = (0..10).contains(&x) && (0..10).contains(&y);
            if inside { u8::try_from(100 + 10 * y + x).unwrap() } else { 7 }
        });
        assert_eq!(out, truth);
    }
    assert_eq!(shifts.len(), 25);
}

/// Two motions in a row blur once: undoing a drawn scale of two by its half gives the picture back, where two resamplings would not.
#[test]
fn motions_in_a_row_are_one_resampling() {
    let checks = picture(12, 12, 1, |x, y, _| if (x + y) % 2 == 0 { 255 } else { 0 });
    let one = augment("[{ scale = { min = 3.0, max = 3.0 } }, { scale = { min = 0.3333333333, max = 0.3333333333 } }]");
    assert_eq!(one.apply(checks.clone(), key(0)), checks);
    let two = augment(
        "[{ scale = { min = 3.0, max = 3.0 } }, { brightness = { strength = 0.0 } }, { scale = { min = 0.3333333333, max = 0.3333333333 } }]",
    );
    assert_ne!(two.apply(checks.clone(), key(0)), checks, "a step between them ends the row");
}

/// An affine map of a linear ramp is a linear ramp: twice the size has half the slope.
#[test]
fn scale_enlarges_about_the_centre() {
    let ramp = picture(21, 21, 1, |x, _, _| u8::try_from(10 * x).unwrap());
    let out = augment("[{ scale = { min = 2.0, max = 2.0 } }]").apply(ramp, key(0));
    for x in 0..21 {
        assert_eq!(out.get(x, 10)[0], u8::try_from(50 + 5 * x).unwrap());
    }
}

#[test]
fn brightness_and_contrast_stay_within_their_strength_and_leave_alpha() {
    let image = picture(1, 2, 4, |x, _, channel| if channel == 3 { 90 } else { [50, 150][x] });
    let (mut darkest, mut brightest) = (255, 0);
    for i in 0..300 {
        let out = augment("[{ brightness = { strength = 0.4 } }]").apply(image.clone(), key(i));
        let level = out.get(0, 0)[0];
        (darkest, brightest) = (level.min(darkest), level.max(brightest));
        assert_eq!(out.get(0, 0)[3], 90);
        let spread = augment("[{ contrast = { strength = 0.4 } }]").apply(image.clone(), key(i));
        let (low, high) = (spread.get(0, 0)[0], spread.get(1, 0)[0]);
        assert!(
            (60..=140).contains(&(high - low)) && (low + high).abs_diff(200) <= 1,
            "around the mean grey: {low}, {high}"
        );
    }
    assert!((30..33).contains(&darkest) && (68..=70).contains(&brightest), "{darkest} to {brightest}");
}

#[test]
fn values_out_of_range_are_named() {
    for (text, expected) in [
        ("[{ flip-vertical = { probability = 1.5 } }]", "`a.0.flip-vertical.probability`: 1.5 is not within 0 to 1"),
        ("[{ flip-vertical = {} }, { rotate = { degrees = nan } }]", "`a.1.rotate.degrees`"),
        ("[{ scale = { min = 0.0 } }]", "`a.0.scale.min`"),
        ("[{ scale = { min = 2.0, max = 1.0 } }]", "`a.0.scale.max`"),
        ("[{ random-crop = { size = 0 } }]", "`a.0.random-crop.size`"),
        ("[{ translate = { fraction = -0.1 } }]", "`a.0.translate.fraction`"),
        ("[{ brightness = { strength = -1.0 } }]", "`a.0.brightness.strength`"),
    ] {
        let error = augment(text).check("a").unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
