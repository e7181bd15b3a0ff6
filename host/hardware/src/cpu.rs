//! The processors: model, topology, frequency, NUMA.
//!
//! Topology comes from sysfs (`/sys/devices/system/cpu`, kernel `Documentation/admin-guide/cputopology.rst`), because
//! `/proc/cpuinfo` names cores only on x86 and has no NUMA; cpuinfo is the fallback and the source of the model.
//! Only online processors count: an offline one can't run anything. How much of them may be used is left to
//! [`crate::capacity`], how busy they are to [`crate::sample`].

use crate::cpulist::CpuList;
use crate::root::SystemRoot;
use crate::stat;
use serde::Serialize;
use std::collections::BTreeSet;

const CPUS: &str = "/sys/devices/system/cpu";

/// Where a frequency was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FrequencySource {
    /// The highest `cpufreq/cpuinfo_max_freq`: what the hardware can reach.
    Cpufreq,
    /// The highest `cpu MHz` of `/proc/cpuinfo`. In a virtual machine without cpufreq: what the hypervisor claims.
    Cpuinfo,
}

/// The processors of the machine. Serialises as the `specifications` of the cpu asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CpuInfo {
    /// The name that the processor gives itself. `None` where cpuinfo has none, as on most arm64 machines.
    pub model: Option<String>,
    /// As `uname -m` prints it, e.g. `x86_64`. From the running kernel, not from the system root.
    pub architecture: String,
    /// Physical cores with at least one online thread.
    pub cores: Option<u32>,
    /// Logical processors that are online.
    pub threads: Option<u32>,
    /// Physical packages with at least one online thread.
    pub sockets: Option<u32>,
    /// In MHz; [`Self::frequency_source`] says which frequency it is.
    #[serde(rename = "frequency")]
    pub frequency_mhz: Option<f64>,
    /// Where [`Self::frequency_mhz`] was read.
    pub frequency_source: Option<FrequencySource>,
    /// Online NUMA nodes, memory-only ones included. `None` on a kernel without NUMA.
    pub numa_nodes: Option<u32>,
    /// Whether this is a virtual machine, by the flag that x86 hypervisors set. `None` where there are no such flags.
    pub hypervisor: Option<bool>,
}

impl CpuInfo {
    pub(crate) fn read(root: &SystemRoot) -> Self {
        let cpuinfo: Option<procfs::CpuInfo> = root.parse("/proc/cpuinfo");
        let cpuinfo = cpuinfo.as_ref();
        let online = online(root);
        let frequency = online
            .as_ref()
            .and_then(|online| max_frequency(root, online))
            .map(|mhz| (mhz, FrequencySource::Cpufreq))
            .or_else(|| Some((cpuinfo.and_then(nominal_frequency)?, FrequencySource::Cpuinfo)));
        Self {
            // POWER has `cpu` where x86 has `model name`.
            model: cpuinfo
                .and_then(|info| info.model_name(0).or_else(|| info.get_field(0, "cpu")))
                .filter(|model| !model.is_empty())
                .map(str::to_owned),
            architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
            cores: online
                .as_ref()
                .and_then(|online| distinct(root, online, "thread_siblings_list"))
                .or_else(|| cores_of(cpuinfo?)),
            threads: online.as_ref().map(CpuList::count),
            sockets: online
                .as_ref()
                .and_then(|online| distinct(root, online, "physical_package_id"))
                .or_else(|| sockets_of(cpuinfo?)),
            frequency_mhz: frequency.map(|(mhz, _)| mhz),
            frequency_source: frequency.map(|(_, source)| source),
            numa_nodes: root.value::<CpuList>("/sys/devices/system/node/online").map(|nodes| nodes.count()),
            hypervisor: cpuinfo.and_then(|info| Some(info.flags(0)?.contains(&"hypervisor"))),
        }
    }
}

/// The online processors: sysfs, else the lines of `/proc/stat`, which has one for each online processor.
pub(crate) fn online(root: &SystemRoot) -> Option<CpuList> {
    let listed: Option<CpuList> = root.value(format!("{CPUS}/online"));
    let counted = || Some(stat::parse(&root.text("/proc/stat")?).cores.iter().map(|core| core.cpu).collect());
    listed.or_else(counted).filter(|list| list.count() > 0)
}

/// How many different texts a topology file has over the online processors: one for each core or package. `None`
/// when a processor lacks the file or doesn't know (-1).
fn distinct(root: &SystemRoot, online: &CpuList, file: &str) -> Option<u32> {
    let read = |cpu| root.line(format!("{CPUS}/cpu{cpu}/topology/{file}")).filter(|text| text != "-1");
    let texts: Option<BTreeSet<String>> = online.iter().map(read).collect();
    u32::try_from(texts?.len()).ok()
}

