//! Vectors of `f32` for each instruction set, chosen at run time. A vector type trusts that its instruction set is there
//! (which [`Isa::supported`] has checked) and that a load or a store stays inside its slice, for which the kernels that
//! use it give their reasons. The portable sets run the same kernels on arrays, every access checked: the twins that
//! tests compare with.
#![expect(
    unsafe_code,
    reason = "vector loads and stores; callers compute each address once, tests run the checked twin"
)]

use std::sync::OnceLock;

/// An instruction set that kernels are compiled for, and that this machine has: only [`Isa::supported`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// 512-bit vectors (x86-64-v4).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add (x86-64-v3).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Pairs of 128-bit vectors, which every AArch64 machine has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Arrays of 8, every access checked; the compiler makes of them what the target's baseline has.
    Portable,
    /// Arrays of 16: the checked twin of the addresses that AVX-512 computes.
    Portable16,
}

/// What is compiled once for each instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, and so must be all that it calls: else the code is compiled for the baseline.
    fn run<V: Vector>(self) -> Self::Output;
}

impl Isa {
    /// The best of this machine.
    #[must_use]
    pub(crate) fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::supported()[0])
    }

    /// All that this machine can run, the best first; the last two are portable.
    #[must_use]
    pub(crate) fn supported() -> Vec<Self> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avx512f") {
                all.push(Self(Set::Avx512));
            }
            all.push(Self(Set::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self(Set::Neon));
        all.extend([Self(Set::Portable), Self(Set::Portable16)]);
        all
    }

    /// Floats in one vector.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => 8,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => 8,
            Set::Portable => 8,
            Set::Portable16 => 16,
        }
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value is only made by `supported`, which has seen the features.
            Set::Avx512 => unsafe { x86::run_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: see above.
            Set::Avx2 => unsafe { x86::run_avx2(kernel) },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => kernel.run::<neon::F32x8>(),
            Set::Portable => kernel.run::<Array<8>>(),
            Set::Portable16 => kernel.run::<Array<16>>(),
        }
    }
}

/// A vector of `f32`.
///
/// # Safety
/// `load` and `store` need `at + LANES <= slice.len()`, `load_first` and `store_first` `at + count <= slice.len()` and
/// `count <= LANES`; and the instruction set must be there.
pub(crate) trait Vector: Copy {
    const LANES: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: &[f32], at: usize) -> Self;
    unsafe fn load_first(from: &[f32], at: usize, count: usize) -> Self;
    unsafe fn store(self, to: &mut [f32], at: usize);
    unsafe fn store_first(self, to: &mut [f32], at: usize, count: usize);
    /// One float, in every lane.
    unsafe fn broadcast(from: &[f32], at: usize) -> Self;
    /// `self * factor + sum`.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// Zero where negative; NaN stays NaN.
    unsafe fn relu(self) -> Self;
}

/// The checked twin.
#[derive(Clone, Copy)]
pub(crate) struct Array<const L: usize>([f32; L]);

