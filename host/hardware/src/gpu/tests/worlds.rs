//! What is shown of devices that are as they are.

use super::*;
use crate::root::fixture::Fixture;
use hypermesh_fake_nvml::driver::scenario;
use hypermesh_fake_nvml::scenario::Code;
use hypermesh_model::{Bytes, GpuUuid};

const GIB: u64 = 1 << 30;

fn uuid(text: &str) -> Option<GpuUuid> {
    Some(GpuUuid(text.to_owned()))
}

#[test]
fn what_the_driver_says_is_what_is_shown() {
    let driver = FakeDriver::named("two-gpus");
    let hardware = crate::Hardware::new("/").with_nvml_library(driver.library());
    assert_eq!(hardware.sample().gpus, None, "a sample never loads the library");
    let found = hardware.inventory().gpus;
    assert_eq!((found.unavailable, found.driver.as_deref()), (None, Some("550.54.15")));
    assert_eq!(found.cuda.as_deref(), Some("12.4"));
    let first = GpuInfo {
        index: 0,
        model: Some("NVIDIA H100 PCIe".to_owned()),
        uuid: uuid("GPU-01111111-0000-4000-8000-000000000000"),
        memory: Some(Bytes(80 * GIB)),
        minor: Some(0),
        pci: Some("00000000:17:00.0".to_owned()),
        architecture: Some("Hopper".to_owned()),
        mig: Some(false),
        instances: Vec::new(),
        numa_node: Some(0),
        cpus: Some(vec![0, 1, 2, 3]),
        pcie: PcieLink { generation: Some(4), width: Some(16), max_generation: Some(5), max_width: Some(16) },
        max_clocks: GpuClocks { graphics: Some(1980), sm: Some(1980), memory: Some(1593) },
        unavailable: None,
        lost: false,
    };
    assert_eq!(found.gpus[0], first);
    assert_eq!(found.topology, [GpuPair { gpus: [0, 1], ancestor: TopologyLevel::System }]);
}

#[test]
fn a_sample_has_every_number_that_the_driver_gives() {
    let driver = FakeDriver::named("two-gpus");
    let reader = reader(&driver);
    assert_eq!(reader.inventory().gpus.len(), 2);
    let first = reader.sample().unwrap().remove(0);
    let process = |pid, memory_used, kind| GpuProcess {
        pid,
        memory_used,
        kind,
        gpu_instance: None,
        compute_instance: None,
    };
    let expected = GpuSample {
        index: 0,
        uuid: uuid("GPU-01111111-0000-4000-8000-000000000000"),
        lost: false,
        utilization_percent: Some(37.0),
        memory_utilization_percent: Some(5.0),
        encoder_percent: Some(0),
        decoder_percent: Some(0),
        memory_used: Some(Bytes(2 * GIB)),
        memory_free: Some(Bytes(78 * GIB - Bytes::mib(640).0)),
        memory_reserved: Some(Bytes::mib(640)),
        temperature_celsius: Some(41),
        power_watts: Some(84.5),
        power_limit_watts: Some(350.0),
        energy_millijoules: Some(123_456_789),
        clocks: GpuClocks { graphics: Some(1755), sm: Some(1755), memory: Some(1593) },
        throttle_reasons: Some(vec![ThrottleReason::SwPowerCap]),
        fan_percent: None,
        ecc_uncorrected: EccErrors { since_load: Some(0), lifetime: Some(0) },
        performance_state: Some(0),
        pcie: PcieTraffic { received: Some(2 << 20), sent: Some(1 << 20), replays: Some(0) },
        processes: Some(vec![
            process(4242, Some(Bytes::mib(1536)), ProcessKind::ComputeAndGraphics),
            process(4300, None, ProcessKind::Compute),
        ]),
        instances: Vec::new(),
    };
    assert_eq!(first, expected);
    let json = serde_json::to_value(&first).unwrap();
    assert_eq!(json["throttle_reasons"], serde_json::json!(["sw_power_cap"]));
    assert_eq!(json["processes"][0]["kind"], "compute_and_graphics");
    assert_eq!(json["fan_percent"], serde_json::Value::Null);
}

