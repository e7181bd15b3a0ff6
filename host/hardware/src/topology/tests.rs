//! Topologies of machines made of files.

use super::*;
use crate::root::fixture::Fixture;
use proptest::prelude::*;

/// What makes a machine: per processor its siblings; per node its processors.
fn machine(online: &str, siblings: &[&str], nodes: &[&str]) -> Fixture {
    let fixture = Fixture::new(&[("/sys/devices/system/cpu/online", online)]);
    for (cpu, list) in siblings.iter().enumerate() {
        fixture.write(&format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"), list);
        fixture.write(&format!("{CPUS}/cpu{cpu}/topology/physical_package_id"), "0\n");
    }
    if !nodes.is_empty() {
        fixture.write(&format!("{NODES}/online"), &format!("0-{}", nodes.len() - 1));
    }
    for (id, cpus) in nodes.iter().enumerate() {
        fixture.write(&format!("{NODES}/node{id}/cpulist"), cpus);
        fixture.write(
            &format!("{NODES}/node{id}/meminfo"),
            &format!("\nNode {id} MemTotal:  {} kB\nNode {id} MemFree: 1 kB\n", (id + 1) << 20),
        );
        let distances: Vec<&str> =
            (0..nodes.len()).map(|other| if other == id { "10" } else { "21" }).collect();
        fixture.write(&format!("{NODES}/node{id}/distance"), &distances.join(" "));
    }
    fixture
}

fn cores(topology: &CpuTopology) -> Vec<(Vec<u32>, u32)> {
    topology.cores.iter().map(|core| (core.cpus.clone(), core.node)).collect()
}

/// Two packages and nodes of two cores of two threads; threads are numbered as on most x86 machines.
fn two_nodes() -> Fixture {
    let siblings = ["0,4", "1,5", "2,6", "3,7"].repeat(2);
    machine("0-7\n", &siblings, &["0-1,4-5\n", "2-3,6-7\n"])
}

#[test]
fn smt_siblings_are_one_core_and_nodes_have_memory_and_distances() {
    let topology = CpuTopology::read(&two_nodes().root());
    assert_eq!(cores(&topology), [(vec![0, 4], 0), (vec![1, 5], 0), (vec![2, 6], 1), (vec![3, 7], 1)]);
    assert!(topology.cores.iter().all(|core| !core.partial && core.package == Some(0)));
    let second = NodeInfo {
        id: 1,
        cpus: vec![2, 3, 6, 7],
        memory_total: Some(Bytes::mib(2048)),
        memory_allowed: true,
        distances: vec![21, 10],
    };
    assert_eq!(topology.nodes[1], second);
}

#[test]
fn offline_processors_are_in_no_core() {
    let fixture = two_nodes();
    fixture.write("/sys/devices/system/cpu/online", "0-3,6\n");
    fixture.write(&format!("{NODES}/node0/cpulist"), "0-1");
    fixture.write(&format!("{NODES}/node1/cpulist"), "2-3,6");
    for cpu in [0, 1, 3] {
        fixture.write(&format!("{CPUS}/cpu{cpu}/topology/thread_siblings_list"), &cpu.to_string());
    }
    let topology = CpuTopology::read(&fixture.root());
    assert_eq!(cores(&topology), [(vec![0], 0), (vec![1], 0), (vec![2, 6], 1), (vec![3], 1)]);
    assert!(topology.cores.iter().all(|core| !core.partial), "an offline sibling disturbs nobody");
}

#[test]
fn processors_that_others_keep_from_us_are_in_no_core_and_make_it_partial() {
    let fixture = two_nodes();
    fixture.write("/proc/self/status", "Cpus_allowed_list:\t0-6\nMems_allowed_list:\t1\n");
    fixture.write("/proc/self/cgroup", "0::/x\n");
    fixture.write("/proc/self/mountinfo", "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    fixture.write("/sys/fs/cgroup/x/cpuset.cpus.effective", "2-7\n");
    let topology = CpuTopology::read(&fixture.root());
    assert_eq!(cores(&topology), [(vec![2, 6], 1), (vec![3], 1), (vec![4], 0), (vec![5], 0)]);
    let partial: Vec<bool> = topology.cores.iter().map(|core| core.partial).collect();
    assert_eq!(partial, [false, true, true, true]);
    let nodes: Vec<_> = topology.nodes.iter().map(|node| (&node.cpus[..], node.memory_allowed)).collect();
    assert_eq!(nodes, [(&[4, 5][..], false), (&[2, 3, 6], true)]);
}

#[test]
fn cores_of_several_kinds_have_their_own_speed_and_capacity() {
    let fixture = machine("0-3\n", &["0-1", "0-1", "2", "3"], &[]);
    for (cpu, khz, capacity) in [(0, 5_200_000, 1024), (2, 3_900_000, 480), (3, 3_900_000, 480)] {
        fixture.write(&format!("{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"), &khz.to_string());
        fixture.write(&format!("{CPUS}/cpu{cpu}/cpu_capacity"), &capacity.to_string());
    }
    let kinds: Vec<_> = CpuTopology::read(&fixture.root())
        .cores
        .into_iter()
        .map(|core| (core.cpus.len(), core.max_mhz, core.capacity))
        .collect();
    assert_eq!(kinds, [(2, Some(5200), Some(1024)), (1, Some(3900), Some(480)), (1, Some(3900), Some(480))]);
}

#[test]
fn a_machine_without_numa_files_is_one_node() {
    let fixture = machine("0-1\n", &["0-1", "0-1"], &[]);
    fixture.write("/proc/meminfo", "MemTotal: 1024 kB\n");
    fixture.write(&format!("{CPUS}/cpu0/topology/physical_package_id"), "-1\n");
    let topology = CpuTopology::read(&fixture.root());
    let node = NodeInfo {
        id: 0,
        cpus: vec![0, 1],
        memory_total: Some(Bytes::mib(1)),
        memory_allowed: true,
        distances: vec![10],
    };
    assert_eq!((topology.nodes, cores(&topology_of(&fixture))), (vec![node], vec![(vec![0, 1], 0)]));
    assert_eq!(topology.cores[0].package, None);
}

fn topology_of(fixture: &Fixture) -> CpuTopology {
    CpuTopology::read(&fixture.root())
}

#[test]
fn nodes_that_contradict_the_processors_are_one_node() {
    for nodes in [["0-1", "1-3"], ["0", "2-3"], ["0-1", "x"]] {
        let topology = topology_of(&machine("0-3\n", &["0", "1", "2", "3"], &nodes));
        assert_eq!((topology.nodes.len(), &topology.nodes[0].cpus[..]), (1, &[0, 1, 2, 3][..]), "{nodes:?}");
    }
}

#[test]
fn a_node_of_memory_alone_is_a_node() {
    let topology = topology_of(&machine("0-1\n", &["0", "1"], &["0-1", "\n"]));
    assert_eq!((topology.nodes[1].cpus.len(), topology.nodes[1].memory_total), (0, Some(Bytes::mib(2048))));
}

#[test]
fn nothing_known_is_no_core() {
    assert_eq!(topology_of(&Fixture::new(&[])), CpuTopology::default());
}

proptest! {
    #[test]
    fn every_allowed_processor_is_in_one_core_whatever_the_files_say(
        allowed in proptest::collection::btree_set(0u32..12, 0..12),
        said in proptest::collection::vec(proptest::option::of(proptest::collection::btree_set(0u32..14, 0..4)), 12),
    ) {
        let list: CpuList = allowed.iter().copied().collect();
        let cores = group(&list, |cpu| Some(said[cpu as usize].clone()?.into_iter().collect()));
        let mut all: Vec<u32> = cores.iter().flat_map(|(cpus, _)| cpus.clone()).collect();
        prop_assert!(cores.iter().all(|(cpus, _)| !cpus.is_empty() && cpus.is_sorted()));
        prop_assert!(cores.iter().map(|(cpus, _)| cpus[0]).is_sorted_by(|a, b| a != b));
        all.sort_unstable();
        prop_assert_eq!(all, allowed.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn no_text_panics(text in "(Node 0 MemTotal: *[0-9]{0,22} ?(kB)?\n){0,2}|[0-9 ]{0,30}|\\PC{0,30}") {
        let (_, _) = (memory_total(&text), distances(&text));
    }
}
