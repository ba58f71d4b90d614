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
            let order: __m128i = cast([12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2, u8::MAX]);
            let mut line = vec![0; self.stride + 1];
            for row in self.pixels.chunks_exact_mut(self.stride) {
                line[..self.stride].copy_from_slice(row);
                let (fives, rest) = row.as_chunks_mut::<15>();
                for (new, old) in fives.iter_mut().zip(line.windows(16).rev().step_by(15)) {
                    let old = old.first_chunk::<16>().unwrap_or(&[0; 16]);
                    let mirrored: [u8; 16] = cast(ssse3._mm_shuffle_epi8(cast(*old), order));
                    new.copy_from_slice(&mirrored[..15]);
                }
                rest.copy_from_slice(&line[..rest.len()]);
                rest.as_chunks_mut::<3>().0.reverse();
            }
        }
    }
}

pub(super) fn upside_down(image: &Image) -> Image {
    let rows: Vec<&[u8]> = image.pixels().chunks_exact(image.width() * image.channels()).rev().collect();
    Image::new(image.shape(), rows.concat())
}
