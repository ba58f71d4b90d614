//! Bytes become floats on the device.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::Kernels;

/// `byte * scale + shift` in rows that are as wide as `scale` and `shift`: `[rows, width]`.
///
/// Bytes travel to the device, a quarter of what floats would be, and become floats there.
///
/// # Panics
/// The bytes are not whole rows, or `scale` and `shift` differ in width.
#[must_use]
pub fn scaled_levels(levels: Vec<u8>, scale: &[f32], shift: &[f32], device: &Device, kernels: Kernels) -> Tensor<2> {
    let width = scale.len();
    assert!(width == shift.len() && levels.len().is_multiple_of(width), "{} / {width}, {}", levels.len(), shift.len());
    let shape = [levels.len() / width, width];
    #[cfg(feature = "cpu")]
    if kernels == Kernels::Own && crate::is_our_device(device) {
        return Tensor::from_data(TensorData::new(own::scaled(&levels, scale, shift), shape), device);
    }
    let row = |floats: &[f32]| Tensor::<2>::from_data(TensorData::new(floats.to_vec(), [1, width]), device);
    let data = TensorData::from_bytes_vec(levels, shape, DType::U8);
    let levels = Tensor::<2, Int>::from_data(data, (device, DType::U8)).float();
    levels * row(scale) + row(shift)
}

#[cfg(feature = "cpu")]
mod own {
    use crate::{
        buffer::by_chunks,
        simd::{Isa, Kernel, Vector},
    };

    /// About so many floats are a task: fewer take less time than to wake a second thread.
    const CHUNK: usize = 1 << 18;

    pub(super) fn scaled(levels: &[u8], scale: &[f32], shift: &[f32]) -> Vec<f32> {
        let (isa, width) = (Isa::detect(), scale.len());
        let chunk = CHUNK.div_ceil(width) * width;
        by_chunks(levels.len(), chunk, |index, to| {
            let levels = &levels[index * chunk..][..to.len()];
            isa.run(Rows { levels, scale, shift, to });
        })
    }

    struct Rows<'a> {
        levels: &'a [u8],
        scale: &'a [f32],
        shift: &'a [f32],
        to: &'a mut [f32],
    }

    impl Kernel for Rows<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            let width = self.scale.len();
            for (to, levels) in self.to.chunks_exact_mut(width).zip(self.levels.chunks_exact(width)) {
                let line = self.scale.iter().zip(self.shift);
                for ((to, &level), (scale, shift)) in to.iter_mut().zip(levels).zip(line) {
                    *to = f32::from(level) * scale + shift;
                }
            }
        }
    }
}
