//! Memory: how much there is and how much is free (`/proc/meminfo`, proc_meminfo(5)).
//!
//! Parsed here and not with the `procfs` crate, which refuses the whole file when a line that we never ask for is
//! missing, as under gVisor and lxcfs. Limits on it are left to [`crate::capacity`].

use crate::dmi;
use crate::root::SystemRoot;
use hypermesh_model::Bytes;
use serde::Serialize;

/// The memory of the machine. Serialises as the `specifications` of the memory asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryInfo {
    /// What the kernel manages (`MemTotal`): installed memory less what firmware and kernel code keep. In bytes.
    pub total_memory: Option<Bytes>,
    /// Swap space, in bytes; zero when there is none.
    pub swap_total: Option<Bytes>,
    /// The technology, e.g. `DDR5`, from the firmware's SMBIOS table. `None` where there is no table, as in most
    /// virtual machines, where it may only be read by root and we are not, or where modules differ.
    #[serde(rename = "type")]
    pub memory_type: Option<String>,
}

impl MemoryInfo {
    pub(crate) fn read(root: &SystemRoot) -> Self {
        let now = MemorySample::read(root);
        Self {
            total_memory: now.total,
            swap_total: now.swap_total,
            memory_type: root.bytes(dmi::TABLE).and_then(|table| dmi::memory_type(&table)).map(str::to_owned),
        }
    }
}

/// The use of memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemorySample {
    /// What the kernel manages.
    pub total: Option<Bytes>,
    /// What new work could have without swapping, by the kernel's estimate (since Linux 3.14).
    pub available: Option<Bytes>,
    /// Swap space.
    pub swap_total: Option<Bytes>,
    /// Swap space that is free.
    pub swap_free: Option<Bytes>,
}

impl MemorySample {
    pub(crate) fn read(root: &SystemRoot) -> Self {
        root.text("/proc/meminfo").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        for (name, rest) in text.lines().filter_map(|line| line.split_once(':')) {
            match name {
                "MemTotal" => sample.total = kibibytes(rest),
                "MemAvailable" => sample.available = kibibytes(rest),
                "SwapTotal" => sample.swap_total = kibibytes(rest),
                "SwapFree" => sample.swap_free = kibibytes(rest),
                _ => {}
            }
        }
        sample
    }
}

/// `  24684092 kB`: the kernel writes kB and means KiB.
pub(crate) fn kibibytes(text: &str) -> Option<Bytes> {
    let number: u64 = text.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024).map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;
    use proptest::prelude::*;

    #[test]
    fn a_partial_file_gives_what_it_has() {
        let fixture =
            Fixture::new(&[("/proc/meminfo", "MemTotal:   2048 kB\nSwapTotal: 0 kB\nMemAvailable: x kB\n")]);
        let sample = MemorySample::read(&fixture.root());
        assert_eq!((sample.total, sample.available), (Some(Bytes(2_097_152)), None));
        assert_eq!((sample.swap_total, sample.swap_free), (Some(Bytes(0)), None));
    }

    #[test]
    fn an_unknown_type_is_null_and_not_absent() {
        let json = serde_json::to_value(MemoryInfo::read(&Fixture::new(&[]).root())).unwrap();
        assert_eq!(json, serde_json::json!({ "total_memory": null, "swap_total": null, "type": null }));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "((MemTotal|SwapFree): *[0-9]{0,22} ?(kB)?\n){0,3}|\\PC{0,40}") {
            let _ = MemorySample::parse(&text);
        }
    }
}
