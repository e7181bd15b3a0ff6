//! Where a GPU sits: what sysfs says of its PCI device (kernel `Documentation/ABI/testing/sysfs-bus-pci`).
//!
//! The kernel's word on the NUMA node goes before NVML's, which only speaks of memory; for the processors NVML's word is
//! taken, and sysfs is the fallback.

use super::GpuInfo;
use crate::cpulist::CpuList;
use crate::root::SystemRoot;

/// Completes what NVML said.
pub(crate) fn place(root: &SystemRoot, gpus: &mut [GpuInfo]) {
    for gpu in gpus {
        let Some(folder) = gpu.pci.as_deref().and_then(folder) else { continue };
        // -1 on machines with one node or a firmware that doesn't say.
        let node = root.value::<i64>(format!("{folder}/numa_node")).and_then(|node| u32::try_from(node).ok());
        gpu.numa_node = node.or(gpu.numa_node);
        if gpu.cpus.is_none() {
            let local: Option<CpuList> = root.value(format!("{folder}/local_cpulist"));
            gpu.cpus = local.filter(|cpus| cpus.count() > 0).map(|cpus| cpus.iter().collect());
        }
    }
}

/// NVML writes `00000000:CA:00.0`, sysfs `0000:ca:00.0`: the domain has four digits unless it needs more.
fn folder(pci: &str) -> Option<String> {
    let (domain, rest) = pci.split_once(':')?;
    let domain = u32::from_str_radix(domain, 16).ok()?;
    let plain = rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.');
    plain.then(|| format!("/sys/bus/pci/devices/{domain:04x}:{}", rest.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;

    #[test]
    fn the_kernel_places_what_nvml_names() {
        let fixture = Fixture::new(&[
            ("/sys/bus/pci/devices/0000:ca:00.0/numa_node", "1\n"),
            ("/sys/bus/pci/devices/0000:ca:00.0/local_cpulist", "4-5,7\n"),
            ("/sys/bus/pci/devices/10000:17:00.0/numa_node", "-1\n"),
        ]);
        let gpu = |pci: &str| GpuInfo { pci: Some(pci.into()), numa_node: Some(9), ..GpuInfo::default() };
        let mut gpus = [gpu("00000000:CA:00.0"), gpu("00010000:17:00.0"), gpu("0:../x"), GpuInfo::default()];
        place(&fixture.root(), &mut gpus);
        let places: Vec<_> = gpus.iter().map(|gpu| (gpu.numa_node, gpu.cpus.clone())).collect();
        let unknown = (Some(9), None);
        assert_eq!(places, [(Some(1), Some(vec![4, 5, 7])), unknown.clone(), unknown, (None, None)]);
    }
}