impl<const L: usize> Vector for Array<L> {
    const LANES: usize = L;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; L])
    }

    #[inline(always)]
    unsafe fn load(from: &[f32], at: usize) -> Self {
        let mut lanes = [0.0; L];
        lanes.copy_from_slice(&from[at..at + L]);
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn load_first(from: &[f32], at: usize, count: usize) -> Self {
        let mut lanes = [0.0; L];
        lanes[..count].copy_from_slice(&from[at..at + count]);
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize) {
        to[at..at + L].copy_from_slice(&self.0);
    }

    #[inline(always)]
    unsafe fn store_first(self, to: &mut [f32], at: usize, count: usize) {
        to[at..at + count].copy_from_slice(&self.0[..count]);
    }

    #[inline(always)]
    unsafe fn broadcast(from: &[f32], at: usize) -> Self {
        Self([from[at]; L])
    }

    #[inline(always)]
    unsafe fn mul_add(mut self, factor: Self, sum: Self) -> Self {
        // Fused only where the target has the instruction: the library function would be a hundred times slower.
        for (lane, (factor, sum)) in self.0.iter_mut().zip(factor.0.into_iter().zip(sum.0)) {
            *lane = if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                lane.mul_add(factor, sum)
            } else {
                *lane * factor + sum
            };
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            *lane += other;
        }
        self
    }

    #[inline(always)]
    unsafe fn relu(mut self) -> Self {
        for lane in &mut self.0 {
            *lane = if *lane > 0.0 || lane.is_nan() { *lane } else { 0.0 };
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[allow(clippy::wildcard_imports, reason = "a dozen intrinsics of two sets")]
    use std::arch::x86_64::*;

    use super::{Kernel, Vector};

    /// # Safety
    /// The machine has AVX-512F, AVX2 and FMA.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<F32x16>()
    }

    /// # Safety
    /// The machine has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<F32x8>()
    }

    #[derive(Clone, Copy)]
    struct F32x16(__m512);

    #[expect(clippy::cast_possible_truncation, reason = "`count` is at most 16, so the mask fits")]
    #[inline(always)]
    fn mask16(count: usize) -> __mmask16 {
        ((1_u32 << count) - 1) as __mmask16
    }

    // SAFETY (every block below): the trait's contract puts the address inside the slice, and `run_avx512` has the features.
    impl Vector for F32x16 {
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: see the impl.
            unsafe { Self(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: &[f32], at: usize) -> Self {
            debug_assert!(at + 16 <= from.len(), "load of 16 at {at} of {}", from.len());
            // SAFETY: see the impl.
            unsafe { Self(_mm512_loadu_ps(from.as_ptr().add(at))) }
        }

        #[inline(always)]
        unsafe fn load_first(from: &[f32], at: usize, count: usize) -> Self {
            debug_assert!(at + count <= from.len() && count <= 16, "load of {count} at {at} of {}", from.len());
            // SAFETY: see the impl; masked lanes are not touched.
            unsafe { Self(_mm512_maskz_loadu_ps(mask16(count), from.as_ptr().add(at))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32], at: usize) {
            debug_assert!(at + 16 <= to.len(), "store of 16 at {at} of {}", to.len());
            // SAFETY: see the impl.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr().add(at), self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: &mut [f32], at: usize, count: usize) {
            debug_assert!(at + count <= to.len() && count <= 16, "store of {count} at {at} of {}", to.len());
            // SAFETY: see the impl; masked lanes are not touched.
            unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr().add(at), mask16(count), self.0) }
        }

        #[inline(always)]
        unsafe fn broadcast(from: &[f32], at: usize) -> Self {
            debug_assert!(at < from.len(), "broadcast at {at} of {}", from.len());
            // SAFETY: see the impl.
            unsafe { Self(_mm512_set1_ps(*from.as_ptr().add(at))) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: see the impl.
            unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, sum.0)) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see the impl.
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: see the impl. "Not less or equal" is true for NaN.
            unsafe {
                let keep = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(self.0, _mm512_setzero_ps());
                Self(_mm512_maskz_mov_ps(keep, self.0))
            }
        }
    }

    #[derive(Clone, Copy)]
    struct F32x8(__m256);

    #[inline(always)]
    fn mask8(count: usize) -> __m256i {
        const LANES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        let window = &LANES[8 - count..16 - count];
        // SAFETY: the window holds eight integers, and only code of `run_avx2` comes here.
        unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
    }

    // SAFETY (every block below): the trait's contract puts the address inside the slice, and `run_avx2` has the features.
    impl Vector for F32x8 {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: see the impl.
            unsafe { Self(_mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: &[f32], at: usize) -> Self {
            debug_assert!(at + 8 <= from.len(), "load of 8 at {at} of {}", from.len());
            // SAFETY: see the impl.
            unsafe { Self(_mm256_loadu_ps(from.as_ptr().add(at))) }
        }

        #[inline(always)]
        unsafe fn load_first(from: &[f32], at: usize, count: usize) -> Self {
            debug_assert!(at + count <= from.len() && count <= 8, "load of {count} at {at} of {}", from.len());
            // SAFETY: see the impl; masked lanes are not touched.
            unsafe { Self(_mm256_maskload_ps(from.as_ptr().add(at), mask8(count))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32], at: usize) {
            debug_assert!(at + 8 <= to.len(), "store of 8 at {at} of {}", to.len());
            // SAFETY: see the impl.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr().add(at), self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: &mut [f32], at: usize, count: usize) {
            debug_assert!(at + count <= to.len() && count <= 8, "store of {count} at {at} of {}", to.len());
            // SAFETY: see the impl; masked lanes are not touched.
            unsafe { _mm256_maskstore_ps(to.as_mut_ptr().add(at), mask8(count), self.0) }
        }

        #[inline(always)]
        unsafe fn broadcast(from: &[f32], at: usize) -> Self {
            debug_assert!(at < from.len(), "broadcast at {at} of {}", from.len());
            // SAFETY: see the impl.
            unsafe { Self(_mm256_set1_ps(*from.as_ptr().add(at))) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: see the impl.
            unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, sum.0)) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see the impl.
            unsafe { Self(_mm256_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: see the impl. "Not less or equal" is true for NaN.
            unsafe {
                let keep = _mm256_cmp_ps::<_CMP_NLE_UQ>(self.0, _mm256_setzero_ps());
                Self(_mm256_and_ps(keep, self.0))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    #[allow(clippy::wildcard_imports, reason = "a dozen intrinsics")]
    use std::arch::aarch64::*;

    use super::Vector;

    /// Two registers: so many lanes as AVX2, and the same tiles.
    #[derive(Clone, Copy)]
    pub(super) struct F32x8([float32x4_t; 2]);

    // SAFETY (every block below): the trait's contract puts the address inside the slice, and AArch64 has NEON.
    impl Vector for F32x8 {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: see the impl.
            unsafe { Self([vdupq_n_f32(value); 2]) }
        }

        #[inline(always)]
        unsafe fn load(from: &[f32], at: usize) -> Self {
            debug_assert!(at + 8 <= from.len(), "load of 8 at {at} of {}", from.len());
            // SAFETY: see the impl.
            unsafe {
                let from = from.as_ptr().add(at);
                Self([vld1q_f32(from), vld1q_f32(from.add(4))])
            }
        }

        #[inline(always)]
        unsafe fn load_first(from: &[f32], at: usize, count: usize) -> Self {
            let mut lanes = [0.0; 8];
            lanes[..count].copy_from_slice(&from[at..at + count]);
            // SAFETY: there are eight.
            unsafe { Self::load(&lanes, 0) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32], at: usize) {
            debug_assert!(at + 8 <= to.len(), "store of 8 at {at} of {}", to.len());
            // SAFETY: see the impl.
            unsafe {
                let to = to.as_mut_ptr().add(at);
                vst1q_f32(to, self.0[0]);
                vst1q_f32(to.add(4), self.0[1]);
            }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: &mut [f32], at: usize, count: usize) {
            let mut lanes = [0.0; 8];
            // SAFETY: there are eight.
            unsafe { self.store(&mut lanes, 0) };
            to[at..at + count].copy_from_slice(&lanes[..count]);
        }

        #[inline(always)]
        unsafe fn broadcast(from: &[f32], at: usize) -> Self {
            debug_assert!(at < from.len(), "broadcast at {at} of {}", from.len());
            // SAFETY: see the impl.
            unsafe { Self([vld1q_dup_f32(from.as_ptr().add(at)); 2]) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: see the impl.
            unsafe { Self([0, 1].map(|half| vfmaq_f32(sum.0[half], self.0[half], factor.0[half]))) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see the impl.
            unsafe { Self([0, 1].map(|half| vaddq_f32(self.0[half], other.0[half]))) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: see the impl. The larger of a number and NaN is NaN.
            unsafe { Self(self.0.map(|half| vmaxq_f32(half, vdupq_n_f32(0.0)))) }
        }
    }
}
