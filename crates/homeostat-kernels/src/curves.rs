//! The exponential and GELU, with slopes, a row at a time: plain arithmetic without branches, which the compiler turns into
//! vectors. Errors are a few units in the last place; NaN stays NaN. It does not know tensors.
#![expect(clippy::excessive_precision, reason = "coefficients as they were fitted")]

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use crate::{
    sequence::Curve,
    simd::{Kernel, Vector},
};

/// e to the power of `x`; zero below -87, where results are no normal numbers.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * LOG2_E + ROUND;
    let whole = rounded - ROUND;
    // What is left of x, in -0.35..0.35; ln 2 in two parts, the first with zeros at its end.
    let r = (x - whole * 0.693_359_375) - whole * -2.121_944_4e-4;
    // Taylor's series: the next term is below 1e-8.
    let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)));
    let power = 1.0 + (r + r * r * (0.5 + r * (1.0 / 6.0 + r * tail)));
    let scaled = f32::from_bits(power.to_bits().wrapping_add(rounded.to_bits() << 23));
    let low = if x < -87.0 { 0.0 } else { scaled };
    let high = if x > 88.7 { f32::INFINITY } else { low };
    if x.is_nan() { x } else { high }
}

/// erfc(z) exp(z^2) / 2 = t (FIT[0] + FIT[1] t + ...) for t = 1 / (1 + z / 2): fitted for z in 0..12, relative error 6e-8.
const FIT: [f32; 9] = [
    0.141_042_24,
    0.141_204_8,
    0.121_426_76,
    0.101_839_37,
    -0.014_486_104,
    0.140_737_46,
    -0.245_089_36,
    0.143_006_62,
    -0.029_681_81,
];

/// The share of the normal distribution below `x`, and its density there times the square root of two pi.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * FRAC_1_SQRT_2;
    let bell = exp(-(x * x) * 0.5);
    let t = 1.0 / (1.0 + 0.5 * z);
    let sum = FIT.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let tail = bell * sum * t;
    (if x > 0.0 { 1.0 - tail } else { tail }, bell)
}

/// Two over the square root of two pi, and what x^3 is multiplied by.
const TANH: [f32; 2] = [0.797_884_56, 0.044_715];

/// The share of `x` that GELU with tanh keeps, and the slope of its argument.
#[inline(always)]
fn kept(x: f32) -> (f32, f32) {
    let [scale, cubic] = TANH;
    let square = x * x;
    // (1 + tanh u) / 2 = 1 / (1 + e^-2u)
    let u = scale * x * (1.0 + cubic * square);
    (1.0 / (1.0 + exp(-2.0 * u)), 2.0 * scale * (1.0 + 3.0 * cubic * square))
}

/// `x = curve(x)`
pub(crate) struct Bend<'a> {
    pub(crate) curve: Curve,
    pub(crate) x: &'a mut [f32],
}

impl Kernel for Bend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.curve {
            Curve::Straight => {}
            Curve::Gelu => {
                for x in self.x {
                    *x *= normal(*x).0;
                }
            }
            Curve::GeluTanh => {
                for x in self.x {
                    *x *= kept(*x).0;
                }
            }
        }
    }
}

/// `gradient *= curve'(x)`
pub(crate) struct Unbend<'a> {
    pub(crate) curve: Curve,
    pub(crate) x: &'a [f32],
    pub(crate) gradient: &'a mut [f32],
}

impl Kernel for Unbend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let pairs = self.gradient.iter_mut().zip(self.x);
        match self.curve {
            Curve::Straight => {}
            Curve::Gelu => {
                for (gradient, &x) in pairs {
                    let (share, bell) = normal(x);
                    *gradient *= share + x * bell * 0.398_942_28;
                }
            }
            Curve::GeluTanh => {
                for (gradient, &x) in pairs {
                    let (share, slope) = kept(x);
                    *gradient *= share + x * share * (1.0 - share) * slope;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    #[test]
    fn the_exponential_is_exact_to_a_few_units() {
        for x in (-87_000..=88_600).step_by(7).map(|x| x as f32 / 1000.0) {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 4e-7, "{x}: {} for {exact}", exp(x));
        }
        assert_eq!(
            [f32::NEG_INFINITY, -1e30, -88.0, 0.0, 1e30, f32::INFINITY].map(exp),
            [0.0, 0.0, 0.0, 1.0, f32::INFINITY, f32::INFINITY]
        );
        assert!(exp(f32::NAN).is_nan());
    }

    /// The error function, summed in double precision.
    fn erf(x: f64) -> f64 {
        let steps = 4000;
        let width = x / f64::from(steps);
        // Simpson's rule.
        let bell = |at: i32| (-(f64::from(at) * width).powi(2)).exp() * if at % 2 == 0 { 2.0 } else { 4.0 };
        let sum: f64 = (1..steps).map(bell).sum::<f64>() + 1.0 + (-x * x).exp();
        sum * width / 3.0 * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn curves_and_slopes_agree_with_double_precision() {
        let curve = |curve: Curve, x: f64| match curve {
            Curve::Straight => x,
            Curve::Gelu => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
            Curve::GeluTanh => 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh()),
        };
        let points: Vec<f32> = (-120..120).map(|x| x as f32 / 15.0).collect();
        for isa in Isa::supported() {
            for kind in [Curve::Straight, Curve::Gelu, Curve::GeluTanh] {
                let (mut bent, mut slopes) = (points.clone(), vec![1.0; points.len()]);
                isa.run(Bend { curve: kind, x: &mut bent });
                isa.run(Unbend { curve: kind, x: &points, gradient: &mut slopes });
                for ((&x, bent), slope) in points.iter().zip(bent).zip(slopes) {
                    let x = f64::from(x);
                    let exact = (curve(kind, x + 1e-4) - curve(kind, x - 1e-4)) / 2e-4;
                    assert!(
                        (f64::from(bent) - curve(kind, x)).abs() < 1e-6 * (1.0 + x.abs()),
                        "{isa:?}, {kind:?}, {x}"
                    );
                    assert!((f64::from(slope) - exact).abs() < 2e-6, "{isa:?}, {kind:?}, slope at {x}");
                }
            }
        }
    }
}
