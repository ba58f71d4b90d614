//! Steps of optimisers in one pass over a parameter, its gradient and its state, all changed where they lie; and what is
//! asked of gradients before.

use burn::tensor::Tensor;

use crate::Kernels;

/// One step of Adam or AdamW, of which the corrections of the moments are taken in already.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// The learning rate, over the correction of the first moment and times the root of that of the second.
    pub rate: f32,
    /// What is added to the root of the second moment: epsilon times the root of that moment's correction.
    pub epsilon: f32,
    /// Decays of the two moments.
    pub betas: [f32; 2],
    /// Share of the parameter that is added to the gradient (L2).
    pub penalty: f32,
    /// What is left of the parameter before the step (decoupled weight decay).
    pub left: f32,
}

/// One step of gradient descent with momentum.
#[derive(Clone, Copy, Debug)]
pub struct MomentumStep {
    /// The learning rate.
    pub rate: f32,
    /// Share of the velocity that is kept.
    pub momentum: f32,
    /// Whether the gradient is taken ahead along the velocity.
    pub nesterov: bool,
    /// Share of the parameter that is added to the gradient (L2).
    pub penalty: f32,
}

/// Takes a step of Adam: `[parameter, gradient, first moment, second moment]` give the next parameter and moments.
#[must_use]
pub fn adam_step<const D: usize>(tensors: [Tensor<D>; 4], step: AdamStep, kernels: Kernels) -> [Tensor<D>; 3] {
    #[cfg(feature = "cpu")]
    if tensors.iter().all(|tensor| untracked(tensor, kernels)) {
        let [parameter, gradient, first, second] = tensors.map(Tensor::into_dispatch);
        let (parameter, first, second) =
            <burn::backend::Dispatch as own::StepOps>::kernel_adam(parameter, gradient, first, second, step);
        return [parameter, first, second].map(Tensor::from_dispatch);
    }
    let AdamStep { rate, epsilon, betas: [beta_1, beta_2], penalty, left } = step;
    let [parameter, gradient, first, second] = tensors;
    let gradient = penalised(&parameter, gradient, penalty);
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
    let way = first.clone() / (second.clone().sqrt() + epsilon) * rate;
    [parameter * left - way, first, second]
}

/// Takes a step of descent with momentum: `[parameter, gradient, velocity]` give the next parameter and velocity.
#[must_use]
pub fn momentum_step<const D: usize>(tensors: [Tensor<D>; 3], step: MomentumStep, kernels: Kernels) -> [Tensor<D>; 2] {
    #[cfg(feature = "cpu")]
    if tensors.iter().all(|tensor| untracked(tensor, kernels)) {
        let [parameter, gradient, velocity] = tensors.map(Tensor::into_dispatch);
        let (parameter, velocity) =
            <burn::backend::Dispatch as own::StepOps>::kernel_momentum(parameter, gradient, velocity, step);
        return [parameter, velocity].map(Tensor::from_dispatch);
    }
    let MomentumStep { rate, momentum, nesterov, penalty } = step;
    let [parameter, gradient, velocity] = tensors;
    let gradient = penalised(&parameter, gradient, penalty);
    let velocity = gradient.clone() + velocity * momentum;
    let way = if nesterov { velocity.clone() * momentum + gradient } else { velocity.clone() };
    [parameter - way * rate, velocity]
}

/// The sum of the squares of all elements, `[1]`: what the global norm of gradients is made of.
#[must_use]
pub fn square_sum<const D: usize>(tensor: Tensor<D>, kernels: Kernels) -> Tensor<1> {
    #[cfg(feature = "cpu")]
    if untracked(&tensor, kernels) {
        return Tensor::from_dispatch(<burn::backend::Dispatch as own::StepOps>::kernel_square_sum(
            tensor.into_dispatch(),
        ));
    }
    tensor.square().sum()
}

/// Steps have no gradients of their own: what somebody tracks goes to Burn's operations.
#[cfg(feature = "cpu")]
fn untracked<const D: usize>(tensor: &Tensor<D>, kernels: Kernels) -> bool {
    !tensor.device().is_autodiff() && kernels.take(tensor)
}

fn penalised<const D: usize>(parameter: &Tensor<D>, gradient: Tensor<D>, penalty: f32) -> Tensor<D> {
    if penalty == 0.0 { gradient } else { parameter.clone() * penalty + gradient }
}

#[cfg(feature = "cpu")]
mod own {
    use burn::backend::{Backend, Flex, backend_extension, tensor::FloatTensor};
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    use super::{AdamStep, MomentumStep};
    use crate::{
        flex::floats,
        image::contiguous,
        simd::{Isa, Kernel, Vector},
        sums::dot,
    };

    /// Floats of a task.
    const CHUNK: usize = 1 << 14;