#[test]
fn links_are_measured_in_turn() {
    let driver = FakeDriver::named("two-gpus");
    let reader = reader(&driver);
    reader.inventory();
    let measured = || -> Vec<bool> {
        reader.sample().unwrap().iter().map(|sample| sample.pcie.received.is_some()).collect()
    };
    assert_eq!(measured(), [true, false]);
    assert_eq!(measured(), [true, true]);
}

#[test]
fn devices_group_by_model() {
    let driver = FakeDriver::named("two-models");
    let found = reader(&driver).inventory();
    let groups = found.groups();
    let shown: Vec<_> = groups.iter().map(|g| (g.model.as_deref(), g.uuid.len(), g.devices.len())).collect();
    assert_eq!(shown, [(Some("NVIDIA H100 PCIe"), 2, 2), (Some("NVIDIA GeForce RTX 4090"), 1, 1)]);
    let json = serde_json::to_value(&groups[0]).unwrap();
    assert_eq!(json["uuid"][1], "GPU-11111111-0000-4000-8000-000000000001");
    assert_eq!((&json["driver"], &json["model"]), (&"550.54.15".into(), &"NVIDIA H100 PCIe".into()));
    let gaming = &found.gpus[2];
    assert_eq!((gaming.mig, found.topology.len()), (None, 3));
}

#[test]
fn a_divided_gpu_is_leased_by_its_instances() {
    let driver = FakeDriver::named("mig");
    let reader = reader(&driver);
    let found = reader.inventory();
    let parent = uuid("GPU-01111111-0000-4000-8000-000000000000");
    let first = MigInstance {
        uuid: uuid("MIG-00000001-aaaa-5000-8000-000000000000"),
        profile: Some("3g.40gb".to_owned()),
        gpu_instance: Some(1),
        compute_instance: Some(0),
        memory: Some(Bytes(40 * GIB - Bytes::mib(512).0)),
        multiprocessors: Some(42),
        parent: parent.clone(),
    };
    assert_eq!((found.gpus[0].mig, found.gpus[0].instances.len()), (Some(true), 3));
    assert_eq!(found.gpus[0].instances[0], first);
    let groups = found.groups();
    let shown: Vec<_> = groups
        .iter()
        .map(|g| (g.model.as_deref().unwrap(), g.uuid.len(), g.devices.len(), g.instances.len()))
        .collect();
    let a100 = "NVIDIA A100-SXM4-80GB";
    let parts = [format!("{a100} MIG 3g.40gb"), format!("{a100} MIG 1g.10gb")];
    assert_eq!(shown, [(a100, 1, 2, 0), (&parts[0], 1, 0, 1), (&parts[1], 2, 0, 2)]);
    assert!(!found.leasable().contains(&parent.unwrap()));
    let sample = reader.sample().unwrap().remove(0);
    assert_eq!(sample.utilization_percent, None, "a divided GPU has none");
    let processes = sample.processes.unwrap();
    let place = |n: usize| (processes[n].pid, processes[n].gpu_instance, processes[n].compute_instance);
    assert_eq!((place(0), place(1)), ((71, Some(1), Some(0)), (72, Some(4), Some(0))));
    assert_eq!(sample.instances.len(), 3);
    assert_eq!(sample.instances[2].memory_used, Some(Bytes::mib(75)));
}

#[test]
fn who_may_not_see_all_of_a_divided_gpu_asks_its_instances() {
    let mut world = scenario("mig");
    for kind in ["Compute", "Graphics"] {
        let function = format!("nvmlDeviceGet{kind}RunningProcesses_v3");
        world.gpus[0].errors_of_whole.insert(function, Code::NoPermission);
    }
    let driver = FakeDriver::new(&world);
    let reader = reader(&driver);
    reader.inventory();
    let processes = reader.sample().unwrap().remove(0).processes.unwrap();
    let found: Vec<_> = processes.iter().map(|process| (process.pid, process.gpu_instance)).collect();
    assert_eq!(found, [(71, Some(1)), (72, Some(4))]);
}

