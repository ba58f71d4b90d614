//! In what order an epoch goes through the training samples, and how often each comes. It does not know pictures, only classes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DataError, Rng, stream};

/// In what order an epoch goes through the training samples, and how often each comes. An epoch is as many samples as the training part
/// has, whichever they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SamplingConfig {
    /// Every sample once, in random order.
    #[default]
    Shuffle,
    /// Every sample once, shuffled within a window that moves along: neighbours on the disk stay near each other, so that archives and
    /// slow disks are read nearly in order.
    Window(WindowSampling),
    /// Every class equally often: samples of small classes come several times, each time with an augmentation of their own, and of
    /// large classes some.
    ClassBalanced,
    /// Classes by weight.
    Weighted(WeightedSampling),
}

/// Shuffling within a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WindowSampling {
    /// The samples among which the next one is drawn, at least 1 (no shuffling).
    pub samples: usize,
}

impl Default for WindowSampling {
    fn default() -> Self {
        Self { samples: 10_000 }
    }
}

/// Classes by weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WeightedSampling {
    /// How much more often than others a sample of a class comes, by the name of the class, at least 0. Classes that are not named
    /// have 1.
    pub classes: BTreeMap<String, f64>,
}

impl SamplingConfig {
    /// Whether the values can work, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] names the value and the range that is allowed.
    pub fn check(&self, key: &str) -> Result<(), DataError> {
        match self {
            Self::Shuffle | Self::ClassBalanced => Ok(()),
            Self::Window(WindowSampling { samples }) => match samples {
                0 => Err(DataError::config(&format!("{key}.window.samples"), "is 0, but has to be at least 1")),
                _ => Ok(()),
            },
            Self::Weighted(WeightedSampling { classes }) => {
                match classes.iter().find(|(_, weight)| !(weight.is_finite() && **weight >= 0.0)) {
                    None => Ok(()),
                    Some((class, weight)) => {
                        let why = format!("is {weight}, but a weight has to be a number of at least 0");
                        Err(DataError::config(&format!("{key}.weighted.classes.{class}"), why))
                    }
                }
            }
        }
    }

    /// Whether the weights are those of classes that there are, for the dotted `key` at which they stand.
    ///
    /// # Errors
    /// [`DataError::Config`] for a weight of no class, and where nothing would be drawn.
    pub fn check_classes(&self, key: &str, classes: &[String]) -> Result<(), DataError> {
        let Self::Weighted(WeightedSampling { classes: weights }) = self else { return Ok(()) };
        let key = format!("{key}.weighted.classes");
        if let Some(unknown) = weights.keys().find(|name| !classes.contains(name)) {
            return Err(DataError::config(
                &key,
                format!("names `{unknown}`, but the classes are {}", classes.join(", ")),
            ));
        }
        if classes.iter().all(|class| weights.get(class) == Some(&0.0)) {
            return Err(DataError::config(
                &key,
                "gives every class the weight 0, so that nothing is left to learn from",
            ));
        }
        Ok(())
    }

    /// The order of an epoch: as many positions as there are `labels`, keyed by `seed` and `epoch` alone. A position at or above that
    /// number is the sample `position % labels.len()` once more.
    #[must_use]
    pub fn order(&self, labels: &[usize], classes: &[String], (seed, epoch): (u64, u64)) -> Vec<usize> {
        let mut rng = Rng::keyed(seed, [epoch, SHUFFLE, SHUFFLE]);
        match self {
            Self::Shuffle => rng.permutation(labels.len()),
            Self::Window(WindowSampling { samples }) => windowed(labels.len(), *samples, &mut rng),
            Self::ClassBalanced => {
                let mut counts = vec![0_u64; classes.len()];
                labels.iter().for_each(|&label| counts[label] += 1);
                let weights: Vec<f64> = counts.iter().map(|&count| 1.0 / count.max(1) as f64).collect();
                drawn(labels, &weights, &mut rng)
            }
            Self::Weighted(WeightedSampling { classes: weights }) => {
                let weight = |class: &String| weights.get(class).copied().unwrap_or(1.0);
                drawn(labels, &classes.iter().map(weight).collect::<Vec<_>>(), &mut rng)
            }
        }
    }
}

/// The third part of the key; that of an epoch's order has always been this.
const SHUFFLE: u64 = u64::MAX;

/// A shelf of `window` samples: a random one goes out, the next one comes in.
fn windowed(samples: usize, window: usize, rng: &mut Rng) -> Vec<usize> {
    let mut shelf: Vec<usize> = (0..samples.min(window)).collect();
    let mut order = Vec::with_capacity(samples);
    for next in shelf.len()..samples {
        let place = rng.range(0..shelf.len());
        order.push(std::mem::replace(&mut shelf[place], next));
    }
    order.extend(rng.permutation(shelf.len()).into_iter().map(|place| shelf[place]));
    order
}

/// As many samples as there are, each as often as its class's weight makes it, rounded up or down at random, and each class likewise:
/// systematic sampling (Madow 1949), with the samples of a class in random order.
fn drawn(labels: &[usize], weights: &[f64], rng: &mut Rng) -> Vec<usize> {
    let samples = labels.len();
    let mut sorted = rng.permutation(samples);
    sorted.sort_by_key(|&sample| labels[sample]);
    let total: f64 = labels.iter().map(|&label| weights[label]).sum();
    if total <= 0.0 {
        // The classes with weight have no sample in this part.
        return rng.permutation(samples);
    }
    let step = total / samples as f64;
    let (mut reached, mut next) = (0.0, rng.uniform_f64() * step);
    let mut chosen = Vec::with_capacity(samples);
    for &sample in &sorted {
        reached += weights[labels[sample]];
        let mut again = 0;
        while next < reached && chosen.len() < samples {
            chosen.push(sample + again * samples);
            again += 1;
            next += step;
        }
    }
    // Rounding may keep the last one out.
    while chosen.len() < samples {
        let last = sorted.iter().rfind(|&&sample| weights[labels[sample]] > 0.0).copied().unwrap_or_default();
        let again = chosen.iter().filter(|&&position| position % samples == last).count();
        chosen.push(last + again * samples);
    }
    rng.permutation(samples).into_iter().map(|place| chosen[place]).collect()
}

/// Of each class about this fraction, at least one sample: always the same ones for a seed, and for a smaller fraction some of them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of a count")]
pub(crate) fn subset(samples: &[usize], class_of: impl Fn(usize) -> usize, fraction: f64, seed: u64) -> Vec<usize> {
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    samples.iter().for_each(|&sample| classes.entry(class_of(sample)).or_default().push(sample));
    let mut kept: Vec<usize> = classes
        .into_iter()
        .flat_map(|(class, samples)| {
            let count = ((samples.len() as f64 * fraction).round() as usize).max(1);
            let order = Rng::keyed(seed, [0, class as u64, stream("fraction", 0)]).permutation(samples.len());
            order.into_iter().take(count).map(move |place| samples[place]).collect::<Vec<_>>()
        })
        .collect();
    kept.sort_unstable();
    kept
}
