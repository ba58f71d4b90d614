//! Random policies: lists of operations with ranges and magnitudes as their papers have them, in the form of torchvision. It does not
//! know how an operation is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Operation, within};
use crate::{DataError, Image, Rng, Shape};
use Kind::{
    Autocontrast, Brightness, Contrast, Equalize, Identity, Invert, Posterize, Rotate, Saturation, Sharpness, ShearX,
    ShearY, Solarize, TranslateX, TranslateY,
};

/// A few operations for each picture, all of one magnitude (RandAugment, Cubuk et al. 2020): each is drawn from identity, shear,
/// translation (each in x and y), rotation, brightness, saturation, contrast, sharpness, posterize, solarize, autocontrast and
/// equalize.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RandAugment {
    /// How many operations a picture goes through, 0 to 16.
    pub operations: usize,
    /// How strong they are, 0 to 30. At 30: slopes of 0.3, 150/331 of the side, 30 degrees, factors of 0.1 or 1.9, 4 bits, all inverted.
    pub magnitude: usize,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { operations: 2, magnitude: 9, fill: 128 }
    }
}

/// One operation for each picture, of a magnitude that is drawn as well (TrivialAugment in its wide form, Müller and Hutter 2021): the
/// operations of `rand-augment` with slopes up to 0.99, 32 pixels, 135 degrees, factors of 0.01 to 1.99, 2 bits and up to all inverted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrivialAugment {
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for TrivialAugment {
    fn default() -> Self {
        Self { fill: 128 }
    }
}

/// One of 25 pairs of operations for each picture (AutoAugment, Cubuk et al. 2019), found by search on a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AutoAugment {
    /// The data set whose pairs are taken.
    pub policy: AutoAugmentPolicy,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for AutoAugment {
    fn default() -> Self {
        Self { policy: AutoAugmentPolicy::Imagenet, fill: 128 }
    }
}

/// A picture mixed with a few chains of operations on itself (AugMix, Hendrycks et al. 2020; torchvision's `AugMix`): each chain has one
/// to three of the operations of `rand-augment`, of random magnitude; the shares are drawn from a Dirichlet distribution, and that of the
/// picture itself from a Beta distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AugMix {
    /// How strong operations are at most, 1 to 10. At 10: slopes of 0.3, a third of the side, 30 degrees, factors of 0.1 or 1.9, no bits,
    /// all inverted.
    pub severity: usize,
    /// How many chains are mixed, 1 to 16.
    pub width: usize,
    /// The strength of the mixing, above 0 and up to 100: the parameter of both distributions.
    pub alpha: f64,
    /// The level of what comes in from outside, 0 (black) to 255.
    pub fill: u8,
}

impl Default for AugMix {
    fn default() -> Self {
        Self { severity: 3, width: 3, alpha: 1.0, fill: 0 }
    }
}

/// The data sets that AutoAugment searched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AutoAugmentPolicy {
    /// Photographs of a thousand kinds of things: mostly changes of colour, and rotation.
    Imagenet,
    /// Small pictures of ten kinds of things: mostly changes of colour, and translation.
    Cifar10,
    /// House numbers: mostly shear and inversion.
    Svhn,
}

impl RandAugment {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "operations", self.operations as f64, [0.0, 16.0])?;
        within(key, "magnitude", self.magnitude as f64, [0.0, 30.0])
    }

    /// The operations for a picture of this shape.
    #[must_use]
    pub fn draw(&self, shape: Shape, rng: &mut Rng) -> Vec<Operation> {
        let share = self.magnitude as f64 / 30.0;
        let draw = |_| SPACE[rng.range(0..SPACE.len())].operation(share, &Ranges::paper(shape), rng.chance(0.5));
        (0..self.operations).map(draw).collect()
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let operations = self.draw(image.shape(), rng);
        operations.into_iter().fold(image, |image, operation| operation.apply(image, self.fill))
    }
}

impl TrivialAugment {
    /// The operation for a picture.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Operation {
        let (kind, share) = (SPACE[rng.range(0..SPACE.len())], rng.range(0..31) as f64 / 30.0);
        kind.operation(share, &Ranges::WIDE, rng.chance(0.5))
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        Self::draw(rng).apply(image, self.fill)
    }
}

