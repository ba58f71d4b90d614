//! A stand-in for `cubecl-llvm` without LLVM: the names that `cubecl-cuda` uses, and a compiler that refuses.
//! Why it exists stands in the README beside it.

use cubecl_core::{Compiler, ir::nvidia::SmArch};
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::{
    compiler::CompilationError,
    kernel::{BufferIOAttr, KernelDefinition},
};

use nvptx::ptx_version::PtxVersion;

/// The target of the LLVM compiler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA's virtual instruction set.
    #[default]
    Nvptx,
}

/// A compiler that refuses every kernel: build `cubecl-cuda` with its feature `cpp`.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

/// The options that `cubecl-cuda` passes.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// AMD's architecture; always `None` here.
    pub arch: Option<()>,
    /// NVIDIA's architecture.
    pub sm_arch: Option<SmArch>,
    /// The PTX version to emit.
    pub ptx_version: Option<PtxVersion>,
    /// Whether scalars travel in the kernel's parameter block.
    pub grid_constants: bool,
}

/// A compiled module; never made here.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// NUL-terminated PTX assembly.
    pub ptx: Vec<core::ffi::c_char>,
    /// Kernel entry point symbol.
    pub entrypoint: String,
    /// IR for logging and cache keys.
    pub ir: String,
    /// Shared memory required per launch, in bytes.
    pub shared_memory_size: usize,
    /// Buffer access modes in binding order.
    pub io: Vec<BufferIOAttr>,
}

/// What the compiler would give; `Unsupported` keeps the caller's `_` arm reachable.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// A module for NVIDIA.
    NvptxCode(NvptxModule),
    /// Anything else.
    Unsupported,
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no LLVM in this build")
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(&mut self, _: KernelDefinition, _: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM: enable the feature `cpp` of cubecl-cuda, so that NVRTC compiles".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// What concerns NVIDIA's virtual instruction set.
pub mod nvptx {
    /// The PTX version emitted for the installed driver.
    pub mod ptx_version {
        /// A PTX version. It is only printed into a cache key of the LLVM path, which this crate refuses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(i32);

        impl PtxVersion {
            /// The version for a driver, as `cuDriverGetVersion` reports it.
            pub fn for_driver(driver: i32) -> Option<Self> {
                Some(Self(driver))
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "driver{}", self.0)
            }
        }
    }
}

/// What all targets share.
pub mod shared {
    /// Which device features the LLVM path may advertise.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A kind of GPU.
        #[derive(Clone, Copy, Debug)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Would narrow `props` to what LLVM lowers. Called for the LLVM path only, which this crate refuses.
        pub fn restrict_features(_props: &mut DeviceProperties, _target: GpuTarget) {}
    }
}
