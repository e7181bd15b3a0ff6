//! Capacity on machines made of files: v1, v2, hybrid, nothing.

use super::*;
use crate::root::fixture::Fixture;
use proptest::prelude::*;

/// Four processors and 8 GiB.
fn host(cgroup: &str, mountinfo: &str, allowed: &str) -> Fixture {
    Fixture::new(&[
        ("/sys/devices/system/cpu/online", "0-3\n"),
        ("/proc/meminfo", "MemTotal: 8388608 kB\n"),
        ("/proc/self/status", &format!("Name:\tx\nCpus_allowed_list:\t{allowed}\n")),
        ("/proc/self/cgroup", cgroup),
        ("/proc/self/mountinfo", mountinfo),
    ])
}

fn v1() -> Fixture {
    let fixture = host(
        "3:cpuset:/a\n2:cpu,cpuacct:/a/b\n1:memory:/a/b\n",
        "1 0 0:1 / /cg/cpu rw - cgroup cgroup rw,cpuacct,cpu\n\
         2 0 0:2 / /cg/memory rw - cgroup cgroup rw,memory\n\
         3 0 0:3 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n",
        "0-3",
    );
    for (file, text) in [
        ("/cg/cpu/a/b/cpu.cfs_quota_us", "-1\n"),
        ("/cg/cpu/a/b/cpu.cfs_period_us", "100000\n"),
        ("/cg/cpu/a/cpu.cfs_quota_us", "150000\n"),
        ("/cg/cpu/a/cpu.cfs_period_us", "100000\n"),
        ("/cg/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/cg/memory/a/memory.limit_in_bytes", "1073741824\n"),
        ("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/cg/cpuset/a/cpuset.effective_cpus", "0-2\n"),
        ("/cg/cpuset/cpuset.effective_cpus", "0-3\n"),
    ] {
        fixture.write(file, text);
    }
    fixture
}

#[test]
fn a_v1_ancestor_limits_its_descendants() {
    let fixture = v1();
    let capacity = MachineCapacity::read(&fixture.root());
    assert_eq!((capacity.cpu, capacity.memory), (MilliCpu(1500), Bytes::mib(1024)));
    let quota = capacity.cpu_limits.iter().find(|limit| limit.source == LimitSource::CgroupQuota).unwrap();
    let file = fixture.path().join("cg/cpu/a/cpu.cfs_quota_us");
    assert_eq!(quota.file.as_deref(), file.to_str());
    let sources: Vec<LimitSource> = capacity.cpu_limits.iter().map(|limit| limit.source).collect();
    let (quota, cpuset) = (LimitSource::CgroupQuota, LimitSource::Cpuset);
    assert_eq!(sources, [LimitSource::Online, LimitSource::Affinity, quota, cpuset, cpuset]);
    assert_eq!(capacity.memory_limits.len(), 2, "unlimited is not a limit: {:?}", capacity.memory_limits);
}

#[test]
fn a_v2_chain_counts_at_every_level() {
    let fixture = host("0::/s/u\n", "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0-3");
    for (file, text) in [
        ("s/u/cpu.max", "max 100000\n"),
        ("s/cpu.max", "25000 50000\n"),
        ("s/u/memory.max", "536870912\n"),
        ("s/memory.max", "max\n"),
        ("s/u/cpuset.cpus.effective", "1,3\n"),
        ("cpuset.cpus.effective", "0-3\n"),
    ] {
        fixture.write(&format!("/sys/fs/cgroup/{file}"), text);
    }
    let capacity = MachineCapacity::read(&fixture.root());
    assert_eq!((capacity.cpu, capacity.memory), (MilliCpu(500), Bytes::mib(512)));
    fixture.write("/sys/fs/cgroup/s/cpu.max", "max 50000\n");
    assert_eq!(MachineCapacity::read(&fixture.root()).cpu, MilliCpu(2000), "the cpuset is next");
}

#[test]
fn hybrid_takes_the_lowest_of_both() {
    let fixture = host(
        "1:memory:/m\n0::/u\n",
        "1 0 0:1 / /cg/memory rw - cgroup cgroup rw,memory\n2 0 0:2 / /cg/unified rw - cgroup2 cgroup2 rw\n",
        "2",
    );
    fixture.write("/cg/memory/m/memory.limit_in_bytes", "2147483648\n");
    let capacity = MachineCapacity::read(&fixture.root());
    assert_eq!((capacity.cpu, capacity.memory), (MilliCpu(1000), Bytes::mib(2048)));
    fixture.write("/cg/unified/u/memory.max", "1073741824\n");
    assert_eq!(MachineCapacity::read(&fixture.root()).memory, Bytes::mib(1024));
}

#[test]
fn offline_processors_do_not_count_even_where_allowed() {
    let capacity = MachineCapacity::read(&host("", "", "3-127").root());
    assert_eq!(capacity.cpu, MilliCpu(1000));
    assert_eq!(capacity.memory, Bytes::mib(8192));
}

#[test]
fn nothing_known_is_nothing_to_hand_out() {
    let capacity = MachineCapacity::read(&Fixture::new(&[]).root());
    assert_eq!((capacity.cpu, capacity.memory), (MilliCpu(0), Bytes(0)));
    assert!(capacity.cpu_limits.is_empty() && capacity.memory_limits.is_empty());
}

#[test]
fn sources_are_named_as_people_read_them() {
    let json = serde_json::to_value(MachineCapacity::read(&v1().root())).unwrap();
    assert_eq!(json["cpu_limits"][2]["source"], "cgroup quota");
    assert_eq!(json["memory_limits"][1]["source"], "cgroup limit");
}

proptest! {
    #[test]
    fn a_quota_never_rounds_up(quota in any::<i64>(), period in any::<u64>()) {
        match milli_cpu(quota, period) {
            Some(MilliCpu(milli)) => {
                prop_assert!(quota > 0 && period > 0);
                prop_assert!(u128::from(milli) * u128::from(period) <= u128::from(quota.unsigned_abs()) * 1000);
            }
            None => prop_assert!(quota <= 0 || period == 0),
        }
    }
}