impl AutoAugment {
    /// The operations for a picture of this shape; [`Operation::Identity`] where one of the pair is left out.
    #[must_use]
    pub fn draw(&self, shape: Shape, rng: &mut Rng) -> [Operation; 2] {
        let pairs = self.policy.pairs();
        pairs[rng.range(0..pairs.len())].map(|(kind, tenths, magnitude)| {
            let (wanted, negative) = (rng.chance(f64::from(tenths) / 10.0), rng.chance(0.5));
            let operation = kind.operation(f64::from(magnitude) / 9.0, &Ranges::paper(shape), negative);
            if wanted { operation } else { Operation::Identity }
        })
    }

    pub(super) fn apply(&self, image: Image, rng: &mut Rng) -> Image {
        let operations = self.draw(image.shape(), rng);
        operations.into_iter().fold(image, |image, operation| operation.apply(image, self.fill))
    }
}

impl AugMix {
    pub(super) fn check(&self, key: &str) -> Result<(), DataError> {
        within(key, "severity", self.severity as f64, [1.0, 10.0])?;
        within(key, "width", self.width as f64, [1.0, 16.0])?;
        within(key, "alpha", self.alpha, [0.01, 100.0])
    }

    /// The chains for a picture of this shape, each with its share; what is left to 1 is the picture's own.
    #[must_use]
    pub fn draw(&self, shape: Shape, rng: &mut Rng) -> Vec<(f64, Vec<Operation>)> {
        // What changes nothing is no part of a chain.
        let space = &SPACE[1..];
        let mixed = rng.beta(self.alpha);
        let shares = rng.dirichlet(self.alpha, self.width);
        let mut chain = || {
            let depth = rng.range(1..4);
            let operation = |_| {
                let (kind, share) = (space[rng.range(0..space.len())], rng.range(0..self.severity) as f64 / 9.0);
                kind.operation(share, &Ranges::aug_mix(shape), rng.chance(0.5))
            };
            (0..depth).map(operation).collect()
        };
        shares.into_iter().map(|share| (share * mixed, chain())).collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "shares and levels; a float is clamped when it becomes a byte")]
    pub(super) fn apply(&self, image: &Image, rng: &mut Rng) -> Image {
        let chains = self.draw(image.shape(), rng);
        let own = 1.0 - chains.iter().map(|(share, _)| share).sum::<f64>();
        let mut mix: Vec<f32> = image.pixels().iter().map(|&level| 0.5 + own as f32 * f32::from(level)).collect();
        for (share, chain) in chains {
            let changed = chain.into_iter().fold(image.clone(), |image, operation| operation.apply(image, self.fill));
            mix.iter_mut().zip(changed.pixels()).for_each(|(mix, &level)| *mix += share as f32 * f32::from(level));
        }
        Image::new(image.shape(), mix.into_iter().map(|level| level as u8).collect())
    }
}

/// One of three changes, each as often (3-Augment, Touvron et al. 2022, "DeiT III").
pub(super) fn three_augment(rng: &mut Rng) -> Operation {
    let sigma = rng.between(0.1, 2.0);
    [Operation::Grayscale, Operation::Solarize(128.0), Operation::Blur(sigma)][rng.range(0..3)]
}

impl AutoAugmentPolicy {
    const fn pairs(self) -> &'static [SubPolicy; 25] {
        match self {
            Self::Imagenet => &IMAGENET,
            Self::Cifar10 => &CIFAR10,
            Self::Svhn => &SVHN,
        }
    }
}

/// An operation without its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    Autocontrast,
    Equalize,
    Invert,
}

/// What `rand-augment` and `trivial-augment` draw from.
const SPACE: [Kind; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    Autocontrast,
    Equalize,
];

/// How far operations go at most.
struct Ranges {
    slope: f64,
    /// In x and y, in pixels.
    shift: [f64; 2],
    degrees: f64,
    /// Away from the factor 1.
    factor: f64,
    /// From so many on, and so many fewer.
    bits: [f64; 2],
}

