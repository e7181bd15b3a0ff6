//! Devices and drivers that go and come back.

use super::*;
use hypermesh_fake_nvml::driver::scenario;
use hypermesh_fake_nvml::scenario::Code;

/// So short that a test needn't wait, and so long that a question comes before.
const SOON: Duration = Duration::from_millis(50);

/// A wait that no test sees the end of.
const LATER: Duration = Duration::from_secs(3600);

#[test]
fn a_lost_device_stays_listed_and_is_there_again_when_it_returns() {
    let mut world = scenario("two-gpus");
    let driver = FakeDriver::new(&world);
    let reader = reader(&driver).waiting_first(SOON);
    let healthy = reader.inventory();
    world.gpus[1].lost = true;
    driver.set(&world);
    let sample = reader.sample().unwrap();
    assert_eq!((sample[0].lost, sample[1].lost), (false, true));
    assert_eq!((&sample[1].uuid, sample[1].temperature_celsius), (&healthy.gpus[1].uuid, None));
    let found = reader.inventory();
    assert_eq!(found.gpus[0], healthy.gpus[0], "the other one is asked on");
    let lost = &found.gpus[1];
    assert!(lost.lost && lost.unavailable.as_deref().unwrap().contains("fell off the bus"), "{lost:?}");
    assert_eq!((&lost.uuid, lost.minor), (&healthy.gpus[1].uuid, healthy.gpus[1].minor));
    assert_eq!((lost.mig, lost.pcie, &lost.cpus), (None, PcieLink::default(), &None));
    let groups = found.groups();
    assert_eq!((groups.len(), groups[0].uuid.len(), groups[0].devices.len()), (1, 1, 2));
    world.gpus[1].lost = false;
    driver.set(&world);
    until(|| reader.sample().is_some_and(|samples| !samples[1].lost));
    assert_eq!(reader.inventory(), healthy);
}

#[test]
fn a_device_that_was_lost_before_anybody_asked_is_listed_with_nulls() {
    let driver = FakeDriver::named("lost-gpu");
    let reader = reader(&driver);
    let found = reader.inventory();
    let lost = &found.gpus[1];
    assert_eq!((lost.index, &lost.uuid, &lost.model, lost.lost), (1, &None, &None, true));
    assert_eq!(found.leasable().len(), 1);
    let groups: Vec<_> = found.groups().into_iter().map(|g| (g.model.is_some(), g.uuid.len())).collect();
    assert_eq!(groups, [(true, 1), (false, 0)]);
}

#[test]
fn a_loss_that_only_a_new_initialisation_heals_is_healed() {
    let driver = FakeDriver::named("falls-off-the-bus");
    let reader = reader(&driver).waiting_first(SOON);
    assert_eq!(reader.inventory().leasable().len(), 2);
    until(|| reader.sample().is_some_and(|samples| samples[1].lost));
    until(|| reader.sample().is_some_and(|samples| !samples[1].lost));
}

#[test]
fn between_attempts_the_library_is_left_alone() {
    let driver = FakeDriver::named("falls-off-the-bus");
    let reader = reader(&driver).waiting_first(LATER);
    reader.inventory();
    until(|| reader.sample().is_some_and(|samples| samples[1].lost));
    for _ in 0..20 {
        let samples = reader.sample().unwrap();
        assert!(samples[1].lost && !samples[0].lost);
    }
}

#[test]
fn a_device_that_the_driver_no_longer_lists_stays_listed() {
    let mut world = scenario("two-gpus");
    let driver = FakeDriver::new(&world);
    let reader = reader(&driver).waiting_first(SOON);
    let healthy = reader.inventory();
    world.gpus[0].absent = true;
    driver.set(&world);
    let found = reader.inventory();
    assert_eq!((&found.gpus[0].uuid, found.gpus[0].index), (&healthy.gpus[1].uuid, 0), "it moved up");
    assert_eq!((&found.gpus[1].uuid, found.gpus[1].lost), (&healthy.gpus[0].uuid, true));
    let samples = reader.sample().unwrap();
    assert_eq!((samples[0].lost, &samples[1].uuid, samples[1].lost), (false, &healthy.gpus[0].uuid, true));
    world.gpus[0].absent = false;
    driver.set(&world);
    until(|| reader.sample().is_some_and(|samples| samples.iter().all(|sample| !sample.lost)));
    assert_eq!(reader.inventory(), healthy);
}

#[test]
fn a_driver_that_is_unloaded_is_found_again_by_samples_alone() {
    let mut world = scenario("two-gpus");
    let driver = FakeDriver::new(&world);
    let reader = reader(&driver).waiting_first(SOON);
    reader.inventory();
    for function in ["nvmlInit_v2", "nvmlDeviceGetCount_v2"] {
        world.errors.insert(function.into(), Code::DriverNotLoaded);
    }
    driver.set(&world);
    assert_eq!(reader.sample(), None);
    let found = reader.inventory();
    assert!(found.unavailable.unwrap().contains("driver is not loaded"));
    assert!(found.gpus.len() == 2 && found.gpus.iter().all(|gpu| gpu.lost && gpu.uuid.is_some()));
    world.errors.clear();
    driver.set(&world);
    until(|| reader.sample().is_some());
    assert_eq!(reader.inventory().leasable().len(), 2);
}

#[test]
fn a_driver_replaced_under_a_loaded_library_is_initialised_anew_at_once() {
    let healthy = scenario("two-gpus");
    let mut broken = healthy.clone();
    broken.errors.insert("nvmlDeviceGetCount_v2".into(), Code::LibRmVersionMismatch);
    broken.delays_ms.insert("nvmlDeviceGetCount_v2".into(), 200);
    let driver = FakeDriver::new(&broken);
    let reader = reader(&driver).waiting_first(LATER);
    let found = std::thread::scope(|scope| {
        let asked = scope.spawn(|| reader.inventory());
        // While the first question fails slowly, the driver is put right.
        std::thread::sleep(Duration::from_millis(50));
        driver.set(&healthy);
        asked.join().unwrap()
    });
    assert_eq!((found.leasable().len(), found.unavailable), (2, None));
    driver.set(&broken);
    assert!(reader.inventory().unavailable.is_some());
    driver.set(&healthy);
    assert_eq!(reader.inventory().leasable().len(), 2, "an inventory doesn't wait");
}

#[test]
fn a_library_without_its_kernel_module_says_so() {
    let driver = FakeDriver::named("no-driver");
    let reader = reader(&driver);
    let found = reader.inventory();
    assert!(found.gpus.is_empty());
    assert!(found.unavailable.unwrap().contains("driver is not loaded"));
    assert_eq!(reader.sample(), None);
}
