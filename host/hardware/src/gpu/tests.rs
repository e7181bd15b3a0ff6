//! GPUs without a GPU: the real absence of a driver, and small libraries compiled for the test that answer as NVML.

use std::io::Write as _;

use super::*;
use crate::Hardware;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Compiles `fake_nvml.c` with these macros. `None`, said aloud, where there is no C compiler.
fn fake_library(test: &str, folder: &Path, macros: &[&str]) -> Option<PathBuf> {
    let library = folder.join("libfake.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gpu/fake_nvml.c");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).args(macros).arg(source).status();
    match compiled {
        Ok(status) => {
            assert!(status.success(), "fake_nvml.c doesn't compile");
            Some(library)
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no C compiler: {error}");
            None
        }
    }
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
    let hardware = Hardware::new("/");
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
fn what_the_driver_says_is_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = fake_library("what_the_driver_says_is_what_is_shown", folder.path(), &[]) else {
        return;
    };
    let hardware = Hardware::new("/").with_nvml_library(library);
    assert_eq!(hardware.sample().gpus, None, "a sample never loads the library");
    let found = hardware.inventory().gpus;
    assert_eq!(found.unavailable, None);
    assert_eq!(found.driver.as_deref(), Some("550.54.15"));
    let first = GpuInfo {
        index: 0,
        model: Some("Fake A".to_owned()),
        uuid: Some(GpuUuid("GPU-0".to_owned())),
        memory: Some(Bytes(16 << 30)),
        minor: Some(10),
        pci: Some("00000000:65:00.0".to_owned()),
        architecture: Some("Hopper".to_owned()),
        mig: None,
    };
    assert_eq!(found.gpus[0], first);
    let samples = hardware.sample().gpus.unwrap();
    assert_eq!(samples.len(), 4);
    assert_eq!((samples[0].utilization_percent, samples[0].memory_used), (Some(37.0), Some(Bytes(1 << 30))));
}

#[test]
fn devices_group_by_model_and_lost_ones_stay_visible() {
    let folder = tempfile::tempdir().unwrap();
    let test = "devices_group_by_model_and_lost_ones_stay_visible";
    let Some(library) = fake_library(test, folder.path(), &[]) else { return };
    let groups = GpuReader::new(Some(library)).inventory().groups();
    let shown: Vec<_> = groups.iter().map(|g| (g.model.as_deref(), g.uuid.len(), g.devices.len())).collect();
    assert_eq!(shown, [(Some("Fake A"), 2, 2), (Some("Fake B"), 1, 1), (None, 0, 1)]);
    let json = serde_json::to_value(&groups[0]).unwrap();
    assert_eq!(json["uuid"], serde_json::json!(["GPU-0", "GPU-1"]));
    assert_eq!((&json["driver"], &json["model"]), (&"550.54.15".into(), &"Fake A".into()));
}

#[test]
fn a_lost_library_is_initialised_anew() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = fake_library("a_lost_library_is_initialised_anew", folder.path(), &["-DLOST_ONCE"])
    else {
        return;
    };
    let found = GpuReader::new(Some(library)).inventory();
    assert_eq!((found.gpus.len(), found.unavailable), (4, None));
}

#[test]
fn a_driver_that_hangs_costs_one_wait_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_driver_that_hangs_costs_one_wait_and_no_more";
    let Some(library) = fake_library(test, folder.path(), &["-DHANG"]) else { return };
    let reader = GpuReader::new(Some(library));
    let limit = Duration::from_millis(200);
    let started = Instant::now();
    let why = reader.inventory_within(limit).unavailable.unwrap();
    assert!(why.ends_with("did not answer within 200ms"), "{why}");
    assert!(started.elapsed() >= limit);
    let started = Instant::now();
    let why = reader.inventory_within(Duration::from_secs(60)).unavailable.unwrap();
    assert!(why.ends_with("has not answered an earlier question yet"), "{why}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_slow_driver_is_used_once_it_has_answered() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_slow_driver_is_used_once_it_has_answered";
    let Some(library) = fake_library(test, folder.path(), &["-DSLOW"]) else { return };
    let reader = GpuReader::new(Some(library));
    assert!(reader.inventory_within(Duration::from_millis(20)).unavailable.is_some());
    let deadline = Instant::now() + Duration::from_secs(30);
    while reader.inventory().gpus.is_empty() {
        assert!(Instant::now() < deadline, "it never came back");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(reader.sample().map(|samples| samples.len()), Some(4));
}
