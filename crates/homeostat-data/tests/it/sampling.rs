use std::collections::BTreeMap;

use homeostat_data::{DataError, Rng, SamplingConfig, WeightedSampling, WindowSampling};

fn classes() -> Vec<String> {
    ["cat", "dog", "owl"].map(str::to_owned).to_vec()
}

/// 900 cats, 90 dogs and 10 owls.
fn labels() -> Vec<usize> {
    (0..1000).map(|i| if i % 100 == 7 { 2 } else { usize::from(i % 10 == 3 && i % 100 != 93) }).collect()
}

fn weighted(weights: &[(&str, f64)]) -> SamplingConfig {
    let classes = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    SamplingConfig::Weighted(WeightedSampling { classes })
}

/// How often each class comes in an epoch.
fn counts(config: &SamplingConfig, epoch: u64) -> Vec<usize> {
    let labels = labels();
    let mut counts = vec![0; 3];
    config.order(&labels, &classes(), (1, epoch)).iter().for_each(|i| counts[labels[i % labels.len()]] += 1);
    counts
}

#[test]
fn orders_depend_on_seed_and_epoch_alone() {
    let window = SamplingConfig::Window(WindowSampling { samples: 50 });
    for config in [SamplingConfig::Shuffle, window, SamplingConfig::ClassBalanced, weighted(&[("dog", 3.0)])] {
        let order = |seed, epoch| config.order(&labels(), &classes(), (seed, epoch));
        let first = order(1, 0);
        assert_eq!(first, order(1, 0), "{config:?}");
        assert_ne!(first, order(1, 1), "{config:?}");
        assert_ne!(first, order(2, 0), "{config:?}");
        assert_eq!(first.len(), 1000, "an epoch is as long as the training part");
        let mut visits = first;
        visits.sort_unstable();
        visits.dedup();
        assert_eq!(visits.len(), 1000, "the same sample once more has a position of its own");
    }
}

#[test]
fn shuffling_takes_every_sample_once_and_is_what_it_always_was() {
    for samples in [1, 7, 100, 5000] {
        for config in [SamplingConfig::Shuffle, SamplingConfig::Window(WindowSampling { samples })] {
            let mut order = config.order(&labels(), &classes(), (1, 0));
            order.sort_unstable();
            assert_eq!(order, (0..1000).collect::<Vec<_>>(), "{config:?}");
        }
    }
    let before = Rng::keyed(5, [3, u64::MAX, u64::MAX]).permutation(1000);
    assert_eq!(SamplingConfig::Shuffle.order(&labels(), &classes(), (5, 3)), before, "runs can be resumed");
    assert_eq!(SamplingConfig::default().order(&[], &[], (1, 0)), [0; 0]);
}

#[test]
fn a_window_bounds_how_early_a_sample_can_come() {
    let order = SamplingConfig::Window(WindowSampling { samples: 50 }).order(&labels(), &classes(), (1, 0));
    assert!(
        order.iter().enumerate().all(|(place, &sample)| sample < place + 50),
        "a sample before it was on the shelf"
    );
    let mean = order.iter().enumerate().map(|(place, &sample)| place.abs_diff(sample)).sum::<usize>() / 1000;
    assert!((20..80).contains(&mean), "samples move by {mean} places");
    let still = SamplingConfig::Window(WindowSampling { samples: 1 }).order(&labels(), &classes(), (1, 0));
    assert_eq!(still, (0..1000).collect::<Vec<_>>());
}

#[test]
fn classes_come_as_often_as_their_weights_say() {
    assert_eq!(counts(&SamplingConfig::Shuffle, 0), [900, 90, 10]);
    for epoch in 0..20 {
        let balanced = counts(&SamplingConfig::ClassBalanced, epoch);
        assert!(balanced.iter().all(|count| (332..=335).contains(count)), "{balanced:?}");
        let without = counts(&weighted(&[("cat", 0.0)]), epoch);
        assert!(without[0] == 0 && (899..=901).contains(&without[1]), "{without:?}");
        let tripled = counts(&weighted(&[("dog", 3.0)]), epoch);
        // 3 x 90 of 900 + 270 + 10.
        assert!(tripled[1].abs_diff(1000 * 270 / 1180) <= 1, "{tripled:?}");
    }
}

#[test]
fn samples_of_a_class_come_equally_often_and_in_time_all_of_them() {
    let (labels, mut times) = (labels(), BTreeMap::new());
    for epoch in 0..50 {
        let order = SamplingConfig::ClassBalanced.order(&labels, &classes(), (1, epoch));
        let mut once = BTreeMap::new();
        for position in order {
            *once.entry(position % 1000).or_insert(0) += 1;
            *times.entry(position % 1000).or_insert(0) += 1;
        }
        let owls = once.iter().filter(|(sample, _)| labels[**sample] == 2).map(|(_, times)| *times);
        assert!(owls.clone().count() == 10 && owls.clone().all(|times| (33..=34).contains(&times)));
    }
    assert_eq!(times.len(), 1000, "every cat was seen");
}

#[test]
fn weights_that_cannot_work_are_refused() {
    let refused = |config: &SamplingConfig| {
        let error = config.check("data.sampling").and_then(|()| config.check_classes("data.sampling", &classes()));
        let Err(DataError::Config { key, why }) = error else { panic!("{config:?} was taken") };
        format!("{key} {why}")
    };
    assert!(
        refused(&SamplingConfig::Window(WindowSampling { samples: 0 })).starts_with("data.sampling.window.samples")
    );
    assert!(refused(&weighted(&[("dog", -1.0)])).starts_with("data.sampling.weighted.classes.dog"));
    assert!(refused(&weighted(&[("dog", f64::NAN)])).contains("NaN"));
    assert!(refused(&weighted(&[("dgo", 1.0)])).contains("names `dgo`, but the classes are cat, dog, owl"));
    assert!(refused(&weighted(&[("cat", 0.0), ("dog", 0.0), ("owl", 0.0)])).contains("nothing is left"));
}
