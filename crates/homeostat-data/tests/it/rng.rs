use std::collections::HashSet;

use homeostat_data::{Rng, stream};

/// Sums of many draws of one stream: the first four moments around zero.
fn moments(n: usize, mut draw: impl FnMut() -> f64) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for _ in 0..n {
        let x = draw();
        (0..4).for_each(|i| sums[i] += x.powi(i32::try_from(i).unwrap() + 1) / n as f64);
    }
    sums
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not within {tolerance} of {expected}");
}

#[test]
fn every_part_of_the_key_and_the_seed_leads_to_numbers_of_its_own() {
    let mut seen = HashSet::new();
    for seed in 0..8 {
        for a in 0..16 {
            for b in 0..16 {
                for c in [0, 1, u64::from(u32::MAX) + 1, u64::MAX] {
                    assert!(seen.insert(Rng::keyed(seed, [a, b, c]).next_u64()), "{seed} {a} {b} {c} came before");
                }
            }
        }
    }
    assert_ne!(stream("rotate", 0), stream("rotate", 1));
    assert_ne!(stream("rotate", 0), stream("scale", 0));
}

/// Streams of neighbouring keys must look as unrelated as one stream with itself later on.
#[test]
fn neighbouring_streams_are_uncorrelated() {
    for key in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
        let (mut a, mut b) = (Rng::keyed(7, [0, 0, 0]), Rng::keyed(7, key));
        let [product, ..] = moments(100_000, || (a.uniform_f64() - 0.5) * (b.uniform_f64() - 0.5));
        close(product, 0.0, 4.0 / 12.0 / 100_000f64.sqrt());
    }
}

#[test]
fn numbers_are_pinned() {
    let mut rng = Rng::keyed(1, [2, 3, stream("flip-horizontal", 0)]);
    let numbers: Vec<u32> = (0..6).map(|_| rng.next_u32()).collect();
    assert_eq!(numbers, PINNED, "every stored run depends on these numbers");
}

const PINNED: [u32; 6] = [481_867_211, 93_717_166, 3_901_929_395, 3_534_472_793, 1_737_769_226, 1_383_574_833];

#[test]
fn uniform_numbers_have_the_moments_of_the_uniform_distribution() {
    let mut rng = Rng::keyed(1, [0; 3]);
    let [mean, square, cube, _] = moments(200_000, || f64::from(rng.uniform()));
    close(mean, 0.5, 0.003);
    close(square, 1.0 / 3.0, 0.003);
    close(cube, 0.25, 0.003);
    assert!((0..100_000).map(|_| rng.uniform()).all(|x| (0.0..1.0).contains(&x)));
}

#[test]
fn normal_numbers_have_the_moments_of_the_normal_distribution() {
    let mut rng = Rng::keyed(2, [0; 3]);
    let [mean, variance, skew, kurtosis] = moments(200_000, || f64::from(rng.normal()));
    close(mean, 0.0, 0.01);
    close(variance, 1.0, 0.015);
    close(skew, 0.0, 0.04);
    close(kurtosis, 3.0, 0.15);
}

/// Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
#[test]
fn beta_numbers_have_the_moments_of_the_beta_distribution() {
    for alpha in [0.01, 0.2, 0.5, 1.0, 4.0] {
        let mut rng = Rng::keyed(3, [0; 3]);
        let [mean, square, ..] = moments(100_000, || rng.beta(alpha));
        close(mean, 0.5, 0.01);
        close(square - mean * mean, 1.0 / (4.0 * (2.0 * alpha + 1.0)), 0.005);
    }
    // Beta(1/2, 1/2) is the arcsine distribution: a third lies below a quarter.
    let mut rng = Rng::keyed(4, [0; 3]);
    let below = (0..100_000).filter(|_| rng.beta(0.5) < 0.25).count();
    close(below as f64 / 100_000.0, 1.0 / 3.0, 0.01);
}

/// Of 3 * 2^62 numbers, those that are divisible by 3 would come half of the time if nothing were rejected.
#[test]
fn ranges_are_unbiased() {
    let mut rng = Rng::keyed(5, [0; 3]);
    let divisible = (0..30_000).filter(|_| rng.range(0..3 << 62).is_multiple_of(3)).count();
    close(divisible as f64 / 30_000.0, 1.0 / 3.0, 0.012);
    let mut counts = [0; 7];
    (0..70_000).for_each(|_| counts[rng.range(10..17) - 10] += 1);
    counts.iter().for_each(|&count| close(f64::from(count), 10_000.0, 400.0));
}

#[test]
fn permutations_are_permutations_and_reach_every_order() {
    let mut rng = Rng::keyed(6, [0; 3]);
    let mut orders = HashSet::new();
    for _ in 0..500 {
        let order = rng.permutation(4);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3]);
        orders.insert(order);
    }
    assert_eq!(orders.len(), 24);
    assert_eq!(rng.permutation(0), [0usize; 0]);
}

#[test]
fn chance_keeps_its_ends() {
    let mut rng = Rng::keyed(8, [0; 3]);
    assert!((0..10_000).all(|_| rng.chance(1.0)));
    assert!(!(0..10_000).any(|_| rng.chance(0.0)));
}

/// Of the symmetric Dirichlet distribution of parameter `alpha` and three parts: the mean is 1/3, the variance 2 / (9 (3 alpha + 1)).
#[test]
fn shares_have_the_moments_of_the_dirichlet_distribution() {
    for alpha in [0.2, 1.0, 5.0] {
        let mut rng = Rng::keyed(3, [0; 3]);
        let draws: Vec<Vec<f64>> = (0..20_000).map(|_| rng.dirichlet(alpha, 3)).collect();
        assert!(draws.iter().all(|shares| (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9));
        let mean = draws.iter().map(|shares| shares[1]).sum::<f64>() / 2e4;
        let variance = draws.iter().map(|shares| (shares[1] - 1.0 / 3.0).powi(2)).sum::<f64>() / 2e4;
        let truth = 2.0 / (9.0 * (3.0 * alpha + 1.0));
        assert!(
            (mean - 1.0 / 3.0).abs() < 0.01 && (variance / truth - 1.0).abs() < 0.05,
            "{alpha}: {mean}, {variance}"
        );
    }
}