    /// To add up fewer floats takes less time than to wake a second thread.
    const WORTH_A_THREAD: usize = 1 << 18;

    /// Steps in the tensor primitives of a backend.
    #[backend_extension(Flex)]
    pub(super) trait StepOps: Backend {
        fn kernel_adam(
            parameter: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
            first: FloatTensor<Self>,
            second: FloatTensor<Self>,
            step: AdamStep,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
        fn kernel_momentum(
            parameter: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
            velocity: FloatTensor<Self>,
            step: MomentumStep,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
        fn kernel_square_sum(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    impl StepOps for Flex {
        fn kernel_adam(
            parameter: FlexTensor,
            gradient: FlexTensor,
            first: FlexTensor,
            second: FlexTensor,
            step: AdamStep,
        ) -> (FlexTensor, FlexTensor, FlexTensor) {
            let [mut parameter, mut first, mut second] = [parameter, first, second].map(straight);
            let isa = Isa::detect();
            let gradient = floats(&gradient);
            let chunks = stored(&mut parameter).par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
            let moments = stored(&mut first).par_chunks_mut(CHUNK).zip(stored(&mut second).par_chunks_mut(CHUNK));
            chunks.zip(moments).for_each(|((parameter, gradient), (first, second))| {
                isa.run(Adam { step, parameter, gradient, first, second });
            });
            (parameter, first, second)
        }

        fn kernel_momentum(
            parameter: FlexTensor,
            gradient: FlexTensor,
            velocity: FlexTensor,
            step: MomentumStep,
        ) -> (FlexTensor, FlexTensor) {
            let [mut parameter, mut velocity] = [parameter, velocity].map(straight);
            let isa = Isa::detect();
            let gradient = floats(&gradient);
            let chunks = stored(&mut parameter).par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
            chunks.zip(stored(&mut velocity).par_chunks_mut(CHUNK)).for_each(|((parameter, gradient), velocity)| {
                isa.run(Momentum { step, parameter, gradient, velocity });
            });
            (parameter, velocity)
        }

        fn kernel_square_sum(tensor: FlexTensor) -> FlexTensor {
            let isa = Isa::detect();
            let floats = floats(&tensor);
            let squares = |floats: &[f32]| isa.run(Squares(floats));
            // Chunks are summed up in their order, so that the threads do not matter.
            let sums: Vec<f32> = if floats.len() < WORTH_A_THREAD {
                floats.chunks(CHUNK).map(squares).collect()
            } else {
                floats.par_chunks(CHUNK).map(squares).collect()
            };
            contiguous(vec![sums.into_iter().sum()], [1])
        }
    }

    struct Squares<'a>(&'a [f32]);

    impl Kernel for Squares<'_> {
        type Output = f32;

        #[inline(always)]
        fn run<V: Vector>(self) -> f32 {
            dot(self.0, self.0)
        }
    }

    fn straight(tensor: FlexTensor) -> FlexTensor {
        if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
    }

    /// The floats of a contiguous tensor; copied first if somebody shares them.
    fn stored(tensor: &mut FlexTensor) -> &mut [f32] {
        let (start, count) = (tensor.layout().start_offset(), tensor.layout().num_elements());
        &mut tensor.storage_mut::<f32>()[start..][..count]
    }

    struct Adam<'a> {
        step: AdamStep,
        parameter: &'a mut [f32],
        gradient: &'a [f32],
        first: &'a mut [f32],
        second: &'a mut [f32],
    }

    impl Kernel for Adam<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let AdamStep { rate, epsilon, betas: [beta_1, beta_2], penalty, left } = self.step;
            let moments = self.first.iter_mut().zip(self.second);
            for ((parameter, &gradient), (first, second)) in self.parameter.iter_mut().zip(self.gradient).zip(moments) {
                let gradient = if penalty == 0.0 { gradient } else { *parameter * penalty + gradient };
                *first = *first * beta_1 + gradient * (1.0 - beta_1);
                *second = *second * beta_2 + gradient * gradient * (1.0 - beta_2);
                *parameter = *parameter * left - *first / (second.sqrt() + epsilon) * rate;
            }
        }
    }

    struct Momentum<'a> {
        step: MomentumStep,
        parameter: &'a mut [f32],
        gradient: &'a [f32],
        velocity: &'a mut [f32],
    }

    impl Kernel for Momentum<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let MomentumStep { rate, momentum, nesterov, penalty } = self.step;
            for ((parameter, &gradient), velocity) in self.parameter.iter_mut().zip(self.gradient).zip(self.velocity) {
                let gradient = if penalty == 0.0 { gradient } else { *parameter * penalty + gradient };
                *velocity = gradient + *velocity * momentum;
                let way = if nesterov { *velocity * momentum + gradient } else { *velocity };
                *parameter -= way * rate;
            }
        }
    }
}