impl Ranges {
    const WIDE: Self = Self { slope: 0.99, shift: [32.0; 2], degrees: 135.0, factor: 0.99, bits: [8.0, 6.0] };

    /// AutoAugment's, which RandAugment took over; its shift of 150 pixels is for pictures of 331 x 331.
    fn paper(shape: Shape) -> Self {
        let shift = [shape.width, shape.height].map(|side| 150.0 / 331.0 * side as f64);
        Self { slope: 0.3, shift, degrees: 30.0, factor: 0.9, bits: [8.0, 4.0] }
    }

    fn aug_mix(shape: Shape) -> Self {
        let shift = [shape.width, shape.height].map(|side| side as f64 / 3.0);
        Self { shift, bits: [4.0, 4.0], ..Self::paper(shape) }
    }
}

impl Kind {
    /// The operation at a share of its range, to one side or the other where it has two.
    #[expect(clippy::cast_possible_truncation, reason = "a number of bits")]
    fn operation(self, share: f64, ranges: &Ranges, negative: bool) -> Operation {
        let signed = |most: f64| if negative { -most * share } else { most * share };
        let factor = 1.0 + signed(ranges.factor);
        match self {
            Identity => Operation::Identity,
            ShearX => Operation::ShearX(signed(ranges.slope)),
            ShearY => Operation::ShearY(signed(ranges.slope)),
            TranslateX => Operation::TranslateX(signed(ranges.shift[0]).trunc()),
            TranslateY => Operation::TranslateY(signed(ranges.shift[1]).trunc()),
            Rotate => Operation::Rotate(signed(ranges.degrees)),
            Brightness => Operation::Brightness(factor),
            Saturation => Operation::Saturation(factor),
            Contrast => Operation::Contrast(factor),
            Sharpness => Operation::Sharpness(factor),
            Posterize => Operation::Posterize((ranges.bits[0] - (ranges.bits[1] * share).round()) as u32),
            Solarize => Operation::Solarize(255.0 * (1.0 - share)),
            Autocontrast => Operation::Autocontrast,
            Equalize => Operation::Equalize,
            Invert => Operation::Invert,
        }
    }
}

/// Two operations, each with the tenths of pictures that it is done to and its magnitude, 0 to 9.
type SubPolicy = [(Kind, u8, u8); 2];

/// Cubuk et al. 2019, the table for ImageNet.
#[rustfmt::skip]
const IMAGENET: [SubPolicy; 25] = [
    [(Posterize, 4, 8), (Rotate, 6, 9)],
    [(Solarize, 6, 5), (Autocontrast, 6, 0)],
    [(Equalize, 8, 0), (Equalize, 6, 0)],
    [(Posterize, 6, 7), (Posterize, 6, 6)],
    [(Equalize, 4, 0), (Solarize, 2, 4)],
    [(Equalize, 4, 0), (Rotate, 8, 8)],
    [(Solarize, 6, 3), (Equalize, 6, 0)],
    [(Posterize, 8, 5), (Equalize, 10, 0)],
    [(Rotate, 2, 3), (Solarize, 6, 8)],
    [(Equalize, 6, 0), (Posterize, 4, 6)],
    [(Rotate, 8, 8), (Saturation, 4, 0)],
    [(Rotate, 4, 9), (Equalize, 6, 0)],
    [(Equalize, 0, 0), (Equalize, 8, 0)],
    [(Invert, 6, 0), (Equalize, 10, 0)],
    [(Saturation, 6, 4), (Contrast, 10, 8)],
    [(Rotate, 8, 8), (Saturation, 10, 2)],
    [(Saturation, 8, 8), (Solarize, 8, 7)],
    [(Sharpness, 4, 7), (Invert, 6, 0)],
    [(ShearX, 6, 5), (Equalize, 10, 0)],
    [(Saturation, 4, 0), (Equalize, 6, 0)],
    [(Equalize, 4, 0), (Solarize, 2, 4)],
    [(Solarize, 6, 5), (Autocontrast, 6, 0)],
    [(Invert, 6, 0), (Equalize, 10, 0)],
    [(Saturation, 6, 4), (Contrast, 10, 8)],
    [(Equalize, 8, 0), (Equalize, 6, 0)],
];

