use homeostat_data::{BatchKey, Image, MixConfig, Mixed};

use crate::picture;

fn key(batch: u64) -> BatchKey {
    BatchKey { seed: 1, epoch: 0, batch }
}

/// Constant pictures of different levels, so that a pixel tells which picture it comes from.
fn batch() -> Vec<Image> {
    (0..6).map(|i| picture(9, 7, 3, |_, _, _| 40 * i)).collect()
}

fn mix(config: &MixConfig, key: BatchKey) -> (Vec<Image>, Vec<Mixed>) {
    let mut images = batch();
    let mixed = config.mix(&mut images, key);
    assert_eq!(mixed.len(), images.len());
    (images, mixed)
}

#[test]
fn mixup_fades_by_the_weight_that_it_says() {
    let config = MixConfig { mixup: 0.8, ..MixConfig::default() };
    let mut weights = Vec::new();
    for i in 0..50 {
        let (images, mixed) = mix(&config, key(i));
        for (own, (image, Mixed { partner, weight })) in images.iter().zip(&mixed).enumerate() {
            let expected = 40.0 * (own as f32 * weight + *partner as f32 * (1.0 - weight));
            assert!(image.pixels().iter().all(|&level| (f32::from(level) - expected).abs() <= 0.51));
        }
        assert!(mixed.iter().all(|mixed| mixed.weight == mixed.weight.clamp(0.0, 1.0)));
        weights.push(mixed[0].weight);
    }
    weights.dedup();
    assert!(weights.len() > 40, "a share of its own for each batch");
}

#[test]
fn cutmix_says_the_share_that_is_left_in_truth() {
    let config = MixConfig { cutmix: 1.0, ..MixConfig::default() };
    let mut pasted = 0;
    for i in 0..50 {
        let (images, mixed) = mix(&config, key(i));
        for (own, (image, Mixed { partner, weight })) in images.iter().zip(&mixed).enumerate() {
            if *partner == own {
                continue;
            }
            let own_pixels = image.pixels().iter().filter(|&&level| usize::from(level) == 40 * own).count();
            let others = image.pixels().iter().filter(|&&level| usize::from(level) == 40 * partner).count();
            assert_eq!(own_pixels + others, 9 * 7 * 3, "each pixel comes from one of the two");
            assert!((own_pixels as f32 / (9.0 * 7.0 * 3.0) - weight).abs() < 1e-6);
            pasted += usize::from(others > 0);
        }
    }
    assert!(pasted > 100);
}

#[test]
fn what_is_off_leaves_the_batch_as_it_is() {
    let on = MixConfig { mixup: 1.0, ..MixConfig::default() };
    for config in [
        MixConfig::default(),
        MixConfig { probability: 0.0, ..on.clone() },
        MixConfig { off_epoch: Some(0), ..on.clone() },
    ] {
        let (images, mixed) = mix(&config, key(0));
        assert!(config.is_off() && images == batch());
        assert!(mixed.iter().enumerate().all(|(i, mixed)| *mixed == Mixed { partner: i, weight: 1.0 }));
    }
    let until_two = MixConfig { off_epoch: Some(2), ..on };
    assert_ne!(mix(&until_two, BatchKey { epoch: 1, ..key(0) }).0, batch());
    assert_eq!(mix(&until_two, BatchKey { epoch: 2, ..key(0) }).0, batch());
}

#[test]
fn both_kinds_alternate_by_their_probability_and_by_the_key_alone() {
    let config = MixConfig { mixup: 1.0, cutmix: 1.0, probability: 0.8, ..MixConfig::default() };
    let (mut untouched, mut cut) = (0, 0);
    for i in 0..400 {
        let (images, mixed) = mix(&config, key(i));
        assert_eq!((images.clone(), mixed), mix(&config, key(i)));
        untouched += usize::from(images == batch());
        cut += usize::from(images.iter().any(|image| image.pixels().iter().any(|&level| level != image.pixels()[0])));
    }
    assert!((50..120).contains(&untouched), "{untouched} of 400 were left");
    assert!((110..190).contains(&cut), "{cut} of 400 were cut, some of them without an area");
}

#[test]
fn an_empty_batch_and_bad_values_are_no_surprise() {
    assert!(MixConfig { mixup: 1.0, ..MixConfig::default() }.mix(&mut [], key(0)).is_empty());
    let error = MixConfig { cutmix: -1.0, ..MixConfig::default() }.check("train.mix").unwrap_err().to_string();
    assert_eq!(error, "`train.mix.cutmix`: -1 is not within 0 to 100");
}