/// In MHz. The highest, because machines with cores of several kinds have several.
fn max_frequency(root: &SystemRoot, online: &CpuList) -> Option<f64> {
    let read = |cpu| root.value::<u32>(format!("{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"));
    online.iter().filter_map(read).filter(|khz| *khz > 0).max().map(|khz| f64::from(khz) / 1000.0)
}

/// In MHz.
fn nominal_frequency(info: &procfs::CpuInfo) -> Option<f64> {
    let read = |cpu| info.get_field(cpu, "cpu MHz")?.parse().ok();
    (0..info.num_cores())
        .filter_map(read)
        .filter(|mhz: &f64| mhz.is_finite() && *mhz > 0.0)
        .max_by(f64::total_cmp)
}

fn cores_of(info: &procfs::CpuInfo) -> Option<u32> {
    let read = |cpu| Some((info.physical_id(cpu)?, info.get_field(cpu, "core id")?));
    let cores: Option<BTreeSet<_>> = (0..info.num_cores()).map(read).collect();
    u32::try_from(cores?.len()).ok()
}

fn sockets_of(info: &procfs::CpuInfo) -> Option<u32> {
    let sockets: Option<BTreeSet<u32>> = (0..info.num_cores()).map(|cpu| info.physical_id(cpu)).collect();
    u32::try_from(sockets?.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::fixture::Fixture;

    /// Two packages of two cores of two threads, the last thread offline; one NUMA node a package.
    fn two_sockets() -> Fixture {
        let fixture = Fixture::new(&[
            ("/sys/devices/system/cpu/online", "0-6\n"),
            ("/sys/devices/system/cpu/present", "0-7\n"),
            ("/sys/devices/system/node/online", "0-1\n"),
        ]);
        let siblings = ["0,4", "1,5", "2,6", "3"];
        for cpu in 0..7 {
            let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
            fixture.write(&format!("{topology}/thread_siblings_list"), siblings[cpu % 4]);
            fixture.write(&format!("{topology}/physical_package_id"), ["0", "0", "1", "1"][cpu % 4]);
        }
        fixture
    }

    #[test]
    fn cores_sockets_and_nodes_of_an_smt_machine() {
        let info = CpuInfo::read(&two_sockets().root());
        assert_eq!(info.threads, Some(7));
        assert_eq!(info.cores, Some(4));
        assert_eq!(info.sockets, Some(2));
        assert_eq!(info.numa_nodes, Some(2));
        assert_eq!((info.model, info.hypervisor, info.frequency_mhz), (None, None, None));
    }

    #[test]
    fn the_fastest_core_gives_the_frequency() {
        let fixture = two_sockets();
        for (cpu, khz) in [(0, "5100000"), (4, "3800000")] {
            fixture.write(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"), khz);
        }
        let info = CpuInfo::read(&fixture.root());
        assert_eq!(info.frequency_mhz, Some(5100.0));
        assert_eq!(info.frequency_source, Some(FrequencySource::Cpufreq));
    }

    #[test]
    fn without_sysfs_cpuinfo_and_stat_are_enough() {
        let one = |cpu: u32, core: u32| {
            format!(
                "processor\t: {cpu}\nmodel name\t: Fast One\ncpu MHz\t\t: 240{cpu}.5\nphysical id\t: 0\n\
                 core id\t\t: {core}\nflags\t\t: fpu hypervisor\n\n"
            )
        };
        let cpuinfo = [one(0, 0), one(1, 0), one(2, 1), one(3, 1)].concat();
        let stat = "cpu 1 0 0 9\ncpu0 1 0 0 9\ncpu1 1 0 0 9\ncpu2 1 0 0 9\ncpu3 1 0 0 9\nintr 5\n";
        let fixture = Fixture::new(&[("/proc/cpuinfo", &cpuinfo), ("/proc/stat", stat)]);
        let info = CpuInfo::read(&fixture.root());
        assert_eq!(info.model.as_deref(), Some("Fast One"));
        assert_eq!((info.cores, info.threads, info.sockets), (Some(2), Some(4), Some(1)));
        assert_eq!(
            (info.frequency_mhz, info.frequency_source),
            (Some(2403.5), Some(FrequencySource::Cpuinfo))
        );
        assert_eq!((info.hypervisor, info.numa_nodes), (Some(true), None));
    }

    #[test]
    fn an_empty_root_gives_only_what_the_kernel_says() {
        let info = CpuInfo::read(&Fixture::new(&[]).root());
        assert_eq!((info.cores, info.threads, info.sockets, info.hypervisor), (None, None, None, None));
        assert!(!info.architecture.is_empty());
    }

    #[test]
    fn specifications_have_the_contracts_members() {
        let json = serde_json::to_value(CpuInfo::read(&two_sockets().root())).unwrap();
        for member in ["cores", "threads", "frequency", "architecture", "model", "numa_nodes"] {
            assert!(json.get(member).is_some(), "{member}");
        }
    }
}