/// Cubuk et al. 2019, the table for CIFAR-10.
#[rustfmt::skip]
const CIFAR10: [SubPolicy; 25] = [
    [(Invert, 1, 0), (Contrast, 2, 6)],
    [(Rotate, 7, 2), (TranslateX, 3, 9)],
    [(Sharpness, 8, 1), (Sharpness, 9, 3)],
    [(ShearY, 5, 8), (TranslateY, 7, 9)],
    [(Autocontrast, 5, 0), (Equalize, 9, 0)],
    [(ShearY, 2, 7), (Posterize, 3, 7)],
    [(Saturation, 4, 3), (Brightness, 6, 7)],
    [(Sharpness, 3, 9), (Brightness, 7, 9)],
    [(Equalize, 6, 0), (Equalize, 5, 0)],
    [(Contrast, 6, 7), (Sharpness, 6, 5)],
    [(Saturation, 7, 7), (TranslateX, 5, 8)],
    [(Equalize, 3, 0), (Autocontrast, 4, 0)],
    [(TranslateY, 4, 3), (Sharpness, 2, 6)],
    [(Brightness, 9, 6), (Saturation, 2, 8)],
    [(Solarize, 5, 2), (Invert, 0, 0)],
    [(Equalize, 2, 0), (Autocontrast, 6, 0)],
    [(Equalize, 2, 0), (Equalize, 6, 0)],
    [(Saturation, 9, 9), (Equalize, 6, 0)],
    [(Autocontrast, 8, 0), (Solarize, 2, 8)],
    [(Brightness, 1, 3), (Saturation, 7, 0)],
    [(Solarize, 4, 5), (Autocontrast, 9, 0)],
    [(TranslateY, 9, 9), (TranslateY, 7, 9)],
    [(Autocontrast, 9, 0), (Solarize, 8, 3)],
    [(Equalize, 8, 0), (Invert, 1, 0)],
    [(TranslateY, 7, 9), (Autocontrast, 9, 0)],
];

