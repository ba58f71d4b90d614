//! Names a device and opens it: the only crate with backend features.
//!
//! ```
//! use homeostat_device::{DeviceChoice, open};
//!
//! let choice: DeviceChoice = "cpu".parse()?;
//! let device = open(choice)?;
//! assert_eq!(choice.to_string(), "cpu");
//! # let _ = device; Ok::<(), homeostat_device::DeviceError>(())
//! ```
//!
//! It does not know networks, data, or anything else of Homeostat. Features choose backends here (and in the kernels below) and nowhere else, so
//! several backends can be built in at once and are chosen at run time.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

/// A device that a user can ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device if this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU, by Burn's maintained CPU backend (burn-flex).
    Cpu,
    /// The CPU, by burn-ndarray: a slow second opinion on numerics.
    Ndarray,
    /// The CUDA device of this index.
    Cuda(usize),
}

/// Why a device cannot be had.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    /// The name is none of the known ones.
    #[error("unknown device `{name}`: give cpu, cuda, cuda:1, ndarray or auto")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The backend is not part of this build.
    #[error(
        "device `{device}` is not in this build: build with `--features {feature}` (`cargo xtask train --device {device}` does)"
    )]
    NotBuilt {
        /// What was asked for.
        device: DeviceChoice,
        /// The feature that brings it.
        feature: &'static str,
    },
    /// The backend is built in, but the machine has no such device.
    #[error("device `{device}` is not on this machine: {reason}")]
    Absent {
        /// What was asked for.
        device: DeviceChoice,
        /// What is missing, and how to mend it.
        reason: String,
    },
}

impl DeviceChoice {
    /// The cargo feature that brings the backend.
    #[must_use]
    pub fn feature(self) -> &'static str {
        match self {
            Self::Auto | Self::Cpu => "cpu",
            Self::Ndarray => "ndarray",
            Self::Cuda(_) => "cuda",
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "ndarray" => Ok(Self::Ndarray),
            "cuda" => Ok(Self::Cuda(0)),
            _ => name
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Ndarray => f.write_str("ndarray"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// What `auto` means here: the first CUDA device if there is one, else the CPU.
#[must_use]
pub fn resolve(choice: DeviceChoice) -> DeviceChoice {
    match choice {
        DeviceChoice::Auto if cuda::count().is_ok_and(|count| count > 0) => DeviceChoice::Cuda(0),
        DeviceChoice::Auto => DeviceChoice::Cpu,
        other => other,
    }
}

/// Opens a device. The result computes without gradients; `.autodiff()` on it adds them.
///
/// # Errors
/// The backend is not in this build, or the machine has no such device.
pub fn open(choice: DeviceChoice) -> Result<Device, DeviceError> {
    match resolve(choice) {
        #[cfg(feature = "cpu")]
        DeviceChoice::Cpu => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        DeviceChoice::Ndarray =>
        {
            #[expect(deprecated, reason = "offered on purpose, as a second opinion on numerics")]
            Ok(Device::ndarray())
        }
        DeviceChoice::Cuda(index) => cuda::open(index),
        #[allow(unreachable_patterns, reason = "with every backend built in, nothing is missing")]
        missing => Err(DeviceError::NotBuilt { device: missing, feature: missing.feature() }),
    }
}

/// The features of this build, by name.
#[must_use]
pub fn built_in() -> Vec<&'static str> {
    let all =
        [("cpu", cfg!(feature = "cpu")), ("ndarray", cfg!(feature = "ndarray")), ("cuda", cfg!(feature = "cuda"))];
    all.into_iter().filter_map(|(name, on)| on.then_some(name)).collect()
}

/// One line of `homeostat devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// The name to ask for.
    pub choice: DeviceChoice,
    /// Whether it can be opened, or why not.
    pub state: Result<String, DeviceError>,
}

/// Every kind of device, with whether it can be opened here.
#[must_use]
pub fn survey() -> Vec<DeviceReport> {
    let describe = |choice: DeviceChoice| match choice {
        DeviceChoice::Cuda(index) => cuda::name(index),
        _ => format!("{} threads", std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
    };
    let cuda_devices = (0..cuda::count().unwrap_or(0).max(1)).map(DeviceChoice::Cuda);
    [DeviceChoice::Cpu, DeviceChoice::Ndarray]
        .into_iter()
        .chain(cuda_devices)
        .map(|choice| DeviceReport { choice, state: open(choice).map(|_| describe(choice)) })
        .collect()
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::{Device, DeviceChoice, DeviceError};

    /// How many devices the driver shows. The backend panics where driver or toolkit is missing, so both are looked for first.
    pub(super) fn count() -> Result<usize, String> {
        if !driver_is_here() {
            return Err("the NVIDIA driver (libcuda) is missing: install it, or use --device cpu".to_owned());
        }
        if cubecl_cuda::install::cuda_path().is_none() {
            return Err("the CUDA toolkit (NVRTC and its headers) is missing: install it and set CUDA_PATH to its folder, or use --device cpu".to_owned());
        }
        std::panic::catch_unwind(|| Device::enumerate(burn::tensor::DeviceType::Cuda).len()).map_err(|_| {
            "the CUDA driver does not answer (does `nvidia-smi` work?): mend it, or use --device cpu".to_owned()
        })
    }

    pub(super) fn open(index: usize) -> Result<Device, DeviceError> {
        let device = DeviceChoice::Cuda(index);
        match count() {
            Ok(count) if index < count => Ok(Device::cuda(index)),
            Ok(count) => Err(DeviceError::Absent {
                device,
                reason: format!("the driver shows {count} device(s), numbered from 0"),
            }),
            Err(reason) => Err(DeviceError::Absent { device, reason }),
        }
    }

    pub(super) fn name(index: usize) -> String {
        Device::cuda(index).identity().map_or_else(|| format!("CUDA device {index}"), |identity| identity.name)
    }

    fn driver_is_here() -> bool {
        ["/dev/nvidiactl", "/dev/dxg"].iter().any(|path| std::path::Path::new(path).exists())
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::{Device, DeviceChoice, DeviceError};

    pub(super) fn count() -> Result<usize, String> {
        Ok(0)
    }

    pub(super) fn open(index: usize) -> Result<Device, DeviceError> {
        Err(DeviceError::NotBuilt { device: DeviceChoice::Cuda(index), feature: "cuda" })
    }

    pub(super) fn name(index: usize) -> String {
        format!("CUDA device {index}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_named() {
        for name in ["auto", "cpu", "ndarray", "cuda", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        let error = "gpu".parse::<DeviceChoice>().unwrap_err().to_string();
        assert!(error.contains("`gpu`") && error.contains("cuda:1"), "{error}");
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
    }

    #[test]
    fn a_missing_backend_names_its_feature_or_what_the_machine_lacks() {
        if let Err(error) = open(DeviceChoice::Cuda(99)) {
            let text = error.to_string();
            assert!(text.contains("--features cuda") || text.contains("not on this machine"), "{text}");
            assert_eq!(text.lines().count(), 1);
        } else {
            panic!("no machine has a hundred CUDA devices");
        }
        assert_eq!(survey()[0].choice, DeviceChoice::Cpu);
        assert!(survey()[0].state.is_ok());
    }
}