#[test]
fn what_a_device_does_not_support_is_null() {
    let driver = FakeDriver::named("not-supported");
    let reader = reader(&driver);
    let found = reader.inventory();
    let quiet = GpuInfo {
        model: Some("Quiet GPU".to_owned()),
        uuid: uuid("GPU-99999999-0000-4000-8000-000000000009"),
        ..GpuInfo::default()
    };
    assert_eq!((&found.gpus, found.cuda), (&vec![quiet.clone()], None));
    let silent = GpuSample { uuid: quiet.uuid, ..GpuSample::default() };
    assert_eq!(reader.sample(), Some(vec![silent]));
}

/// The functions that came with R510.
const SINCE_R510: [&str; 3] = [
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
];
/// The functions that came with R450.
const SINCE_R450: [&str; 2] =
    ["nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetGraphicsRunningProcesses_v2"];

/// What an old driver says is the same, but that what it keeps for itself counts as used.
fn check_old(driver: &FakeDriver) {
    let reader = reader(driver);
    let found = reader.inventory();
    assert_eq!(found.gpus[0].memory, Some(Bytes(80 * GIB)));
    let sample = reader.sample().unwrap().remove(0);
    assert_eq!(
        (sample.memory_used, sample.memory_reserved),
        (Some(Bytes(2 * GIB + Bytes::mib(640).0)), None)
    );
    assert_eq!(sample.memory_free, Some(Bytes(78 * GIB - Bytes::mib(640).0)));
    let processes = sample.processes.unwrap();
    assert_eq!(processes.len(), 2);
    assert_eq!(processes[0].kind, ProcessKind::ComputeAndGraphics);
    assert_eq!((processes[0].memory_used, processes[1].memory_used), (Some(Bytes::mib(1536)), None));
    assert_eq!(processes[0].gpu_instance, None);
}

#[test]
fn a_driver_that_says_it_lacks_the_new_calls_is_asked_the_old_ones() {
    check_old(&FakeDriver::named("old-driver"));
}

#[test]
fn a_driver_without_the_symbols_of_r510_is_asked_the_old_ones() {
    check_old(&FakeDriver::named("two-gpus").without(&SINCE_R510));
}

#[test]
fn a_driver_without_the_symbols_of_r450_is_asked_the_oldest_ones() {
    check_old(&FakeDriver::named("two-gpus").without(&SINCE_R510).without(&SINCE_R450));
}

#[test]
fn what_this_user_may_not_ask_stays_visible_with_the_reason() {
    let driver = FakeDriver::named("no-permission");
    let reader = reader(&driver);
    let found = reader.inventory();
    let closed = &found.gpus[1];
    assert_eq!((closed.index, &closed.uuid, closed.lost), (1, &None, false));
    assert!(closed.unavailable.as_deref().unwrap().contains("permission"), "{closed:?}");
    assert_eq!(found.leasable().len(), 1);
    assert!(!reader.sample().unwrap()[1].lost);
}

#[test]
fn the_kernel_says_where_a_device_sits() {
    let driver = FakeDriver::named("two-gpus");
    let fixture = Fixture::new(&[
        ("/sys/bus/pci/devices/0000:17:00.0/numa_node", "3\n"),
        ("/sys/bus/pci/devices/0000:ca:00.0/numa_node", "-1\n"),
    ]);
    let hardware = crate::Hardware::new(fixture.path()).with_nvml_library(driver.library());
    let nodes: Vec<_> = hardware.gpus().gpus.iter().map(|gpu| gpu.numa_node).collect();
    assert_eq!(nodes, [Some(3), Some(1)]);
}
