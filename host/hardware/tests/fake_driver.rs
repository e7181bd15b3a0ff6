//! A process that is told of the fake driver as a node under test is: by the library's path and the scenario's, the
//! latter in the environment. In a process of its own, since the environment is one for all threads.

use hypermesh_fake_nvml::driver::scenario_file;
use hypermesh_fake_nvml::{SCENARIO_VARIABLE, library};
use hypermesh_hardware::Hardware;
use std::process::Command;

/// What the child prints before its answer.
const MARK: &str = "leasable: ";

#[test]
fn the_scenario_is_the_one_that_the_environment_names() {
    if std::env::var_os(SCENARIO_VARIABLE).is_some() {
        let found = Hardware::new("/").with_nvml_library(library()).gpus();
        println!("{MARK}{}", found.leasable().len());
        return;
    }
    let leasable = |scenario| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "the_scenario_is_the_one_that_the_environment_names", "--nocapture"]);
        let output = child.env(SCENARIO_VARIABLE, scenario_file(scenario)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let answer = text.split_once(MARK).map(|(_, rest)| rest.lines().next().unwrap().to_owned());
        answer.unwrap_or_else(|| panic!("{text}"))
    };
    assert_eq!([leasable("two-gpus"), leasable("mig"), leasable("no-driver")], ["2", "4", "0"]);
}

#[test]
fn a_watcher_sees_instances_appear_and_go() {
    let mut world = hypermesh_fake_nvml::driver::scenario("mig");
    let divided = world.gpus[0].clone();
    world.gpus[0].mig = Some(false);
    world.gpus[0].instances.clear();
    let driver = hypermesh_fake_nvml::FakeDriver::new(&world);
    let hardware = Hardware::new("/").with_nvml_library(driver.library());
    let seen = || {
        let found = hardware.gpus();
        (found.leasable().len(), found.groups().len())
    };
    assert_eq!(seen(), (2, 1));
    world.gpus[0] = divided;
    driver.set(&world);
    assert_eq!(seen(), (4, 3));
    world.gpus[0].instances.clear();
    driver.set(&world);
    assert_eq!(seen(), (1, 1), "in MIG mode without instances it can't be used");
}
