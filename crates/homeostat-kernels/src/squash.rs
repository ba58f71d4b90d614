//! The hyperbolic tangent, the sigmoid, and an upper limit, element by element: own kernels where the tensors are theirs, else Burn's
//! operations. Images keep the order in which they lie.

use burn::tensor::{Tensor, activation};

use crate::Kernels;

/// A curve that ends at a level, whose slope its value tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Squash {
    Tanh,
    Sigmoid,
    AtMost(f32),
}

/// The hyperbolic tangent of each element.
#[must_use]
pub fn tanh<const D: usize>(x: Tensor<D>, kernels: Kernels) -> Tensor<D> {
    squash(x, Squash::Tanh, kernels)
}

/// `1 / (1 + e^-x)` of each element.
#[must_use]
pub fn sigmoid<const D: usize>(x: Tensor<D>, kernels: Kernels) -> Tensor<D> {
    squash(x, Squash::Sigmoid, kernels)
}

/// Each element, or the limit where it is above; there, and at the limit, the gradient is zero.
#[must_use]
pub fn at_most<const D: usize>(x: Tensor<D>, limit: f32, kernels: Kernels) -> Tensor<D> {
    squash(x, Squash::AtMost(limit), kernels)
}

fn squash<const D: usize>(x: Tensor<D>, squash: Squash, kernels: Kernels) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    if kernels.take(&x) {
        use crate::sequence_extension::SequenceOps;
        return Tensor::from_dispatch(<burn::backend::Dispatch as SequenceOps>::kernel_squash(
            x.into_dispatch(),
            squash,
        ));
    }
    match squash {
        Squash::Tanh => activation::tanh(x),
        Squash::Sigmoid => activation::sigmoid(x),
        Squash::AtMost(limit) => x.clamp_max(limit),
    }
}

#[cfg(feature = "cpu")]
mod own {
    use burn::tensor::{Bytes, DType};
    use burn_flex::{FlexTensor, Layout};

    use super::Squash;
    use crate::{
        buffer::by_chunks,
        curves::exp,
        flex::{floats, stored},
        sequence_extension::Operation,
        sequence_flex::tensor,
        simd::{Isa, Kernel, Vector},
    };

    /// About so many floats are a task: fewer take less time than to wake a second thread.
    const CHUNK: usize = 1 << 14;

    impl Operation<1> for Squash {
        fn forward(&self, [x]: [FlexTensor; 1], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
            let (isa, x) = (Isa::detect(), gapless(x));
            let from = stored(&x);
            let y = by_chunks(from.len(), CHUNK, |index, to| {
                isa.run(Level { squash: *self, x: &from[index * CHUNK..][..to.len()], to });
            });
            let y = lying_as(y, &x);
            let kept = if keep { vec![y.clone()] } else { vec![] };
            (y, kept)
        }

        fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            let (isa, y) = (Isa::detect(), &kept[0]);
            let alike = gradient.layout().strides() == y.layout().strides();
            let from = if alike { stored(&gradient).into() } else { floats(&gradient) };
            let levels = if alike { stored(y).into() } else { floats(y) };
            let slopes = by_chunks(from.len(), CHUNK, |index, to| {
                let part = index * CHUNK..index * CHUNK + to.len();
                isa.run(Slope { squash: self, y: &levels[part.clone()], gradient: &from[part], to });
            });
            let found =
                if alike { lying_as(slopes, &gradient) } else { tensor(slopes, gradient.layout().shape().clone()) };
            [Some(found)]
        }
    }

    /// The tensor, copied where its floats do not lie one behind the other in some order of its axes.
    fn gapless(x: FlexTensor) -> FlexTensor {
        let layout = x.layout();
        let mut axes: Vec<(isize, usize)> =
            layout.strides().iter().copied().zip(layout.shape().iter().copied()).filter(|axis| axis.1 != 1).collect();
        axes.sort_unstable();
        let mut step = 1;
        let is_gapless = axes.into_iter().all(|(stride, size)| {
            let fits = usize::try_from(stride) == Ok(step);
            step *= size;
            fits
        });
        if is_gapless { x } else { x.to_contiguous() }
    }

    /// Floats in the order in which those of `x` lie.
    fn lying_as(values: Vec<f32>, x: &FlexTensor) -> FlexTensor {
        let layout = Layout::new(x.layout().shape().clone(), x.layout().strides().to_vec(), 0);
        FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
    }

    struct Level<'a> {
        squash: Squash,
        x: &'a [f32],
        to: &'a mut [f32],
    }

    impl Kernel for Level<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let pairs = self.to.iter_mut().zip(self.x);
            match self.squash {
                Squash::Tanh => pairs.for_each(|(to, &x)| *to = tanh(x)),
                Squash::Sigmoid => pairs.for_each(|(to, &x)| *to = 1.0 / (1.0 + exp(-x))),
                Squash::AtMost(limit) => pairs.for_each(|(to, &x)| *to = if x > limit { limit } else { x }),
            }
        }
    }

    struct Slope<'a> {
        squash: Squash,
        y: &'a [f32],
        gradient: &'a [f32],
        to: &'a mut [f32],
    }

    impl Kernel for Slope<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let rows = self.to.iter_mut().zip(self.y).zip(self.gradient);
            match self.squash {
                Squash::Tanh => rows.for_each(|((to, &y), &gradient)| *to = gradient * (1.0 - y * y)),
                Squash::Sigmoid => rows.for_each(|((to, &y), &gradient)| *to = gradient * y * (1.0 - y)),
                // A select, not a product: the gradient may be infinite.
                Squash::AtMost(limit) => {
                    rows.for_each(|((to, &y), &gradient)| *to = if y >= limit { 0.0 } else { gradient });
                }
            }
        }
    }

    /// Taylor's series near zero, where the other form loses its digits, and `1 - 2 / (e^2x + 1)` elsewhere.
    #[inline(always)]
    fn tanh(x: f32) -> f32 {
        let square = x * x;
        let near = 1.0
            + square
                * (-1.0 / 3.0
                    + square
                        * (2.0 / 15.0
                            + square * (-17.0 / 315.0 + square * (62.0 / 2835.0 - square * (1382.0 / 155_925.0)))));
        let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
        if x.abs() < 0.35 { x * near } else { far }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn levels_agree_with_double_precision() {
            let points: Vec<f32> = (-20_000..=20_000).map(|x| x as f32 / 1000.0).collect();
            for isa in Isa::supported() {
                for squash in [Squash::Tanh, Squash::Sigmoid, Squash::AtMost(6.0)] {
                    let mut levels = vec![0.0; points.len()];
                    isa.run(Level { squash, x: &points, to: &mut levels });
                    for (&x, level) in points.iter().zip(levels) {
                        let exact = match squash {
                            Squash::Tanh => f64::from(x).tanh(),
                            Squash::Sigmoid => 1.0 / (1.0 + (-f64::from(x)).exp()),
                            Squash::AtMost(limit) => f64::from(x.min(limit)),
                        };
                        let error = (f64::from(level) - exact).abs();
                        assert!(error <= 5e-7 * exact.abs(), "{isa:?}, {squash:?}, {x}: {level} for {exact}");
                    }
                }
            }
        }

        #[test]
        fn what_is_no_number_or_without_end_stays_what_it_is() {
            let points = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -1e30, 1e30, 0.0];
            for (squash, expected) in [
                (Squash::Tanh, [-1.0, 1.0, -1.0, 1.0, 0.0]),
                (Squash::Sigmoid, [0.0, 1.0, 0.0, 1.0, 0.5]),
                (Squash::AtMost(6.0), [f32::NEG_INFINITY, 6.0, -1e30, 6.0, 0.0]),
            ] {
                let mut levels = [0.0; 6];
                Isa::detect().run(Level { squash, x: &points, to: &mut levels });
                assert!(levels[0].is_nan());
                assert_eq!(levels[1..], expected);
            }
        }
    }
}
