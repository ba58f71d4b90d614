//! Mirroring. It does not know which pictures have a meaning that a mirror changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Image;

/// How often a picture is mirrored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flip {
    /// The share of pictures that are mirrored, 0 to 1.
    pub probability: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

/// Left and right swapped.
pub(crate) fn mirror(mut image: Image) -> Image {
    let stride = image.width() * image.channels();
    match image.channels() {
        1 => image.pixels_mut().chunks_exact_mut(stride).for_each(<[u8]>::reverse),
        3 => mirror_colors(stride, image.pixels_mut()),
        _ => {
            let (pixels, _) = image.pixels_mut().as_chunks_mut::<4>();
            pixels.chunks_exact_mut(stride / 4).for_each(<[[u8; 4]]>::reverse);
        }
    }
    image
}

fn mirror_colors(stride: usize, pixels: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(avx2::Mirror { simd, stride, pixels });
    }
    pixels.chunks_exact_mut(stride).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};
    use std::arch::x86_64::__m128i;

    /// Mirrors rows of 3 channels, five pixels at a time, for they nearly fill a vector of 16 bytes.
    pub(super) struct Mirror<'a> {
        pub(super) simd: V3,
        pub(super) stride: usize,
        pub(super) pixels: &'a mut [u8],
    }

    impl NullaryFnOnce for Mirror<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let ssse3 = self.simd.ssse3;
            // Of bytes 0 to 7 and 7 to 14 of five pixels, those of the five in the other order.
            let order: __m128i = cast([13, 14, 15, 10, 11, 12, 6, 7, 7, 9, 3, 4, 5, 0, 1, 2_u8]);
            let mirrored = |five: &[u8; 15]| -> [[u8; 8]; 2] {
                let first = five.first_chunk::<8>().copied().unwrap_or_default();
                let last = five.last_chunk::<8>().copied().unwrap_or_default();
                cast(ssse3._mm_shuffle_epi8(cast([first, last]), order))
            };
            for row in self.pixels.chunks_exact_mut(self.stride) {
                let tens = row.len() / 30;
                let (left, rest) = row.split_at_mut(15 * tens);
                let (rest, right) = rest.split_at_mut(rest.len() - 15 * tens);
                let fives = left.as_chunks_mut::<15>().0.iter_mut().zip(right.as_chunks_mut::<15>().0.iter_mut().rev());
                for (left, right) in fives {
                    let (to_right, to_left) = (mirrored(left), mirrored(right));
                    for (five, [first, last]) in [(left, to_left), (right, to_right)] {
                        five[..8].copy_from_slice(&first);
                        five[7..].copy_from_slice(&last);
                    }
                }
                rest.as_chunks_mut::<3>().0.reverse();
            }
        }
    }
}

pub(super) fn upside_down(image: &Image) -> Image {
    let rows: Vec<&[u8]> = image.pixels().chunks_exact(image.width() * image.channels()).rev().collect();
    Image::new(image.shape(), rows.concat())
}