/// Cubuk et al. 2019, the table for SVHN.
#[rustfmt::skip]
const SVHN: [SubPolicy; 25] = [
    [(ShearX, 9, 4), (Invert, 2, 0)],
    [(ShearY, 9, 8), (Invert, 7, 0)],
    [(Equalize, 6, 0), (Solarize, 6, 6)],
    [(Invert, 9, 0), (Equalize, 6, 0)],
    [(Equalize, 6, 0), (Rotate, 9, 3)],
    [(ShearX, 9, 4), (Autocontrast, 8, 0)],
    [(ShearY, 9, 8), (Invert, 4, 0)],
    [(ShearY, 9, 5), (Solarize, 2, 6)],
    [(Invert, 9, 0), (Autocontrast, 8, 0)],
    [(Equalize, 6, 0), (Rotate, 9, 3)],
    [(ShearX, 9, 4), (Solarize, 3, 3)],
    [(ShearY, 8, 8), (Invert, 7, 0)],
    [(Equalize, 9, 0), (TranslateY, 6, 6)],
    [(Invert, 9, 0), (Equalize, 6, 0)],
    [(Contrast, 3, 3), (Rotate, 8, 4)],
    [(Invert, 8, 0), (TranslateY, 0, 2)],
    [(ShearY, 7, 6), (Solarize, 4, 8)],
    [(Invert, 6, 0), (Rotate, 8, 4)],
    [(ShearY, 3, 7), (TranslateX, 9, 3)],
    [(ShearX, 1, 6), (Invert, 6, 0)],
    [(Solarize, 7, 2), (TranslateY, 6, 7)],
    [(ShearY, 8, 4), (Invert, 8, 0)],
    [(ShearX, 7, 9), (TranslateY, 8, 3)],
    [(ShearY, 8, 5), (Autocontrast, 7, 0)],
    [(ShearX, 7, 2), (Invert, 1, 0)],
];
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    /// What `tests/fixtures/torchvision_v2.py` wrote.
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Tables {
        rand_augment: BTreeMap<String, Space>,
        trivial_augment: BTreeMap<String, Space>,
        auto_augment: BTreeMap<String, Space>,
        aug_mix: BTreeMap<String, Space>,
        policies: BTreeMap<String, Vec<[Part; 2]>>,
    }

    /// Name, probability and magnitude.
    type Part = (String, f64, Option<u8>);

    #[derive(Deserialize)]
    struct Space {
        magnitudes: Vec<f64>,
        signed: bool,
    }

    fn tables() -> Tables {
        serde_json::from_str(include_str!("../../tests/fixtures/torchvision/policies.json")).expect("a fixture")
    }

    fn kind(name: &str) -> Kind {
        let all = [SPACE.as_slice(), &[Invert]].concat();
        let name = if name == "Color" { "Saturation" } else { name };
        let same = |kind: &Kind| format!("{kind:?}").eq_ignore_ascii_case(name);
        all.into_iter().find(same).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The number in torchvision's terms, for which factors count from 1.
    fn magnitude(operation: Operation) -> f64 {
        match operation {
            Operation::ShearX(x)
            | Operation::ShearY(x)
            | Operation::TranslateX(x)
            | Operation::TranslateY(x)
            | Operation::Rotate(x)
            | Operation::Solarize(x) => x,
            Operation::Brightness(x) | Operation::Saturation(x) | Operation::Contrast(x) | Operation::Sharpness(x) => {
                x - 1.0
            }
            Operation::Posterize(bits) => f64::from(bits),
            _ => 0.0,
        }
    }

    #[test]
    fn operations_ranges_and_magnitudes_are_those_of_torchvision() {
        let tables = tables();
        let shape = Shape { height: 33, width: 41, channels: 3 };
        for (spaces, ranges) in [
            (&tables.rand_augment, Ranges::paper(shape)),
            (&tables.trivial_augment, Ranges::WIDE),
            (&tables.auto_augment, Ranges::paper(shape)),
            (&tables.aug_mix, Ranges::aug_mix(shape)),
        ] {
            for (name, Space { magnitudes, signed }) in spaces {
                let last = (magnitudes.len() - 1).max(1) as f64;
                for (i, &truth) in magnitudes.iter().enumerate() {
                    // Theirs has 32 bits, and may lie a little below a whole number.
                    let truth = if name.starts_with("Translate") { (truth + 1e-4).trunc() } else { truth };
                    let [up, down] = [false, true]
                        .map(|negative| magnitude(kind(name).operation(i as f64 / last, &ranges, negative)));
                    assert!((up - truth).abs() < 1e-4, "{name} {i}: {up}, not {truth}");
                    let opposite = if *signed { -truth } else { truth };
                    assert!((down - opposite).abs() < 1e-4, "{name} {i}: {down}, not {opposite}");
                }
            }
        }
        for spaces in [&tables.rand_augment, &tables.trivial_augment] {
            assert_eq!(spaces.len(), SPACE.len());
            assert!(spaces.keys().all(|name| SPACE.contains(&kind(name))));
        }
        assert_eq!(tables.aug_mix.len(), SPACE.len() - 1);
    }

    #[test]
    fn the_searched_pairs_are_those_of_torchvision() {
        let tables = tables();
        for (name, policy) in [
            ("imagenet", AutoAugmentPolicy::Imagenet),
            ("cifar10", AutoAugmentPolicy::Cifar10),
            ("svhn", AutoAugmentPolicy::Svhn),
        ] {
            let truth: Vec<_> = tables.policies[name]
                .iter()
                .map(|pair| {
                    pair.each_ref().map(|(name, share, m)| (kind(name), (share * 10.0).round(), m.unwrap_or(0)))
                })
                .collect();
            let ours: Vec<_> =
                policy.pairs().iter().map(|pair| pair.map(|(kind, tenths, m)| (kind, f64::from(tenths), m))).collect();
            assert_eq!(ours, truth, "{name}");
        }
    }
}
