//! GPUs without a GPU: the real absence of a driver, and the fake library in many worlds.

mod loss;
mod worlds;

use super::*;
use hypermesh_fake_nvml::FakeDriver;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A reader of this driver, which has not been asked anything yet.
fn reader(driver: &FakeDriver) -> GpuReader {
    GpuReader::new(Some(driver.library()))
}

#[test]
fn without_a_driver_there_are_no_gpus_and_a_reason() {
    if Path::new("/proc/driver/nvidia/version").exists() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED without_a_driver_there_are_no_gpus_and_a_reason: this machine has an NVIDIA driver"
        );
        return;
    }
    let hardware = crate::Hardware::new("/");
    let gpus = hardware.inventory().gpus;
    assert_eq!((gpus.gpus.len(), &gpus.driver), (0, &None));
    let why = gpus.unavailable.unwrap();
    assert!(why.starts_with("libnvidia-ml.so.1 could not be "), "{why}");
    assert_eq!(hardware.sample().gpus, None);
}

#[test]
fn a_library_that_is_not_nvml_is_refused_and_tried_again() {
    let reader = GpuReader::new(Some(PathBuf::from("/dev/null")));
    for _ in 0..2 {
        let why = reader.inventory().unavailable.unwrap();
        assert!(why.starts_with("/dev/null could not be loaded: "), "{why}");
    }
}

#[test]
fn a_driver_that_hangs_costs_one_wait_and_no_more() {
    let mut world = hypermesh_fake_nvml::driver::scenario("two-gpus");
    world.delays_ms.insert("nvmlInit_v2".into(), 3_600_000);
    let driver = FakeDriver::new(&world);
    let reader = reader(&driver);
    let limit = Duration::from_millis(200);
    let started = Instant::now();
    let why = reader.inventory_within(limit).unavailable.unwrap();
    assert!(why.ends_with("did not answer within 200ms"), "{why}");
    assert!(started.elapsed() >= limit);
    let why = reader.inventory_within(Duration::from_secs(60)).unavailable.unwrap();
    assert!(why.ends_with("has not answered an earlier question yet"), "{why}");
}

#[test]
fn a_slow_driver_is_used_once_it_has_answered() {
    let mut world = hypermesh_fake_nvml::driver::scenario("two-gpus");
    world.delays_ms.insert("nvmlInit_v2".into(), 300);
    let driver = FakeDriver::new(&world);
    let reader = reader(&driver);
    assert!(reader.inventory_within(Duration::from_millis(20)).unavailable.is_some());
    until(|| !reader.inventory().gpus.is_empty());
    assert_eq!(reader.sample().map(|samples| samples.len()), Some(2));
}

/// Waits for what another thread brings about.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::sleep(Duration::from_millis(10));
    }
}
