//! The world as a JSON file. Every member may be left out; a member that is misspelt is an error, for it would be a
//! fault that doesn't happen.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answers of NVML (`nvmlReturn_t`), under their names without `NVML_ERROR_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are NVML's")]
pub enum Code {
    Uninitialized = 1,
    InvalidArgument = 2,
    NotSupported = 3,
    NoPermission = 4,
    NotFound = 6,
    InsufficientSize = 7,
    DriverNotLoaded = 9,
    FunctionNotFound = 13,
    GpuIsLost = 15,
    ResetRequired = 16,
    OperatingSystem = 17,
    LibRmVersionMismatch = 18,
    Unknown = 999,
}

/// A machine with its driver.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// For readers of the file.
    pub about: String,
    /// The driver's version.
    pub driver: Option<String>,
    /// The version of CUDA, 1000 × major + 10 × minor.
    pub cuda: Option<i32>,
    /// Functions that fail, for every device.
    pub errors: BTreeMap<String, Code>,
    /// Functions that this driver doesn't have. [`crate::FakeDriver::without`] takes the symbol itself away.
    pub missing: Vec<String>,
    /// Functions that take this long, in milliseconds.
    pub delays_ms: BTreeMap<String, u64>,
    /// The devices. Their positions here are what [`Self::topology`] means; absent ones keep theirs.
    pub gpus: Vec<Gpu>,
    /// Nearest common ancestors of pairs of GPUs, by position: `nvmlGpuTopologyLevel_t` (0, 10, … 50).
    pub topology: Vec<Pair>,
}

/// How near two GPUs are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see Scenario::topology")]
pub struct Pair {
    pub gpus: [usize; 2],
    pub level: u32,
}

/// A device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the names are NVML's; units are in the names or as in nvml.h")]
pub struct Gpu {
    pub name: Option<String>,
    pub uuid: Option<String>,
    pub minor: Option<u32>,
    /// As NVML prints it: `00000000:65:00.0`.
    pub pci: Option<String>,
    pub architecture: Option<u32>,
    pub memory: Option<Memory>,
    pub utilization: Option<Utilization>,
    pub encoder_percent: Option<u32>,
    pub decoder_percent: Option<u32>,
    pub temperature_celsius: Option<u32>,
    pub power_mw: Option<u32>,
    pub power_limit_mw: Option<u32>,
    pub energy_mj: Option<u64>,
    pub clocks_mhz: Option<Clocks>,
    pub max_clocks_mhz: Option<Clocks>,
    pub throttle_reasons: Option<u64>,
    pub fans_percent: Option<Vec<u32>>,
    pub ecc: Option<Ecc>,
    pub performance_state: Option<u32>,
    pub pcie: Option<Pcie>,
    pub cpus: Option<Vec<u32>>,
    pub numa_nodes: Option<Vec<u32>>,
    pub compute_processes: Option<Vec<Process>>,
    pub graphics_processes: Option<Vec<Process>>,
    /// Whether it is in MIG mode; `None` where it can't be.
    pub mig: Option<bool>,
    /// By slot; `null` is a slot without an instance.
    pub instances: Vec<Option<Instance>>,
    /// The driver doesn't list it.
    pub absent: bool,
    /// It fell off the bus: every call about it says so.
    pub lost: bool,
    /// It falls off the bus after so many calls, and is there again after the next initialisation.
    pub lost_after_calls: Option<u64>,
    /// Functions that fail for this device and its instances.
    pub errors: BTreeMap<String, Code>,
    /// Functions that fail for this device, and not for its instances.
    pub errors_of_whole: BTreeMap<String, Code>,
}

/// Device memory, in bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Memory {
    pub total: u64,
    pub reserved: u64,
    pub used: u64,
}

/// Shares of time, in percent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Utilization {
    pub gpu: u32,
    pub memory: u32,
}

/// Clocks, in MHz.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Clocks {
    pub graphics: u32,
    pub sm: u32,
    pub memory: u32,
}

/// Memory errors that were not corrected.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Ecc {
    pub volatile: u64,
    pub aggregate: u64,
}

/// The link.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Pcie {
    pub generation: u32,
    pub width: u32,
    pub max_generation: u32,
    pub max_width: u32,
    /// In KB/s.
    pub received: u32,
    /// In KB/s.
    pub sent: u32,
    pub replays: u32,
}

/// A process on a device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Process {
    pub pid: u32,
    /// In bytes; `None` is "not available".
    pub memory: Option<u64>,
    pub gpu_instance: Option<u32>,
    pub compute_instance: Option<u32>,
}

/// A MIG instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "as in nvml.h")]
pub struct Instance {
    pub name: Option<String>,
    pub uuid: Option<String>,
    pub gpu_instance: Option<u32>,
    pub compute_instance: Option<u32>,
    pub memory: Option<Memory>,
    pub multiprocessors: Option<u32>,
}

impl Scenario {
    /// Parses a scenario.
    ///
    /// # Errors
    /// When it is not one, with the place.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_member_is_refused() {
        let error = Scenario::parse(r#"{"gpus":[{"temprature_celsius":3}]}"#).unwrap_err();
        assert!(error.to_string().contains("temprature_celsius"), "{error}");
    }

    #[test]
    fn codes_have_nvmls_names() {
        let scenario = Scenario::parse(r#"{"errors":{"nvmlInit_v2":"DRIVER_NOT_LOADED"}}"#).unwrap();
        assert_eq!(scenario.errors.values().map(|code| *code as u32).collect::<Vec<_>>(), [9]);
    }
}
