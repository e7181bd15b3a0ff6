//! The node's hardware is registered as the machine itself tells it.

use hypermesh_harness::{Node, allocation, has_tool, skip};
use hypermesh_wire::assets::{Asset, AssetQuery, AssetType};
use std::fs;
use std::path::Path;
use std::process::Command;

fn assets(node: &Node, asset_type: AssetType) -> Vec<Asset> {
    node.client().assets(&AssetQuery { asset_type: Some(asset_type), ..AssetQuery::default() }).unwrap()
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_cpu_asset_is_what_nproc_and_lscpu_say() {
    let node = Node::start();
    let [cpu] = &assets(&node, AssetType::Cpu)[..] else { panic!("one cpu asset") };
    let capacity = &cpu.allocation;
    assert_eq!((capacity.total_capacity, capacity.unit.as_str()), (100.0, "percentage"));
    assert_eq!((capacity.allocated_capacity, capacity.available_capacity), (0.0, 100.0));

    // `nproc` counts what affinity allows. A quota of our own group may make the pool smaller still.
    let usable: u32 = said_by("nproc", &[]).trim().parse().unwrap();
    let half = node.client().allocate(&allocation(&cpu.id, 50.0));
    match half {
        Ok(half) => {
            let pool = half.resources.cpu_millis.unwrap() * 2;
            eprintln!("nproc {usable}, pool {pool}m, {}", cpu.specifications["capacity_limits"]);
            assert!(pool <= usable * 1000, "pool {pool}m, nproc {usable}");
            let limits = cpu.specifications["capacity_limits"].to_string();
            assert!(
                pool == usable * 1000 || limits.contains("cgroup"),
                "pool {pool}m, nproc {usable}: {limits}"
            );
        }
        Err(error) => assert_eq!(error.status(), Some(422), "{error}"),
    }

    if !has_tool("lscpu") {
        skip!("lscpu is not installed");
    }
    let lscpu = said_by("lscpu", &[]);
    let value = |name: &str| {
        let line = lscpu.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned()).filter(|value| value != "-")
    };
    if let Some(model) = value("Model name") {
        assert_eq!(cpu.specifications["model"], model);
        assert_eq!(cpu.name, model);
    }
    assert_eq!(cpu.specifications["architecture"], value("Architecture").unwrap());
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    if let (Some(per_socket), Some(sockets)) = (number("Core(s) per socket"), number("Socket(s)")) {
        assert_eq!(cpu.specifications["cores"], per_socket * sockets);
    }
    if let Some(numa) = number("NUMA node(s)") {
        assert_eq!(cpu.specifications["numa_nodes"], numa);
    }
}

#[test]
fn the_memory_asset_is_what_meminfo_says() {
    let node = Node::start();
    let [memory] = &assets(&node, AssetType::Memory)[..] else { panic!("one memory asset") };
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let kib: u64 = total.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(memory.specifications["total_memory"], kib * 1024);
    let capacity = &memory.allocation;
    assert_eq!(capacity.unit, "GB");
    assert!(capacity.total_capacity > 0.0 && capacity.total_capacity * 1e9 <= (kib * 1024) as f64);
    assert!(capacity.available_capacity < capacity.total_capacity, "the system itself holds some");
    let limits = memory.specifications["capacity_limits"].to_string();
    let is_all = (capacity.total_capacity * 1e9 - (kib * 1024) as f64).abs() < 1.0;
    assert!(is_all || limits.contains("cgroup"), "{} GB: {limits}", capacity.total_capacity);
}

#[test]
fn gpus_are_registered_only_where_a_driver_is() {
    let node = Node::start();
    let gpus = assets(&node, AssetType::Gpu);
    if Path::new("/proc/driver/nvidia/version").exists() {
        let devices = fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count);
        let registered: f64 = gpus.iter().map(|gpu| gpu.allocation.total_capacity).sum();
        assert!(registered <= devices as f64, "{registered} of {devices}");
    } else {
        assert!(gpus.is_empty(), "{gpus:?}");
    }
}

#[test]
fn every_physical_interface_is_an_asset_and_no_other() {
    let node = Node::start();
    let mut registered: Vec<String> = assets(&node, AssetType::Network).into_iter().map(|a| a.name).collect();
    let interfaces = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().path());
    // A device behind it is what makes an interface physical.
    let physical = interfaces.filter(|path| path.join("device").exists());
    let mut expected: Vec<String> =
        physical.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    registered.sort();
    expected.sort();
    assert_eq!(registered, expected);
}

#[test]
fn storage_is_the_file_system_of_the_data_folder() {
    let node = Node::start();
    let [storage] = &assets(&node, AssetType::Storage)[..] else { panic!("one storage asset") };
    let folder = node.data_dir();
    let df = said_by("df", &["--block-size=1", "--output=size", folder.to_str().unwrap()]);
    let size: f64 = df.lines().last().unwrap().trim().parse().unwrap();
    assert!(
        (storage.allocation.total_capacity * 1e9 - size).abs() < 1.0,
        "{} GB, df {size}",
        storage.allocation.total_capacity
    );
    assert_eq!(storage.allocation.unit, "GB");
}
